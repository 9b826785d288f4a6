"""What befalls a whole story, by a chance of its own: other stories stay as they are.

a network that is lost     all connections, port 25 alone, or the name servers; for seconds to days
a burst of mail            to hosts that are down and come back, put everything off, drip, or hang up
a rush                     so much mail for one domain that claims are made ahead of free places
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import replace

from .plan import DAY, HOUR, LOSSES, MINUTE, Act, DomainPlan, During, HostPlan, MailPlan, Plan

LOST_SHARE, BURST_SHARE, RUSH_SHARE = 0.13, 0.12, 0.07
LOST_SECS = (20.0, 90.0, 5 * MINUTE, 20 * MINUTE, HOUR, 6 * HOUR, 30 * HOUR)
DOWN_SECS = (5 * MINUTE, HOUR, 6 * HOUR, DAY)
DOWN = ("refuse", "unreachable", "black_hole", "black_hole", "never_reads")
DRIPS = (("greeting", 5.0), ("rcpt", 20.0), ("content", 60.0))

Trouble = Callable[[HostPlan], HostPlan]


def weathered(plan: Plan) -> Plan:
    """The plan, with what befalls it."""
    chance = random.Random(f"{plan.seed} weather")
    dice = chance.random()
    if dice >= LOST_SHARE + BURST_SHARE:
        return _with_a_rush(plan, chance) if dice < LOST_SHARE + BURST_SHARE + RUSH_SHARE else plan
    if chance.random() < 0.5:
        plan = replace(plan, acts=())  # nothing else is amiss
    return _without_network(plan, chance) if dice < LOST_SHARE else _with_a_burst(plan, chance)


def _without_network(plan: Plan, chance: random.Random) -> Plan:
    """Mail to the same few domains just before, so that they are known, and while it is lost."""
    losses = []
    for _ in range(chance.choice([1, 1, 2])):
        since = chance.choice([0.0, *(mail.at for mail in plan.mails)])
        secs = chance.choice(LOST_SECS) * chance.uniform(0.7, 1.3)
        losses.append(During(since=since, until=since + secs, what=chance.choice(list(LOSSES))))
        unrelated = list({frozenset(domain.mx): domain for domain in plan.domains}.values())
        domains = chance.sample(unrelated, min(chance.choice([3, 5, 8]), len(unrelated)))
        known_at = [since - chance.uniform(0.0, 100.0) for _ in domains]
        later_at = [since + chance.choice([0.0, 5.0, 200.0, 0.9 * secs]) * chance.random() for _ in range(10)]
        plan = _with_mail(plan, domains, [*filter((0.0).__lt__, known_at), *later_at], chance)
    return replace(plan, lost=tuple(losses))


def _with_a_burst(plan: Plan, chance: random.Random) -> Plan:
    """A lane is troubled, or all are, and much mail comes for it; others have some at that time."""
    since = chance.choice(plan.mails).at
    victim = chance.choice(plan.domains)
    trouble, troubled = chance.choice(
        [
            *4 * [(_goes_down(since, chance), victim.mx)],
            (_greylists, tuple(host.name for host in plan.hosts)),
            (_drips, victim.mx),
            (_turns_away, victim.mx),
        ]
    )
    hosts = tuple(trouble(host) if host.name in troubled else host for host in plan.hosts)
    within = chance.choice([0.5, 5.0, 90.0])
    burst = [since + within * chance.random() for _ in range(chance.choice([8, 15, 30]))]
    beside = [since + 600.0 * chance.random() for _ in range(5)]
    most = chance.choice([20, 20, plan.max_sessions_per_lane])
    plan = replace(plan, hosts=hosts, max_sessions_per_lane=most, max_sessions=max(most, plan.max_sessions))
    plan = _with_mail(plan, [victim], burst, chance)
    return _with_mail(plan, chance.sample(plan.domains, min(3, len(plan.domains))), beside, chance)


def _with_a_rush(plan: Plan, chance: random.Random) -> Plan:
    """More than the lane can have under way, to hosts that are not far; meanwhile workers are disturbed."""
    since, target = chance.choice(plan.mails).at, chance.choice(plan.domains)
    latency_secs, trouble = chance.choice([0.005, 0.02, 0.05]), chance.choice([0.0, 0.0, 0.02])
    hosts = tuple(
        replace(host, latency_secs=latency_secs, trouble=trouble, loss=0.0, slow=(), greylists=False)
        if host.name in target.mx
        else host
        for host in plan.hosts
    )
    most = chance.choice([1, 2, 3])
    rush = [since + 0.1 * chance.random() for _ in range(chance.choice([30, 60]))]
    plan = replace(plan, hosts=hosts, max_sessions_per_lane=most, max_messages_per_session=100)
    plan = _with_mail(plan, [target], rush, chance)
    kinds = ("pause", "cancel", "cut") + (() if plan.queue == "memory" else ("kill", "kill", "close", "exit"))
    acts = tuple(
        Act(
            at=since + 5.0 * chance.random(),
            what=chance.choice(kinds),
            process=chance.randrange(plan.processes),
            number=chance.randrange(len(plan.mails)),
            secs=chance.choice([0.2, 30.0]),
        )
        for _ in range(chance.choice([0, 1, 1, 2]))
    )
    return replace(plan, acts=(*plan.acts, *acts))


def _goes_down(since: float, chance: random.Random) -> Trouble:
    secs = chance.choice(DOWN_SECS) * chance.uniform(0.7, 1.3)
    down = During(since=max(since - 1.0, 0.0), until=since + secs, what=chance.choice(DOWN))
    return lambda host: replace(host, down=(*host.down, down))


def _greylists(host: HostPlan) -> HostPlan:
    return replace(host, greylists=True)


def _drips(host: HostPlan) -> HostPlan:
    return replace(host, slow=DRIPS)


def _turns_away(host: HostPlan) -> HostPlan:
    return replace(host, turns_away=True)


def _with_mail(
    plan: Plan, domains: Sequence[DomainPlan], times: Sequence[float], chance: random.Random
) -> Plan:
    """A mail at each of these times, for somebody at each of the domains in turn."""
    first = len(plan.mails)
    mails = []
    for number, at in enumerate(times, first):
        domain = domains[(number - first) % len(domains)]
        to = tuple(f"m{number}r{each}@{domain.name}" for each in range(chance.choice([1, 1, 1, 3])))
        mails.append(MailPlan(number=number, at=at, process=chance.randrange(plan.processes), to=to))
    return replace(plan, mails=(*plan.mails, *mails))
