"""What each process of a story was seen to do, and what it told, for the rules of lanes and networks."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from mailstrom.event import Event, EventKind
from mailstrom.status import Attempt, DeliveryResult, Phase
from mailstrom.testing.dns import Zone, ZoneAnswer
from mailstrom.testing.gates import Dial

from .case import ended_at, secs
from .plan import LOSSES, DomainPlan, During, Plan

if TYPE_CHECKING:
    from mailstrom.testing.process import Process

RESULTS = (EventKind.DELIVERED, EventKind.DEFERRED, EventKind.FAILED)
NOT_THERE = (Phase.DNS, Phase.CONNECT)  # who ends there has reached nobody
SILENT = ("TIMEOUT", "UNREACHABLE")
LOOKED_UP_SECS = 60.0  # twice what a look-up may take

Lane = frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """A question of a process to the DNS."""

    name: str
    at: float


class WatchedZone(Zone):
    """A zone that knows who asks: each process asks from loops that have its name."""

    def __init__(self, now: Callable[[], float], asker: Callable[[], str]) -> None:
        super().__init__({})
        self.asks: defaultdict[str, list[Ask]] = defaultdict(list)
        self._now = now
        self._asker = asker

    def answer(self, name: str, record_type: str) -> ZoneAnswer:
        """As any zone's."""
        self.asks[self._asker()].append(Ask(name=name.rstrip("."), at=self._now()))
        return super().answer(name, record_type)


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """A process told of a result, and before that of the visits that came to it."""

    at: float
    message_id: str
    address: str
    visits: tuple[Attempt, ...]
    result: DeliveryResult
    before: DeliveryResult | None  # what it had told of this recipient last

    @property
    def is_a_try(self) -> bool:
        """It counts as one, as far as this process knows."""
        return self.result.tries > (0 if self.before is None else self.before.tries)

    @property
    def reached_nobody(self) -> bool:
        """No host was connected with, or none was visited at all."""
        return all(visit.phase in NOT_THERE and visit.reply is None for visit in self.visits)


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """A time."""

    since: float
    until: float


@dataclass(kw_only=True)
class Seen:
    """One process, from its begin to its end."""

    name: str
    dials: Sequence[Dial] = ()
    asks: Sequence[Ask] = ()
    heard: list[tuple[float, Event]] = field(default_factory=list)

    @cached_property
    def told(self) -> Sequence[Told]:
        """Its results, in the order in which it told of them."""
        return tuple(self._told())

    @cached_property
    def offline(self) -> Sequence[Span]:
        """When it said that it has no network."""
        said = [(at, each.worker_status) for at, each in self.heard if each.worker_status is not None]
        ends = [at for at, _ in (*said, (float("inf"), None))][1:]
        return [
            Span(since=at, until=until)
            for (at, status), until in zip(said, ends, strict=True)
            if status.name == "NETWORK_FAILED"
        ]

    def offline_since(self, at: float, margin_secs: float) -> float | None:
        """Since when it says so, where it does at that time and for a bit before and after."""
        spans = (span for span in self.offline if span.since + margin_secs < at < span.until - margin_secs)
        return next((span.since for span in spans), None)

    def openings(self, ips: frozenset[str]) -> list[Span]:
        """From when it connected with one of these addresses until a session was ready for mail."""
        told = [(at, each.session_opened) for at, each in self.heard]
        return [
            Span(since=at - sum(opened.phase_secs.values()), until=at)
            for at, opened in told
            if opened is not None and opened.ip in ips
        ]

    def reached_at(self, until: float, ips: frozenset[str] | None = None) -> float | None:
        """When it last came through to one of these addresses, or to any."""
        times = (
            dial.until
            for dial in self.dials
            if dial.is_connected and dial.until is not None and (ips is None or dial.ip in ips)
        )
        return max((at for at in times if at <= until), default=None)

    def told_of(self, message_id: str, address: str) -> Sequence[Told]:
        """Its results for one recipient."""
        return self._by_place.get((message_id, address), ())

    @cached_property
    def _by_place(self) -> Mapping[tuple[str, str], Sequence[Told]]:
        found: defaultdict[tuple[str, str], list[Told]] = defaultdict(list)
        for told in self.told:
            found[told.message_id, told.address].append(told)
        return found

    def _told(self) -> Iterator[Told]:
        visits: defaultdict[tuple[str | None, str | None], list[Attempt]] = defaultdict(list)
        last: dict[tuple[str, str], DeliveryResult] = {}
        for at, event in self.heard:
            if event.attempt is not None:
                visits[event.message_id, event.address].append(event.attempt)
            if event.kind in RESULTS and event.message_id and event.address and event.result:
                place = event.message_id, event.address
                yield Told(
                    at=at,
                    message_id=event.message_id,
                    address=event.address,
                    visits=tuple(visits.pop(place, ())),
                    result=event.result,
                    before=last.get(place),
                )
                last[place] = event.result


