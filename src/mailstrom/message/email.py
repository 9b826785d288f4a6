"""An email as its writer thinks of it; `prepare` turns it into octets.

Everything is checked when the value is made, so that an `Email` can be sent because it
exists; only who it goes to may still be open. Nothing is repaired silently. These changes are
made: CR, LF and CRLF in texts become CRLF, a text's last line is ended, and addresses are
written in their one canonical form.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from typing import TYPE_CHECKING, Any, Self

from ..errors import MessageError
from .address import Addresses, Group, Mailbox, parse_mailbox, parse_mailboxes
from .body import checked_body, checked_content_type, checked_filename
from .date import checked_date
from .header import checked_name, is_structured, structured_field, text_field
from .message_id import checked_message_id, checked_message_ids
from .prepared import DsnOptions
from .text import checked_text

if TYPE_CHECKING:
    from .address import Address

__all__ = ["Attachment", "Email"]

ENVID_LIMIT = 100  # RFC 3461 4.4

Headers = Mapping[str, str] | Iterable[tuple[str, str]]

# fields that have a keyword of their own
_KEYWORDS = {
    "from": "from_",
    "to": "to",
    "cc": "cc",
    "bcc": "bcc",
    "subject": "subject",
    "reply-to": "reply_to",
    "sender": "sender",
    "date": "date",
    "message-id": "message_id",
    "in-reply-to": "in_reply_to",
    "references": "references",
}
_WRITTEN_BY_US = (
    "mime-version",
    "content-type",
    "content-transfer-encoding",
    "content-disposition",
    "return-path",
)
_ONCE = ("list-", "auto-submitted", "precedence")  # RFC 2369 3.4, RFC 3834 5


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file that goes with an email; its octets arrive unchanged."""

    filename: str
    content: bytes
    content_type: str = "application/octet-stream"

    def __post_init__(self) -> None:
        checked_filename(self.filename, field="attachments.filename")
        checked_content_type(self.content_type, field="attachments.content_type")
        if not isinstance(self.content, (bytes, bytearray, memoryview)):
            raise MessageError("attachments.content", given=self.content, expected="bytes")
        object.__setattr__(self, "content", bytes(self.content))


@dataclass(frozen=True, slots=True, kw_only=True, init=False)
class Email:
    """An email: who it is from and to, and what it says. Frozen; changed by `replace`.

    Addresses are given as `"Name <user@example.org>"`, as several with commas between, as
    (name, address), as `Mailbox` or `Group`, or as a list of these. `text` and `html` are two
    forms of one message. `from_` may be left out where `Config.default_from` is set; several
    authors need a `sender`. `bcc` never reaches the wire. Message ids are given with or
    without `<>`. `headers` are further fields: a mapping, or pairs where a name is repeated.

    Raises `MessageError`, whose `field` is the name of the keyword at fault.
    """

    from_: tuple[Mailbox | Group, ...]
    to: tuple[Mailbox | Group, ...]
    cc: tuple[Mailbox | Group, ...]
    bcc: tuple[Mailbox | Group, ...]
    subject: str | None
    text: str | None
    html: str | None
    reply_to: tuple[Mailbox | Group, ...]
    sender: Mailbox | None
    date: datetime | None
    message_id: str | None
    in_reply_to: tuple[str, ...]
    references: tuple[str, ...]
    headers: tuple[tuple[str, str], ...]
    attachments: tuple[Attachment, ...]
    dsn: DsnOptions | None

    def __init__(
        self,
        *,
        from_: Addresses | None = None,
        to: Addresses | None = None,
        cc: Addresses | None = None,
        bcc: Addresses | None = None,
        subject: str | None = None,
        text: str | None = None,
        html: str | None = None,
        reply_to: Addresses | None = None,
        sender: Address | None = None,
        date: datetime | None = None,
        message_id: str | None = None,
        in_reply_to: str | Iterable[str] | None = None,
        references: str | Iterable[str] | None = None,
        headers: Headers | None = None,
        attachments: Iterable[Attachment] = (),
        dsn: DsnOptions | None = None,
    ) -> None:
        put = object.__setattr__
        put(self, "from_", parse_mailboxes(from_, field="from_"))
        put(self, "to", parse_mailboxes(to, field="to"))
        put(self, "cc", parse_mailboxes(cc, field="cc"))
        put(self, "bcc", parse_mailboxes(bcc, field="bcc"))
        put(self, "subject", None if subject is None else checked_text(subject, field="subject"))
        put(self, "text", None if text is None else checked_body(text, field="text"))
        put(self, "html", None if html is None else checked_body(html, field="html"))
        put(self, "reply_to", parse_mailboxes(reply_to, field="reply_to"))
        put(self, "sender", None if sender is None else parse_mailbox(sender, field="sender"))
        put(self, "date", None if date is None else checked_date(date, field="date"))
        put(
            self,
            "message_id",
            None if message_id is None else checked_message_id(message_id, field="message_id"),
        )
        put(self, "in_reply_to", checked_message_ids(in_reply_to, field="in_reply_to"))
        put(self, "references", checked_message_ids(references, field="references"))
        put(self, "headers", _checked_headers(headers))
        put(self, "attachments", _checked_attachments(attachments))
        put(self, "dsn", None if dsn is None else _checked_dsn(dsn))
        check_authors(self.from_, self.sender)

    def replace(self, **changes: Any) -> Self:
        """The same email with these keywords changed."""
        kept = {field.name: getattr(self, field.name) for field in fields(self)}
        return type(self)(**(kept | changes))


