"""Who a message goes to and comes back to: the envelope that its header gives (RFC 5321, 5322).

It goes to To, Cc and Bcc, each mailbox once, and comes back to the Sender, else to the first
author. A message that was resent (RFC 5322 section 3.6.6) goes where its Resent- fields say: they
were put on top by the last who sent it. Where there are several such blocks it cannot be told
which field belongs to which, and `recipients=` and `return_path=` have to say it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from ..errors import MessageError
from .address import Group, Mailbox
from .reading.finished import Header

__all__ = ["Asked", "Envelope", "envelope_in", "envelope_of", "first_author", "first_mailbox"]


class Asked(NamedTuple):
    """What the caller says of the envelope; None where the header is to say it."""

    recipients: tuple[Mailbox | Group, ...] | None = None
    return_path: str | None = None


class Envelope(NamedTuple):
    """Where a message goes, where it comes back to, and under which id."""

    reverse_path: str
    recipients: tuple[Mailbox, ...]
    message_id: str


def first_author(from_: Iterable[Mailbox | Group], sender: Iterable[Mailbox | Group]) -> Mailbox:
    """The first From address; where From holds none (an empty group), the Sender."""
    author = first_mailbox(from_) or first_mailbox(sender)
    if author is not None:
        return author
    raise MessageError("sender", given=None, expected="an address, since From holds none")


def first_mailbox(addresses: Iterable[Mailbox | Group]) -> Mailbox | None:
    """The first that these addresses hold; None where they are groups without members."""
    for address in addresses:
        if isinstance(address, Mailbox):
            return address
        if address.members:
            return address.members[0]
    return None


def envelope_of(
    sender: Mailbox, addressed: Iterable[Mailbox | Group], message_id: str, asked: Asked
) -> Envelope:
    """The envelope of a message from `sender`."""
    return Envelope(
        sender.address if asked.return_path is None else asked.return_path,
        _each_once(addressed if asked.recipients is None else asked.recipients),
        message_id,
    )


def envelope_in(header: Header, author: Mailbox, message_id: str, asked: Asked) -> Envelope:
    """The envelope that this header says, Bcc included."""
    prefix = "Resent-" if header.is_resent else ""
    if prefix and None in asked:
        _check_resent(header)
    sender = author
    addressed: tuple[Mailbox | Group, ...] = ()
    if asked.return_path is None:
        sender = (
            _first(header, f"{prefix}Sender") or (_first(header, "Resent-From") if prefix else None) or author
        )
    if asked.recipients is None:
        to, cc = header.addresses(f"{prefix}To"), header.addresses(f"{prefix}Cc")
        addressed = (*to, *cc, *header.addresses(f"{prefix}Bcc", may_be_empty=True))
    if prefix:
        message_id = _resent_id(header) or message_id
    return envelope_of(sender, addressed, message_id, asked)


def _each_once(addresses: Iterable[Mailbox | Group]) -> tuple[Mailbox, ...]:
    """Each mailbox once: local parts compared exactly, domains without case."""
    given = tuple(addresses)
    if len(given) == 1 and isinstance(given[0], Mailbox):  # as most mail has it
        return (given[0],)
    found: dict[tuple[str, str], Mailbox] = {}
    for address in given:
        for mailbox in (address,) if isinstance(address, Mailbox) else address.members:
            found.setdefault((mailbox.local_part, mailbox.domain), mailbox)
    if not found:
        raise MessageError(
            "recipients", given=(), expected="at least one address in to, cc, bcc or recipients"
        )
    return tuple(found.values())


def _check_resent(header: Header) -> None:
    """`MessageError` for several Resent- blocks, and for one without its date."""
    resent = [name for field in header.fields if (name := field.name.lower()).startswith("resent-")]
    if len(set(resent)) != len(resent):
        expected = "one block of Resent- fields, or recipients= and return_path= as well"
        raise MessageError("resent_to", given=", ".join(resent), expected=expected)
    if "resent-date" not in resent or "resent-from" not in resent:  # RFC 5322 3.6.6
        raise MessageError(
            "resent_date", given=", ".join(resent), expected="Resent-From and Resent-Date in the block"
        )


def _first(header: Header, name: str) -> Mailbox | None:
    found = header.addresses(name)
    return first_mailbox(found)


def _resent_id(header: Header) -> str | None:
    """The id of a resending, which is another message to us than what was resent."""
    found = header.all("Resent-Message-ID")
    return header.message_id("Resent-Message-ID") if len(found) == 1 else None
