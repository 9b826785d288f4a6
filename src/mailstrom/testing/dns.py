"""A DNS zone as a value, a resolver over it, and a real DNS server over it.

    zone = Zone({
        "example.org":      {"MX": [[10, "mail.example.org."]]},
        "mail.example.org": {"A": ["192.0.2.1"], "AAAA": {"rcode": "SERVFAIL"}},
        "www.example.org":  {"CNAME": "mail.example.org."},
        "slow.example.org": {"rcode": "TIMEOUT"},
        "odd.example.org":  {"MX": InTurn({"rcode": "NXDOMAIN"}, [[10, "mail.example.org."]])},
        "new.example.org":  {"MX": [[10, "mail.example.org."]], "ttl_secs": 60},
    })

A name that is not there does not exist (NXDOMAIN); a type that is not there has no data.
`{"rcode": ...}` makes a type, or a whole name, fail: SERVFAIL, REFUSED, NXDOMAIN, FORMERR, or
TIMEOUT, which is silence. `InTurn` answers each query with the next of its values.
"""

from __future__ import annotations

import asyncio
import errno
import os
from collections import Counter
from collections.abc import Iterator, Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Self

from ..abc import Clock, Resolver
from ..config import ResolverSetup
from ..net.dns import DnsResolver
from ..net.dns_exchange import NameServer
from ..route.mx import AddressAnswer, MxAnswer

if TYPE_CHECKING:
    from dns.message import Message, QueryMessage

ALIASES_LIMIT = 20  # the server gives up following them here, as real ones do
SOA = "ns.invalid. hostmaster.invalid. 1 3600 600 86400 60"


class InTurn:
    """Values for one name and type: each query gets the next one, the last one stays."""

    def __init__(self, *values: object) -> None:
        self.values = values


@dataclass(frozen=True, slots=True, kw_only=True)
class ZoneAnswer:
    """What a zone has for one question: an rcode, the aliases on the way, and the records' texts."""

    rcode: str = "NOERROR"
    aliases: tuple[tuple[str, str], ...] = ()
    name: str = ""
    texts: tuple[str, ...] = ()
    ttl_secs: int = 0


class Names(MutableMapping[str, Mapping[str, object]]):
    """Records by name, however that is spelt: RFC 4343 2, case does not matter, nor does a dot at the end."""

    def __init__(self, records: Mapping[str, Mapping[str, object]]) -> None:
        self._types: dict[str, Mapping[str, object]] = {}
        self.update(records)

    def __repr__(self) -> str:
        return repr(self._types)

    def __getitem__(self, name: str) -> Mapping[str, object]:
        return self._types[_plain(name)]

    def __setitem__(self, name: str, types: Mapping[str, object]) -> None:
        self._types[_plain(name)] = types

    def __delitem__(self, name: str) -> None:
        del self._types[_plain(name)]

    def __iter__(self) -> Iterator[str]:
        return iter(self._types)

    def __len__(self) -> int:
        return len(self._types)

    def __ior__(self, others: Mapping[str, Mapping[str, object]]) -> Self:
        self.update(others)
        return self


class Zone:
    """Names and their records, in the form shown above. `queries` lists the questions asked of it.

    While `outage` is an rcode that is the answer to all of them. It may be UNREACHABLE, too: then a
    `FakeResolver` finds no way to its name server.
    """

    def __init__(self, records: Mapping[str, Mapping[str, object]], *, ttl_secs: int = 300) -> None:
        self.records = Names(records)
        self.ttl_secs = ttl_secs
        self.queries: list[tuple[str, str]] = []
        self.outage: str | None = None
        self._turns: Counter[tuple[str, str]] = Counter()

    def add_address(self, name: str, ip: str) -> None:
        """One more address of a host."""
        record_type = "AAAA" if ":" in ip else "A"
        records = dict(self.records.get(name, {}))
        addresses = records.get(record_type, ())
        records[record_type] = [*(addresses if isinstance(addresses, (list, tuple)) else ()), ip]
        self.records[name] = records

    def answer(self, name: str, record_type: str) -> ZoneAnswer:
        """The answer to one query, aliases followed."""
        self.queries.append((_plain(name), record_type))
        if self.outage is not None:
            return ZoneAnswer(rcode=self.outage, name=_plain(name))
        aliases: list[tuple[str, str]] = []
        at = _plain(name)
        while True:
            found = self._at(at, record_type)
            if isinstance(found, Mapping):
                return ZoneAnswer(rcode=str(found["rcode"]), aliases=tuple(aliases), name=at)
            alias = None if found else self._at(at, "CNAME")
            if isinstance(alias, Mapping):
                return ZoneAnswer(rcode=str(alias["rcode"]), aliases=tuple(aliases), name=at)
            if not alias or len(aliases) > ALIASES_LIMIT:
                texts, ttl_secs = _texts(found, record_type), self._ttl_secs(at)
                return ZoneAnswer(aliases=tuple(aliases), name=at, texts=texts, ttl_secs=ttl_secs)
            target = _plain(str(alias))
            aliases.append((at, target))
            at = target

    def _ttl_secs(self, name: str) -> int:
        found = self.records.get(name, {}).get("ttl_secs", self.ttl_secs)
        assert isinstance(found, int), f"ttl_secs: expected a number, got {found!r}"
        return found

    def _at(self, name: str, record_type: str) -> object:
        types = self.records.get(name)
        if types is None:
            return {"rcode": "NXDOMAIN"}
        if "rcode" in types:
            return types
        value = types.get(record_type, ())
        if isinstance(value, InTurn):
            turn = min(self._turns[name, record_type], len(value.values) - 1)
            self._turns[name, record_type] += 1
            return value.values[turn]
        return value


