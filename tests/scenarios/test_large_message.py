"""A message of 50 MB: it is sent in blocks, and never stands in memory a second time."""

from __future__ import annotations

import subprocess
import sys
from itertools import chain, repeat

from mailstrom.message.wire import dot_stuffed_chunks
from mailstrom.testing.smtp_server import LoopbackServer, SmtpServer
from tests.builders import a_config, with_mx
from tests.lone_engine import LoneEngine, simulate

SIZE_MB = 50
EXTRA_MB = 16  # what delivery may need beside the message itself
LINES = (b"x" * 62 + b"\r\n") * 1024  # 64 KB
HEAD = (
    b"From: no-reply@sender.example\r\nTo: you@dest.example\r\n"
    b"Date: Mon, 05 Jan 2026 10:00:00 +0000\r\nMessage-ID: <large@sender.example>\r\n\r\n"
)

SENDER = f"""
import resource, sys
from itertools import chain, repeat
from mailstrom import Config, Mailstrom, RelayConfig

def peak_mb():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

relay = RelayConfig("127.0.0.1", int(sys.argv[1]), tls="none")
with Mailstrom(Config(helo_name="sender.example", delivery=relay)) as m:
    m.start().wait(m.send_email({HEAD!r}.replace(b"large", b"small")), timeout=30)
    before = peak_mb()
    lines = (b"x" * 62 + b"\\r\\n") * 1024
    content = b"".join(chain([{HEAD!r}], repeat(lines, 16 * {SIZE_MB})))
    message_id = m.send_email(content)
    del content
    status = m.wait(message_id, timeout=50)
    print(status.succeeded, peak_mb() - before)
"""


def large(megabytes: int) -> bytes:
    return b"".join(chain([HEAD], repeat(LINES, 16 * megabytes)))


def test_it_is_delivered_and_memory_stays_within_its_size_and_a_little_more() -> None:
    """Row 58: RSS bound; the peak of a process of its own."""
    server = SmtpServer()
    with LoopbackServer(server) as running:
        sender = subprocess.run(
            [sys.executable, "-c", SENDER, str(running.port)],
            capture_output=True,
            text=True,
            timeout=55,
            check=False,
        )
    assert sender.returncode == 0, sender.stderr
    succeeded, grown_mb = sender.stdout.split()

    assert succeeded == "True"
    assert float(grown_mb) < SIZE_MB + EXTRA_MB
    _, message = server.ledger.messages
    assert message.content == large(SIZE_MB)


def test_it_goes_out_in_blocks_of_64_kb() -> None:
    """Row 58: no block is larger, whatever dots are doubled in it."""
    dots = b".\r\n" * 200_000

    for content in (large(1), HEAD + dots):
        sizes = [len(block) for block in dot_stuffed_chunks(content)]
        assert max(sizes) <= 64 * 1024 * 2
        assert sum(sizes) / len(sizes) > 16 * 1024


def test_a_slow_host_gets_it_at_its_own_pace() -> None:
    """Row 58: with drain, over a connection that holds 64 KB."""
    server = SmtpServer()

    async def story(sim: LoneEngine) -> None:
        with_mx(sim, server)
        assert (await sim.deliver(large(5))).succeeded

    simulate(story, config=a_config())

    assert server.ledger.messages[0].content == large(5)
