"""What is published and not visited, and why."""

from __future__ import annotations

from typing import Any

from mailstrom.route.left_out import FOR_LATER, NO_NEARER, Heard, LeftOut, left_for_later, left_out
from mailstrom.route.mx import AddressAnswer, DnsOutcome, Host, MxAnswer, MxRecord, Route

HERE = AddressAnswer(ipv4=("192.0.2.1",), ipv4_outcome=DnsOutcome.ANSWER)
NOWHERE = AddressAnswer()


def heard(*records: MxRecord, **settings: Any) -> Heard:
    """What was heard of dest.example: each host has 192.0.2.1, unless said otherwise."""
    given: dict[str, Any] = {
        "domain": "dest.example",
        "mx": MxAnswer(outcome=DnsOutcome.ANSWER, records=records),
        "addresses": {record.host: HERE for record in records},
        "own_names": (),
        "families": ("ipv6", "ipv4"),
        "allow_private": False,
    }
    return Heard(**{**given, **settings})


def a_route(*hosts: Host) -> Route:
    return Route(hosts=hosts, lane="mx.dest.example")


def a_host(name: str, *addresses: str, preference: int = 10) -> Host:
    return Host(name=name, preference=preference, addresses=addresses)


def reasons(found: tuple[LeftOut, ...]) -> dict[str, str]:
    return {each.host if each.address is None else each.address: each.reason for each in found}


def test_of_a_host_that_is_visited_at_all_addresses_nothing_is_left_out() -> None:
    found = left_out(heard(MxRecord(10, "mx.dest.example")), a_route(a_host("mx.dest.example", "192.0.2.1")))

    assert found == ()


def test_a_host_that_implies_itself_is_one_of_the_published() -> None:
    nodata = MxAnswer(outcome=DnsOutcome.NODATA)

    found = left_out(heard(mx=nodata, addresses={"dest.example": NOWHERE}), None)

    assert found == (LeftOut(host="dest.example", reason="it has no address"),)


def test_where_the_look_up_failed_nothing_is_known_to_be_published() -> None:
    assert left_out(heard(mx=MxAnswer(outcome=DnsOutcome.FAILED)), None) == ()


def test_we_ourselves_and_who_is_no_nearer_are_left_out() -> None:
    """RFC 5321 section 5.1."""
    records = [MxRecord(10, "mx1.test"), MxRecord(20, "Me.test"), MxRecord(20, "mx2.test")]

    found = left_out(heard(*records, own_names=("me.TEST.",)), a_route(a_host("mx1.test", "192.0.2.1")))

    assert reasons(found) == {"me.test": NO_NEARER, "mx2.test": NO_NEARER}


def test_what_is_no_name_of_a_host_is_left_out() -> None:
    """RFC 5321 section 5.1: an MX names a host. RFC 7505: the root beside others means nothing."""
    records = [MxRecord(0, "."), MxRecord(10, "203.0.113.9"), MxRecord(20, "mx.test")]

    found = left_out(heard(*records), a_route(a_host("mx.test", "192.0.2.1")))

    assert [each.host for each in found] == [".", "203.0.113.9"]


def test_a_host_says_why_it_has_no_address() -> None:
    failed = AddressAnswer(ipv4_outcome=DnsOutcome.FAILED, ipv6_outcome=DnsOutcome.FAILED, detail="SERVFAIL")
    names = ("none.test", "failed.test", "slow.test", "behind.test")
    answers = {"none.test": NOWHERE, "failed.test": failed, "slow.test": None}

    found = left_out(heard(*(MxRecord(10, name) for name in names), addresses=answers), None)

    assert reasons(found) == {
        "none.test": "it has no address",
        "failed.test": "its addresses cannot be looked up now: SERVFAIL",
        "slow.test": "its addresses did not come in time",
        "behind.test": "not looked up: enough hosts come before it",
    }


def test_an_address_says_why_it_is_not_used() -> None:
    answer = AddressAnswer(
        ipv4=("192.0.2.1", "10.0.0.1", "192.0.2.2"),
        ipv6=("2001:db8::1",),
        ipv4_outcome=DnsOutcome.ANSWER,
        ipv6_outcome=DnsOutcome.ANSWER,
    )
    asked = heard(MxRecord(10, "mx.test"), addresses={"mx.test": answer}, families=("ipv4",))

    found = reasons(left_out(asked, a_route(a_host("mx.test", "192.0.2.1"))))

    assert "ip_families" in found["2001:db8::1"]
    assert "allow_private_addresses" in found["10.0.0.1"]
    assert found["192.0.2.2"] == NO_NEARER
    assert "192.0.2.1" not in found


def test_what_a_pass_does_not_visit_of_a_route_is_left_for_later() -> None:
    whole = a_route(a_host("mx1.test", "192.0.2.1", "192.0.2.2"), a_host("mx2.test", "192.0.2.3"))
    in_pass = a_route(a_host("mx1.test", "192.0.2.1"), a_host("mx2.test", "192.0.2.3"))

    found = left_for_later(whole, in_pass)

    assert found == (LeftOut(host="mx1.test", address="192.0.2.2", reason=FOR_LATER),)
