"""Captured mail as a test wants to read it."""

from __future__ import annotations

import email
import email.policy
from collections.abc import Iterator, Sequence
from email.message import EmailMessage
from typing import overload

from ..facade import Mailstrom
from ..message.prepared import PreparedEmail

SETTLE_SECS = 5.0


class CapturedMail(Sequence[PreparedEmail]):
    """What a `Mailstrom` in mode="capture" did not send: one entry per message, oldest first.

    Mail reaches an outbox on the worker's thread, a moment after `send_email` has returned. So
    each look at this one first waits (at most 5 s) until all that was sent before has arrived;
    mail with a later `send_at` is waited for in vain: for that, read `Mailstrom.outbox`.

    Entries are copies of the final octets; `parsed` and `texts` read them. Any thread may use it.
    """

    def __init__(self, mailstrom: Mailstrom) -> None:
        self._mailstrom = mailstrom

    @property
    def parsed(self) -> tuple[EmailMessage, ...]:
        """Each entry as the standard library reads it: `parsed[0]["Subject"]`, `.iter_attachments()`."""
        return tuple(parse(entry) for entry in self)

    @property
    def texts(self) -> tuple[str, ...]:
        """The text of each entry, as it was given: the plain one, else the HTML."""
        return tuple(text_of(message) for message in self.parsed)

    def clear(self) -> None:
        """Forgets what has arrived."""
        self._settled()
        self._mailstrom.outbox.clear()

    @overload
    def __getitem__(self, index: int) -> PreparedEmail: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[PreparedEmail]: ...
    def __getitem__(self, index: int | slice) -> PreparedEmail | Sequence[PreparedEmail]:
        return self._settled()[index]

    def __len__(self) -> int:
        return len(self._settled())

    def __iter__(self) -> Iterator[PreparedEmail]:
        return iter(self._settled())

    def _settled(self) -> list[PreparedEmail]:
        self._mailstrom.drain(SETTLE_SECS)
        return list(self._mailstrom.outbox)


def parse(prepared: PreparedEmail) -> EmailMessage:
    """The content as the standard library reads it; texts have the line ends of mail, CRLF."""
    return email.message_from_bytes(prepared.content, policy=email.policy.default)


def text_of(message: EmailMessage) -> str:
    """The plain text, else the HTML, else nothing; with the line ends of Python."""
    body = message.get_body(("plain", "html"))
    return "" if body is None else str(body.get_content()).replace("\r\n", "\n")
