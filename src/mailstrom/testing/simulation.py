"""Your mail, your storage and your retry policy in a simulated world: five days pass in a second.

    def test_mail_survives_greylisting(simulation):          # a fixture of the pytest plugin
        host = simulation.host("mx.example.com", domain="example.com", greylists=True)
        mailstrom = simulation.mailstrom(storage=MyStorage(), retry=RetryPolicy.rfc5321())
        message_id = mailstrom.send_email(email)
        simulation.run(days=5)
        assert mailstrom.query_status(message_id).succeeded

Without pytest: `with Simulation(seed=7) as simulation: ...`. The `Mailstrom` is the real one, with
the real engine, SMTP dialogue and storage; time, network, name servers, threads and chance are
simulated, and follow from the seed. See docs/simulation.md.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from ipaddress import IPv4Network
from itertools import chain
from types import TracebackType
from typing import Self, TypedDict, Unpack

from ..config import Config
from ..engine.events import Observer
from ..engine.tenure import Role
from ..event import Event
from ..facade import Mailstrom
from ..schedule.retry import RetryPolicy
from .clock import START
from .dns import Zone
from .gates import Trouble
from .hooks import Hooks, greylist
from .mail_host import MailHost
from .network import MemoryNetwork
from .patience import PatientTimeline, SimulationError
from .process import Process
from .simulated_storage import Given, simulated
from .smtp_server import SmtpServer
from .world import HELO_NAME, World

__all__ = ["Duration", "MailHost", "Process", "Simulation", "SimulationError"]

LATENCY_SECS = 0.02
_NETWORKS = ("198.51.100.0/24", "203.0.113.0/24")  # RFC 5737: for documentation; our own is in the third


class Duration(TypedDict, total=False):
    """How long: the sum of what is given."""

    days: float
    hours: float
    minutes: float
    seconds: float


class Simulation:
    """A world with mail hosts and processes, on the thread that made it; the same seed, the same course.

    `zone` and `network` are its DNS and its network, to be looked at and changed. `chance` is for
    your story's own dice. `log` tells what happened, a line each.
    """

    def __init__(self, *, seed: int = 0, latency_secs: float = LATENCY_SECS) -> None:
        self.seed = seed
        self.chance = random.Random(f"story {seed}")
        self.log: list[str] = []
        self._timeline = PatientTimeline(random.Random(f"course {seed}"))
        self._world = World(seed=seed, latency_secs=latency_secs, timeline=self._timeline)
        self._ips = _addresses()
        self._killed: set[Process] = set()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end()

    # --- hosts and their faults

    @property
    def zone(self) -> Zone:
        """The DNS: `zone.records["example.com"] = {"rcode": "SERVFAIL"}`."""
        return self._world.zone

    @property
    def network(self) -> MemoryNetwork:
        """The network; a handler of your own may `listen` there."""
        return self._world.network

    def host(
        self,
        name: str,
        *,
        domain: str | Sequence[str] = (),
        greylists: bool = False,
        server: SmtpServer | None = None,
        ip: str | None = None,
        port: int = 25,
    ) -> MailHost:
        """A new mail host, the next MX of these domains: the first host of a domain is the preferred one.

        `greylists`: each address is deferred once. What else a host may do, a `server` is told:
        `server=SmtpServer(on_rcpt="550 5.1.1 nobody here")`. A relay is a host, too.
        """
        if server is not None and greylists:
            raise SimulationError("host: your own server greylists with SmtpServer(on_rcpt=greylist())")
        hooks: Hooks = {"on_rcpt": greylist()} if greylists else {}
        place = ip or self._free_ip()
        answering = self._world.host(name, place, server or SmtpServer(name=name, **hooks), port=port)
        self.network.hosts[name.lower()] = (place,)  # where a relay is looked up
        for each in [domain] if isinstance(domain, str) else domain:
            self._add_mx(each.lower(), name)
        return MailHost(name, place, port, answering, self.network)

    def partition(self, process: Process, *hosts: MailHost) -> None:
        """The process cannot reach these hosts until `heal`: no answer; connections that it has are reset."""
        ips = {host.ip for host in hosts}
        process.network.unreachable |= ips
        for transport in process.network.open_transports:
            if transport.get_extra_info("peername")[0] in ips:
                transport.abort()

    def heal(self, process: Process, *hosts: MailHost) -> None:
        """Ends the partition."""
        process.network.unreachable -= {host.ip for host in hosts}

    # --- processes

    def mailstrom(
        self,
        config: Config | None = None,
        storage: Given = None,
        *,
        retry: RetryPolicy | None = None,
        observers: Iterable[Observer] = (),
    ) -> Mailstrom:
        """A started `Mailstrom`, in a process of its own; arguments as there, `retry` for its config."""
        return self.process(config=config, storage=storage, retry=retry, observers=observers).mailstrom

    def process(
        self,
        name: str | None = None,
        *,
        config: Config | None = None,
        storage: Given = None,
        retry: RetryPolicy | None = None,
        observers: Iterable[Observer] = (),
        role: Role = "auto",
        trouble: Trouble = lambda call, is_done: None,
    ) -> Process:
        """A process whose `mailstrom` is started in that role: to be killed, frozen, cut off.

        `trouble` is told each storage call before and after it is made, and may raise `StorageError`:
        `("settle", False)` fails, `("settle", True)` was done, and its reply is lost.
        """
        name = name or f"process {len(self._world.processes) + 1}"
        chosen = config or Config(helo_name=HELO_NAME)
        process = self._world.process(
            name,
            config=chosen if retry is None else replace(chosen, retry=retry),
            storage=simulated(chosen.storage if storage is None else storage, self._timeline),
            observers=[lambda event: self._note(process, event), *observers],
            trouble=self._checked(trouble),
        )
        process.mailstrom.start(role)
        return process

    def kill(self, process: Process) -> None:
        """As SIGKILL, also from within it: `trouble` may have it die in the middle of a storage call."""
        self._killed.add(process)
        process.storage.cut()
        process.network.cut()
        if asyncio._get_running_loop() is None:
            process.kill()
        else:
            self._world.internet.call_soon(process.kill)

    # --- time

    @property
    def now(self) -> datetime:
        """Aware UTC; a process whose clock jumped has another."""
        return START + timedelta(seconds=self.time())

    def time(self) -> float:
        """Seconds since it began: what a storage of your own takes for its leases."""
        return self._timeline.time()

    def run(self, **duration: Unpack[Duration]) -> None:
        """Lets so much time pass: `run(days=5)`."""
        secs = _seconds("run", duration)
        if not self._world.processes:
            raise SimulationError(
                "run: nothing can happen, there is no process: make one with simulation.mailstrom(), and "
                "send mail with that"
            )
        self._timeline.pass_time(lambda: False, secs)
        self._raise_what_broke()

    def run_until(self, is_so: Callable[[], object], **within: Unpack[Duration]) -> None:
        """Lets time pass until `is_so()`; raises `SimulationError` when it is not so in time."""
        secs = _seconds("run_until", within)
        came = self._timeline.pass_time(lambda: bool(is_so()), secs)
        self._raise_what_broke()
        if not came:
            raise SimulationError(f"run_until: it was not so within {timedelta(seconds=secs)}")

    def after(self, call: Callable[[], object], **duration: Unpack[Duration]) -> None:
        """Has something happen in so much time, whatever is going on then: `after(host.go_down, hours=2)`."""
        self._world.internet.call_later(_seconds("after", duration), call)

    def end(self) -> None:
        """Ends all processes; raises what broke in the world, if nobody was told. Again: nothing."""
        failure = self._timeline.take_failure()
        self._timeline.news()
        self._world.end()
        if failure is not None:
            raise failure
        self._raise_what_broke()

    # --- inside

    def _free_ip(self) -> str:
        found = next(self._ips, None)
        if found is None:
            raise SimulationError("host: the addresses are used up, give it one with ip=")
        return found

    def _add_mx(self, domain: str, host: str) -> None:
        known = self.zone.records.get(domain, {}).get("MX", ())
        others = list(known) if isinstance(known, (list, tuple)) else []
        record = [10 * (len(others) + 1), f"{host}."]
        self.zone.records[domain] = {**self.zone.records.get(domain, {}), "MX": [*others, record]}

    def _checked(self, trouble: Trouble) -> Trouble:
        def checked(call: str, is_done: bool) -> object:
            if not is_done:
                self._timeline.check_thread()
            return trouble(call, is_done)

        return checked

    def _note(self, process: Process, event: Event) -> None:
        if process not in self._killed:  # its last breath may come a moment later
            self._timeline.news()
            self.log.append(f"{timedelta(seconds=int(self.time()))} {process.name}: {event}")

    def _raise_what_broke(self) -> None:
        """What a hook or a call of the story raised has only been logged."""
        if not self._timeline.unhandled:
            return
        context = self._timeline.unhandled[0]
        self._timeline.unhandled.clear()
        error = context.get("exception")
        cause = error if isinstance(error, BaseException) else None
        raise SimulationError(f"{context.get('message')}: {error!r}") from cause


def _addresses() -> Iterator[str]:
    return (str(ip) for ip in chain.from_iterable(IPv4Network(net).hosts() for net in _NETWORKS))


def _seconds(method: str, duration: Duration) -> float:
    """Raises `SimulationError` where no time would pass."""
    if not duration:
        raise SimulationError(
            f"{method}: say how long, as in {method}(days=5). To go on until all mail is completed: "
            "mailstrom.drain(), or mailstrom.wait(message_id)"
        )
    secs = timedelta(**duration).total_seconds()
    if secs <= 0:
        raise SimulationError(f"{method}: expected a time above 0, got {secs:g} seconds")
    return secs

