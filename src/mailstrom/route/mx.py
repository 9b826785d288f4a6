"""From a domain's MX answer to the hosts to try, in order, or to a failure.

RFC 5321 section 5.1 in short: the MX records of the domain are looked up (an alias is followed
first). Lower preferences are tried first, equal ones in random order. Without any MX record the
domain itself is the host (implicit MX); with one, the domain's own address is never used. When
we are in the list, our preference and all worse ones are left out: the mail would come back.

    answer                    means
    records                   tiers of hosts
    only "."                  null MX: no mail, ever (RFC 7505); beside others it is ignored
    NODATA                    implicit MX
    NXDOMAIN                  no such domain: permanent
    SERVFAIL, timeout, ...    unknown: deferred, and never taken for "no MX"
    alias loop                deferred: a mistake in the zone that is usually mended
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from enum import StrEnum, unique
from itertools import groupby
from typing import Literal

from ..status import Cause, EnhancedCode

Shuffle = Callable[[list["MxRecord"]], None]  # random.Random().shuffle, or a test's own order
LANE_HOSTS = 10  # host names in a lane's key


@unique
class DnsOutcome(StrEnum):
    """How a look-up ended."""

    ANSWER = "answer"  # there are records
    NODATA = "no data"  # the name exists, without records of this type
    NXDOMAIN = "no such name"  # seen in two independent look-ups
    FAILED = "failed"  # not known now: SERVFAIL, REFUSED, timeout, nonsense
    ALIAS_LOOP = "alias loop"  # CNAMEs that go round, or too many of them


@dataclass(frozen=True, slots=True)
class MxRecord:
    """One MX: a lower preference is tried first. `host` has lower case and no final dot; "." is the root."""

    preference: int
    host: str

    def __post_init__(self) -> None:
        # RFC 4343: names compare without case
        object.__setattr__(self, "host", self.host.lower().rstrip(".") or ".")


@dataclass(frozen=True, slots=True, kw_only=True)
class MxAnswer:
    """What the DNS said of a domain's MX.

    `canonical_name` is where aliases led; "" when the domain is no alias. `detail` says in a
    few words what went wrong ("SERVFAIL", "timed out"). `is_unanswered`: FAILED, and meanwhile no name
    server answered anything at all.
    """

    outcome: DnsOutcome
    records: tuple[MxRecord, ...] = ()
    canonical_name: str = ""
    ttl_secs: float = 0.0
    detail: str = ""
    is_unanswered: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class AddressAnswer:
    """What the DNS said of a host's addresses, by family: one may fail while the other answers."""

    ipv4: tuple[str, ...] = ()
    ipv6: tuple[str, ...] = ()
    ipv4_outcome: DnsOutcome = DnsOutcome.NODATA
    ipv6_outcome: DnsOutcome = DnsOutcome.NODATA
    ttl_secs: float = 0.0
    detail: str = ""
    is_unanswered: bool = False

    @property
    def outcome(self) -> DnsOutcome:
        """Both families in one: any address is an answer, any doubt a failure for now."""
        return worst_outcome((self.ipv4_outcome, self.ipv6_outcome))


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteFailure:
    """Why there is no host to go to: for now ("deferred") or for good ("failed", with a cause).

    `is_unanswered`: no name server answered.
    """

    state: Literal["deferred", "failed"]
    enhanced_code: EnhancedCode
    reason: str
    cause: Cause | None = None
    is_unanswered: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """One host to try and its addresses in order of trial; never empty in a Route."""

    name: str  # MX or relay name (for TLS and the status), or the address literal
    preference: int = 0
    addresses: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """The hosts to try, best first, and the lane they belong to.

    `lane` is a stable key of the MX set: domains with the same set share it.
    """

    hosts: tuple[Host, ...]
    lane: str


IpAddress = ipaddress.IPv4Address | ipaddress.IPv6Address
Tiers = tuple[tuple[MxRecord, ...], ...]  # best first; the order within a tier is the shuffled one

_IN_DOUBT = (DnsOutcome.FAILED, DnsOutcome.ALIAS_LOOP, DnsOutcome.NODATA, DnsOutcome.NXDOMAIN)
_HOST_NAME = re.compile(r"[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*")  # RFC 2181 11: underscores occur


def parse_literal(literal: str) -> str | None:
    """The IP address in `[192.0.2.9]` or `[IPv6:2001:db8::9]`; None when it is not one."""
    # RFC 5321 4.1.3: an IPv6 address needs its tag, an IPv4 address has none
    inner = literal.removeprefix("[").removesuffix("]")
    if len(inner) != len(literal) - 2:
        return None
    tagged = inner[:5].lower() == "ipv6:"
    ip = parse_ip(inner[5:] if tagged else inner)
    return None if ip is None or (ip.version == 6) != tagged else str(ip)


def parse_ip(text: str) -> IpAddress | None:
    """The IP address, or None; one with a zone is none: the DNS knows no zones."""
    if "%" in text:
        return None
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None


