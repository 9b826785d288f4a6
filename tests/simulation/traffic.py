"""Which hosts were visited in a story, and when: what room that left, and which sessions were open."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from mailstrom.status import Attempt, Phase
from mailstrom.testing.ledger import Session
from mailstrom.testing.smtp_server import SmtpServer

from .case import Case, ended_at, is_visit, secs
from .plan import MINUTE, DomainPlan, MailPlan, Plan

BEFORE_SECS = 2 * MINUTE  # from a claim to its first visit, where the DNS is slow ...
BEFORE_IN_TROUBLE_SECS = 15 * MINUTE  # ... or idle sessions turn out to be of no use
AFTER_SECS = 10.0
FIRST_AT_ONCE = 5  # deliveries in a lane of which nothing is known


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """A delivery of a worker, as far as one attempt tells."""

    lane: frozenset[str]
    since: float
    until: float
    message_id: str | None = None


class Traffic:
    """All visits of a story, and all sessions that its hosts saw. Only where times are true.

    Of a mail that was not promised, and may be there, nothing is known: it may be on its way at any time.
    """

    def __init__(
        self,
        plan: Plan,
        cases: Iterable[Case],
        unknown: Iterable[MailPlan],
        servers: Mapping[str, SmtpServer],
    ) -> None:
        self._plan = plan
        self._servers = servers
        self._domains = {domain.name: domain for domain in plan.domains}
        self._in_trouble = {host.name for host in plan.hosts if not host.is_healthy}
        visits: dict[object, Visit] = {}
        for case in cases:
            for attempt in filter(is_visit, case.recipient.attempts):
                job = case.message_id, case.domain.name, attempt.at, attempt.host
                visits[job] = self._visit(case, attempt)
        self._visits = [*visits.values(), *self._at_any_time(unknown)]

    def is_troubled(self, domain: DomainPlan) -> bool:
        """Its hosts may keep a session waiting, or the DNS an answer."""
        return bool(domain.faults or self._plan.lost) or not self._in_trouble.isdisjoint(domain.mx)

    def leaves_room(self, domain: DomainPlan, since: float, until: float) -> bool:
        """All that time any worker can begin something more, in the lane of the domain too.

        A lane in trouble may take one delivery at a time.
        """
        there = [visit for visit in self._visits if visit.since < until and visit.until > since]
        beside = sum(visit.lane == frozenset(domain.mx) for visit in there)
        most = 1 if self.is_troubled(domain) else min(FIRST_AT_ONCE, self._plan.max_sessions_per_lane)
        return len(there) < self._plan.max_sessions and beside < most

    def waits_its_turn(self, case: Case, at: float) -> bool:
        """Others of its message are on their way then, to a host that takes few in one session."""
        lane = frozenset(case.domain.mx)
        if not any(host.limits for host in self._plan.hosts if host.name in lane):
            return False
        there = [visit for visit in self._visits if visit.since < at < visit.until]
        return any((visit.message_id, visit.lane) == (case.message_id, lane) for visit in there)

    def sessions(self, host: str, since: float, until: float) -> Iterator[Session]:
        """What the host saw of them was open at that time."""
        server = self._servers.get(host)
        for session in () if server is None else server.ledger.sessions:
            if session.began_at <= until and (session.ended_at is None or session.ended_at >= since):
                yield session

    def _visit(self, case: Case, attempt: Attempt) -> Visit:
        before = BEFORE_IN_TROUBLE_SECS if self.is_troubled(case.domain) else BEFORE_SECS
        after = BEFORE_SECS if attempt.phase is Phase.DNS else AFTER_SECS
        return Visit(
            lane=frozenset(case.domain.mx),
            since=secs(attempt.at) - before,
            until=ended_at(attempt) + after,
            message_id=case.message_id,
        )

    def _at_any_time(self, unknown: Iterable[MailPlan]) -> Iterator[Visit]:
        for mail in unknown:
            for name in {address.rpartition("@")[2] for address in mail.to}:
                lane = frozenset(self._domains[name].mx)
                yield Visit(lane=lane, since=-float("inf"), until=float("inf"))
