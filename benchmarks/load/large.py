"""Large mail: one message to very many, and very large ones."""

from __future__ import annotations

import os
import time
from pathlib import Path

from mailstrom import Config, Delivered, Email, Mailstrom, RelayConfig
from tests.interop.mailbox import until

from ..queue_mail import HELO, MOST, an_email, store
from ..queue_processes import working
from ..wire.sink import sinking
from .world import world

__all__ = ["megabytes_for_large", "secs_for_many"]

TRANSACTION = 100  # recipients at most: RFC 5321 4.5.3.1.8
PATIENCE_SECS = 120.0


def secs_for_many(url: str | None, folder: Path, recipients: int) -> tuple[float, float]:
    """How long `send_email` with so many recipients takes, and how long all of it, to the last status."""
    addresses = [f"reader{number}@{MOST}" for number in range(recipients)]
    with sinking(folder) as sink:
        config = Config(helo_name=HELO, delivery=RelayConfig("127.0.0.1", port=sink.port, tls="none"))
        with Mailstrom(config, url).start() as m:
            start = time.monotonic()
            message_id = m.send_email(an_email(1, MOST), recipients=addresses)
            accepted_secs = time.monotonic() - start
            m.drain()
            secs = time.monotonic() - start
            status = m.query_status(message_id)
        assert sink.taken() == -(-recipients // TRANSACTION), f"{sink.taken()} transactions"
    assert [each.address for each in status.recipients] == addresses
    assert all(isinstance(each.result, Delivered) for each in status.recipients)
    return accepted_secs, secs


def megabytes_for_large(url: str, folder: Path, *, messages: int, octets: int) -> float:
    """How much more memory a worker has taken once it has delivered these, all due at once."""
    file = folder / "large.bin"
    file.write_bytes(os.urandom(octets * 3 // 4))  # in base64 it is a third more
    emails = [_with_a_file(number, file) for number in range(messages)]
    with world(folder, most_is_bad=False) as here, working(url, here.config_file) as worker:
        worker.wait_until_ready()
        before = worker.peak_octets
        store(url, emails)
        until(lambda: here.taken() >= messages, PATIENCE_SECS, "the large messages")
        return (worker.peak_octets - before) / 1e6


def _with_a_file(number: int, file: Path) -> Email:
    return Email(
        from_=f"service@{HELO}", to=f"reader{number}@{MOST}", text="The file.\n", attachments=[str(file)]
    )
