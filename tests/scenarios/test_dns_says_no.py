"""What the DNS says of a recipient's domain, as the recipient's status tells it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

import pytest

from mailstrom import Cause
from mailstrom.testing.dns import InTurn
from mailstrom.testing.smtp_server import SmtpServer
from tests.builders import HELO, a_config, an_email, with_mx
from tests.lone_engine import LoneEngine, simulate
from tests.scenarios.stages import YOU

Zone = Mapping[str, Mapping[str, object]]
SERVFAIL = {"rcode": "SERVFAIL"}
TIMEOUT = {"rcode": "TIMEOUT"}
OPEN_HOST = {"A": ["198.51.100.1"]}

FAILED: Mapping[str, tuple[Zone, str, Cause]] = {
    "34 the MX has our name": (
        {"dest.example": {"MX": [[10, HELO]]}, HELO: OPEN_HOST},
        "5.4.6",
        Cause.LOOP,
    ),
    "34 the MX has our address": (
        {"dest.example": {"MX": [[10, "mx.dest.example"]]}, "mx.dest.example": {"A": ["192.0.2.1"]}},
        "5.4.6",
        Cause.LOOP,
    ),
    "34 we are the best MX": (
        {"dest.example": {"MX": [[10, HELO], [20, "mx.dest.example"]]}, "mx.dest.example": OPEN_HOST},
        "5.4.6",
        Cause.LOOP,
    ),
    "35 null MX": (
        {"dest.example": {"MX": [[0, "."]], "A": ["198.51.100.1"]}},
        "5.1.10",
        Cause.NO_MAIL_ACCEPTED,
    ),
    "38 the MX has no address": (
        {"dest.example": {"MX": [[10, "mx.dest.example"]]}, "mx.dest.example": {"TXT": ["no mail"]}},
        "5.4.4",
        Cause.NO_MAIL_ACCEPTED,
    ),
    "40 no such domain": ({}, "5.1.2", Cause.NO_SUCH_DOMAIN),
}

DEFERRED: Mapping[str, tuple[Zone, str]] = {
    "37 the MX is an alias of itself": (
        {"dest.example": {"MX": [[10, "mx.dest.example"]]}, "mx.dest.example": {"CNAME": "mx.dest.example"}},
        "4.4.4",
    ),
    "38 one MX is not known now": (
        {"dest.example": {"MX": [[10, "mx1.example"], [20, "mx2.example"]]}, "mx2.example": SERVFAIL},
        "4.4.3",
    ),
    "39 SERVFAIL, with an address": ({"dest.example": {"MX": SERVFAIL, "A": ["198.51.100.1"]}}, "4.4.3"),
    "39 REFUSED, with an address": (
        {"dest.example": {"MX": {"rcode": "REFUSED"}, "A": ["198.51.100.1"]}},
        "4.4.3",
    ),
    "41 silence": ({"dest.example": {"MX": TIMEOUT, "A": ["198.51.100.1"]}}, "4.4.3"),
}


@pytest.mark.parametrize("case", FAILED)
def test_a_domain_that_takes_no_mail_fails_at_the_first_try_and_nothing_is_connected_to(case: str) -> None:
    """Rows 34, 35, 38 and 40."""
    zone, code, cause = FAILED[case]
    server = SmtpServer()

    async def story(sim: LoneEngine) -> None:
        sim.network.listen("198.51.100.1", 25, server)
        status = await sim.deliver(an_email())
        result = status[YOU].result
        assert (result.state, str(result.enhanced_code), result.cause) == ("failed", code, cause)
        assert [(a.host, a.ip, str(a.phase)) for a in status[YOU].attempts] == [("dest.example", None, "dns")]
        assert "dest.example" in str(result)
        assert sim.network.connects == []
        assert sim.clock.monotonic() < 60

    simulate(story, config=a_config(), zone=zone)


@pytest.mark.parametrize("case", DEFERRED)
def test_a_domain_that_cannot_be_looked_up_is_deferred_and_nothing_is_connected_to(case: str) -> None:
    """Rows 37, 38, 39 and 41: a moment without DNS is never "no MX", and no permanent failure."""
    zone, code = DEFERRED[case]
    server = SmtpServer()

    async def story(sim: LoneEngine) -> None:
        sim.network.listen("198.51.100.1", 25, server)
        status = await sim.first_try(an_email())
        result = status[YOU].result
        assert (result.state, str(result.enhanced_code), result.tries) == ("deferred", code, 1)
        assert sim.network.connects == []
        assert sim.clock.monotonic() <= 30

    simulate(story, config=a_config(), zone=zone)


def test_mail_goes_out_as_soon_as_the_dns_answers_again() -> None:
    """Row 39."""
    server = SmtpServer()

    async def story(sim: LoneEngine) -> None:
        with_mx(sim, server)
        working = sim.zone.records["dest.example"]
        sim.zone.records["dest.example"] = SERVFAIL
        message_id = sim.send_email(an_email())
        await sim.until(message_id, lambda status: status.state == "deferred")
        sim.zone.records["dest.example"] = working
        status = await sim.wait(message_id)
        assert (status.succeeded, status[YOU].result.tries) == (True, 2)

    simulate(story, config=a_config())


def test_a_domain_that_is_denied_once_and_there_the_next_time_is_not_failed() -> None:
    """Row 40: two independent look-ups."""
    server = SmtpServer()
    there = [[10, "mx.dest.example"]]
    zone = {"dest.example": {"MX": InTurn({"rcode": "NXDOMAIN"}, there)}, "mx.dest.example": OPEN_HOST}

    async def story(sim: LoneEngine) -> None:
        sim.network.listen("198.51.100.1", 25, server)
        assert (await sim.deliver(an_email())).succeeded

    simulate(story, config=a_config(), zone=zone)


def test_a_null_mx_beside_other_records_is_passed_over() -> None:
    """Row 35."""
    zone = {"dest.example": {"MX": [[0, "."], [10, "mx.dest.example"]]}, "mx.dest.example": OPEN_HOST}

    async def story(sim: LoneEngine) -> None:
        sim.network.listen("198.51.100.1", 25, SmtpServer())
        assert (await sim.deliver(an_email())).succeeded

    simulate(story, config=a_config(), zone=zone)


def test_an_mx_that_is_an_alias_gets_the_mail() -> None:
    """Row 37."""
    zone = {
        "dest.example": {"MX": [[10, "alias1.example"]]},
        "alias1.example": {"CNAME": "alias2.example"},
        "alias2.example": {"CNAME": "mx.example"},
        "mx.example": OPEN_HOST,
    }

    async def story(sim: LoneEngine) -> None:
        sim.network.listen("198.51.100.1", 25, SmtpServer())
        assert (await sim.deliver(an_email())).succeeded

    simulate(story, config=a_config(), zone=zone)


def test_of_a_list_with_us_in_it_only_the_better_hosts_are_visited() -> None:
    """Row 34: equal and worse preferences are dropped."""
    better, equal, worse = SmtpServer(on_rcpt="450 4.2.1 later"), SmtpServer(), SmtpServer()

    async def story(sim: LoneEngine) -> None:
        sim.host("better.example", "198.51.100.1", better)
        sim.host("equal.example", "198.51.100.2", equal)
        sim.host("worse.example", "198.51.100.3", worse)
        records = [[10, "better.example"], [20, HELO], [20, "equal.example"], [30, "worse.example"]]
        sim.zone.records["dest.example"] = {"MX": records}
        status = await sim.first_try(an_email())
        assert [attempt.host for attempt in status[YOU].attempts] == ["better.example"]

    simulate(story, config=a_config())


def test_a_host_that_greets_with_our_name_is_ourselves() -> None:
    """Row 34: the greeting tells it where the DNS does not; also where private addresses are allowed."""

    async def story(sim: LoneEngine) -> None:
        with_mx(sim, SmtpServer(name=HELO))
        status = await sim.deliver(an_email())
        result = status[YOU].result
        assert (result.state, str(result.enhanced_code), result.cause) == ("failed", "5.4.6", Cause.LOOP)

    simulate(story, config=a_config())


def test_a_silent_name_server_for_some_domains_holds_up_no_other() -> None:
    """Row 41."""
    silent = {f"silent{number}.example": TIMEOUT for number in range(100)}

    async def story(sim: LoneEngine) -> None:
        with_mx(sim, SmtpServer())
        for name in silent:
            sim.send_email(an_email(to=f"you@{name}"))
        status = await sim.deliver(an_email())
        assert status.completed_at is not None
        assert status.completed_at - status.submitted_at < timedelta(seconds=5)

    simulate(story, config=a_config(), zone=silent)
