"""Which mail of a story has nothing in its way, or so little that it is known by when it is delivered."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

from .case import Case
from .doubt import LEASE_SECS, doubts
from .plan import Act, DomainPlan, During, HostPlan, Plan
from .traffic import FIRST_AT_ONCE

PROMPT_SECS = 60.0
FEW_AT_ONCE_SECS = 60.0  # for a mail to a host that takes it in many transactions, with latency
AFTERMATH_SECS = 700.0  # leases that run out, connections that time out, waits that have grown
HARMLESS = ("ask", "retry", "release")  # the rest disturbs at least the process that it befalls
DEATHS = ("kill", "kill_at", "exit")
CLOSED = ("refuse", "unreachable")  # whoever connects to such a host knows at once


class SmoothWays:
    """Knows where and when a plan is without trouble."""

    def __init__(self, plan: Plan, acts: Sequence[Act]) -> None:
        self._plan = plan
        self._hosts = {host.name: host for host in plan.hosts}
        self._disturbances = [act for act in acts if act.what not in HARMLESS]
        self._has_room = self._taken_by_others() < plan.max_sessions

    def delivered_by(self, case: Case) -> float | None:
        """When it has to be delivered at the latest; None: there is no telling."""
        by = self._by(case)
        if by is None or not self._has_room or case.mail.expires_in_secs is not None:
            return None
        since = case.sent_at - AFTERMATH_SECS
        if self._plan.losses(since, by):
            return None
        lane = [domain for domain in self._plan.domains if {*domain.mx} == {*case.domain.mx}]
        if any(self._hosts[name].recipient_limit for name in case.domain.mx):
            by += len(self._plan.mails) * FEW_AT_ONCE_SECS
        return by if all(self._leads_somewhere(domain, since, by) for domain in lane) else None

    def is_plain(self, case: Case) -> bool:
        """All its hosts are always well, take any number of recipients, and one is the best for all."""
        mx = case.domain.mx
        takes_all = all(self._hosts[name].recipient_limit is None for name in mx)
        best = {domain.mx[0] for domain in self._plan.domains if {*domain.mx} == {*mx}}
        is_well = takes_all and self._is_always_well(case.domain)
        is_disturbed = self._around(case) or self._plan.losses(
            case.sent_at - AFTERMATH_SECS, case.due + AFTERMATH_SECS
        )
        return is_well and len(best) == 1 and not is_disturbed

    def _taken_by_others(self) -> int:
        """How many deliveries at most hang at hosts that are not well, or at the DNS, all at once."""
        deliveries = Counter(
            name for mail in self._plan.mails for name in {to.rpartition("@")[2] for to in mail.to}
        )
        lanes: Counter[frozenset[str]] = Counter()
        looks_up = 0
        for domain in self._plan.domains:
            count = deliveries[domain.name]
            lanes[frozenset(domain.mx)] += 0 if self._is_always_well(domain) else count
            looks_up += min(count, self._plan.max_sessions_per_lane, FIRST_AT_ONCE) if domain.faults else 0
        return looks_up + sum(min(count, self._plan.max_sessions_per_lane) for count in lanes.values())

    def _by(self, case: Case) -> float | None:
        around = self._around(case)
        if not around:
            return case.due + PROMPT_SECS
        if len(around) > 1 or around[0].what not in DEATHS or doubts(case):
            return None
        died_at = around[0].at + around[0].secs * (around[0].what == "kill_at")
        # who has died in a file of SQLite is known to be dead at once
        lease_secs = 0.0 if self._plan.queue == "sqlite" else LEASE_SECS
        return max(case.due, died_at + lease_secs) + PROMPT_SECS

    def _around(self, case: Case) -> Sequence[Act]:
        return [act for act in self._disturbances if _overlaps(act, case.sent_at, case.due)]

    def _is_always_well(self, domain: DomainPlan) -> bool:
        return not domain.faults and all(self._hosts[name].is_healthy for name in domain.mx)

    def _leads_somewhere(self, domain: DomainPlan, since: float, until: float) -> bool:
        """A host is well, and those before it are passed at once."""
        if _during(domain.faults, since, until):
            return False
        put_off = 0
        for name in domain.mx:
            host = self._hosts[name]
            down = _during(host.down, since, until)
            if host.trouble or host.slow or host.turns_away:
                return False
            if not down and not host.greylists:
                return True
            if down and not _is_closed(host, since, until):
                return False
            put_off += not down
            if put_off > 1:
                return False
        return False


def _overlaps(act: Act, since: float, due: float) -> bool:
    # a clock that was set stays so, and whoever takes the place of its process has another
    until = math.inf if act.what == "jump" else act.at + act.secs + AFTERMATH_SECS
    return act.at - 1.0 < due + PROMPT_SECS and until > since


def _during(times: Sequence[During], since: float, until: float) -> list[During]:
    return [each for each in times if each.overlaps(since, until)]


def _is_closed(host: HostPlan, since: float, until: float) -> bool:
    """All the time nobody can connect, and knows at once."""
    whole = [each for each in host.down if each.since <= max(since, 0.0) and each.until >= until]
    return len(_during(host.down, since, until)) == 1 and any(each.what in CLOSED for each in whole)