def mx_hosts(
    domain: str, answer: MxAnswer, *, own_names: Collection[str], shuffle: Shuffle
) -> Tiers | RouteFailure:
    """The hosts of `domain` in order of trial, by preference, or why there is none."""
    if answer.outcome in (DnsOutcome.NXDOMAIN, DnsOutcome.FAILED, DnsOutcome.ALIAS_LOOP):
        return _lookup_failure(domain, answer)
    records = published(domain, answer)
    # RFC 7505 3: the root name means "no mail"; beside real hosts it is a mistake and ignored
    real = [record for record in records if record.host != "."]
    if not real:
        return failed("5.1.10", f"{domain} accepts no mail (null MX)", Cause.NO_MAIL_ACCEPTED)
    nearer = _cut_at_ourselves(real, own_names)
    if not nearer:
        return loop_failure(domain)
    dialable = [record for record in _once_each(nearer) if is_host_name(record.host)]
    if not dialable:
        return no_address_failure(domain)
    return _in_tiers(dialable, shuffle)


def published(domain: str, answer: MxAnswer) -> tuple[MxRecord, ...]:
    """The MX records of `domain`; without any, the one that it implies."""
    return answer.records or (MxRecord(0, answer.canonical_name or domain),)


def own_preference(records: Iterable[MxRecord], own_names: Collection[str]) -> int | None:
    """The best preference at which we are listed ourselves; None: we are not."""
    own = {name.lower().rstrip(".") for name in own_names}
    return min((record.preference for record in records if record.host in own), default=None)


def lane_of(tiers: Tiers) -> str:
    """The key of an MX set: the same for all domains with these hosts, whatever the shuffle."""
    ranked = sorted((record.preference, record.host) for tier in tiers for record in tier)
    return ",".join(sorted(host for _, host in ranked[:LANE_HOSTS]))


def worst_outcome(outcomes: Iterable[DnsOutcome]) -> DnsOutcome:
    """One outcome for several look-ups: any answer counts, else any doubt, else "no"."""
    present = set(outcomes)
    if DnsOutcome.ANSWER in present:
        return DnsOutcome.ANSWER
    return next((outcome for outcome in _IN_DOUBT if outcome in present), DnsOutcome.NODATA)


def is_host_name(name: str) -> bool:
    """It can be looked up and is not an IP address in disguise (`name` in lower case)."""
    # RFC 5321 5.1: an MX names a host; digits and dots are a name that does not exist
    return len(name) <= 253 and bool(_HOST_NAME.fullmatch(name)) and parse_ip(name) is None


def loop_failure(domain: str) -> RouteFailure:
    """We are the best MX ourselves: the mail would come back."""
    # RFC 5321 5.1: "if no other possibilities exist, an error is reported"
    return failed("5.4.6", f"mail for {domain} loops back to this host", Cause.LOOP)


def no_address_failure(domain: str) -> RouteFailure:
    """There are hosts, and none has an address."""
    return failed("5.4.4", f"no mail host of {domain} has an address", Cause.NO_MAIL_ACCEPTED)


def _lookup_failure(domain: str, answer: MxAnswer) -> RouteFailure:
    if answer.outcome is DnsOutcome.NXDOMAIN:
        return failed("5.1.2", f"there is no domain {domain}", Cause.NO_SUCH_DOMAIN)
    because = f": {answer.detail}" if answer.detail else ""
    if answer.outcome is DnsOutcome.ALIAS_LOOP:
        return deferred("4.4.4", f"the aliases of {domain} go round in a loop{because}")
    # RFC 5321 5.1: a temporary error of the look-up means "queue and retry", never "no MX"
    return deferred("4.4.3", f"MX look-up of {domain} failed{because}", is_unanswered=answer.is_unanswered)


def _cut_at_ourselves(records: list[MxRecord], own_names: Collection[str]) -> list[MxRecord]:
    ours = own_preference(records, own_names)
    # RFC 5321 5.1: drop our own preference and all worse ones
    return [record for record in records if ours is None or record.preference < ours]


def _once_each(records: Iterable[MxRecord]) -> list[MxRecord]:
    best: dict[str, MxRecord] = {}
    for record in sorted(records, key=lambda record: record.preference):
        best.setdefault(record.host, record)
    return list(best.values())


def _in_tiers(records: Iterable[MxRecord], shuffle: Shuffle) -> Tiers:
    tiers = []
    by_preference = sorted(records, key=lambda record: (record.preference, record.host))
    for _, group in groupby(by_preference, key=lambda record: record.preference):
        tier = list(group)
        shuffle(tier)  # RFC 5321 5.1: equal preferences MUST be randomized
        tiers.append(tuple(tier))
    return tuple(tiers)


def deferred(code: str, reason: str, *, is_unanswered: bool = False) -> RouteFailure:
    """No host for now."""
    return RouteFailure(
        state="deferred", enhanced_code=_code(code), reason=reason, is_unanswered=is_unanswered
    )


def failed(code: str, reason: str, cause: Cause) -> RouteFailure:
    """No host, for good."""
    return RouteFailure(state="failed", enhanced_code=_code(code), reason=reason, cause=cause)


def _code(text: str) -> EnhancedCode:
    kind, subject, detail = map(int, text.split("."))
    return EnhancedCode(kind, subject, detail)
