"""A program that sends mail and is killed: one process of the torture.

    python -m tests.torture.program STORAGE PORT LEASE_SECS SENDER

It delivers what it finds, and sends a message for each number it reads from standard input. Of
each it tells the number and the id that `send_email` returned, in one line on standard output.
At the end of its input it goes on delivering until nothing is left to try.
"""

from __future__ import annotations

import os
import sys
import threading
from dataclasses import replace

from mailstrom import Config, Email, Mailstrom, RelayConfig, RetryPolicy, SmtpTimeouts

THREADS = 4
DOT_SECS = 5.0  # how long to wait for the reply to a final dot

reading = threading.Lock()

config = Config(
    helo_name="sender.example",
    delivery=RelayConfig("127.0.0.1", 25, tls="none"),
    retry=RetryPolicy(tries=1000, base_delay_secs=0.05, factor=1.0, uncertain_delay_secs=0.05),
    timeouts=SmtpTimeouts(connect_secs=5.0, dot_secs=DOT_SECS),
    max_sessions_per_lane=8,
)


def main(storage: str, port: str, lease_secs: str, sender: str) -> None:
    """Sends, and delivers until it is killed or nothing is left."""
    relay = RelayConfig("127.0.0.1", int(port), tls="none")
    settings = replace(config, delivery=relay, lease_secs=float(lease_secs), storage=storage)
    with Mailstrom(settings) as m:
        m.start(role="always")
        os.write(1, b"ready\n")
        threads = [threading.Thread(target=_send, args=(m, sender)) for _ in range(THREADS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        m.drain(timeout=60)


def _send(m: Mailstrom, sender: str) -> None:
    while line := _next_line():
        number = line.strip()
        message_id = m.send_email(_email(sender, number), idempotency_key=f"{sender} {number}")
        os.write(1, f"{number} {message_id}\n".encode())  # whole, whatever the other threads write


def _next_line() -> str:
    with reading:
        return sys.stdin.readline()


def _email(sender: str, number: str) -> Email:
    return Email(
        from_=f"{sender}@sender.example",
        to=f"reader-{number}@dest.example",
        subject=f"Message {number}",
        text="So it goes.\n" * 40,
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
