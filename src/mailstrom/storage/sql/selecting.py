"""A `Selection` as conditions on a message m and its recipient r."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ...abc import Selection
from . import rows

_MESSAGE = {
    "message_id": "m.message_id = :message_id",
    "sender": "m.sender = :sender",
    "stream": "m.stream = :stream",
    "before": "m.submitted_at < :before",
}
_RECIPIENT = {
    "state": "r.state = :state",
    "destination": "r.route_key = :destination",
    "mailbox": "r.mailbox = :mailbox",
    "domain": "substr(r.mailbox, length(r.mailbox) - length(:domain) + 1) = :domain",
    "held": "r.held = :held",
}


@dataclass(frozen=True, slots=True)
class Conditions:
    """What stands in a WHERE, and its parameters."""

    of_message: str
    of_recipient: str
    given: Mapping[str, object]


def conditions(selection: Selection) -> Conditions:
    """For messages with work left and those of their recipients that are selected.

    Only what the selection says is asked for: so the database sees where an index helps.
    """
    held, domain = selection.held, selection.domain
    said = {
        "message_id": selection.message_id,
        "sender": _lower(selection.sender),
        "stream": selection.stream,
        "before": rows.maybe_micros(selection.submitted_before),
        "state": selection.state,
        "destination": selection.destination,
        "mailbox": _lower(selection.address),
        "domain": None if domain is None else f"@{domain.lower()}",
        "held": None if held is None else int(held),
    }
    given = {name: value for name, value in said.items() if value is not None}
    return Conditions(
        of_message=" AND ".join(["m.completed_at IS NULL", *_asked(_MESSAGE, given)]),
        of_recipient=" AND ".join(["r.place <> 'completed'", *_asked(_RECIPIENT, given)]),
        given=given,
    )


def _asked(conditions: Mapping[str, str], given: Mapping[str, object]) -> list[str]:
    return [condition for name, condition in conditions.items() if name in given]


def _lower(text: str | None) -> str | None:
    return None if text is None else text.lower()
