"""Which addresses of a host may be tried, and in which order; address literals.

Whoever may choose a recipient's domain chooses where we connect to. So an address that is
not public is dropped before anything connects to it: loopback, private, link-local, shared
(CGNAT), and IPv6 forms that carry such an IPv4 address. What was checked here is what is
dialled; nothing is looked up again in between. Documentation ranges count as public: they
lead nowhere, and tests and examples live there.

IPv6 and IPv4 addresses of a host are tried in turns (RFC 8305 section 4), so that a broken
family costs one attempt at most.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from itertools import chain, zip_longest
from typing import Literal

from ..status import Cause
from .mx import (
    AddressAnswer,
    DnsOutcome,
    Host,
    IpAddress,
    MxRecord,
    Route,
    RouteFailure,
    deferred,
    failed,
    loop_failure,
    no_address_failure,
    parse_ip,
    parse_literal,
)

Family = Literal["ipv4", "ipv6"]
ADDRESSES_PER_PASS = 5

NOT_PUBLIC = tuple(
    ipaddress.ip_network(text)
    for text in (
        "0.0.0.0/8",  # this network; 0.0.0.0 reaches this host
        "10.0.0.0/8",  # private (RFC 1918)
        "100.64.0.0/10",  # shared, behind a carrier's NAT (RFC 6598)
        "127.0.0.0/8",  # loopback
        "169.254.0.0/16",  # link-local; cloud metadata lives here
        "172.16.0.0/12",  # private
        "192.0.0.0/24",  # protocol assignments (RFC 6890)
        "192.88.99.0/24",  # 6to4 relays, deprecated (RFC 7526)
        "192.168.0.0/16",  # private
        "198.18.0.0/15",  # benchmarks (RFC 2544)
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved, and the broadcast address
        "::/96",  # unspecified, loopback, and IPv4-compatible (deprecated)
        "::ffff:0:0/96",  # IPv4-mapped
        "::ffff:0:0:0/96",  # IPv4-translated (RFC 2765)
        "64:ff9b:1::/48",  # local NAT64 (RFC 8215)
        "100::/64",  # discard (RFC 6666)
        "100:0:0:1::/64",  # dummy prefix (RFC 9780)
        "2001::/23",  # protocol assignments: Teredo, ORCHID, benchmarks
        "5f00::/16",  # segment routing (RFC 9602)
        "fc00::/7",  # unique local
        "fe80::/10",  # link-local
        "fec0::/10",  # site-local (deprecated)
        "ff00::/8",  # multicast
    )
)
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")  # RFC 6052: the last 32 bits are the IPv4 address
_6TO4 = ipaddress.IPv6Network("2002::/16")  # RFC 3056: bits 16 to 47 are


def is_public(address: str) -> bool:
    """Mail may go there unless private addresses are allowed."""
    ip = parse_ip(address)
    if ip is None:
        return False
    if any(ip in network for network in NOT_PUBLIC):
        return False
    inner = _embedded_ipv4(ip)
    return inner is None or is_public(inner)


def family_of(address: str) -> Family:
    """"ipv6" or "ipv4"."""
    return "ipv6" if ":" in address else "ipv4"


def route_key_for(domain: str, relay_key: str | None = None) -> str:
    """What stands in the queue for an address of `domain` (A-labels, or an address literal).

    `relay_key` is `RelayConfig.route_key` where all mail goes to a relay.
    """
    if relay_key is not None:
        return relay_key
    if not domain.startswith("["):
        return domain.lower().rstrip(".")
    address = parse_literal(domain)
    if address is None:
        return domain.lower()
    return f"[IPv6:{address}]" if ":" in address else f"[{address}]"


def literal_route(
    literal: str, *, families: Sequence[Family], allow_private: bool, own_addresses: AbstractSet[str]
) -> Route | RouteFailure:
    """The one host an address literal means; no DNS is asked."""
    address = parse_literal(literal)
    if address is None:
        return failed("5.1.3", f"{literal} is not an address literal", Cause.NO_MAIL_ACCEPTED)
    if not allow_private and not is_public(address):
        return _private_failure(literal)
    if family_of(address) not in families:
        return failed("5.4.4", f"{literal}: its address family is switched off", Cause.POLICY)
    if not allow_private and address in own_addresses:
        return loop_failure(literal)
    return Route(hosts=(Host(name=literal, addresses=(address,)),), lane=literal)


def usable_addresses(
    answer: AddressAnswer, *, families: Sequence[Family], allow_private: bool
) -> tuple[str, ...]:
    """The addresses that may be tried, families in turns, the first of `families` first."""
    by_family = {"ipv4": answer.ipv4, "ipv6": answer.ipv6}
    wanted = [
        [address for address in by_family[family] if allow_private or is_public(address)]
        for family in families
    ]
    return interleave(wanted)


def interleave(lists: Sequence[Sequence[str]]) -> tuple[str, ...]:
    """The first of each list, then the second of each, and so on; each value once."""
    in_turns = chain.from_iterable(zip_longest(*lists))
    return tuple(dict.fromkeys(value for value in in_turns if value is not None))


def hosts_with_addresses(
    records: Sequence[MxRecord],
    answers: Mapping[str, AddressAnswer],
    *,
    families: Sequence[Family],
    allow_private: bool,
) -> tuple[Host, ...]:
    """Those of `records` that can be connected to, in the same order."""
    usable = (
        (record, usable_addresses(answers[record.host], families=families, allow_private=allow_private))
        for record in records
    )
    return tuple(
        Host(name=record.host, preference=record.preference, addresses=addresses)
        for record, addresses in usable
        if addresses
    )


def cut_at_own_addresses(hosts: Sequence[Host], own_addresses: AbstractSet[str]) -> tuple[Host, ...]:
    """The hosts that are nearer to the recipient than this one (RFC 5321 section 5.1)."""
    ours = [host.preference for host in hosts if not own_addresses.isdisjoint(host.addresses)]
    return tuple(host for host in hosts if not ours or host.preference < min(ours))


def why_no_host(
    domain: str, answers: Mapping[str, AddressAnswer], families: Sequence[Family]
) -> RouteFailure:
    """Why none of the hosts looked up can be used: any doubt about one of them only defers."""
    for name, answer in answers.items():
        if DnsOutcome.FAILED in _outcomes(answer, families):
            because = f": {answer.detail}" if answer.detail else ""
            reason = f"address look-up of {name} failed{because}"
            return deferred("4.4.3", reason, is_unanswered=answer.is_unanswered)
    for name, answer in answers.items():
        if DnsOutcome.ALIAS_LOOP in _outcomes(answer, families):
            return deferred("4.4.4", f"the aliases of {name} go round in a loop")
    if any(answer.ipv4 + answer.ipv6 for answer in answers.values()):
        return _private_failure(domain)
    return no_address_failure(domain)


def route_for_pass(route: Route, tries: int, limit: int = ADDRESSES_PER_PASS) -> Route:
    """The part of a route that one pass visits: at most `limit` addresses, in the route's order.

    The best address is always among them (greylisting wants to see the same one again); the
    others take turns from pass to pass, the first address of each host before any second.
    """
    if sum(len(host.addresses) for host in route.hosts) <= limit:
        return route
    first, *others = _by_turns(route.hosts)
    start = tries * (limit - 1) % len(others)
    chosen = {first, *(others + others)[start : start + min(limit - 1, len(others))]}
    trimmed = (
        Host(
            name=host.name,
            preference=host.preference,
            addresses=tuple(a for j, a in enumerate(host.addresses) if (i, j) in chosen),
        )
        for i, host in enumerate(route.hosts)
    )
    return Route(hosts=tuple(host for host in trimmed if host.addresses), lane=route.lane)


def _by_turns(hosts: Sequence[Host]) -> list[tuple[int, int]]:
    places = [(i, j) for i, host in enumerate(hosts) for j in range(len(host.addresses))]
    return sorted(places, key=lambda place: (place[1], place[0]))


def _outcomes(answer: AddressAnswer, families: Sequence[Family]) -> set[DnsOutcome]:
    by_family = {"ipv4": answer.ipv4_outcome, "ipv6": answer.ipv6_outcome}
    return {by_family[family] for family in families}


def _private_failure(domain: str) -> RouteFailure:
    reason = f"no mail host of {domain} has a public address of a family in use"
    return failed("5.4.4", reason, Cause.POLICY)


def _embedded_ipv4(ip: IpAddress) -> str | None:
    if ip.version == 4:
        return None
    if ip in _NAT64:
        return str(ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF))
    if ip in _6TO4:
        return str(ipaddress.IPv4Address(int(ip) >> 80 & 0xFFFFFFFF))
    return None
