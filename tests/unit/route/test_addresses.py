"""Which addresses are tried, in which order."""

from __future__ import annotations

import pytest

from mailstrom.route.addresses import (
    cut_at_own_addresses,
    hosts_with_addresses,
    interleave,
    is_public,
    literal_route,
    route_for_pass,
    route_key_for,
    usable_addresses,
    why_no_host,
)
from mailstrom.route.mx import AddressAnswer, DnsOutcome, Host, MxRecord, Route, RouteFailure
from mailstrom.status import Cause, EnhancedCode

BOTH = ("ipv6", "ipv4")

NOT_PUBLIC = (
    "0.0.0.0",
    "0.1.2.3",
    "10.1.2.3",
    "100.64.0.1",
    "127.0.0.1",
    "127.255.255.254",
    "169.254.169.254",
    "172.16.0.1",
    "172.31.255.254",
    "192.0.0.8",
    "192.168.1.1",
    "198.18.0.1",
    "198.19.255.254",
    "224.0.0.1",
    "239.255.255.255",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::10.0.0.1",
    "::ffff:127.0.0.1",
    "::ffff:8.8.8.8",
    "64:ff9b::10.0.0.1",
    "64:ff9b:1::1",
    "100::1",
    "2001::1",
    "2001:20::1",
    "2002:7f00:1::1",
    "fc00::1",
    "fdff::1",
    "fe80::1",
    "fe80::1%eth0",
    "fec0::1",
    "ff02::1",
    "not an address",
)
PUBLIC = (
    "8.8.8.8",
    "100.63.255.255",
    "100.128.0.1",
    "172.15.0.1",
    "172.32.0.1",
    "192.0.2.1",
    "198.51.100.1",
    "203.0.113.1",
    "223.255.255.255",
    "2001:db8::1",
    "2001:4860:4860::8888",
    "2606:4700::1",
    "64:ff9b::8.8.8.8",
    "2002:808:808::1",
    "3fff::1",
)


def an_answer(
    *addresses: str,
    ipv4_outcome: DnsOutcome | None = None,
    ipv6_outcome: DnsOutcome | None = None,
    detail: str = "",
) -> AddressAnswer:
    v4 = tuple(a for a in addresses if ":" not in a)
    v6 = tuple(a for a in addresses if ":" in a)
    found = {True: DnsOutcome.ANSWER, False: DnsOutcome.NODATA}
    return AddressAnswer(
        ipv4=v4,
        ipv6=v6,
        ipv4_outcome=ipv4_outcome or found[bool(v4)],
        ipv6_outcome=ipv6_outcome or found[bool(v6)],
        detail=detail,
    )


def a_route(*counts: int) -> Route:
    return Route(
        hosts=tuple(
            Host(name=f"h{i}.test", preference=i, addresses=tuple(f"192.0.{i}.{j}" for j in range(count)))
            for i, count in enumerate(counts)
        ),
        lane="test",
    )


@pytest.mark.parametrize("address", NOT_PUBLIC)
def test_an_address_that_is_not_public_is_dropped_before_anything_connects(address: str) -> None:
    """Row 36; threat S13."""
    assert not is_public(address)
    assert usable_addresses(an_answer(address, "192.0.2.1"), families=BOTH, allow_private=False) == (
        "192.0.2.1",
    )


@pytest.mark.parametrize("address", PUBLIC)
def test_public_and_documentation_addresses_are_used(address: str) -> None:
    assert is_public(address)


def test_private_addresses_are_used_where_that_is_allowed() -> None:
    answer = an_answer("127.0.0.1", "::1")

    assert usable_addresses(answer, families=BOTH, allow_private=True) == ("::1", "127.0.0.1")


def test_families_take_turns_and_the_first_of_the_configuration_begins() -> None:
    """Row 44; RFC 8305 4."""
    answer = an_answer("192.0.2.1", "192.0.2.2", "192.0.2.3", "2001:db8::1")

    assert usable_addresses(answer, families=BOTH, allow_private=False) == (
        "2001:db8::1",
        "192.0.2.1",
        "192.0.2.2",
        "192.0.2.3",
    )
    assert usable_addresses(answer, families=("ipv4",), allow_private=False) == (
        "192.0.2.1",
        "192.0.2.2",
        "192.0.2.3",
    )


def test_an_address_given_twice_is_tried_once() -> None:
    assert interleave([["a", "b", "a"], ["c", "b"]]) == ("a", "c", "b")


def test_hosts_without_a_usable_address_are_passed_over() -> None:
    """Row 38."""
    records = [MxRecord(10, "gone.test"), MxRecord(20, "b.test"), MxRecord(30, "private.test")]
    answers = {
        "gone.test": an_answer(),
        "b.test": an_answer("192.0.2.2"),
        "private.test": an_answer("10.0.0.1"),
    }

    hosts = hosts_with_addresses(records, answers, families=BOTH, allow_private=False)

    assert hosts == (Host(name="b.test", preference=20, addresses=("192.0.2.2",)),)