def check_authors(from_: tuple[Mailbox | Group, ...], sender: Mailbox | None) -> None:
    """Raises `MessageError` where the authors need a sender beside them."""
    authors = sum(len(author.members) if isinstance(author, Group) else 1 for author in from_)
    # RFC 5322 3.6.2: several authors need a Sender; so does an empty group (RFC 6854 1)
    if sender is None and from_ and authors != 1:
        raise MessageError("sender", given=None, expected="one address, since from_ is not a single mailbox")


def _checked_headers(headers: object) -> tuple[tuple[str, str], ...]:
    if headers is None:
        return ()
    pairs = headers.items() if isinstance(headers, Mapping) else headers
    if not isinstance(pairs, Iterable) or isinstance(pairs, (str, bytes)):
        raise MessageError("headers", given=headers, expected="a mapping, or pairs of name and value")
    checked: list[tuple[str, str]] = []
    for pair in pairs:
        if not isinstance(pair, tuple) or len(pair) != 2:
            raise MessageError("headers", given=pair, expected="a mapping, or pairs of name and value")
        checked.append(_checked_header(pair[0], pair[1], [name.lower() for name, _ in checked]))
    return tuple(checked)


def _checked_header(name: object, value: object, before: list[str]) -> tuple[str, str]:
    checked = checked_name(name)
    field, lower = f"headers[{checked!r}]", checked.lower()
    if lower in _KEYWORDS:
        raise MessageError(field, given=value, expected=f"{_KEYWORDS[lower]}=... instead of a header")
    if lower in _WRITTEN_BY_US or lower.startswith("resent-"):
        raise MessageError(
            field, given=value, expected="no such header: this field is not the caller's to write"
        )
    if lower in before and lower.startswith(_ONCE):
        raise MessageError(field, given=value, expected="each header once")
    text = checked_text(value, field=field)
    # written once here, so that what cannot be written is known now
    (structured_field if is_structured(lower) else text_field)(checked, text, field=field)
    return checked, text


def _checked_attachments(attachments: object) -> tuple[Attachment, ...]:
    if isinstance(attachments, Attachment):
        return (attachments,)
    expected = "a list of Attachment(filename, content, content_type)"
    if not isinstance(attachments, Iterable):
        raise MessageError("attachments", given=attachments, expected=expected)
    checked: list[Attachment] = []
    for attachment in attachments:
        if not isinstance(attachment, Attachment):
            raise MessageError("attachments", given=attachment, expected=expected)
        checked.append(attachment)
    return tuple(checked)


def _checked_dsn(dsn: object) -> DsnOptions:
    if not isinstance(dsn, DsnOptions):
        raise MessageError("dsn", given=dsn, expected="DsnOptions(ret=..., envid=..., notify=...)")
    if dsn.ret not in (None, "FULL", "HDRS"):
        raise MessageError("dsn.ret", given=dsn.ret, expected="'FULL' or 'HDRS'")
    envid: object = dsn.envid  # a value of plain data: nothing has checked it yet
    given: object = dsn.notify
    # RFC 3461 4.4: printable ASCII; xtext is made of it when it is sent
    if envid is not None and not (isinstance(envid, str) and _is_envid(envid)):
        raise MessageError(
            "dsn.envid", given=envid, expected=f"1 to {ENVID_LIMIT} printable ASCII characters"
        )
    notify = {*map(str, given)} if isinstance(given, (tuple, list)) else {""}
    if not notify <= {"NEVER", "SUCCESS", "FAILURE", "DELAY"} or len(notify) != len(dsn.notify):
        raise MessageError(
            "dsn.notify", given=dsn.notify, expected="of NEVER, SUCCESS, FAILURE and DELAY, each once"
        )
    if "NEVER" in notify and len(notify) > 1:  # RFC 3461 4.1
        raise MessageError("dsn.notify", given=dsn.notify, expected="NEVER alone")
    return dsn


def _is_envid(envid: str) -> bool:
    return 1 <= len(envid) <= ENVID_LIMIT and envid.isascii() and envid.isprintable()
