"""A plan carried out: processes begin, send, are troubled and end, until the queue is at rest."""

from __future__ import annotations

import asyncio
import gc
import os
import tempfile
from collections.abc import Callable
from contextlib import ExitStack, suppress
from datetime import timedelta
from functools import partial
from pathlib import Path

from mailstrom import ClosedError, Email, MailstromError, MemoryStorage, SqliteStorage, StorageError
from mailstrom.abc import SharedStorage
from mailstrom.event import Event
from mailstrom.storage.exclusive import ExclusiveStorage
from mailstrom.testing.process import Process
from mailstrom.testing.timeline import SideLoop
from mailstrom.testing.world import World

from .cast import Cast
from .oracle import Oracle
from .plan import CALLS, DAY, Act, MailPlan, Plan
from .witness import WatchedZone

REST_SECS = 40 * DAY  # by then every queue has come to rest
LOOK_SECS = 3600.0


class Log:
    """What happened, a line each: the same for the same plan."""

    def __init__(self, now: Callable[[], float]) -> None:
        self.lines: list[str] = []
        self._now = now

    def __call__(self, who: str, what: str) -> None:
        self.lines.append(f"{self._now():.6f} {who} {what}")


class Slot:
    """Where a process runs: another takes the place of one that is dead. Its storage is troubled here."""

    def __init__(self, story: Story, number: int) -> None:
        self.name = f"process {number}"
        self.down_until = 0.0  # its storage answers nothing
        self.loses_replies_until = 0.0
        self.dies_at: tuple[str, bool] | None = None  # the next such call; once it is done
        self.dies_until = 0.0
        self.lives = 0
        self._story = story
        self.process = self.begin()

    def begin(self) -> Process:
        """A new process in this place, which delivers."""
        story = self._story
        self.lives += 1
        self.dies_at = None
        name = f"{self.name}.{self.lives}"
        storage = story.storage()
        self.process = story.world.process(
            name,
            config=story.plan.config,
            storage=storage,
            observers=[lambda event: story.observed(name, event)],
            trouble=self._trouble,
        )
        self.process.mailstrom.start("always")
        story.log(name, "begins")
        return self.process

    def _trouble(self, call: str, is_done: bool) -> None:
        now = self._story.world.timeline.now
        if not is_done:
            self._story.log(self.process.name, call)
            self._story.oracle.called(self.process, call)
            if now < self.down_until:
                raise StorageError("the storage is away")
        elif now < self.loses_replies_until:
            raise StorageError("the reply was lost")
        named = "give_back" if call == "give_back_many" else call  # one claim, or all that it has at its end
        if self.dies_at == (named, is_done) and now < self.dies_until:
            self.dies_at = None
            self._story.dies(self)


