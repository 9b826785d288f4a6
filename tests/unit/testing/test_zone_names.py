"""RFC 4343 2: a name is the same in upper and lower case, and with its dot at the end."""

from __future__ import annotations

import pytest

from mailstrom.testing.dns import Zone

MX = [[10, "mx.example.org."]]


@pytest.mark.parametrize("name", ["Example.ORG", "example.org.", "EXAMPLE.org."])
def test_records_that_are_set_later_are_found_however_the_name_is_spelt(name: str) -> None:
    zone = Zone({})

    zone.records[name] = {"MX": MX}

    assert zone.answer("example.org", "MX").texts == ("10 mx.example.org.",)
    assert zone.records["EXAMPLE.org"] == {"MX": MX}


def test_records_that_are_merged_in_are_found_too() -> None:
    zone = Zone({})

    zone.records |= {"Example.org.": {"MX": MX}}

    assert zone.answer("example.org", "MX").rcode == "NOERROR"


def test_a_name_that_is_taken_away_does_not_exist_any_more() -> None:
    zone = Zone({"example.org": {"MX": MX}})

    del zone.records["Example.org"]

    assert zone.answer("example.org", "MX").rcode == "NXDOMAIN"


def test_the_addresses_of_one_host_are_kept_together() -> None:
    zone = Zone({})

    zone.add_address("MX.Example.org", "192.0.2.1")
    zone.add_address("mx.example.org.", "192.0.2.2")

    assert zone.answer("mx.example.org", "A").texts == ("192.0.2.1", "192.0.2.2")


@pytest.mark.parametrize("rcode", ["SERVFAIL", "TIMEOUT", "UNREACHABLE"])
def test_while_there_is_an_outage_that_is_the_answer_to_all(rcode: str) -> None:
    zone = Zone({"example.org": {"MX": MX}})

    zone.outage = rcode
    meanwhile = zone.answer("example.org", "MX").rcode
    zone.outage = None

    assert (meanwhile, zone.answer("example.org", "MX").rcode) == (rcode, "NOERROR")
