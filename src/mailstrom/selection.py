"""Which recipients an order is for, as a caller names them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from functools import partial
from typing import Any, Literal, TypedDict

from .errors import MessageError
from .message.address import parse_mailbox
from .message.domain import a_label_domain
from .records import Selection
from .submission import aware_instant, may_be_stored, message_id_of

NOTHING_NAMED = "a message id, a selection such as domain='example.org', or everything=True alone"


class Chosen(TypedDict, total=False):
    """Keywords that choose recipients which are not completed: those to which all of them apply.

    `domain` is that of the recipient's address; `destination` is where its mail goes, as the
    overview of the queue shows it; `sender` is the envelope's ("" for none), `stream` that of `send_email`.
    `everything=True` alone chooses all.
    """

    address: str
    domain: str
    destination: str
    sender: str
    stream: str
    state: Literal["queued", "deferred"]
    held: bool
    submitted_before: datetime
    everything: bool


def selection_of(message_id: str | None, chosen: Chosen) -> Selection:
    """The selection; `MessageError` for what cannot be one, and where nothing at all is named."""
    named: dict[str, Any] = {**chosen}
    everything = _flag("everything", named.pop("everything", False))
    if message_id is not None:
        named["message_id"] = message_id
    if everything is bool(named):
        raise MessageError("selection", given=chosen, expected=NOTHING_NAMED)
    if unknown := named.keys() - _READERS.keys():
        raise TypeError(f"there is no keyword {min(unknown)!r}; expected one of {', '.join(_READERS)}")
    return Selection(**{name: _READERS[name](value) for name, value in named.items()})


def address_of(given: str) -> str:
    """A recipient's address as it stands in the queue."""
    return parse_mailbox(given).address


def _domain(given: Any) -> str:
    if not isinstance(given, str):
        raise MessageError("domain", given=given, expected="a domain")
    return a_label_domain(given.removesuffix("."), field="domain", given=given).lower()


def _destination(given: Any) -> str:
    if not isinstance(given, str) or not may_be_stored(given):
        raise MessageError("destination", given=given, expected="a domain, or relay:NAME")
    return given.lower()


def _sender(given: Any) -> str:
    return "" if given == "" else parse_mailbox(given, field="sender").address


def _stream(given: Any) -> str:
    if not isinstance(given, str) or not may_be_stored(given):
        raise MessageError("stream", given=given, expected="the name of a stream")
    return given


def _state(given: Any) -> Any:
    if given not in ("queued", "deferred"):
        raise MessageError("state", given=given, expected="'queued' or 'deferred'")
    return given


def _flag(name: str, given: Any) -> bool:
    if not isinstance(given, bool):  # the text "false" would count as true
        raise MessageError(name, given=given, expected="True or False")
    return given


_READERS: Mapping[str, Callable[[Any], Any]] = {
    "message_id": message_id_of,
    "address": address_of,
    "domain": _domain,
    "destination": _destination,
    "sender": _sender,
    "stream": _stream,
    "state": _state,
    "held": partial(_flag, "held"),
    "submitted_before": partial(aware_instant, "submitted_before"),
}
