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

import random
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from ipaddress import IPv4Network
from itertools import chain, count
from types import TracebackType
from typing import Self, Unpack

from ..config import Config
from ..engine.events import Observer
from ..engine.tenure import Role, checked_role
from ..errors import MailstromError, StorageError
from ..event import Event
from ..facade import Mailstrom
from ..schedule.retry import RetryPolicy
from ..secret import Secret
from ..wiring import config_of
from .clock import START
from .dns import Zone
from .gates import Trouble
from .hooks import Hooks, greylist
from .mail_host import MailHost
from .network import MemoryNetwork
from .patience import PatientTimeline, SimulationError
from .process import Process
from .simulated_storage import Given, check_is_free, simulated
from .simulation_arguments import (
    Duration,
    address,
    function,
    host_name,
    ips_of,
    latency,
    mail_domain,
    process_of,
    seconds,
    smtp_server,
    whole_number,
)
from .smtp_server import SmtpServer
from .world import HELO_NAME, World

__all__ = ["Duration", "MailHost", "Process", "Simulation", "SimulationError"]

LATENCY_SECS = 0.02
_NETWORKS = ("198.51.100.0/24", "203.0.113.0/24")  # RFC 5737: for documentation; our own is in the third


class Simulation:
    """A world with mail hosts and processes, on the thread that made it; the same seed, the same course.

    `zone` and `network` are its DNS and its network, to be looked at and changed. `chance` is for
    your story's own dice. `log` tells what happened, a line each. Each method raises `SimulationError`
    on any other thread, and after `end`.
    """

    def __init__(self, *, seed: int = 0, latency_secs: float = LATENCY_SECS) -> None:
        self.seed = whole_number("seed", seed)
        self.chance = random.Random(f"story {seed}")
        self.log: list[str] = []
        self._timeline = PatientTimeline(random.Random(f"course {seed}"), self._due_in)
        self._world = World(
            seed=seed, latency_secs=latency("latency_secs", latency_secs), timeline=self._timeline
        )
        self._ips = _addresses()
        self._places: dict[tuple[str, int], str] = {}  # of hosts
        self._storages: list[tuple[Given, Process]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        failure = self._end()
        if failure is None or failure is error:
            return
        if error is None:
            raise failure
        for text in (str(failure), *getattr(failure, "__notes__", ())):
            error.add_note(f"besides, in the simulation: {text}")

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
        self._check_usable()
        hooks: Hooks = {"on_rcpt": greylist()} if greylists else {}
        own = smtp_server(server, greylists=greylists) or SmtpServer(name=host_name(name), **hooks)
        domains = [mail_domain(each) for each in ([domain] if isinstance(domain, str) else domain)]
        place = self._place(host_name(name), ip, port)
        answering = self._world.host(name, place, own, port=port)
        self.network.hosts[name.rstrip(".").lower()] = (place,)  # where a relay is looked up
        for each in domains:
            self._add_mx(each, name)
        return MailHost(name, place, port, answering, self.network)

    def partition(self, process: Process, *hosts: MailHost) -> None:
        """The process reaches none of these hosts until `heal`; with no host said, nobody at all.

        Connecting gets no answer, and the connections that it has fall silent for good.
        """
        self._check_usable()
        process_of("partition", process).network.part(*ips_of("partition", hosts))

    def heal(self, process: Process, *hosts: MailHost) -> None:
        """Ends a partition from these hosts; of several, one."""
        self._check_usable()
        process_of("heal", process).network.heal(*ips_of("heal", hosts))

    # --- processes

    def mailstrom(
        self,
        config: Config | str | None = None,
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
        config: Config | str | None = None,
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
        self._check_usable()
        checked_role(role)
        chosen = Config(helo_name=HELO_NAME) if config is None else _config(config)
        given = chosen.storage if storage is None else storage
        check_is_free(given, self._storages)
        process = self._world.process(
            self._new_name(name),
            config=chosen if retry is None else replace(chosen, retry=retry),
            storage=simulated(given, self._timeline),
            observers=[lambda event: self._note(process, event), *observers],
            trouble=self._checked(function("trouble", trouble)),
        )
        self._storages.append((given, process))
        process.mailstrom.start(role)
        return process

    def kill(self, process: Process) -> None:
        """As SIGKILL, also from within it: `trouble` may have it die in the middle of a storage call."""
        self._check_usable()
        process_of("kill", process).kill()

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
        self._check_usable()
        secs = seconds("run", duration)
        if not self._world.processes:
            raise SimulationError(
                "run: nothing can happen, there is no process: make one with simulation.mailstrom(), and "
                "send mail with that"
            )
        self._timeline.pass_time(lambda: False, secs)
        self._raise_what_broke()

    def run_until(self, is_so: Callable[[], object], **within: Unpack[Duration]) -> None:
        """Lets time pass until `is_so()`; raises `SimulationError` when it is not so in time."""
        self._check_usable()
        secs, asked = seconds("run_until", within), function("run_until", is_so)
        came = self._timeline.pass_time(lambda: bool(asked()), secs)
        self._raise_what_broke()
        if not came:
            raise SimulationError(f"run_until: it was not so within {timedelta(seconds=secs)}")

    def after(self, call: Callable[[], object], **duration: Unpack[Duration]) -> None:
        """Has something happen in so much time, whatever is going on then: `after(host.go_down, hours=2)`."""
        self._check_usable()
        secs = seconds("after", duration)
        self._world.internet.call_later(secs, function("after", call))
        self._timeline.news(in_secs=secs)

    def end(self) -> None:
        """Ends all processes; raises what broke in the world, if nobody was told. Again: nothing."""
        failure = self._end()
        if failure is not None:
            raise failure

    # --- inside

    def _check_usable(self) -> None:
        self._timeline.check_thread()
        if self._world.internet.is_closed():
            raise SimulationError(
                "this simulation has ended, nothing happens in it any more: put what is to happen before "
                "end(), or into the `with` block. Its hosts and its log can still be read"
            )

    def _place(self, name: str, ip: str | None, port: int) -> str:
        """The address of a new host; nobody else answers at that port of it."""
        place = self._free_ip() if ip is None else address(ip)
        known = self._places.setdefault((place, port), name)
        if known is not name:
            raise SimulationError(f"host: {known} answers at {place} port {port} already, give another ip")
        return place

    def _free_ip(self) -> str:
        taken = {ip for ip, _ in self._places}
        found = next((ip for ip in self._ips if ip not in taken), None)
        if found is None:
            raise SimulationError("host: the addresses are used up, give it one with ip=")
        return found

    def _new_name(self, given: object) -> str:
        """The name of a new process: what its kind is called in the log, once among the living."""
        processes = self._world.processes
        taken = {process.name for process in processes if process.is_alive}
        if given is None:
            numbered = (f"process {number}" for number in count(len(processes) + 1))
            return next(name for name in numbered if name not in taken)
        if not isinstance(given, str) or not given:
            raise SimulationError(f"process: expected a name such as 'web', got {given!r}")
        if given in taken:
            raise SimulationError(f"process: there is one named {given!r}, which lives: give it another name")
        return given

    def _add_mx(self, domain: str, host: str) -> None:
        known = self.zone.records.get(domain, {}).get("MX", ())
        others = list(known) if isinstance(known, (list, tuple)) else []
        record = [10 * (len(others) + 1), f"{host.rstrip('.')}."]
        self.zone.records[domain] = {**self.zone.records.get(domain, {}), "MX": [*others, record]}

    def _checked(self, trouble: Trouble) -> Trouble:
        def checked(call: str, is_done: bool) -> object:
            if not is_done:
                self._timeline.check_thread()
            try:
                return trouble(call, is_done)
            except StorageError:
                raise
            except Exception as error:
                failure = SimulationError(
                    f"trouble({call!r}, {is_done}) raised {error!r}: it may raise StorageError only"
                )
                self._timeline.break_off(failure)  # the engine takes it for a failure of the storage
                raise failure from error

        return checked

    def _note(self, process: Process, event: Event) -> None:
        if process.is_alive:
            self._timeline.news()
            self.log.append(f"{timedelta(seconds=int(self.time()))} {process.name}: {event}")

    def _due_in(self) -> float:
        """In how many seconds a process has something to try, the last of them; 0 where none has."""
        return max([0.0, *(_due_in(process) for process in self._world.processes if process.is_alive)])

    def _end(self) -> SimulationError | None:
        """What broke, if nobody was told."""
        self._timeline.check_thread()
        failure = self._timeline.take_failure()
        self._timeline.news()
        self._world.end()
        return self._what_broke(failure)

    def _raise_what_broke(self) -> None:
        failure = self._what_broke()
        if failure is not None:
            raise failure

    def _what_broke(self, first: SimulationError | None = None) -> SimulationError | None:
        """What hooks and calls of the story raised was only logged: the first, the others as its notes."""
        failures = [] if first is None else [first]
        failures += map(_failure, self._timeline.unhandled)
        self._timeline.unhandled.clear()
        for another in failures[1:]:
            failures[0].add_note(f"and then: {another}")
        return failures[0] if failures else None


def _config(given: Config | str) -> Config:
    """As `Mailstrom` understands it: a `Config`, or the URL of a relay."""
    return config_of(Secret(given) if isinstance(given, str) else given)


def _due_in(process: Process) -> float:
    now = process.clock.now()
    try:
        due_at = process.storage.inner.next_due(now)
    except (MailstromError, SimulationError):  # it is closed
        return 0.0
    return 0.0 if due_at is None else (due_at - now).total_seconds()


def _failure(context: Mapping[str, object]) -> SimulationError:
    error = context.get("exception")
    failure = SimulationError(f"{context.get('message')}: {error!r}")
    failure.__cause__ = error if isinstance(error, BaseException) else None
    return failure


def _addresses() -> Iterator[str]:
    return (str(ip) for ip in chain.from_iterable(IPv4Network(net).hosts() for net in _NETWORKS))
