"""Addresses as people and programs give them: a str, a (name, address) tuple, the standard
library's values, our own, or several of these.

A tuple of two texts is a name and an address. Where it could be two addresses as well, it is
refused: one of the two readings would drop a recipient without a word.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import TYPE_CHECKING, TypeAlias, TypeGuard

from ..errors import MessageError
from .mailbox import Group, Mailbox, checked_mailbox
from .reading.address_reader import AddressReader, read_addresses
from .reading.cursor import Reading

if TYPE_CHECKING:
    from email.headerregistry import Address as StdlibAddress
    from email.headerregistry import Group as StdlibGroup

__all__ = [
    "Address",
    "Addresses",
    "Group",
    "Mailbox",
    "expanded",
    "parse_address_field",
    "parse_mailbox",
    "parse_mailboxes",
]

REMEMBERED = 1024  # short address fields that were read
REMEMBERED_LENGTH = 200  # characters

Address: TypeAlias = "str | Mailbox | tuple[str | None, str] | StdlibAddress"
Addresses: TypeAlias = "Address | Group | StdlibGroup | Iterable[Address | Group | StdlibGroup]"


def parse_mailbox(given: Address, *, field: str = "address") -> Mailbox:
    """The one mailbox that `given` is; `MessageError` for none, for several, and for a group.

    A str, a (name, address) tuple, an `email.headerregistry.Address` or a `Mailbox`.
    """
    found = _one(given, field)
    if len(found) == 1 and isinstance(found[0], Mailbox):
        return found[0]
    raise MessageError(field, given=given, expected="one address, not several and not a group")


def parse_mailboxes(given: Addresses | None, *, field: str = "addresses") -> tuple[Mailbox | Group, ...]:
    """The mailboxes and groups that `given` holds, in order; () for None.

    What `parse_mailbox` takes, a str with several addresses, groups, and iterables of these.
    """
    if given is None:
        return ()
    if isinstance(given, str):
        return _given(given, field)
    if isinstance(given, tuple) and all(isinstance(each, (Mailbox, Group)) for each in given):
        return tuple(given)  # as an `Email` holds them
    if isinstance(given, tuple) and _is_pair(given) and "@" in (given[0] or ""):
        expected = "a list of addresses, or a Mailbox, not a tuple that could be both"
        raise MessageError(field, given=given, expected=expected)
    if _is_single(given):
        return _one(given, field)
    if not isinstance(given, Iterable) or isinstance(given, (bytes, bytearray)):
        expected = "addresses as str, (name, address), Mailbox, Group or a list of these"
        raise MessageError(field, given=given, expected=expected)
    return tuple(found for item in given for found in _one(item, field))


def parse_address_field(
    value: str, *, field: str, may_be_empty: bool = False, reading: Reading = Reading.FINISHED
) -> tuple[Mailbox | Group, ...]:
    """The mailboxes and groups in a header field of a message, unfolded."""
    if len(value) <= REMEMBERED_LENGTH and reading is Reading.FINISHED:
        return _remembered(value, field, may_be_empty)
    return read_addresses(value, field, reading, may_be_empty=may_be_empty)


# two of them: the hash of a member of an Enum takes longer than all the rest
@lru_cache(maxsize=REMEMBERED)
def _remembered(value: str, field: str, may_be_empty: bool) -> tuple[Mailbox | Group, ...]:
    """A field is read more than once for one message, and many messages have the same From."""
    return read_addresses(value, field, Reading.FINISHED, may_be_empty=may_be_empty)


@lru_cache(maxsize=REMEMBERED)
def _remembered_given(text: str, field: str) -> tuple[Mailbox | Group, ...]:
    """Many emails are given the same From."""
    return read_addresses(text, field, Reading.GIVEN)


def _given(text: str, field: str) -> tuple[Mailbox | Group, ...]:
    if len(text) <= REMEMBERED_LENGTH:
        return _remembered_given(text, field)
    return read_addresses(text, field, Reading.GIVEN)


def expanded(addresses: Iterable[Mailbox | Group]) -> Iterator[Mailbox]:
    """The mailboxes, those of groups in the place of the group."""
    for address in addresses:
        if isinstance(address, Group):
            yield from address.members
        else:
            yield address


def _one(given: object, field: str) -> tuple[Mailbox | Group, ...]:
    if isinstance(given, (Mailbox, Group)):
        return (given,)
    if isinstance(given, str):
        return _given(given, field)
    if isinstance(given, tuple) and _is_pair(given):
        return (_named(given[0], given[1], field),)
    if _is_stdlib_address(given):
        name = given.display_name or None
        return (checked_mailbox(name, given.username, given.domain, field=field, given=given.addr_spec),)
    if _is_stdlib_group(given):
        return _from_stdlib_group(given, field)
    raise MessageError(field, given=given, expected="an address as str, (name, address), Mailbox or Group")


def _is_single(given: object) -> bool:
    return (
        isinstance(given, (str, Mailbox, Group))
        or (isinstance(given, tuple) and _is_pair(given))
        or _is_stdlib_address(given)
        or _is_stdlib_group(given)
    )


def _is_pair(given: tuple[object, ...]) -> TypeGuard[tuple[str | None, str]]:
    return len(given) == 2 and isinstance(given[0], (str, type(None))) and isinstance(given[1], str)


def _is_stdlib_address(given: object) -> TypeGuard[StdlibAddress]:
    return hasattr(given, "addr_spec") and hasattr(given, "username")


def _is_stdlib_group(given: object) -> TypeGuard[StdlibGroup]:
    return hasattr(given, "addresses") and hasattr(given, "display_name")


def _from_stdlib_group(group: StdlibGroup, field: str) -> tuple[Mailbox | Group, ...]:
    members = tuple(parse_mailbox(address, field=field) for address in group.addresses)
    if group.display_name is None:  # how the standard library wraps a single address
        return members
    return (Group(name=group.display_name, members=members),)


def _named(name: str | None, address: str, field: str) -> Mailbox:
    found = AddressReader(address, field, Reading.GIVEN).bare_address()
    if not name:
        return found
    return checked_mailbox(name, found.local_part, found.domain, field=field, given=(name, address))
