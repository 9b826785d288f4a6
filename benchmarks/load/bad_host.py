"""A host that mail piles up for, in a process of its own.

    python -m benchmarks.load.bad_host KIND PORT

It is at 127.0.0.2, on this port, and ends with its standard input.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from itertools import cycle
from typing import TypeAlias

from mailstrom.testing.peer import Peer
from mailstrom.testing.smtp_server import Action, LoopbackServer, SmtpServer

__all__ = ["ADDRESS", "KINDS", "bad_host"]

ADDRESS = "127.0.0.2"

_Server: TypeAlias = Callable[[Peer], Awaitable[None]]


async def _tarpit(peer: Peer) -> None:
    for octet in cycle(b"220-Welcome\r\n"):
        await peer.write(bytes([octet]))
        await asyncio.sleep(1)


KINDS: Mapping[str, Callable[[], _Server | None]] = {  # None: nobody listens
    "refuses connections": lambda: None,
    "never answers": lambda: SmtpServer(on_greeting=Action.HANG),
    "greylists everything": lambda: SmtpServer(on_rcpt="450 4.2.0 greylisted, try again later"),
    "sends an octet a second": lambda: _tarpit,
    "answers every second connection with 421": lambda: SmtpServer(
        on_greeting=lambda _client, count: "421 4.3.2 try again later" if count % 2 else None
    ),
}


@contextmanager
def bad_host(kind: str, port: int) -> Iterator[None]:
    """One of this kind."""
    command = [sys.executable, "-m", "benchmarks.load.bad_host", kind, str(port)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdout.readline()
        yield
        process.stdin.close()


def main(kind: str, port: str) -> None:
    """Serves until nobody wants it any more."""
    server = KINDS[kind]()
    with nullcontext() if server is None else LoopbackServer(server, ADDRESS, int(port)):
        print("ready", flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main(*sys.argv[1:])
