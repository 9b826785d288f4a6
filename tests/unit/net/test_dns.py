"""How the resolver goes from server to server, on virtual time over a table of behaviours."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import TypeVar

import dns.flags
import dns.message
import dns.rcode
import dns.rrset
import pytest

from mailstrom.config import ResolverSetup
from mailstrom.net.dns import DnsResolver
from mailstrom.net.dns_exchange import NameServer
from mailstrom.net.dns_reply import RecordAnswer, Unhelpful, make_query, read_reply
from mailstrom.route.mx import DnsOutcome, MxAnswer
from mailstrom.testing.clock import VirtualClock
from mailstrom.testing.dns import Zone, reply_to
from mailstrom.testing.loop import run_virtual

T = TypeVar("T")
Behaviour = Callable[[dns.message.Message], dns.message.Message | None]

GOOD = Zone({"d.test": {"MX": [[10, "a.test."]]}})
FIRST, SECOND = "192.0.2.1", "192.0.2.2"


class Servers:
    """Name servers by address: each answers, is silent (None), or raises. `asked` lists (address, edns)."""

    def __init__(self, behaviours: Mapping[str, Behaviour]) -> None:
        self._behaviours = behaviours
        self.asked: list[tuple[str, bool]] = []

    async def __call__(self, query: dns.message.Message, server: NameServer) -> dns.message.Message:
        self.asked.append((server.address, query.edns >= 0))
        reply = self._behaviours[server.address](query)
        if reply is None:
            await asyncio.get_running_loop().create_future()
        assert reply is not None
        return dns.message.from_wire(reply.to_wire())


def good(query: dns.message.Message) -> dns.message.Message | None:
    return reply_to(query, GOOD)


def silent(_query: dns.message.Message) -> None:
    return None


def refused(_query: dns.message.Message) -> None:
    raise ConnectionRefusedError


def saying(rcode: str) -> Behaviour:
    return lambda query: reply_to(query, Zone({"d.test": {"rcode": rcode}}))


def silent_to_edns(query: dns.message.Message) -> dns.message.Message | None:
    return None if query.edns >= 0 else good(query)


def formerr_to_edns(query: dns.message.Message) -> dns.message.Message | None:
    return saying("FORMERR")(query) if query.edns >= 0 else good(query)


def looked_up(
    behaviours: Mapping[str, Behaviour], names: tuple[str, ...] = ("d.test",)
) -> tuple[MxAnswer, Servers, float]:
    servers = Servers(behaviours)

    async def main() -> tuple[MxAnswer, float]:
        loop = asyncio.get_running_loop()
        resolver = DnsResolver(ResolverSetup(tuple(behaviours)), VirtualClock(loop), exchange=servers)
        for name in names:
            answer = await resolver.mx(name)
        await resolver.close()
        return answer, loop.time()

    answer, took_secs = run_virtual(main())
    return answer, servers, took_secs


def test_the_next_server_is_asked_when_the_first_has_nothing_to_say() -> None:
    """Row 39."""
    answer, servers, took_secs = looked_up({FIRST: saying("SERVFAIL"), SECOND: good})

    assert (answer.outcome, took_secs) == (DnsOutcome.ANSWER, 0)
    assert servers.asked == [(FIRST, True), (SECOND, True)]


def test_the_failure_tells_what_each_server_said() -> None:
    answer, _, took_secs = looked_up({FIRST: saying("SERVFAIL"), SECOND: saying("REFUSED")})

    assert answer.detail == "SERVFAIL from 192.0.2.1, REFUSED from 192.0.2.2"
    assert took_secs == 0


def test_a_silent_server_is_waited_for_shortly_when_there_is_another() -> None:
    answer, _, took_secs = looked_up({FIRST: silent, SECOND: good})

    assert answer.outcome is DnsOutcome.ANSWER
    assert took_secs <= 2.0


def test_a_dead_first_server_is_not_asked_first_again() -> None:
    _, servers, _ = looked_up({FIRST: silent, SECOND: good}, ("d.test", "e.test", "f.test"))

    assert [address for address, _ in servers.asked].count(FIRST) == 1


def test_silence_is_given_up_after_thirty_seconds() -> None:
    """Row 41."""
    answer, _, took_secs = looked_up({FIRST: silent, SECOND: silent})

    assert (answer.outcome, took_secs) == (DnsOutcome.FAILED, 30)


def test_a_server_that_comes_back_is_found_within_the_same_look_up() -> None:
    calls: list[int] = []

    def later(query: dns.message.Message) -> dns.message.Message | None:
        calls.append(1)
        return refused(query) if len(calls) < 3 else good(query)

    answer, _, took_secs = looked_up({FIRST: later})

    assert answer.outcome is DnsOutcome.ANSWER
    assert took_secs < 1.0


def test_servers_that_cannot_be_reached_are_given_up_within_seconds() -> None:
    answer, _, took_secs = looked_up({FIRST: refused})

    assert answer.detail == "ConnectionRefusedError from 192.0.2.1"
    assert 1 < took_secs < 5


def test_two_servers_must_agree_that_there_is_no_such_name() -> None:
    """Row 40."""
    answer, servers, _ = looked_up({FIRST: saying("NXDOMAIN"), SECOND: good})

    assert answer.outcome is DnsOutcome.ANSWER
    assert [address for address, _ in servers.asked] == [FIRST, SECOND]


@pytest.mark.parametrize("old", (silent_to_edns, formerr_to_edns))
def test_a_server_or_firewall_that_dislikes_edns_is_asked_plainly(old: Behaviour) -> None:
    """RFC 6891 7."""
    answer, servers, _ = looked_up({FIRST: old})

    assert answer.outcome is DnsOutcome.ANSWER
    assert servers.asked[-1] == (FIRST, False)


def test_a_server_that_refused_edns_once_is_asked_plainly_from_then_on() -> None:
    _, servers, _ = looked_up({FIRST: formerr_to_edns}, ("d.test", "e.test"))

    assert servers.asked[:2] == [(FIRST, True), (FIRST, False)]
    assert all(not edns for _, edns in servers.asked[2:])


# -- what a reply means ----------------------------------------------------------------------


def a_reply(
    *answers: str, rcode: int = dns.rcode.NOERROR, authority: str = "", flags: int = dns.flags.RA
) -> dns.message.Message:
    reply = dns.message.make_response(make_query("d.test", "MX", edns=False))
    reply.flags = dns.flags.QR | flags
    reply.set_rcode(dns.rcode.Rcode(rcode))
    for line in answers:
        reply.answer.append(a_record(line))
    if authority:
        reply.authority.append(a_record(authority))
    return dns.message.from_wire(reply.to_wire())


def a_record(line: str) -> dns.rrset.RRset:
    name, ttl, record_type, *text = line.split(" ")
    return dns.rrset.from_text(name, int(ttl), "IN", record_type, " ".join(text))


def test_records_of_another_name_do_not_count() -> None:
    """Threat S20."""
    reply = a_reply("elsewhere.test. 60 MX 10 evil.test.", "w.test. 60 CNAME d.test.")

    said = read_reply(reply, "d.test", "MX")

    assert isinstance(said, RecordAnswer)
    assert (said.outcome, said.values) == (DnsOutcome.NODATA, ())


def test_an_answer_lives_as_long_as_the_shortest_record_on_the_way() -> None:
    said = read_reply(a_reply("d.test. 30 CNAME e.test.", "e.test. 600 MX 10 a.test."), "d.test", "MX")

    assert said == RecordAnswer(
        outcome=DnsOutcome.ANSWER, values=((10, "a.test"),), canonical_name="e.test", aliases=1, ttl_secs=30.0
    )


@pytest.mark.parametrize(
    ("authority", "ttl_secs"),
    (
        ("test. 60 SOA ns.test. h.test. 1 2 3 4 30", 30.0),
        ("test. 20 SOA ns.test. h.test. 1 2 3 4 3000", 20.0),
        ("test. 9000 SOA ns.test. h.test. 1 2 3 4 9000", 300.0),
        ("", 300.0),
    ),
)
def test_no_is_believed_as_long_as_the_soa_says_and_five_minutes_at_most(
    authority: str, ttl_secs: float
) -> None:
    """RFC 2308 5."""
    said = read_reply(a_reply(authority=authority), "d.test", "MX")

    assert said == RecordAnswer(outcome=DnsOutcome.NODATA, ttl_secs=ttl_secs)


def test_a_referral_is_not_taken_for_no_records() -> None:
    """Row 39: else the mail would go to the domain's address."""
    said = read_reply(a_reply(authority="test. 60 NS ns.test.", flags=0), "d.test", "MX")

    assert said == Unhelpful("no recursion")


def test_a_reply_that_contradicts_itself_says_nothing() -> None:
    said = read_reply(a_reply("d.test. 60 MX 10 a.test.", rcode=dns.rcode.NXDOMAIN), "d.test", "MX")

    assert isinstance(said, Unhelpful)


def test_an_odd_exchange_name_comes_escaped_and_is_no_host_name() -> None:
    reply = a_reply("d.test. 60 MX 10 ex\\032ample.test.", "d.test. 60 MX 20 Good.TEST.")

    said = read_reply(reply, "d.test", "MX")

    assert isinstance(said, RecordAnswer)
    assert set(said.values) == {(10, "ex\\032ample.test"), (20, "good.test")}
