"""A plan made from a seed: `plan_for`.

What befalls a whole story (a network that is lost, a burst of mail) is laid over it: see `weather.py`.
"""

from __future__ import annotations

import random

from .plan import CALLS, DAY, HOUR, MINUTE, MOVED, STAGES, Act, DomainPlan, During, HostPlan, MailPlan, Plan
from .weather import weathered

FATES = ("refuse", "unreachable", "black_hole", "never_reads")
DNS_FAULTS = ("SERVFAIL", "REFUSED", "TIMEOUT", "NXDOMAIN", MOVED, MOVED)
TTLS = (60, 300, 3600, 86_400)
KINDS = ("cancel", "hold", "release", "retry", "ask", "pause", "cut", "jump", "partition")
KINDS_IF_DURABLE = ("kill", "kill", *3 * ("kill_at",), "freeze", "outage", "lose_replies", "close", "exit")
LIMITS = ("MAILMAX", "RCPTMAX", "RCPTDOMAINMAX")
TAKEN_AWAY = ("PIPELINING", "8BITMIME", "SIZE", "DSN", "ENHANCEDSTATUSCODES")


def plan_for(seed: int) -> Plan:
    """The story of this seed."""
    return weathered(_Planner(seed).plan())


class _Planner:
    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._chance = random.Random(seed)
        self._lasts = self._chance.choice([HOUR, 6 * HOUR, DAY, 3 * DAY, 7 * DAY, 10 * DAY])
        how_many = self._chance.choice([3, 5, 10, 20, 60])
        self._sent_at = [self._chance.uniform(0.0, self._lasts) for _ in range(how_many)]

    def plan(self) -> Plan:
        chance = self._chance
        queue = chance.choice(["memory", "shared", "shared", "sqlite"])
        processes = 1 if queue == "memory" else chance.choice([1, 2, 2, 3])
        hosts = tuple(self._host(number) for number in range(chance.choice([2, 5, 20, 60])))
        domains = tuple(self._domain(number, hosts) for number in range(chance.choice([3, 10, 100])))
        mails = tuple(self._mail(number, processes, domains) for number in range(len(self._sent_at)))
        return Plan(
            seed=self._seed,
            queue=queue,
            processes=processes,
            tries=chance.choice([1, 2, 3, 3, 5, None]),
            on_uncertain=chance.choice(["retry", "retry", "hold", "fail"]),
            max_sessions=chance.choice([3, 20, 50]),
            max_sessions_per_lane=chance.choice([1, 2, 20]),
            max_messages_per_session=chance.choice([1, 2, 100]),
            session_idle_secs=chance.choice([0.5, 5.0, 60.0]),
            poll_secs=900.0 if self._lasts < DAY else 4 * HOUR,
            hosts=hosts,
            domains=domains,
            mails=mails,
            acts=self._acts(queue, processes, mails),
            envelope_behind_dot=self._seed % 2 == 1,
        )

    def _host(self, number: int) -> HostPlan:
        chance = self._chance
        name, ip = f"mx{number}.hosts.example", f"198.51.{100 + number // 250}.{number % 250 + 1}"
        offers = random.Random(f"{self._seed} {name}")
        has_chunking, is_wary = offers.random() < 0.5, number % 5 == 1
        if chance.random() < 0.3:
            return HostPlan(name=name, ip=ip, has_chunking=has_chunking, refuses_behind_dot=is_wary)
        return HostPlan(
            name=name,
            ip=ip,
            has_chunking=has_chunking,
            refuses_behind_dot=is_wary,
            limits=tuple((each, offers.choice([1, 2, 5])) for each in LIMITS if offers.random() < 0.1),
            trouble=chance.choice([0.0, 0.0, 0.02, 0.1, 0.4]),
            greylists=chance.random() < 0.2,
            latency_secs=chance.choice([0.005, 0.05, 0.3]),
            loss=chance.choice([0.0, 0.0, 0.01, 0.1]),
            has_tls=chance.random() < 0.3,
            ttl_secs=chance.choice(TTLS),
            lacks=tuple(each for each in TAKEN_AWAY if chance.random() < 0.2),
            recipient_limit=chance.choice([None, None, 1, 2]),
            idle_secs=chance.choice([None, 4.0, 30.0]),
            slow=tuple((at, chance.choice([0.5, 20.0, 400.0])) for at in STAGES if chance.random() < 0.05),
            down=self._at_times(FATES, 0.3),
        )

    def _domain(self, number: int, hosts: tuple[HostPlan, ...]) -> DomainPlan:
        chance = self._chance
        chosen = chance.sample(hosts, min(chance.choice([1, 1, 2, 4]), len(hosts)))
        mx = tuple(host.name for host in chosen)
        return DomainPlan(
            name=f"d{number}.example",
            mx=mx,
            ttl_secs=chance.choice(TTLS),
            faults=self._at_times(DNS_FAULTS, 0.2),
        )

    def _at_times(self, kinds: tuple[str, ...], share: float) -> tuple[During, ...]:
        found = []
        while self._chance.random() < share:
            since = self._chance.choice([self._chance.uniform(0.0, self._lasts), self._soon_after_a_mail()])
            secs = self._chance.choice([5.0, 5 * MINUTE, HOUR, 12 * HOUR, max(self._lasts, DAY)])
            found.append(During(since=since, until=since + secs, what=self._chance.choice(kinds)))
        return tuple(found)

    def _soon_after_a_mail(self) -> float:
        """When connections are open."""
        return self._chance.choice(self._sent_at) + self._chance.choice([0.5, 5.0]) * self._chance.random()

    def _mail(self, number: int, processes: int, domains: tuple[DomainPlan, ...]) -> MailPlan:
        chance = self._chance
        some, count = chance.choices(domains, k=chance.choice([1, 1, 2, 3])), chance.choice([1, 1, 2, 5, 12])
        to = [f"m{number}r{each}@{chance.choice(some).name}" for each in range(count)]
        return MailPlan(
            number=number,
            at=self._sent_at[number],
            process=chance.randrange(processes),
            to=tuple(to),
            octets=chance.choice([100, 100, 20_000]),
            send_in_secs=chance.choice([None] * 8 + [MINUTE, HOUR, self._lasts]),
            expires_in_secs=chance.choice([None] * 8 + [2 * HOUR, 5 * HOUR, 2 * DAY]),
            times=chance.choice([1] * 7 + [2, 3]),
        )

    def _acts(self, queue: str, processes: int, mails: tuple[MailPlan, ...]) -> tuple[Act, ...]:
        chance = self._chance
        kinds = KINDS if queue == "memory" else KINDS + KINDS_IF_DURABLE
        return tuple(
            self._act(chance.choice(kinds), chance.choice(mails), processes, len(mails))
            for _ in range(chance.choice([0, 5, 15, 40]))
        )

    def _act(self, what: str, mail: MailPlan, processes: int, mails: int) -> Act:
        """Something at the time of a mail, mostly in the process that has sent it."""
        chance = self._chance
        numbers = {
            "kill_at": chance.choice([2, 2, 4, 4, chance.randrange(2 * len(CALLS))]) + chance.randrange(2),
            "cancel": mail.number,
            "hold": mail.number,
        }
        return Act(
            at=self._soon_after(mail),
            what=what,
            process=mail.process if chance.random() < 0.8 else chance.randrange(processes),
            number=numbers.get(what, chance.randrange(mails)),
            secs=chance.choice([0.2, 5.0, 30.0, 90.0, 700.0, 4000.0]),
        )

    def _soon_after(self, mail: MailPlan) -> float:
        """When something is going on."""
        again = self._chance.choice([0.0, 0.0, mail.send_in_secs or 0.0, 185.0, 560.0])
        soon = self._chance.choice([0.0, 0.0, 0.05, 0.2, 1.0, 10.0, 300.0]) * self._chance.random()
        return mail.at + again + soon
