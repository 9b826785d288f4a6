"""Which limits hold for a key in a lane: each setting from the nearest that says something of it."""

from __future__ import annotations

from typing import Any

import pytest

from mailstrom import RelayConfig
from mailstrom.config_limits import LaneLimits
from mailstrom.engine.bounds import Bounds, BoundsTable, Cap, Meter
from mailstrom.schedule.rate import Rate
from tests.builders import a_config

DEST = "dest.example"
LANE = "mx1.dest.example,mx2.dest.example"
AT_GOOGLE = "alt1.aspmx.l.google.com,aspmx.l.google.com"
SLOW = Rate(5, 60, 1)


def bounds(route_key: str, lane: str, limits: dict[str, LaneLimits] | None = None, **settings: Any) -> Any:
    return BoundsTable(a_config(limits=limits or {}, **settings)).of(route_key, lane)


def test_where_nothing_is_said_there_are_no_bounds() -> None:
    assert bounds(DEST, LANE) is None
    assert bounds(DEST, AT_GOOGLE, provider_limits=False) is None
    assert bounds(DEST, LANE, {"other.example": LaneLimits(max_sessions=1)}) is None


@pytest.mark.parametrize(
    ("destination", "name"),
    [
        (DEST, DEST),
        ("mx2.dest.example", "mx2.dest.example"),
        (".dest.example", ".dest.example"),
        (".example", ".example"),
        ("*", LANE),
    ],
)
def test_a_destination_is_a_domain_a_host_an_ending_of_hosts_or_any_lane(destination: str, name: str) -> None:
    found = bounds(DEST, LANE, {destination: LaneLimits(max_sessions=3, rate="5/min")})

    assert found == Bounds(cap=Cap(name, 3), meter=Meter(name, SLOW))


def test_a_relay_is_known_by_its_name_before_its_lane_is_known_too() -> None:
    delivery = RelayConfig("relay.example")
    limits = {"relay.example": LaneLimits(max_sessions=3)}

    in_its_lane = bounds("relay:relay.example", "relay:relay.example", limits, delivery=delivery)
    not_yet = bounds("relay:relay.example", "key:relay:relay.example", limits, delivery=delivery)

    assert in_its_lane == not_yet == Bounds(cap=Cap("relay.example", 3))


def test_what_the_nearest_leaves_open_the_next_says() -> None:
    limits = {
        DEST: LaneLimits(rate="5/min"),
        ".l.google.com": LaneLimits(max_messages_per_session=7),
        "google": LaneLimits(max_messages_per_session=8),
        "*": LaneLimits(max_sessions=1, rate="1/s"),
    }

    found = bounds(DEST, AT_GOOGLE, limits)

    assert found == Bounds(cap=Cap("google", 10), meter=Meter(DEST, SLOW), max_messages_per_session=7)


def test_the_longest_ending_is_the_nearest() -> None:
    limits = {".com": LaneLimits(max_sessions=1), ".google.com": LaneLimits(max_sessions=2)}

    assert bounds(DEST, AT_GOOGLE, limits).cap == Cap(".google.com", 2)


def test_what_is_said_of_a_provider_takes_the_place_of_what_is_shipped() -> None:
    limits = {"google": LaneLimits(max_sessions=50)}

    assert bounds(DEST, AT_GOOGLE, limits) == Bounds(cap=Cap("google", 50), max_messages_per_session=50)
    assert bounds(DEST, AT_GOOGLE, limits, provider_limits=False) == Bounds(cap=Cap("google", 50))


def test_a_lane_whose_hosts_are_not_known_has_the_bounds_of_its_domain_alone() -> None:
    limits = {DEST: LaneLimits(rate="5/min"), "*": LaneLimits(max_sessions=1)}

    assert bounds(DEST, f"key:{DEST}", limits) == Bounds(meter=Meter(DEST, SLOW))


@pytest.mark.parametrize("mode", ["capture", "console", "file"])
def test_modes_that_send_nothing_have_no_bounds(mode: str) -> None:
    assert bounds(DEST, AT_GOOGLE, {"*": LaneLimits(max_sessions=1)}, mode=mode) is None
