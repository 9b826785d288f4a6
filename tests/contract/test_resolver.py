"""The contract of `abc.Resolver`, over the fake resolver and the real one that asks a real server."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC, datetime

import pytest

from mailstrom.abc import Clock, Resolver
from mailstrom.config import ResolverSetup
from mailstrom.net.dns import DnsResolver
from mailstrom.route.mx import AddressAnswer, DnsOutcome, MxAnswer, MxRecord
from mailstrom.testing.dns import FakeResolver, InTurn, Zone
from mailstrom.testing.dns_server import DnsServer
from tests.loops import run

ZoneRecords = Mapping[str, Mapping[str, object]]
SERVFAIL = {"rcode": "SERVFAIL"}
NXDOMAIN = {"rcode": "NXDOMAIN"}
TIMEOUT = {"rcode": "TIMEOUT"}


class HandClock(Clock):
    """A clock that moves when it is told to."""

    def __init__(self) -> None:
        self.at = 1000.0

    def now(self) -> datetime:
        return datetime(2025, 1, 1, tzinfo=UTC)

    def monotonic(self) -> float:
        return self.at


class Opened:
    """A resolver over a zone, with the clock it reads."""

    def __init__(self, resolver: Resolver, zone: Zone, clock: HandClock) -> None:
        self.resolver = resolver
        self.clock = clock
        self._zone = zone

    @property
    def queries(self) -> list[tuple[str, str]]:
        return list(self._zone.queries)


Opening = Callable[..., AbstractAsyncContextManager[Opened]]


@asynccontextmanager
async def over_the_fake(
    records: ZoneRecords, *, ttl_secs: int = 300, timeout_secs: float = 10.0
) -> AsyncIterator[Opened]:
    zone, clock = Zone(records, ttl_secs=ttl_secs), HandClock()
    resolver = FakeResolver(zone, clock=clock, timeout_secs=timeout_secs)
    yield Opened(resolver, zone, clock)
    await resolver.close()


@asynccontextmanager
async def over_a_server(
    records: ZoneRecords, *, ttl_secs: int = 300, timeout_secs: float = 10.0
) -> AsyncIterator[Opened]:
    zone, clock = Zone(records, ttl_secs=ttl_secs), HandClock()
    with DnsServer(zone) as server:
        setup = ResolverSetup.specific("127.0.0.1", server.port)
        resolver = DnsResolver(setup, clock, timeout_secs=timeout_secs)
        yield Opened(resolver, zone, clock)
        await resolver.close()


@pytest.fixture(params=(over_the_fake, over_a_server), ids=("fake", "real"))
def opening(request: pytest.FixtureRequest) -> Opening:
    found: Opening = request.param
    return found


def test_the_records_come_with_their_preferences_and_plain_names(opening: Opening) -> None:
    async def main() -> None:
        async with opening({"example.org": {"MX": [[20, "B.Test."], [10, "a.test."]]}}, ttl_secs=77) as it:
            answer = await it.resolver.mx("example.org")

            assert set(answer.records) == {MxRecord(20, "b.test"), MxRecord(10, "a.test")}
            assert (answer.outcome, answer.canonical_name, answer.ttl_secs) == (DnsOutcome.ANSWER, "", 77)

    run(main())


def test_both_families_of_addresses_come_in_one_answer(opening: Opening) -> None:
    async def main() -> None:
        async with opening({"a.test": {"A": ["192.0.2.1"], "AAAA": ["2001:db8::1"]}}) as it:
            assert await it.resolver.addresses("a.test") == AddressAnswer(
                ipv4=("192.0.2.1",),
                ipv6=("2001:db8::1",),
                ipv4_outcome=DnsOutcome.ANSWER,
                ipv6_outcome=DnsOutcome.ANSWER,
                ttl_secs=300,
            )

    run(main())


def test_a_null_mx_is_an_answer(opening: Opening) -> None:
    """Row 35; RFC 7505 3."""

    async def main() -> None:
        async with opening({"d.test": {"MX": [[0, "."]]}}) as it:
            assert (await it.resolver.mx("d.test")).records == (MxRecord(0, "."),)

    run(main())


def test_an_alias_is_followed(opening: Opening) -> None:
    """Row 37."""
    zone = {
        "w.test": {"CNAME": "x.test."},
        "x.test": {"CNAME": "y.test."},
        "y.test": {"MX": [[1, "a.test."]], "A": ["192.0.2.1"]},
    }

    async def main() -> None:
        async with opening(zone) as it:
            answer = await it.resolver.mx("w.test")
            assert (answer.records, answer.canonical_name) == ((MxRecord(1, "a.test"),), "y.test")
            assert (await it.resolver.addresses("w.test")).ipv4 == ("192.0.2.1",)

    run(main())


def test_the_name_an_alias_leads_to_is_told_also_when_it_has_no_mx(opening: Opening) -> None:
    """RFC 5321 5.1: that name is processed as if it were the initial one."""

    async def main() -> None:
        async with opening({"w.test": {"CNAME": "y.test."}, "y.test": {"A": ["192.0.2.1"]}}) as it:
            answer = await it.resolver.mx("w.test")

            assert (answer.outcome, answer.canonical_name) == (DnsOutcome.NODATA, "y.test")

    run(main())


@pytest.mark.parametrize("length", (8, 9))
def test_eight_aliases_are_followed_and_no_more(opening: Opening, length: int) -> None:
    """Row 37."""
    chain: dict[str, dict[str, object]] = {f"c{i}.test": {"CNAME": f"c{i + 1}.test."} for i in range(length)}
    chain[f"c{length}.test"] = {"A": ["192.0.2.1"]}

    async def main() -> None:
        async with opening(chain) as it:
            outcome = (await it.resolver.addresses("c0.test")).ipv4_outcome

            assert outcome is (DnsOutcome.ANSWER if length == 8 else DnsOutcome.ALIAS_LOOP)

    run(main())


@pytest.mark.parametrize(
    "zone",
    ({"a.test": {"CNAME": "a.test."}}, {"a.test": {"CNAME": "b.test."}, "b.test": {"CNAME": "a.test."}}),
)
def test_a_loop_of_aliases_ends(opening: Opening, zone: ZoneRecords) -> None:
    """Row 37."""

    async def main() -> None:
        async with opening(zone) as it:
            assert (await it.resolver.mx("a.test")).outcome is DnsOutcome.ALIAS_LOOP
            assert (await it.resolver.addresses("a.test")).outcome is DnsOutcome.ALIAS_LOOP

    run(main())


def test_no_such_name_and_no_such_records_are_told_apart(opening: Opening) -> None:
    async def main() -> None:
        async with opening({"d.test": {"TXT": ["v=spf1 -all"]}, "w.test": {"CNAME": "gone.test."}}) as it:
            assert (await it.resolver.mx("d.test")).outcome is DnsOutcome.NODATA
            assert (await it.resolver.mx("gone.test")).outcome is DnsOutcome.NXDOMAIN
            assert (await it.resolver.mx("w.test")).outcome is DnsOutcome.NXDOMAIN
            assert (await it.resolver.addresses("d.test")).outcome is DnsOutcome.NODATA
            assert (await it.resolver.addresses("gone.test")).outcome is DnsOutcome.NXDOMAIN

    run(main())


def test_no_such_name_is_believed_only_when_two_look_ups_say_so(opening: Opening) -> None:
    """Row 40."""
    zone = {
        "back.test": {"MX": InTurn(NXDOMAIN, [[1, "a.test."]])},
        "doubt.test": {"MX": InTurn(NXDOMAIN, SERVFAIL)},
        "gone.test": {"MX": NXDOMAIN},
    }

    async def main() -> None:
        async with opening(zone) as it:
            assert (await it.resolver.mx("back.test")).outcome is DnsOutcome.ANSWER
            assert (await it.resolver.mx("doubt.test")).outcome is DnsOutcome.FAILED
            assert (await it.resolver.mx("gone.test")).outcome is DnsOutcome.NXDOMAIN
            assert it.queries.count(("gone.test", "MX")) == 2

    run(main())


def test_no_such_name_is_never_told_from_the_cache_alone(opening: Opening) -> None:
    """Row 40."""

    async def main() -> None:
        async with opening({"back.test": {"MX": InTurn(NXDOMAIN, NXDOMAIN, [[1, "a.test."]])}}) as it:
            assert (await it.resolver.mx("back.test")).outcome is DnsOutcome.NXDOMAIN
            assert (await it.resolver.mx("back.test")).outcome is DnsOutcome.ANSWER

    run(main())


@pytest.mark.parametrize("rcode", ("SERVFAIL", "REFUSED", "FORMERR", "NOTIMP"))
def test_what_a_server_will_not_say_is_not_known_now(opening: Opening, rcode: str) -> None:
    """Row 39."""

    async def main() -> None:
        async with opening({"d.test": {"rcode": rcode}}) as it:
            answer = await it.resolver.mx("d.test")

            assert (answer.outcome, answer.records) == (DnsOutcome.FAILED, ())
            assert rcode in answer.detail
            assert (await it.resolver.addresses("d.test")).outcome is DnsOutcome.FAILED

    run(main())


def test_a_failure_is_not_kept(opening: Opening) -> None:
    async def main() -> None:
        async with opening({"d.test": {"MX": InTurn(SERVFAIL, [[1, "a.test."]])}}) as it:
            assert (await it.resolver.mx("d.test")).outcome is DnsOutcome.FAILED
            assert (await it.resolver.mx("d.test")).outcome is DnsOutcome.ANSWER

    run(main())


def test_one_family_may_fail_while_the_other_answers(opening: Opening) -> None:
    """Row 38."""

    async def main() -> None:
        async with opening({"a.test": {"A": ["192.0.2.1"], "AAAA": SERVFAIL}}) as it:
            answer = await it.resolver.addresses("a.test")

            assert (answer.ipv4, answer.outcome) == (("192.0.2.1",), DnsOutcome.ANSWER)
            assert answer.ipv6_outcome is DnsOutcome.FAILED

    run(main())


def test_silence_ends_within_the_time_limit(opening: Opening) -> None:
    """Row 41."""

    async def main() -> None:
        async with opening({"d.test": TIMEOUT}, timeout_secs=0.2) as it:
            began_at = time.monotonic()
            answers = await asyncio.gather(it.resolver.mx("d.test"), it.resolver.addresses("d.test"))

            assert [answer.outcome for answer in answers] == [DnsOutcome.FAILED, DnsOutcome.FAILED]
            assert time.monotonic() - began_at < 2.0

    run(main())


def test_equal_look_ups_at_the_same_time_are_one(opening: Opening) -> None:
    async def main() -> None:
        async with opening({"d.test": {"MX": [[1, "a.test."]]}}) as it:
            names = ("d.test", "D.Test", "d.test.") * 20
            answers = await asyncio.gather(*(it.resolver.mx(name) for name in names))

            assert {answer.outcome for answer in answers} == {DnsOutcome.ANSWER}
            assert it.queries == [("d.test", "MX")]

    run(main())


def test_a_name_of_the_zone_may_have_a_ttl_of_its_own(opening: Opening) -> None:
    async def story() -> tuple[float, float]:
        own = {"MX": [[1, "a.test."]], "ttl_secs": 60}
        async with opening({"own.test": own, "other.test": {"MX": [[1, "a.test."]]}}, ttl_secs=300) as it:
            own_ttl, other_ttl = await it.resolver.mx("own.test"), await it.resolver.mx("other.test")
            return own_ttl.ttl_secs, other_ttl.ttl_secs

    assert run(story()) == (60, 300)


def test_an_answer_is_kept_for_its_ttl_and_asked_for_again_then(opening: Opening) -> None:
    async def main() -> None:
        async with opening({"d.test": {"MX": [[1, "a.test."]]}}, ttl_secs=60) as it:
            await it.resolver.mx("d.test")
            it.clock.at += 59
            assert (await it.resolver.mx("D.TEST")).ttl_secs == 1
            assert len(it.queries) == 1
            it.clock.at += 2
            await it.resolver.mx("d.test")
            assert len(it.queries) == 2

    run(main())


@pytest.mark.parametrize(("ttl_secs", "kept_secs"), ((0, 5), (2**31 - 1, 86_400)))
def test_a_ttl_is_believed_within_bounds(opening: Opening, ttl_secs: int, kept_secs: float) -> None:
    """Threat S20."""

    async def main() -> None:
        async with opening({"d.test": {"MX": [[1, "a.test."]]}}, ttl_secs=ttl_secs) as it:
            assert (await it.resolver.mx("d.test")).ttl_secs == kept_secs

    run(main())


def test_a_negative_answer_is_kept_for_a_few_minutes_at_most(opening: Opening) -> None:
    """RFC 2308 5."""

    async def main() -> None:
        async with opening({"d.test": {}}) as it:
            answer = await it.resolver.mx("d.test")
            assert answer.outcome is DnsOutcome.NODATA
            assert 5 <= answer.ttl_secs <= 300
            it.clock.at += 301
            await it.resolver.mx("d.test")
            assert len(it.queries) == 2

    run(main())


def test_a_caller_that_gives_up_leaves_the_others_their_answer(opening: Opening) -> None:
    async def main() -> None:
        async with opening({"d.test": {"MX": [[1, "a.test."]]}}) as it:
            first = asyncio.create_task(it.resolver.mx("d.test"))
            second = asyncio.create_task(it.resolver.mx("d.test"))
            await asyncio.sleep(0)
            first.cancel()

            assert (await second).outcome is DnsOutcome.ANSWER
            assert first.cancelled()

    run(main())


def test_closing_ends_what_is_under_way_and_later_calls_are_not_known(opening: Opening) -> None:
    async def main() -> None:
        async with opening({"d.test": TIMEOUT}) as it:
            waiting = asyncio.create_task(it.resolver.mx("d.test"))
            await asyncio.sleep(0)
            await it.resolver.close()

            assert (await waiting).outcome is DnsOutcome.FAILED
            assert await it.resolver.mx("d.test") == MxAnswer(
                outcome=DnsOutcome.FAILED, detail="the resolver was closed"
            )

    run(main())


@pytest.mark.parametrize(
    "name", ("192.0.2.7", "a..b", "", ".", "x" * 64 + ".test", "sp ace.test", "bücher.test")
)
def test_what_is_no_host_name_does_not_exist_and_is_not_asked_for(opening: Opening, name: str) -> None:
    async def main() -> None:
        async with opening({}) as it:
            assert (await it.resolver.mx(name)).outcome is DnsOutcome.NXDOMAIN
            assert (await it.resolver.addresses(name)).outcome is DnsOutcome.NXDOMAIN
            assert it.queries == []

    run(main())