@pytest.mark.parametrize(
    ("answers", "state", "code", "cause"),
    (
        ([an_answer()], "failed", "5.4.4", Cause.NO_MAIL_ACCEPTED),
        ([an_answer(), an_answer(ipv6_outcome=DnsOutcome.FAILED)], "deferred", "4.4.3", None),
        ([an_answer("10.0.0.1"), an_answer(ipv4_outcome=DnsOutcome.FAILED)], "deferred", "4.4.3", None),
        ([an_answer(ipv4_outcome=DnsOutcome.ALIAS_LOOP)], "deferred", "4.4.4", None),
        ([an_answer("10.0.0.1"), an_answer()], "failed", "5.4.4", Cause.POLICY),
        (
            [an_answer(ipv4_outcome=DnsOutcome.NXDOMAIN, ipv6_outcome=DnsOutcome.NXDOMAIN)],
            "failed",
            "5.4.4",
            Cause.NO_MAIL_ACCEPTED,
        ),
    ),
)
def test_any_doubt_about_a_host_only_defers(
    answers: list[AddressAnswer], state: str, code: str, cause: Cause | None
) -> None:
    """Rows 36 and 38."""
    failure = why_no_host("example.org", {f"h{i}.test": a for i, a in enumerate(answers)}, BOTH)

    assert (failure.state, str(failure.enhanced_code), failure.cause) == (state, code, cause)


def test_a_family_that_is_switched_off_raises_no_doubt() -> None:
    answers = {"h.test": an_answer(ipv6_outcome=DnsOutcome.FAILED)}

    assert why_no_host("example.org", answers, ("ipv4",)).state == "failed"


def test_the_list_ends_before_a_host_with_our_own_address() -> None:
    """Row 34."""
    route = a_route(1, 2, 1)

    assert cut_at_own_addresses(route.hosts, {"192.0.1.1"}) == route.hosts[:1]
    assert cut_at_own_addresses(route.hosts, {"203.0.113.7"}) == route.hosts


def test_a_short_route_is_visited_whole() -> None:
    route = a_route(3, 2)

    assert route_for_pass(route, 7) == route


def test_a_pass_visits_five_addresses_at_most_and_the_best_one_always() -> None:
    """Row 43."""
    route = a_route(*[100] * 10)

    for tries in range(50):
        part = route_for_pass(route, tries)
        assert sum(len(host.addresses) for host in part.hosts) == 5
        assert part.hosts[0].addresses[0] == "192.0.0.0"
        assert [host.preference for host in part.hosts] == sorted(host.preference for host in part.hosts)


def test_passes_together_visit_every_address() -> None:
    """Row 43: the rest takes its turn."""
    route = a_route(9, 3, 1)

    seen = {a for tries in range(3) for host in route_for_pass(route, tries).hosts for a in host.addresses}

    assert seen == {a for host in route.hosts for a in host.addresses}


def test_the_first_pass_tries_several_hosts_before_all_addresses_of_one() -> None:
    """RFC 5321 5.1: at least two addresses are tried."""
    part = route_for_pass(a_route(100, 100), 0)

    assert [(host.name, len(host.addresses)) for host in part.hosts] == [("h0.test", 3), ("h1.test", 2)]


def test_an_address_literal_is_its_own_route_without_dns() -> None:
    """RFC 5321 4.1.3."""
    found = literal_route("[192.0.2.9]", families=BOTH, allow_private=False, own_addresses=frozenset())

    assert found == Route(hosts=(Host(name="[192.0.2.9]", addresses=("192.0.2.9",)),), lane="[192.0.2.9]")


@pytest.mark.parametrize(
    ("literal", "code"),
    (
        ("[300.0.2.9]", EnhancedCode(5, 1, 3)),
        ("[127.0.0.1]", EnhancedCode(5, 4, 4)),
        ("[IPv6:::ffff:192.0.2.1]", EnhancedCode(5, 4, 4)),
        ("[IPv6:2001:db8::9]", EnhancedCode(5, 4, 4)),
        ("[192.0.2.1]", EnhancedCode(5, 4, 6)),
    ),
)
def test_an_address_literal_obeys_the_same_rules(literal: str, code: EnhancedCode) -> None:
    """Rows 34 and 36."""
    found = literal_route(
        literal, families=("ipv4",), allow_private=False, own_addresses=frozenset({"192.0.2.1"})
    )

    assert isinstance(found, RouteFailure)
    assert (found.state, found.enhanced_code) == ("failed", code)


@pytest.mark.parametrize(
    ("domain", "relay_key", "key"),
    (
        ("Example.ORG.", None, "example.org"),
        ("[192.0.2.9]", None, "[192.0.2.9]"),
        ("[ipv6:2001:DB8:0::9]", None, "[IPv6:2001:db8::9]"),
        ("[300.0.2.9]", None, "[300.0.2.9]"),
        ("example.org", "relay:relay.example", "relay:relay.example"),
    ),
)
def test_a_route_key_is_the_same_for_the_same_place(domain: str, relay_key: str | None, key: str) -> None:
    assert route_key_for(domain, relay_key) == key
