"""Which hosts and addresses are published and not visited, and why: the rules of this room, told.

    published by the DNS ──mx_hosts, hosts_with_addresses, ...──► route ──route_for_pass──► one pass
             └────────────────────── what is missing ─────────────────────────┘
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from .addresses import Family, family_of, is_public
from .mx import (
    AddressAnswer,
    DnsOutcome,
    MxAnswer,
    MxRecord,
    Route,
    is_host_name,
    own_preference,
    published,
)

NO_NEARER = "it is this host, or no nearer to the recipient than this host is"
FOR_LATER = "left for a later try: each visits a few addresses, the best always among them"


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftOut:
    """A host, or one address of it, that is published and not visited."""

    host: str
    address: str | None = None  # None: the host as a whole
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """What the DNS said on the way to a route, and by which settings it was judged.

    `addresses` has every host that was asked for, with None where no answer came in time.
    """

    domain: str
    mx: MxAnswer
    addresses: Mapping[str, AddressAnswer | None]
    own_names: Collection[str]
    families: Sequence[Family]
    allow_private: bool


def left_out(heard: Heard, whole: Route | None) -> tuple[LeftOut, ...]:
    """What is published and not in the route, the best preference first; without a route: all of it."""
    if heard.mx.outcome not in (DnsOutcome.ANSWER, DnsOutcome.NODATA):
        return ()
    records = sorted(published(heard.domain, heard.mx), key=lambda each: each.preference)
    first_of_each = {record.host: record for record in reversed(records)}
    in_order = sorted(first_of_each.values(), key=lambda each: each.preference)
    visited = {} if whole is None else {host.name: host.addresses for host in whole.hosts}
    ours = own_preference(records, heard.own_names)
    return tuple(
        each for record in in_order for each in _of_record(record, heard, ours, visited.get(record.host, ()))
    )


def left_for_later(whole: Route, in_pass: Route) -> tuple[LeftOut, ...]:
    """What of a route one pass does not visit."""
    visited = {(host.name, address) for host in in_pass.hosts for address in host.addresses}
    return tuple(
        LeftOut(host=host.name, address=address, reason=FOR_LATER)
        for host in whole.hosts
        for address in host.addresses
        if (host.name, address) not in visited
    )


def _of_record(
    record: MxRecord, heard: Heard, ours: int | None, visited: Collection[str]
) -> Iterator[LeftOut]:
    reason = _why_not_asked(record, heard, ours)
    answer = heard.addresses.get(record.host)
    if reason is None and (answer is None or not (answer.ipv4 or answer.ipv6)):
        reason = _why_no_address(answer)
    if reason is not None:
        yield LeftOut(host=record.host, reason=reason)
    elif answer is not None:
        for address in (*answer.ipv6, *answer.ipv4):
            if address not in visited:
                yield LeftOut(host=record.host, address=address, reason=_why_unusable(address, heard))


def _why_not_asked(record: MxRecord, heard: Heard, ours: int | None) -> str | None:
    if record.host == ".":
        return "the root names no host (RFC 7505)"
    if ours is not None and record.preference >= ours:
        return NO_NEARER
    if not is_host_name(record.host):
        return "it is no name of a host"
    if record.host not in heard.addresses:
        return "not looked up: enough hosts come before it"
    return None


def _why_no_address(answer: AddressAnswer | None) -> str:
    if answer is None:
        return "its addresses did not come in time"
    if answer.outcome in (DnsOutcome.FAILED, DnsOutcome.ALIAS_LOOP):
        return f"its addresses cannot be looked up now: {answer.detail or answer.outcome}"
    return "it has no address"


def _why_unusable(address: str, heard: Heard) -> str:
    if family_of(address) not in heard.families:
        return "its address family is switched off (RemoteDeliveryConfig.ip_families)"
    if not heard.allow_private and not is_public(address):
        return "not a public address (RemoteDeliveryConfig.allow_private_addresses)"
    return NO_NEARER