def reply_to(query: Message, zone: Zone) -> QueryMessage | None:
    """The reply of a recursing name server over `zone`; None where it is silent."""
    answer = _answer_to(query, zone)
    return None if answer.rcode in ("TIMEOUT", "UNREACHABLE") else _reply(query, answer, zone.ttl_secs)


def _answer_to(query: Message, zone: Zone) -> ZoneAnswer:
    import dns.rdatatype

    question = query.question[0]
    return zone.answer(question.name.to_text(), dns.rdatatype.to_text(question.rdtype))


def _reply(query: Message, answer: ZoneAnswer, alias_ttl_secs: int) -> QueryMessage:
    import dns.message
    import dns.rcode
    import dns.rdatatype
    import dns.rrset

    reply = dns.message.make_response(query, recursion_available=True)
    assert isinstance(reply, dns.message.QueryMessage)
    reply.set_rcode(dns.rcode.from_text(answer.rcode))
    for name, target in answer.aliases:
        reply.answer.append(dns.rrset.from_text(name + ".", alias_ttl_secs, "IN", "CNAME", target + "."))
    if answer.texts:
        name, record_type = answer.name + ".", query.question[0].rdtype
        reply.answer.append(dns.rrset.from_text(name, answer.ttl_secs, "IN", record_type, *answer.texts))
    else:
        reply.authority.append(dns.rrset.from_text(".", 60, "IN", "SOA", SOA))
    return reply


class FakeResolver(Resolver):
    """The real resolver's rules over a zone instead of a network; needs no socket, runs on any loop.

    `zone.queries` shows what was asked. Each query takes `delay_secs` of the loop's time;
    a TIMEOUT takes `timeout_secs`, so use a virtual loop.
    """

    def __init__(
        self,
        zone: Zone | Mapping[str, Mapping[str, object]],
        *,
        clock: Clock | None = None,
        delay_secs: float = 0.0,
        timeout_secs: float = 30.0,
    ) -> None:
        self.zone = zone if isinstance(zone, Zone) else Zone(zone)
        self._delay_secs = delay_secs
        self._rendered: dict[tuple[str, str, bool, ZoneAnswer], bytes] = {}
        self._inner = DnsResolver(
            ResolverSetup.specific("192.0.2.53"),
            clock or _LoopClock(),
            timeout_secs=timeout_secs,
            exchange=self._exchange,
        )

    async def mx(self, domain: str) -> MxAnswer:
        """The MX records of `domain`, aliases followed."""
        return await self._inner.mx(domain)

    async def addresses(self, host: str) -> AddressAnswer:
        """The A and AAAA records of `host`, aliases followed."""
        return await self._inner.addresses(host)

    async def close(self) -> None:
        """Ends what is under way; later calls are answered with "not now"."""
        await self._inner.close()

    async def _exchange(self, query: Message, _server: NameServer) -> Message:
        if self._delay_secs:
            await asyncio.sleep(self._delay_secs)
        import dns.message

        answer = _answer_to(query, self.zone)
        if answer.rcode == "UNREACHABLE":
            raise OSError(errno.ENETUNREACH, os.strerror(errno.ENETUNREACH))
        if answer.rcode == "TIMEOUT":
            await asyncio.get_running_loop().create_future()
        return dns.message.from_wire(query.id.to_bytes(2) + self._rendered_reply(query, answer))

    def _rendered_reply(self, query: Message, answer: ZoneAnswer) -> bytes:
        """The octets that follow the id. Each is rendered once: that takes longer than all else here."""
        name, record_type = self.zone.queries[-1]  # this one
        asked = (name, record_type, query.edns >= 0, answer)
        if asked not in self._rendered:
            reply = _reply(query, answer, self.zone.ttl_secs)
            self._rendered[asked] = reply.to_wire(max_size=65535)[2:]
        return self._rendered[asked]


class _LoopClock(Clock):
    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return asyncio.get_running_loop().time()


def _plain(name: str) -> str:
    return name.lower().rstrip(".")


def _texts(found: object, record_type: str) -> tuple[str, ...]:
    if not isinstance(found, Sequence):
        return ()
    values: list[object] = [found] if isinstance(found, str) else list(found)
    if record_type == "MX":
        return tuple(_mx_text(value) for value in values)
    if record_type == "TXT":
        return tuple(_txt_text(str(value)) for value in values)
    return tuple(str(value) for value in values)


def _txt_text(text: str) -> str:
    # RFC 1035 3.3.14: a record is made of strings of at most 255 octets
    pieces = [text[at : at + 255] for at in range(0, len(text), 255)] or [""]
    return " ".join('"' + piece.replace("\\", "\\\\").replace('"', '\\"') + '"' for piece in pieces)


def _mx_text(value: object) -> str:
    assert isinstance(value, Sequence), f"MX: expected [preference, host], got {value!r}"
    preference, host = value[0], value[1]
    return f"{preference} {_plain(host)}."
