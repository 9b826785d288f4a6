"""A queue in a file, for whoever asks for it by name."""

from __future__ import annotations

from pathlib import Path

import pytest

from mailstrom import Config, Mailstrom
from tests.builders import HELO, an_email
from tests.unit.cli.queue_file import defer_one, storage_of


@pytest.fixture
def queue(tmp_path: Path) -> str:
    """The URL of a queue with mail to two domains; one of them was deferred."""
    url = f"sqlite:///{tmp_path / 'mail.db'}"
    with Mailstrom(Config(helo_name=HELO), url) as m:
        for number in (1, 2):
            m.send_email(an_email(to=f"you{number}@dest.example", message_id=f"{number}@sender.example"))
        m.send_email(an_email(to="a@other.example, b@other.example", message_id="3@sender.example"))
    with storage_of(url) as storage:
        defer_one(storage)
    return url
