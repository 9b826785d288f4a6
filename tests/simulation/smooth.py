"""Which mail of a plan has nothing in its way: it has to be delivered at once."""

from __future__ import annotations

from .plan import Act, MailPlan, Plan

PROMPT_SECS = 60.0
AFTERMATH_SECS = 700.0  # leases that run out, connections that time out, waits that have grown
HARMLESS = ("ask", "retry", "release")  # the rest disturbs at least the process that it befalls


class SmoothWays:
    """Knows where and when a plan is without trouble."""

    def __init__(self, plan: Plan) -> None:
        self._healthy = {host.name for host in plan.hosts if host.is_healthy}
        self._domains = {domain.name: domain for domain in plan.domains}
        self._disturbances = [act for act in plan.acts if act.what not in HARMLESS]
        # lanes that hang may take all sessions
        sick = sum(not set(domain.mx) <= self._healthy for domain in plan.domains)
        self._has_room = sick * plan.max_sessions_per_lane < plan.max_sessions

    def is_smooth(self, mail: MailPlan, address: str, due: float) -> bool:
        """Its hosts and its domain are well, and nothing befalls any process around that time."""
        domain = self._domains[address.rpartition("@")[2]]
        is_well = set(domain.mx) <= self._healthy and not domain.faults
        calm = not any(_overlaps(act, mail.at, due) for act in self._disturbances)
        return is_well and calm and self._has_room and mail.expires_in_secs is None


def _overlaps(act: Act, since: float, due: float) -> bool:
    return act.at - 1.0 < due + PROMPT_SECS and act.at + act.secs + AFTERMATH_SECS > since
