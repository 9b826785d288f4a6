"""Fixtures for pytest: mail that your code sends is captured, and nothing leaves the machine.

    def test_a_new_user_is_greeted(captured_mailstrom, mailstrom_outbox):
        sign_up("you@yours.example", mailer=captured_mailstrom)

        [mail] = mailstrom_outbox
        assert mail.recipients == ("you@yours.example",)
        assert mailstrom_outbox.parsed[0]["Subject"] == "Welcome"

The plugin comes with mailstrom: pytest finds it by itself. What is captured has gone through
everything that live mail goes through, up to the socket; its status is "delivered".
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ..config import Config
from ..facade import Mailstrom
from .capture import CapturedMail


@pytest.fixture
def captured_mailstrom() -> Iterator[Mailstrom]:
    """A started `Mailstrom` that captures instead of sending; closed after the test."""
    with Mailstrom(Config(mode="capture", helo_name="localhost.localdomain")) as mailstrom:
        yield mailstrom.start()


@pytest.fixture
def mailstrom_outbox(captured_mailstrom: Mailstrom) -> CapturedMail:
    """What `captured_mailstrom` was given to send, once it has arrived; see `CapturedMail`."""
    return CapturedMail(captured_mailstrom)
