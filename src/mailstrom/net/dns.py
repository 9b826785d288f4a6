"""The DNS asked over the network: MX and addresses, as values.

    look-up      equal ones at the same time are one; answers are kept for their TTL
      round      every name server in turn, with longer and longer patience
        try      one query to one server: UDP, then TCP when truncated (dns_exchange.py)

A reply that says nothing about the name (SERVFAIL, REFUSED, ...) sends us to the next server;
when all have passed, or the time is up, the outcome is FAILED: not known now. "No such name" is
believed only when two look-ups say so, of different servers where there are two, and never from
the cache alone: it bounces mail.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace

from ..abc import Clock, Resolver
from ..config import ResolverSetup
from ..route.mx import AddressAnswer, DnsOutcome, MxAnswer, MxRecord, is_host_name
from .dns_cache import Coalesced, TtlCache
from .dns_exchange import Exchange, NameServer, SocketExchange
from .dns_reply import (
    ALIASES_LIMIT,
    RecordAnswer,
    RecordType,
    Unhelpful,
    make_query,
    read_reply,
)
from .nameservers import RESOLV_CONF, NameServers, ResolverError

__all__ = ["DnsResolver", "ResolverError"]

CACHE_LIMIT = 20_000
MIN_TTL_SECS = 5.0
PATIENCE_SECS = (1.5, 2.5, 4.0, 6.0, 8.0, 8.0)  # for one try, round by round
PAUSE_SECS = 0.2  # after a round in which nobody was waited for; doubled each time
REFUSED_ROUNDS = 4  # of servers that cannot be reached at all: three seconds
EDNS_ROUNDS = 2  # after these, plain queries: some firewalls swallow EDNS
FIRST_TRIES = 100  # sockets for first tries ...
LATER_TRIES = 50  # ... and for the others, so that silence for one domain delays no other

_Key = tuple[str, RecordType]


@dataclass(frozen=True, slots=True)
class _Told:
    """An answer and who gave it."""

    answer: RecordAnswer
    server: NameServer | None = None


class DnsResolver(Resolver):
    """The Resolver over real name servers. Used in one event loop.

    `timeout_secs` bounds each call. Raises `ResolverError` when made where no name server is
    known, or for "https" without the extra `doh`.
    """

    def __init__(
        self,
        setup: ResolverSetup,
        clock: Clock,
        *,
        timeout_secs: float = 30.0,
        exchange: Exchange | None = None,
        resolv_conf: str = RESOLV_CONF,
    ) -> None:
        if setup.protocol == "https" and exchange is None:
            _check_https()
        self._servers = NameServers(setup, clock, resolv_conf)
        self._exchange = exchange or SocketExchange()
        self._clock = clock
        self._heard_at = float("-inf")  # any name server, whatever it said
        self._timeout_secs = timeout_secs
        self._cache: TtlCache[_Key, RecordAnswer] = TtlCache(clock, CACHE_LIMIT)
        self._coalesced: Coalesced[_Key, RecordAnswer] = Coalesced()
        self._first_tries = asyncio.Semaphore(FIRST_TRIES)
        self._later_tries = asyncio.Semaphore(LATER_TRIES)
        self._plain: set[NameServer] = set()  # those that do not like EDNS

    async def mx(self, domain: str) -> MxAnswer:
        """The MX records of `domain`, aliases followed."""
        answer = await self._lookup(domain, "MX")
        return MxAnswer(
            outcome=answer.outcome,
            records=tuple(MxRecord(preference, host) for preference, host in answer.values),
            canonical_name=answer.canonical_name,
            ttl_secs=answer.ttl_secs,
            detail=answer.detail,
            is_unanswered=answer.is_unanswered,
        )

    async def addresses(self, host: str) -> AddressAnswer:
        """The A and AAAA records of `host`, aliases followed; both are asked for at once."""
        v4, v6 = await asyncio.gather(self._lookup(host, "A"), self._lookup(host, "AAAA"))
        return AddressAnswer(
            ipv4=tuple(text for _, text in v4.values),
            ipv6=tuple(text for _, text in v6.values),
            ipv4_outcome=v4.outcome,
            ipv6_outcome=v6.outcome,
            ttl_secs=min(v4.ttl_secs, v6.ttl_secs),
            detail=v4.detail or v6.detail,
            is_unanswered=v4.is_unanswered and v6.is_unanswered,
        )

    async def close(self) -> None:
        """Ends what is under way; later calls are answered with "not now"."""
        await self._coalesced.close()

    async def _lookup(self, name: str, record_type: RecordType) -> RecordAnswer:
        key = (name.lower().rstrip("."), record_type)
        if not is_host_name(key[0]):
            return RecordAnswer(outcome=DnsOutcome.NXDOMAIN, detail="not a host name")
        kept = self._cache.get(key)
        if kept is not None and kept[0].outcome is not DnsOutcome.NXDOMAIN:
            return replace(kept[0], ttl_secs=kept[1])
        found = await self._coalesced.run(key, lambda: self._in_time(key))
        return found or _not_known("the resolver was closed")

    async def _in_time(self, key: _Key) -> RecordAnswer:
        began_at = self._clock.monotonic()
        try:
            async with asyncio.timeout(self._timeout_secs):
                answer = await self._confirmed(key)
        except TimeoutError:
            answer = _not_known(f"no answer within {self._timeout_secs:g} s")
        if answer.outcome is DnsOutcome.FAILED:
            return replace(answer, is_unanswered=self._heard_at < began_at)
        if answer.outcome in (DnsOutcome.ANSWER, DnsOutcome.NODATA, DnsOutcome.NXDOMAIN):
            answer = replace(answer, ttl_secs=max(MIN_TTL_SECS, answer.ttl_secs))
            self._cache.put(key, answer, answer.ttl_secs)
        return answer

    async def _confirmed(self, key: _Key) -> RecordAnswer:
        """The answer; "no such name" only when an earlier look-up said the same."""
        if self._cache.get(key) is not None:  # kept: "no such name", which was the first look-up
            return (await self._ask_along_aliases(key)).answer
        first = await self._ask_along_aliases(key)
        if first.answer.outcome is not DnsOutcome.NXDOMAIN:
            return first.answer
        return (await self._ask_along_aliases(key, after=first.server)).answer

    async def _ask_along_aliases(self, key: _Key, after: NameServer | None = None) -> _Told:
        """The answer for where the aliases of a name lead, also when a server leaves that to us."""
        name, record_type = key
        told = await self._ask((name, record_type), after)
        aliases, end = told.answer.aliases, told.answer.canonical_name
        while told.answer.outcome is DnsOutcome.NODATA and told.answer.aliases:
            if aliases > ALIASES_LIMIT:
                return _Told(_ALIAS_LOOP, told.server)
            told = await self._ask((end, record_type), after)
            aliases, end = aliases + told.answer.aliases, told.answer.canonical_name or end
        return _Told(replace(told.answer, canonical_name=end, aliases=aliases), told.server)

    async def _ask(self, key: _Key, after: NameServer | None) -> _Told:
        """Round after round, until a server knows or all have passed."""
        servers = list(self._servers.in_order(after))
        detail = "no answer"
        for number, patience in enumerate(PATIENCE_SECS):
            told = await self._round(key, servers, number, patience)
            if told.answer.outcome is not DnsOutcome.FAILED:
                return told
            detail = told.answer.detail
            if not servers:
                break
        return _Told(_not_known(detail))

    async def _round(
        self, key: _Key, servers: list[NameServer], number: int, patience: float
    ) -> _Told:
        """Asks each server once; one that has nothing to say about the name is taken off the list."""
        unhelpful: dict[NameServer, Unhelpful] = {}
        for server in tuple(servers):
            said = await self._try(key, server, number, patience)
            if isinstance(said, RecordAnswer):
                return _Told(said, server)
            unhelpful[server] = said
            if said.heard:
                servers.remove(server)
        if _SILENCE not in unhelpful.values():
            if number + 1 == REFUSED_ROUNDS:
                servers.clear()
            await asyncio.sleep(PAUSE_SECS * 2**number if servers else 0)
        details = (f"{said.detail} from {server}" for server, said in unhelpful.items())
        return _Told(_not_known(", ".join(details)))

    async def _try(
        self, key: _Key, server: NameServer, number: int, patience: float
    ) -> RecordAnswer | Unhelpful:
        edns = number < EDNS_ROUNDS and server not in self._plain
        async with self._later_tries if number else self._first_tries:
            said = await self._say(key, server, patience, edns=edns)
            if edns and isinstance(said, Unhelpful) and said.dislikes_edns:
                # RFC 6891 7: a server that knows no EDNS answers FORMERR
                said = await self._say(key, server, patience, edns=False)
                if isinstance(said, RecordAnswer):
                    self._plain.add(server)
        self._note(server, said)
        return said

    async def _say(
        self, key: _Key, server: NameServer, patience: float, *, edns: bool
    ) -> RecordAnswer | Unhelpful:
        name, record_type = key
        try:
            async with asyncio.timeout(patience):
                reply = await self._exchange(make_query(name, record_type, edns=edns), server)
                return read_reply(reply, name, record_type)
        except TimeoutError:
            return _SILENCE
        except Exception as error:  # noqa: BLE001 - the border: sockets, TLS, HTTP and parsers; all "not now"
            return Unhelpful(f"{type(error).__name__}", heard=False)

    def _note(self, server: NameServer, said: RecordAnswer | Unhelpful) -> None:
        if isinstance(said, RecordAnswer) or said.heard:
            self._servers.note_answer(server)
            self._heard_at = self._clock.monotonic()
        else:
            self._servers.note_silence(server)


_SILENCE = Unhelpful("no answer", heard=False)
_ALIAS_LOOP = RecordAnswer(outcome=DnsOutcome.ALIAS_LOOP, detail="aliases without an end")


def _not_known(detail: str) -> RecordAnswer:
    return RecordAnswer(outcome=DnsOutcome.FAILED, detail=detail)


def _check_https() -> None:
    import dns.query

    if not dns.query.have_doh:
        raise ResolverError("DNS over HTTPS needs the extra doh: pip install 'mailstrom[doh]'")
