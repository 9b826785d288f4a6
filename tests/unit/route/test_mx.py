"""From an MX answer to the hosts in order, or to a failure (RFC 5321 section 5.1, RFC 7505)."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from mailstrom.route.mx import (
    DnsOutcome,
    MxAnswer,
    MxRecord,
    RouteFailure,
    Tiers,
    is_host_name,
    lane_of,
    mx_hosts,
    parse_literal,
    worst_outcome,
)
from mailstrom.status import Cause, EnhancedCode


def an_answer(
    *records: tuple[int, str], outcome: DnsOutcome = DnsOutcome.ANSWER, detail: str = ""
) -> MxAnswer:
    return MxAnswer(outcome=outcome, records=tuple(MxRecord(*record) for record in records), detail=detail)


def hosts_for(answer: MxAnswer, *, own_names: tuple[str, ...] = (), domain: str = "example.org") -> object:
    found = mx_hosts(domain, answer, own_names=own_names, shuffle=lambda tier: None)
    return found if isinstance(found, RouteFailure) else [[record.host for record in tier] for tier in found]


def code_of(found: object) -> str:
    assert isinstance(found, RouteFailure)
    return f"{found.state} {found.enhanced_code}"


def test_lower_preferences_come_first_whatever_the_order_of_the_answer() -> None:
    """RFC 5321 5.1."""
    answer = an_answer((20, "b.test"), (10, "a.test"), (30, "c.test"))

    assert hosts_for(answer) == [["a.test"], ["b.test"], ["c.test"]]


def test_equal_preferences_come_first_about_equally_often() -> None:
    """RFC 5321 5.1: the sender MUST randomize them."""
    answer = an_answer((10, "a.test"), (10, "b.test"), (10, "c.test"))
    chance = random.Random(7)

    firsts: Counter[str] = Counter()
    for _ in range(900):
        tiers = mx_hosts("example.org", answer, own_names=(), shuffle=chance.shuffle)
        assert not isinstance(tiers, RouteFailure)
        firsts[tiers[0][0].host] += 1

    assert all(200 < firsts[host] < 400 for host in ("a.test", "b.test", "c.test"))


def test_a_domain_without_mx_is_its_own_host() -> None:
    """RFC 5321 5.1: the implicit MX."""
    assert hosts_for(an_answer(outcome=DnsOutcome.NODATA)) == [["example.org"]]


def test_the_implicit_mx_of_an_alias_is_the_name_it_leads_to() -> None:
    """RFC 5321 5.1: the resulting name is processed as if it were the initial name."""
    answer = MxAnswer(outcome=DnsOutcome.NODATA, canonical_name="real.test")

    assert hosts_for(answer) == [["real.test"]]


def test_no_such_domain_is_permanent() -> None:
    """Row 40."""
    found = hosts_for(an_answer(outcome=DnsOutcome.NXDOMAIN))

    assert found == RouteFailure(
        state="failed",
        enhanced_code=EnhancedCode(5, 1, 2),
        reason="there is no domain example.org",
        cause=Cause.NO_SUCH_DOMAIN,
    )


def test_a_failed_look_up_is_not_taken_for_no_mx() -> None:
    """Row 39."""
    found = hosts_for(an_answer(outcome=DnsOutcome.FAILED, detail="SERVFAIL from 192.0.2.53"))

    assert found == RouteFailure(
        state="deferred",
        enhanced_code=EnhancedCode(4, 4, 3),
        reason="MX look-up of example.org failed: SERVFAIL from 192.0.2.53",
    )


def test_a_loop_of_aliases_is_deferred() -> None:
    """Row 37."""
    assert code_of(hosts_for(an_answer(outcome=DnsOutcome.ALIAS_LOOP))) == "deferred 4.4.4"


@pytest.mark.parametrize("preference", (0, 10))
def test_a_null_mx_accepts_no_mail(preference: int) -> None:
    """Row 35; RFC 7505 3."""
    found = hosts_for(an_answer((preference, ".")))

    assert isinstance(found, RouteFailure)
    assert (found.state, str(found.enhanced_code), found.cause) == (
        "failed",
        "5.1.10",
        Cause.NO_MAIL_ACCEPTED,
    )


def test_a_null_mx_beside_a_host_is_ignored() -> None:
    """Row 35."""
    assert hosts_for(an_answer((0, "."), (10, "mail.test"))) == [["mail.test"]]


def test_a_host_named_twice_is_tried_once_at_its_better_preference() -> None:
    answer = an_answer((20, "a.test"), (10, "A.test."), (15, "b.test"))

    assert hosts_for(answer) == [["a.test"], ["b.test"]]


def test_the_list_ends_before_ourselves_and_our_equals() -> None:
    """Row 34; RFC 5321 5.1."""
    answer = an_answer((10, "a.test"), (20, "me.test"), (20, "peer.test"), (30, "c.test"))

    assert hosts_for(answer, own_names=("ME.test.",)) == [["a.test"]]


@pytest.mark.parametrize(
    "answer",
    (
        an_answer((10, "me.test"), (20, "b.test")),
        an_answer((10, "peer.test"), (10, "me.test")),
        MxAnswer(outcome=DnsOutcome.NODATA, canonical_name="me.test"),
    ),
)
def test_being_the_best_host_ourselves_is_a_loop(answer: MxAnswer) -> None:
    """Row 34."""
    found = hosts_for(answer, own_names=("me.test",))

    assert isinstance(found, RouteFailure)
    assert (found.state, str(found.enhanced_code), found.cause) == ("failed", "5.4.6", Cause.LOOP)


@pytest.mark.parametrize(
    "name", ("192.0.2.7", "2001:db8::1", "ex\\032ample.test", "a..b", "x" * 64 + ".test")
)
def test_what_is_no_host_name_is_never_dialled(name: str) -> None:
    assert code_of(hosts_for(an_answer((10, name)))) == "failed 5.4.4"
    assert hosts_for(an_answer((10, name), (20, "b.test"))) == [["b.test"]]


@pytest.mark.parametrize(
    "name", ("mail_host.test", "localhost", "xn--bcher-kva.test", "1.2.3.4.test", "_x.test")
)
def test_odd_host_names_are_host_names(name: str) -> None:
    """RFC 2181 11."""
    assert is_host_name(name)


def test_a_lane_is_the_same_for_the_same_set_of_hosts() -> None:
    def tiers(*names: str) -> Tiers:
        return (tuple(MxRecord(10, name) for name in names),)

    assert lane_of(tiers("a.test", "b.test")) == lane_of(tiers("b.test", "a.test")) == "a.test,b.test"
    assert lane_of(tiers("a.test", "b.test")) != lane_of(tiers("a.test"))


def test_the_lane_of_a_thousand_hosts_is_short() -> None:
    """Row 43."""
    tiers = (tuple(MxRecord(10, f"mx{i:04}.test") for i in range(1000)),)

    assert len(lane_of(tiers)) < 200


@pytest.mark.parametrize(
    ("outcomes", "worst"),
    (
        ((DnsOutcome.ANSWER, DnsOutcome.FAILED), DnsOutcome.ANSWER),
        ((DnsOutcome.FAILED, DnsOutcome.NXDOMAIN), DnsOutcome.FAILED),
        ((DnsOutcome.NODATA, DnsOutcome.NXDOMAIN), DnsOutcome.NODATA),
        ((DnsOutcome.NXDOMAIN, DnsOutcome.NXDOMAIN), DnsOutcome.NXDOMAIN),
        ((), DnsOutcome.NODATA),
    ),
)
def test_any_doubt_outweighs_a_no(outcomes: tuple[DnsOutcome, ...], worst: DnsOutcome) -> None:
    """Row 38."""
    assert worst_outcome(outcomes) is worst


@pytest.mark.parametrize(
    ("literal", "address"),
    (
        ("[192.0.2.9]", "192.0.2.9"),
        ("[IPv6:2001:DB8::9]", "2001:db8::9"),
        ("[ipv6:2001:db8::9]", "2001:db8::9"),
        ("[2001:db8::9]", None),
        ("[IPv6:192.0.2.9]", None),
        ("[IPv6:fe80::1%eth0]", None),
        ("[300.0.2.9]", None),
        ("[192.0.2.9", None),
        ("192.0.2.9", None),
        ("[]", None),
        ("[tag:x]", None),
    ),
)
def test_an_address_literal_is_read_by_the_rfc(literal: str, address: str | None) -> None:
    """RFC 5321 4.1.3."""
    assert parse_literal(literal) == address
