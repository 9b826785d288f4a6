"""Queries and what replies to them mean (RFC 1034, 1035, 2308): values from dnspython's messages.

Only records that belong to the question count: those of the name asked for, and of the aliases
that lead on from it. What else a server puts into its reply is passed over (RFC 5452).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from ..route.mx import DnsOutcome

if TYPE_CHECKING:
    from dns.message import Message
    from dns.name import Name
    from dns.rrset import RRset

RecordType = Literal["MX", "A", "AAAA"]

ALIASES_LIMIT = 8
UDP_PAYLOAD = 1232  # octets that pass unfragmented everywhere
NEGATIVE_TTL_SECS = 300.0  # the most that "no" is believed, and where no SOA says how long
TTL_LIMIT_SECS = 86400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordAnswer:
    """What is known of one name and type. `values`: (preference, text), the preference 0 for addresses."""

    outcome: DnsOutcome
    values: tuple[tuple[int, str], ...] = ()
    canonical_name: str = ""  # where the aliases led; "" when there were none
    aliases: int = 0  # how many were followed
    ttl_secs: float = 0.0
    detail: str = ""
    is_unanswered: bool = False  # FAILED, and meanwhile no name server answered anything


@dataclass(frozen=True, slots=True)
class Unhelpful:
    """A try that says nothing about the name: another server may know more."""

    detail: str
    dislikes_edns: bool = False
    heard: bool = True  # the server did reply


def make_query(name: str, record_type: RecordType, *, edns: bool) -> Message:
    """A query with recursion desired; `name` is a host name without a final dot."""
    import dns.message
    import dns.name

    # the final dot: no search list, ever
    return dns.message.make_query(
        dns.name.from_text(name + "."), record_type, use_edns=0 if edns else False, payload=UDP_PAYLOAD
    )


def read_reply(reply: Message, name: str, record_type: RecordType) -> RecordAnswer | Unhelpful:
    """What the reply says of `name`; with aliases and no record, `canonical_name` wants asking."""
    import dns.rcode

    rcode = reply.rcode()
    if rcode in (dns.rcode.FORMERR, dns.rcode.NOTIMP, dns.rcode.BADVERS):
        return Unhelpful(dns.rcode.to_text(rcode), dislikes_edns=True)
    if rcode not in (dns.rcode.NOERROR, dns.rcode.NXDOMAIN):
        return Unhelpful(dns.rcode.to_text(rcode))
    if _is_referral(reply):
        return Unhelpful("no recursion")
    chain = _follow(reply, name, record_type)
    if chain is None:
        return RecordAnswer(outcome=DnsOutcome.ALIAS_LOOP, detail="aliases without an end")
    if chain.records is None:
        return _negative(reply, chain, nxdomain=rcode == dns.rcode.NXDOMAIN)
    if rcode == dns.rcode.NXDOMAIN:
        return Unhelpful("records for a name that does not exist")
    return RecordAnswer(
        outcome=DnsOutcome.ANSWER,
        values=tuple(_value(record) for record in chain.records),
        canonical_name=chain.canonical_name,
        aliases=chain.aliases,
        ttl_secs=chain.ttl_secs,
    )


@dataclass(frozen=True, slots=True)
class _Chain:
    name: Name
    aliases: int
    ttl_secs: float
    records: RRset | None

    @property
    def canonical_name(self) -> str:
        return host_text(self.name) if self.aliases else ""


def _follow(reply: Message, name: str, record_type: RecordType) -> _Chain | None:
    """From the name asked for along its aliases; None when they are too many."""
    import dns.name
    import dns.rdataclass
    import dns.rdatatype

    wanted = dns.rdatatype.from_text(record_type)
    at = dns.name.from_text(name + ".")
    ttl = TTL_LIMIT_SECS
    for aliases in range(ALIASES_LIMIT + 1):
        records = reply.get_rrset(reply.answer, at, dns.rdataclass.IN, wanted)
        if records is not None:
            return _Chain(at, aliases, min(ttl, records.ttl), records)
        alias = reply.get_rrset(reply.answer, at, dns.rdataclass.IN, dns.rdatatype.CNAME)
        if alias is None:
            return _Chain(at, aliases, ttl, None)
        at, ttl = alias[0].target, min(ttl, alias.ttl)
    return None


def _negative(reply: Message, chain: _Chain, *, nxdomain: bool) -> RecordAnswer:
    return RecordAnswer(
        outcome=DnsOutcome.NXDOMAIN if nxdomain else DnsOutcome.NODATA,
        canonical_name=chain.canonical_name,
        aliases=chain.aliases,
        ttl_secs=min(chain.ttl_secs, _negative_ttl(reply)),
    )


def _negative_ttl(reply: Message) -> float:
    # RFC 2308 5: the lesser of the SOA's own TTL and its minimum field
    import dns.rdatatype

    limits = [NEGATIVE_TTL_SECS]
    for records in reply.authority:
        if records.rdtype == dns.rdatatype.SOA:
            limits += [float(records.ttl), float(records[0].minimum)]
    return min(limits)


def _is_referral(reply: Message) -> bool:
    """A server that does not recurse sends us on; taken for "no records" it would misroute mail."""
    import dns.flags
    import dns.rdatatype

    if reply.answer or reply.flags & (dns.flags.RA | dns.flags.AA):
        return False
    return any(records.rdtype == dns.rdatatype.NS for records in reply.authority)


def _value(record: object) -> tuple[int, str]:
    from dns.rdtypes.ANY.MX import MX

    if isinstance(record, MX):
        return record.preference, host_text(record.exchange)
    return 0, str(getattr(record, "address", ""))


def host_text(name: Name) -> str:
    """Lower case, without the final dot; odd octets escaped, so that they make no host name."""
    return name.to_text(omit_final_dot=True).lower()
