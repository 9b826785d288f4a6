"""Whom a `Selection` means. Pure: values in, a fact out."""

from __future__ import annotations

from collections.abc import Callable

from ..abc import InternalMessageStatus, InternalRecipientStatus, Selection
from .changes import is_held


def picks_message(
    selection: Selection, status: InternalMessageStatus, reverse_path: Callable[[], str | None]
) -> bool:
    """All that the selection says of the message applies; the reverse-path is asked for where it matters."""
    if selection.message_id not in (None, status.message_id):
        return False
    if selection.submitted_before is not None and status.submitted_at >= selection.submitted_before:
        return False
    if selection.stream not in (None, status.stream):
        return False
    return selection.sender is None or is_same_address(selection.sender, reverse_path())


def picks_recipient(selection: Selection, recipient: InternalRecipientStatus) -> bool:
    """The recipient is not completed, and all that the selection says of it applies."""
    if recipient.result.completed:
        return False
    return (
        selection.state in (None, recipient.result.state)
        and selection.destination in (None, recipient.route_key)
        and (selection.address is None or is_same_address(selection.address, recipient.address))
        and (selection.domain is None or selection.domain.lower() == domain_of(recipient.address))
        and (selection.held is None or selection.held is is_held(recipient))
    )


def is_same_address(one: str, other: str | None) -> bool:
    """They differ at most in case."""
    return other is not None and one.lower() == other.lower()


def domain_of(address: str) -> str:
    """What stands behind the last @, in lower case."""
    return address.rpartition("@")[2].lower()