class Witness:
    """Has seen all of a story, and knows its map: which address is in which lanes."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.seen: dict[str, Seen] = {}
        self._names = {host.ip: host.name for host in plan.hosts}
        self._ips = {host.name: host.ip for host in plan.hosts}
        self._domains = {domain.name: domain for domain in plan.domains}

    def heard(self, name: str, event: Event, at: float) -> None:
        """An observer of the process was told."""
        self.seen.setdefault(name, Seen(name=name)).heard.append((at, event))

    def saw(self, processes: Iterable[Process], asks: Mapping[str, Sequence[Ask]]) -> None:
        """At the end: what they tried."""
        for process in processes:
            seen = self.seen.setdefault(process.name, Seen(name=process.name))
            seen.dials = process.network.dials
            seen.asks = [ask for loop, all_asks in asks.items() if _is_of(loop, process) for ask in all_asks]

    def domain_of(self, address: str) -> DomainPlan:
        """Where mail for that address goes."""
        return self._domains[address.rpartition("@")[2]]

    def lane_of(self, address: str) -> Lane:
        """The hosts that take its mail."""
        return frozenset(self.domain_of(address).mx)

    def lane_named(self, domain: str) -> Lane:
        """The hosts of that domain."""
        return frozenset(self._domains[domain].mx)

    def was_silent(self, visit: Attempt) -> bool:
        """No host was connected with, or no name server can have said anything."""
        if visit.phase is Phase.CONNECT:
            return True
        losses = self.plan.losses(began_at(visit) - LOOKED_UP_SECS, over_at(visit) + LOOKED_UP_SECS)
        is_silent = all(LOSSES[loss.what][1] in SILENT for loss in losses)  # whichever began last
        return is_silent and any(_covers(loss, visit) for loss in losses)

    def ips_of(self, lane: Lane) -> frozenset[str]:
        """The addresses of its hosts."""
        return frozenset(self._ips[name] for name in lane)

    def lanes_at(self, ip: str) -> Iterator[Lane]:
        """The lanes in which that host is."""
        name = self._names[ip]
        yield from {frozenset(domain.mx) for domain in self.plan.domains if name in domain.mx}

    def asks_in_vain(self, seen: Seen, since: float, until: float) -> Iterator[DomainPlan]:
        """Of which domains it asked the DNS between these times, when that may have had no answer."""
        names = {ask.name for ask in seen.asks if since <= ask.at <= until}
        is_lost = any(LOSSES[loss.what][1] for loss in self.plan.losses(since, until))
        for domain in self.plan.domains:
            is_at_fault = is_lost or any(each.overlaps(since, until) for each in domain.faults)
            if is_at_fault and not names.isdisjoint((domain.name, *domain.mx)):
                yield domain

    def asked_at(self, seen: Seen, domain: DomainPlan) -> list[float]:
        """When it asked for that domain: a host of it, or the DNS."""
        ips, names = self.ips_of(frozenset(domain.mx)), {domain.name, *domain.mx}
        dialled = [dial.since for dial in seen.dials if dial.ip in ips]
        return sorted([*dialled, *(ask.at for ask in seen.asks if ask.name in names)])


def over_at(visit: Attempt) -> float:
    """When a visit was over, in the story."""
    return ended_at(visit)


def began_at(visit: Attempt) -> float:
    """When it began."""
    return secs(visit.at)


def _covers(loss: During, visit: Attempt) -> bool:
    return loss.since < began_at(visit) and over_at(visit) + LOOKED_UP_SECS < loss.until


def _is_of(loop: str, process: Process) -> bool:
    return loop.startswith(process.name + " ")
