"""Where mail would go is told by the rules of delivery, and no mail host is connected to."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from mailstrom import (
    AsyncMailstrom,
    Cause,
    ClosedError,
    Config,
    Mailstrom,
    MessageError,
    RelayConfig,
    RemoteDeliveryConfig,
    ResolverSetup,
    SmtpAuth,
)
from mailstrom.config_limits import LaneLimits
from mailstrom.plan import LeftOut, PlannedHop, PlannedLimit, PlannedRoute, TlsDemand
from mailstrom.route.left_out import FOR_LATER
from mailstrom.testing.dns import Zone
from mailstrom.testing.dns_server import DnsServer, DnsServerFaults
from mailstrom.testing.simulation import Simulation
from mailstrom.testing.smtp_server import LoopbackServer, SmtpServer
from tests.builders import a_config, an_email

Maker = Callable[..., Any]

THREADS = {"mailstrom-plan", "mailstrom-worker", "mailstrom-storage"}
OPPORTUNISTIC = TlsDemand(mode="opportunistic", setting="Config.require_tls=False")
ZONE = Zone(
    {
        "dest.example": {"MX": [[20, "mx2.dest.example."], [10, "mx1.dest.example."], [30, "."]]},
        "mx1.dest.example": {"A": ["198.51.100.1", "10.0.0.1"], "AAAA": ["2001:db8::1"]},
        "mx2.dest.example": {"A": ["198.51.100.2"]},
        "many.example": {"MX": [[10, "mx.many.example."]]},
        "mx.many.example": {"A": [f"198.51.100.{number}" for number in range(10, 17)]},
        "none.example": {"MX": [[0, "."]]},
        "broken.example": {"rcode": "SERVFAIL"},
    }
)


@pytest.fixture
def dns() -> Iterator[ResolverSetup]:
    with DnsServer(ZONE) as server:
        yield ResolverSetup.specific(server.address, server.port)


def remote(dns: ResolverSetup, **settings: Any) -> Config:
    delivery = RemoteDeliveryConfig(resolver_setup=dns, dns_timeout_secs=5)
    return a_config(**{"delivery": delivery, **settings})


def test_hosts_come_in_their_order_and_what_is_left_out_says_why(made: Maker, dns: ResolverSetup) -> None:
    with made(remote(dns)) as m:
        plan = m.plan("you@dest.example, Them <them@DEST.example>")

    first = PlannedHop(
        host="mx1.dest.example",
        preference=10,
        addresses=("2001:db8::1", "198.51.100.1"),
        port=25,
        tls=OPPORTUNISTIC,
    )
    second = PlannedHop(
        host="mx2.dest.example", preference=20, addresses=("198.51.100.2",), port=25, tls=OPPORTUNISTIC
    )
    reason = "not a public address (RemoteDeliveryConfig.allow_private_addresses)"
    assert plan.routes == (
        PlannedRoute(
            route_key="dest.example",
            recipients=("you@dest.example", "them@dest.example"),
            lane="mx1.dest.example,mx2.dest.example",
            hops=(first, second),
            left_out=(
                LeftOut(host="mx1.dest.example", address="10.0.0.1", reason=reason),
                LeftOut(host=".", reason="the root names no host (RFC 7505)"),
            ),
        ),
    )


def test_the_limits_of_a_destination_are_told_with_what_counts_together(
    made: Maker, dns: ResolverSetup
) -> None:
    limits = {"dest.example": LaneLimits(rate="5/min"), "*": LaneLimits(max_sessions=3)}

    with made(remote(dns, limits=limits)) as m:
        plan = m.plan("you@dest.example")

    assert plan["you@dest.example"].limits == (
        PlannedLimit(
            setting="max_sessions", value=3, counts_with="mx1.dest.example,mx2.dest.example"
        ),
        PlannedLimit(setting="rate", value="5/min", counts_with="dest.example"),
    )


def test_an_email_is_planned_for_each_of_its_recipients(made: Maker, dns: ResolverSetup) -> None:
    with made(remote(dns)) as m:
        plan = m.plan(an_email(to="a@dest.example", cc="b@none.example", bcc="c@dest.example"))

    found = {route.route_key: route.recipients for route in plan}
    assert found == {
        "dest.example": ("a@dest.example", "c@dest.example"),
        "none.example": ("b@none.example",),
    }


def test_a_finished_message_is_planned_by_its_header(dns: ResolverSetup) -> None:
    content = b"From: me@sender.example\r\nTo: you@none.example\r\n\r\nHi.\r\n"

    with Mailstrom(remote(dns)) as m:
        plan = m.plan(content)

    assert [route.recipients for route in plan] == [("you@none.example",)]


def test_where_there_is_no_host_it_says_what_the_recipients_would_be_told(
    made: Maker, dns: ResolverSetup
) -> None:
    with made(remote(dns)) as m:
        plan = m.plan(["a@none.example", "a@nowhere.example", "a@broken.example", "a@[10.0.0.1]"])

    failures = [route.failure for route in plan]
    assert [each and (each.state, str(each.enhanced_code), each.cause) for each in failures] == [
        ("failed", "5.1.10", Cause.NO_MAIL_ACCEPTED),
        ("failed", "5.1.2", Cause.NO_SUCH_DOMAIN),
        ("deferred", "4.4.3", None),
        ("failed", "5.4.4", Cause.POLICY),
    ]
    assert all(not route.hops and route.lane is None for route in plan)


def test_of_many_addresses_one_try_visits_five(dns: ResolverSetup) -> None:
    with Mailstrom(remote(dns)) as m:
        [route] = m.plan("you@many.example")

    [hop] = route.hops
    assert len(hop.addresses) == 5
    assert [each.reason for each in route.left_out] == [FOR_LATER] * 2


def test_it_agrees_with_where_the_mail_then_goes_and_connects_to_nobody_itself() -> None:
    zone = Zone({"dest.example": {"MX": [[10, "mx.dest.example."]]}, "mx.dest.example": {"A": ["127.0.0.1"]}})
    with LoopbackServer(SmtpServer()) as running, DnsServer(zone) as dns:
        setup = ResolverSetup.specific(dns.address, dns.port)
        delivery = RemoteDeliveryConfig(
            resolver_setup=setup, port=running.port, allow_private_addresses=True
        )
        with Mailstrom(a_config(delivery=delivery)) as m:
            [hop] = m.plan("you@dest.example")["you@dest.example"].hops
            visited_by_plan = len(running.server.ledger.sessions)
            status = m.start().wait(m.send_email(an_email()), timeout=30)

    [attempt] = status.recipients[0].attempts
    assert visited_by_plan == 0
    assert (attempt.host, attempt.ip, attempt.port) == (hop.host, hop.addresses[0], hop.port)


def test_a_relay_takes_all_mail_over_tls_that_is_verified(made: Maker) -> None:
    relay = RelayConfig("localhost", auth=SmtpAuth("user", "s3cret"))

    with made(a_config(delivery=relay)) as m:
        plan = m.plan("a@one.example, b@two.example")

    [route] = plan
    [hop] = route.hops
    assert (route.route_key, route.lane) == ("relay:localhost", "relay:localhost")
    assert route.recipients == ("a@one.example", "b@two.example")
    assert "127.0.0.1" in hop.addresses
    assert (hop.port, hop.tls.mode, hop.tls.setting) == (587, "verified", "RelayConfig.tls='starttls'")
    assert "s3cret" not in f"{plan} {plan!r} {plan.to_dict()}"


def test_a_demand_for_tls_names_its_setting(dns: ResolverSetup) -> None:
    with Mailstrom(remote(dns, require_tls=True)) as m:
        [route] = m.plan("you@many.example")

    assert str(route.hops[0].tls) == "encrypted (Config.require_tls=True)"


def test_domains_that_are_not_allowed_are_refused_and_not_looked_up(dns: ResolverSetup) -> None:
    with Mailstrom(remote(dns, allow_domains=["dest.example"])) as m:
        plan = m.plan("a@dest.example, b@broken.example")

    refusal = plan["b@broken.example"].failure
    assert plan["a@dest.example"].failure is None
    assert refusal is not None
    assert (refusal.state, str(refusal.enhanced_code), refusal.cause) == ("failed", "5.7.1", Cause.POLICY)


def test_what_is_redirected_goes_where_the_one_address_leads(dns: ResolverSetup) -> None:
    config = remote(dns, redirect_to="staging@dest.example", allow_domains=["one.example", "two.example"])

    with Mailstrom(config) as m:
        plan = m.plan("a@one.example, b@two.example, c@three.example")

    assert plan.redirect_to == "staging@dest.example"
    routes = [(route.route_key, route.recipients) for route in plan]
    assert routes == [
        ("dest.example", ("a@one.example", "b@two.example")),
        ("three.example", ("c@three.example",)),
    ]


@pytest.mark.parametrize("mode", ["capture", "console", "file"])
def test_modes_that_send_nothing_look_nothing_up(mode: str) -> None:
    with Mailstrom(a_config(mode=mode, allow_domains=["one.example"])) as m:
        plan = m.plan("a@one.example, b@two.example")

    assert plan.mode == mode
    assert plan["a@one.example"] == PlannedRoute(route_key="one.example", recipients=("a@one.example",))
    assert plan["b@two.example"].failure is not None
    assert not list(m.outbox)


def test_look_ups_that_take_too_long_are_told_as_such() -> None:
    with DnsServer(ZONE, faults=DnsServerFaults(silent=True)) as dns:
        config = remote(ResolverSetup.specific(dns.address, dns.port))
        with Mailstrom(config) as m:
            [route] = m.plan("you@dest.example", timeout=0.2)

    assert route.failure is not None
    assert (route.failure.state, str(route.failure.enhanced_code)) == ("deferred", "4.4.3")
    assert "0.2 s" in route.failure.reason


def test_plans_that_take_their_time_hold_up_nothing_else_of_an_asyncio_caller() -> None:
    async def main(config: Config) -> list[bool]:
        async with AsyncMailstrom(config) as m:
            plans = [asyncio.create_task(m.plan("you@dest.example", timeout=1.0)) for _ in range(4)]
            await asyncio.sleep(0)
            await m.send_email(an_email())
            are_done = [plan.done() for plan in plans]
            await asyncio.gather(*plans)
            return are_done

    with DnsServer(ZONE, faults=DnsServerFaults(silent=True)) as dns:
        found = asyncio.run(main(remote(ResolverSetup.specific(dns.address, dns.port))))

    assert found == [False] * 4


def test_nothing_is_stored_and_no_worker_is_begun(dns: ResolverSetup) -> None:
    with Mailstrom(remote(dns)) as m:
        m.plan(an_email())

        assert m.query_recent() == []
        assert str(m.worker_status()) == "not started"
        assert {thread.name for thread in threading.enumerate()}.isdisjoint(THREADS)


@pytest.mark.parametrize("given", ["a@", [], "", 7])
def test_what_are_no_addresses_is_refused(made: Maker, given: object) -> None:
    with made(a_config()) as m, pytest.raises(MessageError):
        m.plan(given)


def test_a_plan_of_a_closed_mailstrom_is_refused(made: Maker) -> None:
    m = made(a_config())
    m.close()

    with pytest.raises(ClosedError):
        m.plan("you@dest.example")


def test_in_a_simulated_world_it_asks_the_name_servers_of_that_world() -> None:
    with Simulation() as simulation:
        simulation.host("mx.dest.example", domain="dest.example")
        mailstrom = simulation.mailstrom()

        [route] = mailstrom.plan("you@dest.example")

    assert [hop.host for hop in route.hops] == ["mx.dest.example"]


def test_a_plan_is_json_and_lines_for_people(dns: ResolverSetup) -> None:
    with Mailstrom(remote(dns)) as m:
        plan = m.plan("a@none.example, b@[198.51.100.9]")

    assert str(plan).splitlines() == [
        "none.example: failed: none.example accepts no mail (null MX) (5.1.10)",
        "[198.51.100.9]: [198.51.100.9]:25 [198.51.100.9], TLS opportunistic (Config.require_tls=False)",
    ]
    refused, literal = plan.to_dict()["routes"]
    assert refused["failure"] == {
        "state": "failed",
        "enhanced_code": "5.1.10",
        "reason": "none.example accepts no mail (null MX)",
        "cause": "no mail accepted",
    }
    assert literal["hops"][0]["tls"] == {
        "mode": "opportunistic",
        "is_implicit": False,
        "setting": "Config.require_tls=False",
    }
