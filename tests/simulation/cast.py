"""The mail hosts and domains of a plan, set up in a world."""

from __future__ import annotations

import random
import ssl
from collections import Counter
from collections.abc import Callable, Sequence
from functools import cache

import trustme

from mailstrom.testing.network import Fate
from mailstrom.testing.smtp_server import DEFAULT_EXTENSIONS, Action, Answer, SmtpServer
from mailstrom.testing.world import World

from .plan import LOSSES, MOVED, STAGES, DomainPlan, During, HostPlan, Plan

SENT_AGAIN_SECS = 1.0  # RFC 6298 2.1: how long a segment that is lost waits at first

NO: tuple[Answer, ...] = ("450 4.2.0 not now", "550 5.7.1 no", "452 4.5.3 too many")
NO_TLS: tuple[Answer, ...] = ("454 4.7.0 not now",)  # what it says of a session is said of no recipient
AT_ANY_STAGE: tuple[Answer, ...] = (
    "421 4.3.2 closing",
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
        self._at_times(plan.lost, self._lose)

    def _hosted(self, plan: HostPlan) -> SmtpServer:
        server = _server(plan, random.Random(f"{self._plan.seed} {plan.name}"))
        self._world.host(plan.name, plan.ip, server)
        records = self._world.zone.records
        records[plan.name] = {**records[plan.name], "ttl_secs": plan.ttl_secs}
        lost = random.Random(f"{self._plan.seed} to {plan.name}")

        def changes(down: During | None) -> None:
            if down is None:
                self._listen(plan, server, lost)
            else:
                self._take_down(plan, down)

        changes(None)
        self._at_times(plan.down, changes)
        return server

    def _listen(self, plan: HostPlan, server: SmtpServer, lost: random.Random) -> None:
        self._world.network.listen(
            plan.ip,
            25,
            server,
            latency_secs=plan.latency_secs,
            delay=lambda: SENT_AGAIN_SECS * (lost.random() < plan.loss),
        )

    def _take_down(self, plan: HostPlan, down: During) -> None:
        network = self._world.network
        match down.what:
            case "refuse" | "unreachable":
                network.reset(plan.ip)
            case "black_hole":
                network.silence(plan.ip)
        if down.what == "never_reads":
            network.never_reads(plan.ip, 25)
        else:
            getattr(network, down.what)(plan.ip, 25)

    def _lose(self, loss: During | None) -> None:
        network = self._world.network
        network.restore()
        fate, self._world.zone.outage = LOSSES[loss.what] if loss else (None, None)
        if fate is not None:
            network.lose(Fate(fate))
        if fate is not None and self._world.zone.outage is not None:
            network.silence()  # what is filtered at port 25 goes on where it is open

    def _publish(self, domain: DomainPlan) -> None:
        def changes(fault: During | None) -> None:
            self._world.zone.records[domain.name] = _records(domain, fault and fault.what)

        changes(None)
        self._at_times(domain.faults, changes)

    def _at_times(self, times: Sequence[During], changes: Callable[[During | None], None]) -> None:
        """Tells what is so from then on: of several things the one that began last; None: nothing."""
        going_on: list[During] = []

        def begin(during: During) -> None:
            going_on.append(during)
            changes(during)

        def end(during: During) -> None:
            going_on.remove(during)
            changes(going_on[-1] if going_on else None)

        for during in times:
            self._world.internet.call_at(during.since, begin, during)
            self._world.internet.call_at(during.until, end, during)


def _records(domain: DomainPlan, fault: str | None) -> dict[str, object]:
    if fault not in (None, MOVED):
        return {"rcode": fault}
    names = domain.mx[::-1] if fault == MOVED else domain.mx
    mx = [[10 * rank, f"{name}."] for rank, name in enumerate(names, 1)]
    return {"MX": mx, "ttl_secs": domain.ttl_secs}


@cache
def _tls_context() -> ssl.SSLContext:
    """One certificate for all: nobody looks at names where TLS is a matter of opportunity."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("hosts.example").configure_cert(context)
    return context


def _server(plan: HostPlan, chance: random.Random) -> SmtpServer:
    def trouble(refusals: tuple[Answer, ...] = NO) -> Answer | None:
        return chance.choice(refusals + AT_ANY_STAGE) if chance.random() < plan.trouble else None

    asked: Counter[str] = Counter()

    def on_rcpt(address: str, _: int) -> Answer | None:
        asked[address] += 1
        if plan.greylists and asked[address] == 1:
            return "450 4.2.0 greylisted"
        return trouble()

    def on_greeting(_client: str, count: int) -> Answer | None:
        return "421 4.3.2 too busy" if plan.turns_away and count % 2 else trouble()

    hooks = {f"on_{stage}": lambda *_: trouble() for stage in STAGES}
    return SmtpServer(
        name=plan.name,
        extensions=DEFAULT_EXTENSIONS - {*plan.lacks} | {*("CHUNKING",) * plan.has_chunking},
        limits=dict(plan.limits),
        tls_context=_tls_context() if plan.has_tls else None,
        recipient_limit=plan.recipient_limit,
        idle_secs=plan.idle_secs,
        refuses_behind_dot=plan.refuses_behind_dot,
        delays=dict(plan.slow),
        **{  # type: ignore[arg-type]
            **hooks,
            "on_greeting": on_greeting,
            "on_rcpt": on_rcpt,
            "on_starttls": lambda *_: trouble(NO_TLS),
        },
    )
