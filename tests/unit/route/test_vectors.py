"""The tables of tests/vectors/3-mx-dns: from a domain and the DNS to the hosts, or to a failure.

The fields are those that `_meta.format` of each file describes.
"""

from __future__ import annotations

import ipaddress
import json
import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from mailstrom.config import RemoteDeliveryConfig
from mailstrom.engine.routing import Router
from mailstrom.message.domain import a_label_domain
from mailstrom.route.addresses import literal_route, route_key_for
from mailstrom.route.mx import MxAnswer, Route, RouteFailure, mx_hosts
from mailstrom.testing.clock import VirtualClock
from mailstrom.testing.dns import FakeResolver
from mailstrom.testing.loop import VirtualLoop, run_virtual
from mailstrom.testing.network import MemoryNetwork

VECTORS = Path(__file__).parents[2] / "vectors" / "3-mx-dns"
Case = Mapping[str, Any]


def read(name: str) -> Mapping[str, Any]:
    table: Mapping[str, Any] = json.loads((VECTORS / name).read_text(encoding="utf-8"))
    return table


def cases(name: str) -> list[Any]:
    return [pytest.param(case, id=case["id"]) for case in read(name)["cases"]]


def key_of(domain: str) -> str:
    if domain.isascii():
        return route_key_for(domain)
    return route_key_for(a_label_domain(domain, field="to", given=domain))


# -- mx_selection.json -----------------------------------------------------------------------


def found_for(case: Case) -> Route | RouteFailure:
    loop = VirtualLoop()
    delivery = RemoteDeliveryConfig(
        own_names=tuple(case.get("own_names", ())), ip_families=tuple(case.get("families", ("ipv6", "ipv4")))
    )

    async def ask() -> Route | RouteFailure:
        clock = VirtualClock(loop)
        resolver = FakeResolver(case["zone"], clock=clock)
        router = Router(
            delivery,
            resolver,
            MemoryNetwork(addresses=frozenset()),
            clock,
            shuffle=random.Random(5).shuffle,
            addresses_per_pass=10_000,
        )
        found = await router.route(key_of(case["domain"]))
        await resolver.close()
        return found

    return run_virtual(ask(), loop=loop)


def fits(expected: Case, found: Route | RouteFailure) -> bool:
    if isinstance(found, Route):
        return expected["result"] == "hosts" and fits_tiers(expected, found)
    result = {"permanent": "failed", "temporary": "deferred"}.get(expected["result"])
    codes = expected.get("status_any_of")
    return found.state == result and (not codes or str(found.enhanced_code) in codes)


def fits_tiers(expected: Case, found: Route) -> bool:
    """The hosts tier by tier; within a tier, and the addresses within a host, in any order."""
    hosts = [(host.name, frozenset(host.addresses)) for host in found.hosts]
    for tier in expected["tiers"]:
        wanted = {(host["host"], frozenset(host["addresses"])) for host in tier}
        here, hosts = hosts[: len(tier)], hosts[len(tier) :]
        if set(here) != wanted:
            at_the_end = expected.get("prefix_is_enough") and not hosts
            return bool(at_the_end and set(here) <= wanted and (here or found.hosts))
    return not hosts


@pytest.mark.parametrize("case", cases("mx_selection.json"))
def test_the_dns_leads_to_the_hosts_or_the_failure_of_the_table(case: Case) -> None:
    found = found_for(case)

    also = case.get("also_accept", [])
    accepted = [case["expect"], *(also if isinstance(also, list) else [also])]
    assert any(fits(expected, found) for expected in accepted), found


# -- mox_gather.json -------------------------------------------------------------------------

_LOOKUPS = {"mx": ("MX",), "host": ("A", "AAAA"), "ip": ("A", "AAAA"), "cname": ("CNAME",), "txt": ("TXT",)}


def zone_of(table: Mapping[str, Any]) -> dict[str, dict[str, object]]:
    """The zone that all cases share, with the look-ups that fail."""
    zone = {name: dict(types) for name, types in table["_meta"]["zone"].items()}
    for failing in table["_meta"].get("fails", ()):
        kind, name = failing.split(" ")
        for record_type in _LOOKUPS.get(kind, ()):
            zone.setdefault(name.rstrip("."), {})[record_type] = {"rcode": "SERVFAIL"}
    return zone


def gathered(domain: str, zone: Mapping[str, Mapping[str, object]]) -> tuple[MxAnswer, Any]:
    async def ask() -> MxAnswer:
        resolver = FakeResolver(zone)
        answer = await resolver.mx(domain)
        await resolver.close()
        return answer

    answer = run_virtual(ask())
    return answer, mx_hosts(domain, answer, own_names=(), shuffle=random.Random(5).shuffle)


def is_ip(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def expected_hosts(expect: Case) -> list[tuple[int, str]]:
    """(preference, host) in order of preference; -1, the source's implicit MX, is our 0."""
    groups = expect["hosts"] if isinstance(expect["hosts"], list) else [expect["hosts"]]
    return sorted((max(0, group["preference"]), host) for group in groups for host in group["hosts"])


@pytest.mark.parametrize("case", cases("mox_gather.json"))
def test_a_domain_has_the_hosts_that_the_mock_zone_gives_it(case: Case) -> None:
    domain, expect, zone = case["domain"], case["expect"], zone_of(read("mox_gather.json"))
    if is_ip(domain):
        literal = f"[IPv6:{domain}]" if ":" in domain else f"[{domain}]"
        route = literal_route(
            literal, families=("ipv6", "ipv4"), allow_private=True, own_addresses=frozenset()
        )
        assert isinstance(route, Route)
        assert [host.addresses for host in route.hosts] == [(host,) for host in expect["hosts"]["hosts"]]
        return

    answer, found = gathered(domain, zone)

    if expect["error"] is not None:
        assert isinstance(found, RouteFailure)
        assert judged(expect["error"], found)
        return
    effective = expect["effective_domain"] or domain
    if effective not in zone:
        # RFC 5321 5.1: "If the domain name does not exist, an error is reported"; the source
        # of this table finds that out at the address look-up, later
        assert isinstance(found, RouteFailure)
        assert str(found.enhanced_code) in ("5.1.2", "4.4.4")
        return
    assert (answer.canonical_name or domain) == effective
    assert [(record.preference, record.host) for tier in found for record in sorted(tier, key=repr)] == (
        expected_hosts(expect)
    )


def judged(error: str, found: RouteFailure) -> bool:
    """A failure of the kind the source names.

    A loop of aliases, or too many of them, is permanent there. RFC 1034 3.6.2 only wants it to
    end, and many name servers answer SERVFAIL, which is "not now": so we defer either way, as
    the alias loop of mx_selection.json allows.
    """
    match error:
        case "errNoMail":
            return (found.state, str(found.enhanced_code)) == ("failed", "5.1.10")
        case "errDNS":
            return (found.state, str(found.enhanced_code)) == ("deferred", "4.4.3")
        case "errCNAMELoop" | "errCNAMELimit":
            return str(found.enhanced_code) == "4.4.4"
    return False
