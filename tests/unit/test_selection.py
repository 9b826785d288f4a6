"""What a caller names, as a selection of recipients."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from mailstrom import MessageError
from mailstrom.records import Selection
from mailstrom.selection import selection_of

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("message_id", "chosen", "selection"),
    [
        ("1@x.example", {}, Selection(message_id="1@x.example")),
        ("<1@x.example>", {}, Selection(message_id="1@x.example")),
        (None, {"everything": True}, Selection()),
        (None, {"address": "You <you@BÜCHER.example>"}, Selection(address="you@xn--bcher-kva.example")),
        (None, {"domain": "BÜCHER.example."}, Selection(domain="xn--bcher-kva.example")),
        (None, {"destination": "relay:Mail.example"}, Selection(destination="relay:mail.example")),
        (None, {"sender": "a@x.example"}, Selection(sender="a@x.example")),
        (None, {"sender": ""}, Selection(sender="")),
        (None, {"stream": "News 7"}, Selection(stream="News 7")),
        (None, {"state": "deferred", "held": False}, Selection(state="deferred", held=False)),
        (None, {"submitted_before": NOON}, Selection(submitted_before=NOON)),
        ("1@x", {"address": "b@y.example"}, Selection(message_id="1@x", address="b@y.example")),
    ],
)
def test_what_is_named_is_meant_as_it_stands_in_the_queue(
    message_id: str | None, chosen: Any, selection: Selection
) -> None:
    assert selection_of(message_id, chosen) == selection


@pytest.mark.parametrize(
    ("message_id", "chosen"),
    [
        (None, {}),
        (None, {"everything": False}),
        (None, {"everything": True, "domain": "x.example"}),
        ("1@x.example", {"everything": True}),
    ],
)
def test_nothing_at_all_and_everything_but_some_are_refused(message_id: str | None, chosen: Any) -> None:
    """One forgotten argument must not cancel the whole queue."""
    with pytest.raises(MessageError, match="everything=True alone"):
        selection_of(message_id, chosen)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("address", "nobody"),
        ("address", None),
        ("stream", None),
        ("stream", "\0"),
        ("domain", "a b"),
        ("domain", 4),
        ("destination", None),
        ("sender", "nobody"),
        ("state", "delivered"),
        ("held", "yes"),
        ("submitted_before", datetime(2026, 3, 1)),
    ],
)
def test_a_value_that_cannot_be_is_refused_by_name(name: str, value: object) -> None:
    chosen: Any = {name: value}

    with pytest.raises(MessageError) as caught:
        selection_of(None, chosen)

    assert caught.value.field == name


def test_a_keyword_that_is_none_is_a_type_error() -> None:
    chosen: Any = {"domian": "x.example"}

    with pytest.raises(TypeError, match="domian"):
        selection_of(None, chosen)
