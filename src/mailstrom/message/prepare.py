"""From what a caller hands in to the prepared email: what is stored, and sent as it is.

Three things come in: an `Email`, a message of the standard library, and finished octets. For
each the envelope and the header come from the same parsed values. Added are Message-ID and
Date where they are missing, and From where there is a default; taken away are Bcc and
Resent-Bcc, once the envelope has been read from them. Nothing else of finished octets changes.

A message that was resent (RFC 5322 section 3.6.6) goes where its Resent- fields say: they
were put on top by the last who sent it. Where there are several such blocks it cannot be
told which field belongs to which, and `recipients=` and `return_path=` have to say it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple

from ..errors import MessageError
from .address import Addresses, Group, Mailbox, expanded, parse_mailbox, parse_mailboxes
from .compose import composed
from .date import checked_date, written_date
from .email import Email, check_authors
from .finished import Header, crlf_content, read_header
from .header import address_field
from .message_id import checked_message_id
from .prepared import PreparedEmail
from .standard import is_standard_message, serialised

if TYPE_CHECKING:
    from email.message import Message

    from .address import Address

__all__ = ["Prepared", "fingerprint", "prepare"]

PIECE_OCTETS = 1 << 16


class Prepared(NamedTuple):
    """The prepared email, its recipients with their names, and what was made up for it."""

    email: PreparedEmail
    recipients: tuple[Mailbox, ...]  # in the order To, Cc, Bcc, each once
    generated: tuple[bytes, ...]  # the lines of Message-ID and Date where they were added
    has_own_id: bool  # the Message-ID came from the caller


def prepare(
    email: Email | Message | bytes,
    *,
    recipients: Addresses | None = None,
    return_path: Address | None = None,
    default_from: Address | None = None,
    now: datetime,
    random_id: str,
) -> Prepared:
    """What is stored and sent for `email`; `MessageError` for what cannot be sent.

    `recipients` and `return_path` replace the envelope that the header would give; a
    `return_path` of "" (or "<>") is the null reverse-path. The default reverse-path is the Sender, else
    the first From address. `now` and `random_id` make Date and Message-ID where they are
    missing; the id's right side is the From domain.
    """
    given = _Given(
        recipients=None if recipients is None else parse_mailboxes(recipients, field="recipients"),
        return_path=_reverse_path(return_path),
        default_from=None if default_from is None else parse_mailbox(default_from, field="default_from"),
        now=checked_date(now, field="now"),
        random_id=random_id,
    )
    if isinstance(email, Email):
        return _from_email(email, given)
    if isinstance(email, (bytes, bytearray, memoryview)):
        return _from_finished(bytes(email), given)
    if is_standard_message(email):
        return _from_finished(serialised(email), given)
    raise MessageError("email", given=email, expected="an Email, an email.message.Message or bytes")


def fingerprint(prepared: Prepared) -> str:
    """The same for the same email to the same recipients, whenever it is prepared.

    A Message-ID and a Date that were added do not count.
    """
    email = prepared.email
    envelope = (email.reverse_path, email.recipients, email.dsn, prepared.has_own_id and email.message_id)
    digest = hashlib.sha256(repr(envelope).encode())
    for piece in _without(email.content, prepared.generated):
        digest.update(piece)
    return digest.hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Given:
    recipients: tuple[Mailbox | Group, ...] | None
    return_path: str | None
    default_from: Mailbox | None
    now: datetime
    random_id: str

    def message_id(self, author: Mailbox) -> str:
        left = f"{self.now:%Y%m%d%H%M%S}.{self.random_id}"
        return checked_message_id(f"{left}@{author.domain}", field="message_id")


def _reverse_path(return_path: Address | None) -> str | None:
    if return_path is None:
        return None
    if return_path in ("", "<>"):  # RFC 5321 4.5.5: the null reverse-path
        return ""
    return parse_mailbox(return_path, field="return_path").address


def _from_email(email: Email, given: _Given) -> Prepared:
    from_ = email.from_ or _default_from(given)
    author = _author(from_, email.sender)
    message_id = email.message_id or given.message_id(author)
    date = email.date or given.now
    generated = []
    if email.date is None:
        generated.append(f"Date: {written_date(date)}\r\n".encode())
    if email.message_id is None:
        generated.append(f"Message-ID: <{message_id}>\r\n".encode())
    pieces = composed(email, from_=from_, message_id=message_id, date=date)
    recipients = _recipients(
        (*email.to, *email.cc, *email.bcc) if given.recipients is None else given.recipients
    )
    prepared = PreparedEmail(
        message_id=message_id,
        reverse_path=(email.sender or author).address if given.return_path is None else given.return_path,
        recipients=tuple([mailbox.address for mailbox in recipients]),
        content=b"".join(pieces),
        needs_smtputf8=not pieces[0].isascii(),
        dsn=email.dsn,
    )
    return Prepared(prepared, recipients, tuple(generated), email.message_id is not None)


def _default_from(given: _Given) -> tuple[Mailbox, ...]:
    if given.default_from is None:
        raise MessageError("from_", given=None, expected="an address, here or in Config.default_from")
    return (given.default_from,)


def _author(from_: Iterable[Mailbox | Group], sender: Mailbox | None) -> Mailbox:
    """The first From address; where From holds none (an empty group), the Sender."""
    author = next(expanded(from_), sender)
    if author is None:
        raise MessageError("sender", given=None, expected="an address, since From holds none")
    return author


def _recipients(addresses: Iterable[Mailbox | Group]) -> tuple[Mailbox, ...]:
    """Each mailbox once: local parts compared exactly, domains without case."""
    found: dict[tuple[str, str], Mailbox] = {}
    for mailbox in expanded(addresses):
        found.setdefault((mailbox.local_part, mailbox.domain), mailbox)
    if not found:
        raise MessageError(
            "recipients", given=(), expected="at least one address in to, cc, bcc or recipients"
        )
    return tuple(found.values())


def _from_finished(content: bytes, given: _Given) -> Prepared:
    content = crlf_content(content)
    header = read_header(content)
    added: list[str] = []
    from_ = header.addresses("From")
    if not from_:
        from_ = _default_from(given)
        added.append(f"{address_field('From', from_, field='from_')}\r\n")
    author = _author(from_, _first(header, "Sender"))
    check_authors(from_, _first(header, "Sender"))
    generated: list[str] = []
    message_id = header.message_id("Message-ID")
    if message_id is None:
        message_id = given.message_id(author)
        generated.append(f"Message-ID: <{message_id}>\r\n")
    if header.one("Date") is None:
        generated.append(f"Date: {written_date(given.now)}\r\n")
    recipients = _recipients(_addressed(header) if given.recipients is None else given.recipients)
    kept = _without_bcc(content, header, "".join(added + generated).encode())
    prepared = PreparedEmail(
        message_id=_identity(header) or message_id,
        reverse_path=_returned_to(header, author) if given.return_path is None else given.return_path,
        recipients=tuple([mailbox.address for mailbox in recipients]),
        content=kept,
        needs_smtputf8=not header.is_ascii or not author.address.isascii(),
        needs_8bitmime=not _is_ascii_from(content, header.end),
    )
    lines = tuple(line.encode() for line in generated)
    return Prepared(prepared, recipients, lines, header.message_id("Message-ID") is not None)


def _is_ascii_from(content: bytes, start: int) -> bool:
    """The same as `content[start:].isascii()`, without a copy of what may be large."""
    pieces = (content[at : at + PIECE_OCTETS] for at in range(start, len(content), PIECE_OCTETS))
    return all(piece.isascii() for piece in pieces)


def _first(header: Header, name: str) -> Mailbox | None:
    return next(expanded(header.addresses(name)), None)


def _is_resent(header: Header) -> bool:
    """There is one Resent- block; `MessageError` for several, and for one without its date."""
    resent = [field.name.lower() for field in header.fields if field.name.lower().startswith("resent-")]
    if not resent:
        return False
    if len(set(resent)) != len(resent):
        expected = "one block of Resent- fields, or recipients= and return_path= as well"
        raise MessageError("resent_to", given=", ".join(resent), expected=expected)
    if "resent-date" not in resent or "resent-from" not in resent:  # RFC 5322 3.6.6
        raise MessageError(
            "resent_date", given=", ".join(resent), expected="Resent-From and Resent-Date in the block"
        )
    return True


def _addressed(header: Header) -> tuple[Mailbox | Group, ...]:
    prefix = "Resent-" if _is_resent(header) else ""
    to, cc = header.addresses(f"{prefix}To"), header.addresses(f"{prefix}Cc")
    return (*to, *cc, *header.addresses(f"{prefix}Bcc", may_be_empty=True))


def _returned_to(header: Header, author: Mailbox) -> str:
    if _is_resent(header):
        found = _first(header, "Resent-Sender") or _first(header, "Resent-From")
    else:
        found = _first(header, "Sender")
    return (found or author).address


def _identity(header: Header) -> str | None:
    """The id of a resending, which is another message to us than what was resent."""
    found = header.all("Resent-Message-ID")
    return header.message_id("Resent-Message-ID") if len(found) == 1 else None


def _without_bcc(content: bytes, header: Header, added: bytes) -> bytes:
    """The content without its Bcc fields, the added lines at the end of its header."""
    pieces: list[bytes] = []
    at = 0
    for field in header.fields:
        if field.name.lower() in ("bcc", "resent-bcc"):
            pieces.append(content[at : field.start])
            at = field.end
    if not pieces and not added:
        return content
    return b"".join([*pieces, content[at : header.end], added, content[header.end :]])


def _without(content: bytes, lines: Iterable[bytes]) -> Iterable[memoryview]:
    """The content in pieces, these whole header lines left out."""
    spans = sorted(_span(content, line) for line in lines)
    view = memoryview(content)
    at = 0
    for start, end in spans:
        yield view[at:start]
        at = end
    yield view[at:]


def _span(content: bytes, line: bytes) -> tuple[int, int]:
    start = 0 if content.startswith(line) else content.index(b"\r\n" + line) + 2
    return start, start + len(line)