class Story:
    """One plan, carried out in a world of its own."""

    def __init__(self, plan: Plan, folder: Path) -> None:
        self.plan = plan
        self.world = World(seed=plan.seed)
        self.world.zone = self._zone = WatchedZone(self.world.timeline.time, _running_loop)
        self.log = Log(self.world.timeline.time)
        self._folder = folder
        self._shared: SharedStorage | None = None
        self.cast = Cast(plan, self.world)
        self.oracle = Oracle(plan, self.world.timeline.time, self.cast.servers)
        self.slots: list[Slot] = []

    # --- what processes are made of

    def storage(self) -> SharedStorage:
        """As a new process opens it."""
        now = self.world.timeline.time
        if self.plan.queue == "sqlite":
            return SqliteStorage(
                self._folder / "mail.db",
                durability="normal",
                poll_secs=self.plan.poll_secs,
                lease_clock=now,
                status_retention=timedelta(days=60),
            )
        if self._shared is None or self.plan.queue == "memory":
            self._shared = ExclusiveStorage(MemoryStorage(retention=timedelta(days=60)), lease_clock=now)
            if self.plan.queue == "shared":
                self._shared.durable, self._shared.poll_secs = True, self.plan.poll_secs
        return self._shared

    def observed(self, name: str, event: Event) -> None:
        """An observer of a process was told."""
        self.log(name, f"tells {event}")
        self.oracle.heard(name, event)

    def dies(self, slot: Slot) -> None:
        """In the middle of a storage call: it is cut off now, and buried as soon as that may be."""
        if slot in self._dying:
            return
        self.log(slot.process.name, "dies")
        slot.process.storage.cut()
        slot.process.network.cut()
        self._dying.append(slot)

    # --- the course of it

    def run(self) -> None:
        """All that is planned, then what is left until nothing is to be done; raises what does not hold."""
        self._dying: list[Slot] = []
        self.slots = [Slot(self, number) for number in range(self.plan.processes)]
        what = [(mail.at, self._sender(mail)) for mail in self.plan.mails]
        what += [(act.at, self._actor(act)) for act in self.plan.acts]
        for at, happen in sorted(what, key=lambda pair: pair[0]):
            self._until(at)
            happen()
        self._come_to_rest()
        self._end()
        self.oracle.check_the_end(self.world.processes, self._zone.asks)

    def _until(self, at: float) -> None:
        timeline = self.world.timeline
        while timeline.now < at:
            timeline.block(lambda: bool(self._dying) or self.oracle.is_alarmed, at - timeline.now)
            self._bury()
            self.oracle.look(self.slots)

    def _bury(self) -> None:
        while self._dying:
            slot = self._dying.pop()
            slot.process.kill()
            slot.begin()

    def _sender(self, mail: MailPlan) -> Callable[[], None]:
        return lambda: self._send(mail, self.slots[mail.process])

    def _send(self, mail: MailPlan, slot: Slot) -> None:
        if slot.process.is_frozen:
            return
        now = slot.process.clock.now()
        for _ in range(mail.times):
            try:
                message_id = slot.process.mailstrom.send_email(
                    _email(mail),
                    send_at=_later(now, mail.send_in_secs),
                    expires_at=_later(now, mail.expires_in_secs),
                    idempotency_key=f"mail {mail.number}" if mail.times > 1 else None,
                )
            except MailstromError as error:
                self.log(slot.process.name, f"could not send {mail.number}: {type(error).__name__}")
                self.oracle.refused(mail)
            else:
                self.log(slot.process.name, f"sent {mail.number} as {message_id}")
                self.oracle.promised(mail, message_id)
            self._bury()

    def _actor(self, act: Act) -> Callable[[], None]:
        return lambda: self._act(act, self.slots[act.process])

    def _act(self, act: Act, slot: Slot) -> None:
        if slot.process.is_frozen:
            return
        self.log(slot.process.name, f"act: {act.what} {act.number} {act.secs:g}")
        process, asked = slot.process, self.oracle.begins(act)
        with suppress(StorageError):
            getattr(self, f"_{act.what}")(act, slot)
            self.oracle.has_done(asked, process)
        self._bury()

    # --- acts of applications

    def _cancel(self, act: Act, slot: Slot) -> None:
        if (message_id := self.oracle.id_of(act.number)) is not None:
            self.oracle.cancelled(slot.process.mailstrom.cancel(message_id))

    def _hold(self, act: Act, slot: Slot) -> None:
        if (message_id := self.oracle.id_of(act.number)) is not None:
            slot.process.mailstrom.hold(message_id)

    def _release(self, act: Act, slot: Slot) -> None:
        slot.process.mailstrom.release(everything=True)

    def _retry(self, act: Act, slot: Slot) -> None:
        slot.process.mailstrom.retry_now(everything=True)

    def _ask(self, act: Act, slot: Slot) -> None:
        for status in slot.process.mailstrom.query_recent():
            self.oracle.told(status)

    def _pause(self, act: Act, slot: Slot) -> None:
        slot.process.mailstrom.pause()
        self._later(act.secs, partial(_go_on, slot.process))

    # --- what befalls them

    def _cut(self, act: Act, slot: Slot) -> None:
        slot.process.network.reset_all()

    def _jump(self, act: Act, slot: Slot) -> None:
        slot.process.jump(timedelta(seconds=act.secs * (-1) ** act.number))

    def _partition(self, act: Act, slot: Slot) -> None:
        slot.process.network.part()
        self._later(act.secs, slot.process.network.heal)

    def _kill(self, act: Act, slot: Slot) -> None:
        self.dies(slot)

    def _kill_at(self, act: Act, slot: Slot) -> None:
        slot.dies_until = self.world.timeline.now + act.secs
        slot.dies_at = (CALLS[act.number // 2 % len(CALLS)], bool(act.number % 2))

    def _freeze(self, act: Act, slot: Slot) -> None:
        process = slot.process
        process.freeze()
        self._later(act.secs, process.thaw)

    def _outage(self, act: Act, slot: Slot) -> None:
        slot.down_until = self.world.timeline.now + act.secs

    def _lose_replies(self, act: Act, slot: Slot) -> None:
        slot.loses_replies_until = self.world.timeline.now + min(act.secs, 5.0)

    def _close(self, act: Act, slot: Slot) -> None:
        try:
            slot.process.mailstrom.close(timeout=act.secs)
        finally:
            self.dies(slot)

    def _exit(self, act: Act, slot: Slot) -> None:
        slot.process.exit()
        slot.begin()

    def _later(self, secs: float, call: Callable[[], object]) -> None:
        self.world.internet.call_later(secs, call)

    # --- the end

    def _come_to_rest(self) -> None:
        since = self.world.timeline.now
        while not self._is_at_rest():
            assert self.world.timeline.now - since < REST_SECS, "mail is stuck"
            self._until(self.world.timeline.now + LOOK_SECS)

    def _is_at_rest(self) -> bool:
        if any(slot.process.is_frozen for slot in self.slots) or self.world.timeline.now < self._expired_at:
            return False
        try:
            return all(slot.process.storage.is_idle() for slot in self.slots)
        except StorageError:
            return False

    @property
    def _expired_at(self) -> float:
        """By then what is held has ended, unless it is held without an end."""
        mails = self.plan.mails
        return max((mail.at + mail.expires_in_secs for mail in mails if mail.expires_in_secs), default=0.0)

    def _end(self) -> None:
        self._until(self.world.timeline.now + 7200.0)
        self._bury()
        for slot in self.slots:
            assert not slot.process.network.open_transports, "connections are left open"
        first = self.slots[0].process.mailstrom
        for message_id in self.oracle.ids:
            self.oracle.told(first.query_status(message_id))
        self.oracle.events = list(first.events())
        for slot in self.slots:
            slot.process.mailstrom.close()
        self.world.end()


def run(plan: Plan) -> Story:
    """The story of a plan, carried out; raises what does not hold."""
    with ExitStack() as stack:
        place = "/dev/shm" if os.path.isdir("/dev/shm") else None
        story = Story(plan, Path(stack.enter_context(tempfile.TemporaryDirectory(dir=place))))
        gc.disable()  # a story is short: what it leaves behind is looked through once, when it is told
        stack.callback(gc.enable)
        try:
            story.run()
        except Exception as error:
            error.add_note("\n".join(story.log.lines[-40:]))
            error.add_note(f"python -m tests.simulation --seed {plan.seed} --shrink")
            raise
        finally:
            story.world.end()
        return story


def _running_loop() -> str:
    loop = asyncio.get_running_loop()
    return loop.name if isinstance(loop, SideLoop) else ""


def _go_on(process: Process) -> None:
    with suppress(ClosedError):
        if process.is_alive:
            process.mailstrom.start("always")


def _email(mail: MailPlan) -> Email:
    return Email(
        from_="app@sender.example", to=list(mail.to), subject=f"mail {mail.number}", text="." * mail.octets
    )


def _later(now: object, secs: float | None) -> object:
    return None if secs is None else now + timedelta(seconds=secs)  # type: ignore[operator]
