"""The mail hosts and domains of a plan, set up in a world."""

from __future__ import annotations

import random
from collections import Counter

from mailstrom.testing.smtp_server import DEFAULT_EXTENSIONS, Action, Answer, SmtpServer
from mailstrom.testing.world import World

from .plan import STAGES, DomainPlan, During, HostPlan, Plan

TROUBLE: tuple[Answer, ...] = (
    "450 4.2.0 not now",
    "550 5.7.1 no",
    "421 4.3.2 closing",
    "452 4.5.3 too many",
    "250 2.0.0 yes, whatever it was",
    b"\xff\x00 what?\r\n",
    Action.HANG,
    Action.CLOSE,
    Action.RESET,
)


class Cast:
    """The hosts by name, as servers; what befalls them comes by itself as time goes on."""

    def __init__(self, plan: Plan, world: World) -> None:
        self._plan = plan
        self._world = world
        self.servers = {host.name: self._hosted(host) for host in plan.hosts}
        for domain in plan.domains:
            self._publish(domain)

    def _hosted(self, plan: HostPlan) -> SmtpServer:
        server = _server(plan, random.Random(f"{self._plan.seed} {plan.name}"))
        self._world.host(plan.name, plan.ip, server)
        self._listen(plan, server)
        for down in plan.down:
            self._at(down, lambda down=down: self._take_down(plan, down), lambda: self._listen(plan, server))
        return server

    def _listen(self, plan: HostPlan, server: SmtpServer) -> None:
        self._world.network.listen(plan.ip, 25, server, latency_secs=plan.latency_secs)

    def _take_down(self, plan: HostPlan, down: During) -> None:
        network = self._world.network
        if down.what == "never_reads":
            network.never_reads(plan.ip, 25)
        else:
            getattr(network, down.what)(plan.ip, 25)

    def _publish(self, domain: DomainPlan) -> None:
        records = self._world.zone.records
        good: dict[str, object] = {"MX": [[10 * rank, f"{name}."] for rank, name in enumerate(domain.mx, 1)]}
        records[domain.name] = good
        for fault in domain.faults:
            bad: dict[str, object] = {"rcode": fault.what}
            self._at(
                fault,
                lambda bad=bad: records.update({domain.name: bad}),
                lambda: records.update({domain.name: good}),
            )

    def _at(self, during: During, begin: object, end: object) -> None:
        self._world.internet.call_at(during.since, begin)  # type: ignore[arg-type]
        self._world.internet.call_at(during.until, end)  # type: ignore[arg-type]


def _server(plan: HostPlan, chance: random.Random) -> SmtpServer:
    def trouble() -> Answer | None:
        return chance.choice(TROUBLE) if chance.random() < plan.trouble else None

    asked: Counter[str] = Counter()

    def on_rcpt(address: str, _: int) -> Answer | None:
        asked[address] += 1
        if plan.greylists and asked[address] == 1:
            return "450 4.2.0 greylisted"
        return trouble()

    hooks = {f"on_{stage}": lambda *_: trouble() for stage in STAGES}
    return SmtpServer(
        name=plan.name,
        extensions=DEFAULT_EXTENSIONS - set(plan.lacks),
        recipient_limit=plan.recipient_limit,
        idle_secs=plan.idle_secs,
        delays=dict(plan.slow),
        **{**hooks, "on_rcpt": on_rcpt},  # type: ignore[arg-type]
    )
