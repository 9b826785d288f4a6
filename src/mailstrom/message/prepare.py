"""From what a caller hands in to the prepared email: what is stored, and sent as it is.

Three things come in: an `Email`, a message of the standard library, and finished octets. For
each the envelope and the header come from the same parsed values. Added are Message-ID and
Date where they are missing, and From where there is a default; taken away are Bcc and
Resent-Bcc, once the envelope has been read from them. Nothing else of finished octets changes.

"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple

from ..errors import MessageError
from .address import Addresses, Group, Mailbox, parse_mailbox, parse_mailboxes
from .date import checked_date, written_date, written_second
from .email import Email
from .email_checks import check_authors
from .envelope import Asked, Envelope, envelope_in, envelope_of, first_author, first_mailbox
from .message_id import checked_message_id
from .prepared import DsnOptions, PreparedEmail
from .reading.finished import Field, check_addresses, crlf_content, read_fields, read_header
from .writing.assemble import Seal, assembled
from .writing.body import Part
from .writing.compose import Composed, composed
from .writing.header import address_field

if TYPE_CHECKING:
    from email.message import Message

    from .address import Address

__all__ = ["Prepared", "Seal", "SealFor", "fingerprint", "prepare"]

PIECE_OCTETS = 1 << 14

_NOTHING_ASKED = Asked()

# what seals mail whose first From address has this domain (in A-labels; None: From holds none)
SealFor = Callable[[str | None], Seal | None]


class Prepared(NamedTuple):
    """The prepared email, its recipients with their names, and what was made up for it."""

    email: PreparedEmail
    recipients: tuple[Mailbox, ...]  # in the order To, Cc, Bcc, each once
    generated: tuple[bytes, ...]  # the lines of Message-ID and Date where they were added
    has_own_id: bool  # the Message-ID came from the caller
    sealed: int = 0  # octets of the seal's fields, on top of the content


def prepare(
    email: Email | Message | bytes,
    *,
    recipients: Addresses | None = None,
    return_path: Address | None = None,
    default_from: Address | None = None,
    now: datetime,
    random_id: str,
    seal: SealFor | None = None,
) -> Prepared:
    """What is stored and sent for `email`; `MessageError` for what cannot be sent.

    `recipients` and `return_path` replace the envelope that the header would give; a
    `return_path` of "" (or "<>") is the null reverse-path. The default reverse-path is the Sender, else
    the first From address. `now` and `random_id` make Date and Message-ID where they are
    missing; the id's right side is the From domain. `seal` gets the domain of the first From
    address, and returns what signs the final octets.
    """
    asked = _NOTHING_ASKED
    if recipients is not None or return_path is not None:
        to = None if recipients is None else parse_mailboxes(recipients, field="recipients")
        asked = Asked(to, _reverse_path(return_path))
    author = None if default_from is None else parse_mailbox(default_from, field="default_from")
    given = _Given(asked, author, checked_date(now, field="now"), random_id, seal)
    if isinstance(email, Email):
        return _from_email(email, given)
    if isinstance(email, (bytes, bytearray, memoryview)):
        return _from_finished(bytes(email), given)
    from .standard.standard_message import (  # here: many programs need it never
        composed_standard,
        is_standard_message,
    )

    if is_standard_message(email):
        return _from_message(composed_standard(email), given)
    raise MessageError("email", given=email, expected="an Email, an email.message.Message or bytes")


def fingerprint(prepared: Prepared) -> str:
    """The same for the same email to the same recipients, whenever it is prepared.

    A Message-ID and a Date that were added do not count, nor does a seal.
    """
    email = prepared.email
    envelope = (email.reverse_path, email.recipients, email.dsn, prepared.has_own_id and email.message_id)
    digest = hashlib.sha256(repr(envelope).encode())
    for piece in _without(email.content, prepared.generated, prepared.sealed):
        digest.update(piece)
    return digest.hexdigest()


class _Given(NamedTuple):
    asked: Asked
    default_from: Mailbox | None
    now: datetime
    random_id: str
    seal: SealFor | None

    def seal_of(self, from_: Iterable[Mailbox | Group]) -> Seal | None:
        """What signs mail with this From."""
        if self.seal is None:
            return None
        author = first_mailbox(from_)
        return self.seal(None if author is None else author.domain)

    def message_id(self, author: Mailbox) -> str:
        text = f"{written_second(self.now)}.{self.random_id}@{author.domain}"
        return checked_message_id(text, field="message_id")


def _reverse_path(return_path: Address | None) -> str | None:
    if return_path is None:
        return None
    if return_path in ("", "<>"):  # RFC 5321 4.5.5: the null reverse-path
        return ""
    return parse_mailbox(return_path, field="return_path").address


def _from_email(email: Email, given: _Given) -> Prepared:
    from_ = email.from_ or _default_from(given)
    sender = () if email.sender is None else (email.sender,)
    author = first_author(from_, sender)
    message_id = email.message_id or given.message_id(author)
    date = email.date or given.now
    made = composed(email, from_=from_, message_id=message_id, date=date)
    made_up = [made.dated] if email.date is None else []
    if email.message_id is None:
        made_up.append(made.identified)
    header = read_fields(made.octets, 0, len(made.octets)) if email.headers else None
    if header is not None and header.is_resent:
        envelope = envelope_in(header, author, message_id, given.asked)
    else:
        addressed = (*email.to, *email.cc, *email.bcc)
        envelope = envelope_of(first_mailbox(sender) or author, addressed, message_id, given.asked)
    content, sealed = assembled(made.octets, b"\r\n", made.body, given.seal_of(from_))
    prepared = _prepared(envelope, content, not made.octets.isascii(), dsn=email.dsn)
    return Prepared(prepared, envelope.recipients, tuple(made_up), email.message_id is not None, sealed)


def _prepared(
    envelope: Envelope,
    content: bytes,
    needs_smtputf8: bool,
    *,
    needs_8bitmime: bool = False,
    dsn: DsnOptions | None = None,
) -> PreparedEmail:
    return PreparedEmail(
        message_id=envelope.message_id,
        reverse_path=envelope.reverse_path,
        recipients=tuple([mailbox.address for mailbox in envelope.recipients]),
        content=content,
        needs_smtputf8=needs_smtputf8,
        needs_8bitmime=needs_8bitmime,
        dsn=dsn,
    )


def _default_from(given: _Given) -> tuple[Mailbox, ...]:
    if given.default_from is None:
        raise MessageError("from_", given=None, expected="an address, here or in Config.default_from")
    return (given.default_from,)


def _from_finished(content: bytes, given: _Given) -> Prepared:
    ended = crlf_content(content)
    header = read_header(ended)
    check_addresses(header)
    octets, gap = ended[: header.end], ended[header.end : header.end + 2]
    size = len(ended) - header.end - len(gap)
    # from what was given, not from its copy with other line ends: see _Body
    lines = 0 if ended is content else ended.count(b"\r\n", 0, header.end + len(gap))
    body = _Body(content, start=header.end + len(gap) - lines)
    whole = content if ended is content else None
    made = Composed(octets, header, Part(head=(), pieces=body, size=size), gap, whole)
    is_ascii = ended.isascii() or all(piece.isascii() for piece in body)
    del ended  # a copy that is no longer needed: the next one may be as large
    return _from_message(made, given, needs_8bitmime=not is_ascii)


@dataclass(frozen=True, slots=True)
class _Body:
    """The body of finished octets in pieces, with CRLF line ends, never copied as a whole."""

    content: bytes  # where every line end is CRLF, or every line end LF
    start: int

    def __iter__(self) -> Iterator[bytes]:
        ends_with_lf = b"\r\n" not in self.content
        for at in range(self.start, len(self.content), PIECE_OCTETS):
            piece = self.content[at : at + PIECE_OCTETS]
            yield piece.replace(b"\n", b"\r\n") if ends_with_lf else piece


def _from_message(made: Composed, given: _Given, *, needs_8bitmime: bool = False) -> Prepared:
    """A message whose header is read: what is missing is added, Bcc is taken away."""
    header = made.header
    added: list[str] = []
    from_, sender = header.addresses("From"), header.addresses("Sender")
    if not from_:
        from_ = _default_from(given)
        added.append(f"{address_field('From', from_, field='from_')}\r\n")
    author = first_author(from_, sender)
    check_authors(from_, next(iter(sender), None))
    generated: list[str] = []
    message_id = own_id = header.message_id("Message-ID")
    if message_id is None:
        message_id = given.message_id(author)
        generated.append(f"Message-ID: <{message_id}>\r\n")
    if "date" not in header.by_name:
        generated.append(f"Date: {written_date(given.now)}\r\n")
    envelope = envelope_in(header, author, message_id, given.asked)
    octets = _with_lines(made, "".join(added + generated).encode())
    content, sealed = _final(made, octets, given.seal_of(from_))
    prepared = _prepared(envelope, content, not octets.isascii(), needs_8bitmime=needs_8bitmime)
    lines = tuple([line.encode() for line in generated])
    return Prepared(prepared, envelope.recipients, lines, own_id is not None, sealed)


def _final(made: Composed, octets: bytes, seal: Seal | None) -> tuple[bytes, int]:
    if octets is made.octets and made.whole is not None and seal is None:
        return made.whole, 0
    return assembled(octets, made.gap, made.body, seal)


def _with_lines(made: Composed, added: bytes) -> bytes:
    """The header without its Bcc fields, the added lines at its end."""
    bcc = [field for name in ("bcc", "resent-bcc") for field in made.header.by_name.get(name, ())]
    if not bcc and not added:
        return made.octets
    pieces: list[bytes] = []
    at = 0
    for field in sorted(bcc, key=_start):
        pieces.append(made.octets[at : field.start])
        at = field.end
    octets = b"".join([*pieces, made.octets[at:], added])
    read_header(octets)
    return octets


def _start(field: Field) -> int:
    return field.start


def _without(content: bytes, lines: Iterable[bytes], start: int) -> Iterator[memoryview]:
    """The content from `start` on in pieces, these whole header lines left out."""
    spans = sorted(_span(content, line, start) for line in lines)
    view = memoryview(content)
    at = start
    for begin, end in spans:
        yield view[at:begin]
        at = end
    yield view[at:]


def _span(content: bytes, line: bytes, start: int) -> tuple[int, int]:
    begin = start if content.startswith(line, start) else content.index(b"\r\n" + line, start) + 2
    return begin, begin + len(line)
