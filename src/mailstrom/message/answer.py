"""Answering a message: `email.reply_to(original)` (RFC 5322 section 3.6.4).

The original's Message-ID becomes In-Reply-To, and the last one of References; before it stand
the original's own References or, where it has none, its one In-Reply-To. Programs show the
messages that are linked like this as one conversation.

`email.reply_to` is also the Reply-To field, a tuple of addresses. `ReplyTo` is both: the
addresses and, called, the answer. It is made when it is asked for, so that what an email holds
is a plain tuple, and no email refers to itself.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Self, TypeAlias, cast

from ..errors import MessageError
from .mailbox import Group, Mailbox
from .message_id import checked_message_id
from .reading.finished import crlf_content, split_header

if TYPE_CHECKING:
    from email.message import Message

    from .email import Email

    Original: TypeAlias = "Email | Message | bytes | str"

__all__ = ["ReplyTo", "ReplyToField"]

_ID = re.compile(r"<([^<>\s]+)>")


class ReplyTo(tuple["Mailbox | Group", ...]):  # noqa: SLOT001 - a tuple has no slots of its own
    """The addresses of the Reply-To field; call it with a message to make the email an answer to it."""

    _email: Email | None

    # without an email where a copy is made of it by parts, as dataclasses.asdict does
    def __new__(cls, addresses: Iterable[Mailbox | Group], email: Email | None = None) -> Self:
        made = super().__new__(cls, addresses)
        made._email = email
        return made

    def __call__(self, original: Original) -> Email:
        """The same email as an answer: with In-Reply-To and References, and nothing else changed.

        `original` is an `Email` with a message id, a message of the standard library, the
        octets of a message, or a message id alone. `MessageError` where there is no message
        id. Other ids of the original that are none by the grammar are left out.
        """
        if self._email is None:
            raise TypeError("these are addresses alone: call the reply_to of an Email")
        answered, before = _ids(original)
        before = [one for one in before if one != answered]
        return self._email.replace(in_reply_to=[answered], references=[*before, answered])

    def __reduce__(self) -> tuple[object, ...]:
        return tuple, (tuple(self),)  # copied and pickled as the addresses that it is


class ReplyToField:
    """The attribute `reply_to` of `Email`, over the slot that holds the addresses."""

    def __init__(self, slot: Any) -> None:
        self._slot = slot

    def __get__(self, email: Email | None, owner: type[Email]) -> ReplyTo | ReplyToField:
        return self if email is None else ReplyTo(self._slot.__get__(email, owner), email)

    def __set__(self, email: Email, addresses: tuple[Mailbox | Group, ...]) -> None:
        self._slot.__set__(email, tuple(addresses))


def _ids(original: object) -> tuple[str, list[str]]:
    """The Message-ID of the original, and the ids that stand before it."""
    from .email import Email  # here: it is made with what stands above

    if isinstance(original, str):
        return checked_message_id(original, field="reply_to"), []
    if isinstance(original, Email):
        answered, references, in_reply_to = original.message_id, original.references, original.in_reply_to
        return _known(answered), list(references or (in_reply_to if len(in_reply_to) == 1 else ()))
    fields = _fields(original)
    references, in_reply_to = _valid_ids(fields["references"]), _valid_ids(fields["in-reply-to"])
    if not references and len(in_reply_to) == 1:
        references = in_reply_to
    return _known(next(iter(_valid_ids(fields["message-id"])), None)), list(references)


def _known(message_id: str | None) -> str:
    if message_id is None:
        raise MessageError("reply_to", given=None, expected="an original with a Message-ID")
    return message_id


def _fields(original: object) -> dict[str, str]:
    """The values of the three fields in a message; "" where there is none."""
    names = ("message-id", "in-reply-to", "references")
    if isinstance(original, (bytes, bytearray, memoryview)):
        try:  # only three of its fields matter: the others may be as old as they like
            header = split_header(crlf_content(_header_block(bytes(original)), obsolete=True), obsolete=True)
        except MessageError as error:
            raise MessageError("reply_to", given=error.given, expected=error.expected) from error
        return {name: " ".join([field.value for field in header.all(name)]) for name in names}
    if hasattr(original, "get_all") and hasattr(original, "get_payload"):
        return {name: _joined_values(cast("Message", original), name) for name in names}
    expected = "an Email, a message of the standard library, bytes or a message id"
    raise MessageError("reply_to", given=original, expected=expected)


def _joined_values(message: Message, name: str) -> str:
    try:
        return " ".join([str(value) for value in message.get_all(name, ())])
    except (ValueError, LookupError, TypeError, AttributeError, NameError) as error:  # P25, P36
        raise MessageError("reply_to", given=name, expected=f"a {name} that can be read") from error


def _header_block(content: bytes) -> bytes:
    """The header alone: what stands in the body does not matter here."""
    ends = [end for blank in (b"\r\n\r\n", b"\n\n") if (end := content.find(blank) + len(blank) // 2) > 1]
    return content[: min(ends)] if ends else content


def _valid_ids(value: str) -> tuple[str, ...]:
    found: list[str] = []
    for one in _ID.findall(value):
        try:
            found.append(checked_message_id(one, field="reply_to"))
        except MessageError:
            continue
    return tuple(found)
