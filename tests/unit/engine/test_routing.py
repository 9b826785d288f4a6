"""The router: rules, resolver and network put together, on virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import pytest

from mailstrom.config import RelayConfig, RemoteDeliveryConfig
from mailstrom.engine.routing import FamilyMemory, Router
from mailstrom.route.mx import Host, Route, RouteFailure
from mailstrom.status import Cause, EnhancedCode
from mailstrom.testing.clock import VirtualClock
from mailstrom.testing.dns import FakeResolver, InTurn
from mailstrom.testing.loop import run_virtual
from mailstrom.testing.network import MemoryNetwork

ZoneRecords = Mapping[str, Mapping[str, object]]
SERVFAIL = {"rcode": "SERVFAIL"}
TIMEOUT = {"rcode": "TIMEOUT"}


class World:
    """A router with what it reads the world through; made inside the loop."""

    def __init__(
        self, zone: ZoneRecords, delivery: RemoteDeliveryConfig | RelayConfig, **network: Any
    ) -> None:
        self.loop = asyncio.get_running_loop()
        self.clock = VirtualClock(self.loop)
        self.network = MemoryNetwork(**{"addresses": frozenset(), **network})
        self.resolver = FakeResolver(zone, clock=self.clock)
        self.router = Router(
            delivery,
            self.resolver,
            self.network,
            self.clock,
            shuffle=lambda tier: None,
            own_names=("me.test",),
        )


def in_world(
    then: Callable[[World], Awaitable[None]],
    zone: ZoneRecords | None = None,
    delivery: RemoteDeliveryConfig | RelayConfig | None = None,
    **network: Any,
) -> None:
    async def main() -> None:
        world = World(zone or {}, delivery or RemoteDeliveryConfig(), **network)
        await then(world)
        await world.resolver.close()

    run_virtual(main())


def hosts_of(found: Route | RouteFailure) -> list[tuple[str, tuple[str, ...]]]:
    assert isinstance(found, Route), found
    return [(host.name, host.addresses) for host in found.hosts]


def test_a_domain_leads_to_its_hosts_with_their_addresses() -> None:
    zone = {
        "example.org": {"MX": [[20, "b.test."], [10, "a.test."]]},
        "a.test": {"A": ["192.0.2.1"], "AAAA": ["2001:db8::1"]},
        "b.test": {"A": ["192.0.2.2"]},
    }

    async def then(world: World) -> None:
        assert await world.router.route("example.org") == Route(
            hosts=(
                Host(name="a.test", preference=10, addresses=("2001:db8::1", "192.0.2.1")),
                Host(name="b.test", preference=20, addresses=("192.0.2.2",)),
            ),
            lane="a.test,b.test",
        )

    in_world(then, zone)


@pytest.mark.parametrize(
    ("zone", "state", "code", "cause"),
    (
        pytest.param({}, "failed", "5.1.2", Cause.NO_SUCH_DOMAIN, id="no such domain"),
        pytest.param({"d.test": {"MX": SERVFAIL}}, "deferred", "4.4.3", None, id="SERVFAIL"),
        pytest.param({"d.test": {"MX": {"rcode": "REFUSED"}}}, "deferred", "4.4.3", None, id="REFUSED"),
        pytest.param({"d.test": {"MX": TIMEOUT}}, "deferred", "4.4.3", None, id="silence"),
        pytest.param(
            {"d.test": {"MX": [[0, "."]]}}, "failed", "5.1.10", Cause.NO_MAIL_ACCEPTED, id="null MX"
        ),
        pytest.param({"d.test": {"CNAME": "d.test"}}, "deferred", "4.4.4", None, id="alias loop"),
        pytest.param(
            {"d.test": {"MX": [[1, "a.test"]]}},
            "failed",
            "5.4.4",
            Cause.NO_MAIL_ACCEPTED,
            id="host does not exist",
        ),
        pytest.param(
            {"d.test": {"MX": [[1, "a.test"]]}, "a.test": {"CNAME": "a.test"}},
            "deferred",
            "4.4.4",
            None,
            id="host is an alias loop",
        ),
        pytest.param(
            {"d.test": {"MX": [[1, "a.test"], [2, "b.test"]]}, "a.test": {}, "b.test": {"A": SERVFAIL}},
            "deferred",
            "4.4.3",
            None,
            id="one host is not known now",
        ),
        pytest.param(
            {"d.test": {"MX": [[1, "a.test"]]}, "a.test": {"A": ["127.0.0.1"], "AAAA": ["::ffff:10.0.0.1"]}},
            "failed",
            "5.4.4",
            Cause.POLICY,
            id="private addresses only",
        ),
        pytest.param({"d.test": {"MX": [[1, "me.test"]]}}, "failed", "5.4.6", Cause.LOOP, id="ourselves"),
        pytest.param(
            {"d.test": {"TXT": ["v=spf1 -all"]}}, "failed", "5.4.4", Cause.NO_MAIL_ACCEPTED, id="nothing"
        ),
    ),
)
def test_where_there_is_no_way_the_failure_says_why(
    zone: ZoneRecords, state: str, code: str, cause: Cause | None
) -> None:
    """Rows 34 to 41."""

    async def then(world: World) -> None:
        failure = await world.router.route("d.test")
        assert isinstance(failure, RouteFailure)
        assert (failure.state, str(failure.enhanced_code), failure.cause) == (state, code, cause)

    in_world(then, zone)


def test_silence_of_the_dns_ends_within_the_time_limit_in_all() -> None:
    """Row 41: 30 s for the MX and the addresses together."""
    zone = {
        "d.test": {"MX": InTurn(TIMEOUT, TIMEOUT, TIMEOUT, TIMEOUT, [[1, "a.test"]])},
        "a.test": {"A": TIMEOUT, "AAAA": TIMEOUT},
    }

    async def then(world: World) -> None:
        failure = await world.router.route("d.test")

        assert isinstance(failure, RouteFailure)
        assert (failure.state, failure.enhanced_code) == ("deferred", EnhancedCode(4, 4, 3))
        assert 14.0 < world.loop.time() <= 30.0

    in_world(then, zone)


def test_silence_for_one_domain_holds_up_no_other() -> None:
    """Row 41."""
    silent = {f"silent{i}.test": TIMEOUT for i in range(300)}
    zone = {**silent, "d.test": {"A": ["192.0.2.1"]}}

    async def then(world: World) -> None:
        waiting = [asyncio.ensure_future(world.router.route(name)) for name in silent]
        await asyncio.sleep(5)
        began_at = world.loop.time()

        assert hosts_of(await world.router.route("d.test")) == [("d.test", ("192.0.2.1",))]
        assert world.loop.time() - began_at < 5.0
        await asyncio.gather(*waiting)

    in_world(then, zone)


def test_a_slow_host_is_not_waited_for_long_when_another_can_be_used() -> None:
    zone = {
        "d.test": {"MX": [[1, "slow.test"], [2, "b.test"]]},
        "slow.test": TIMEOUT,
        "b.test": {"A": ["192.0.2.2"]},
    }

    async def then(world: World) -> None:
        assert hosts_of(await world.router.route("d.test")) == [("b.test", ("192.0.2.2",))]
        assert world.loop.time() <= 5.0

    in_world(then, zone)


def test_the_list_ends_where_an_address_is_our_own() -> None:
    """Row 34."""
    zone = {
        "d.test": {"MX": [[1, "a.test"], [2, "alias-of-ours.test"], [3, "c.test"]]},
        "a.test": {"A": ["192.0.2.1"]},
        "alias-of-ours.test": {"A": ["192.0.2.77"]},
        "c.test": {"A": ["192.0.2.3"]},
    }

    async def then(world: World) -> None:
        assert hosts_of(await world.router.route("d.test")) == [("a.test", ("192.0.2.1",))]

    in_world(then, zone, addresses=frozenset({"192.0.2.77"}))


@pytest.mark.parametrize(("primary", "code"), ((SERVFAIL, "4.4.3"), ({}, "5.4.4")))
def test_a_backup_host_whose_primary_cannot_be_found_is_no_loop(primary: object, code: str) -> None:
    """Row 34: a moment without DNS must not bounce what we hold for others."""
    zone = {
        "d.test": {"MX": [[1, "primary.test"], [2, "ours.test"]]},
        "primary.test": {"A": primary} if primary else {},
        "ours.test": {"A": ["192.0.2.77"]},
    }

    async def then(world: World) -> None:
        failure = await world.router.route("d.test")
        assert isinstance(failure, RouteFailure)
        assert str(failure.enhanced_code) == code

    in_world(then, zone, addresses=frozenset({"192.0.2.77"}))


def test_the_own_address_rule_is_off_where_private_addresses_are_allowed() -> None:
    """Row 34: everything is on one machine in a test."""
    zone = {"d.test": {"A": ["127.0.0.1"]}}

    async def then(world: World) -> None:
        assert hosts_of(await world.router.route("d.test")) == [("d.test", ("127.0.0.1",))]

    delivery = RemoteDeliveryConfig(allow_private_addresses=True)
    in_world(then, zone, delivery, addresses=frozenset({"127.0.0.1"}))


def test_a_thousand_hosts_cost_a_bounded_number_of_look_ups() -> None:
    """Row 43."""
    hosts = {f"mx{i}.test": {"A": [f"192.0.2.{j}" for j in range(100)]} for i in range(1000)}
    zone = {"d.test": {"MX": [[i, f"mx{i}.test"] for i in range(1000)]}, **hosts}

    async def then(world: World) -> None:
        route = await world.router.route("d.test")

        assert isinstance(route, Route)
        assert sum(len(host.addresses) for host in route.hosts) == 5
        assert len(world.resolver.zone.queries) == 1 + 2 * 10

    in_world(then, zone)


def test_hosts_without_addresses_are_passed_over_up_to_a_bound() -> None:
    """Row 43."""
    zone = {"d.test": {"MX": [[i, f"mx{i}.test"] for i in range(1000)]}, "mx25.test": {"A": ["192.0.2.1"]}}

    async def then(world: World) -> None:
        assert hosts_of(await world.router.route("d.test")) == [("mx25.test", ("192.0.2.1",))]

        del world.resolver.zone.records["mx25.test"]
        await asyncio.sleep(90_000)
        failure = await world.router.route("d.test")
        assert isinstance(failure, RouteFailure)
        assert failure.state == "deferred"

    in_world(then, zone)


def test_the_address_that_was_checked_is_the_one_that_is_dialled() -> None:
    """Threat S14: another answer a moment later changes nothing about a route."""
    zone = {"d.test": {"A": InTurn(["192.0.2.1"], ["127.0.0.1"])}}

    async def then(world: World) -> None:
        assert hosts_of(await world.router.route("d.test")) == [("d.test", ("192.0.2.1",))]

        await asyncio.sleep(90_000)
        failure = await world.router.route("d.test")
        assert isinstance(failure, RouteFailure)
        assert str(failure.enhanced_code) == "5.4.4"

    in_world(then, zone)


def test_an_unreachable_family_is_skipped_for_ten_minutes() -> None:
    """Row 44."""
    zone = {"d.test": {"A": ["192.0.2.1"], "AAAA": ["2001:db8::1"]}, "six.test": {"AAAA": ["2001:db8::6"]}}

    async def then(world: World) -> None:
        world.router.note_unreachable("2001:db8::1")

        assert hosts_of(await world.router.route("d.test")) == [("d.test", ("192.0.2.1",))]
        assert hosts_of(await world.router.route("six.test")) == [("six.test", ("2001:db8::6",))]
        await asyncio.sleep(600)
        assert hosts_of(await world.router.route("d.test")) == [("d.test", ("2001:db8::1", "192.0.2.1"))]

    in_world(then, zone)


def test_a_family_that_worked_is_used_again_at_once() -> None:
    """Row 44."""
    memory = FamilyMemory()
    route = Route(hosts=(Host(name="a.test", addresses=("2001:db8::1", "192.0.2.1")),), lane="a.test")

    memory.note_unreachable("2001:db8::1", 100.0)
    memory.note_reachable("2001:db8::2")

    assert memory.usable(route, 101.0) == route


def test_a_literal_asks_no_dns() -> None:
    async def then(world: World) -> None:
        assert hosts_of(await world.router.route("[192.0.2.9]")) == [("[192.0.2.9]", ("192.0.2.9",))]
        assert world.resolver.zone.queries == []

    in_world(then)


def test_a_relay_is_looked_up_by_the_system_and_may_be_private() -> None:
    async def then(world: World) -> None:
        assert await world.router.route("relay:relay.example") == Route(
            hosts=(Host(name="relay.example", addresses=("10.0.0.25", "fd00::25")),),
            lane="relay:relay.example",
        )

    in_world(then, None, RelayConfig("relay.example"), hosts={"relay.example": ("10.0.0.25", "fd00::25")})


@pytest.mark.parametrize("answer", ((), OSError("no such host")))
def test_a_relay_that_cannot_be_looked_up_never_fails_the_mail(answer: tuple[str, ...] | OSError) -> None:
    async def then(world: World) -> None:
        failure = await world.router.route("relay:relay.example")

        assert isinstance(failure, RouteFailure)
        assert (failure.state, str(failure.enhanced_code)) == ("deferred", "4.4.3")

    in_world(then, None, RelayConfig("relay.example"), hosts={"relay.example": answer})


def test_mail_queued_for_a_relay_waits_when_none_is_configured() -> None:
    async def then(world: World) -> None:
        failure = await world.router.route("relay:relay.example")

        assert isinstance(failure, RouteFailure)
        assert failure.state == "deferred"

    in_world(then)
