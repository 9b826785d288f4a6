"""One Mailstrom's life in one process: made, started, closed; a forked child begins another."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING

from .abc import InternalMessageStatus, InternalRecipientStatus, Order, Selection, SharedStorage
from .config import Config
from .engine.announce import log_lost
from .engine.door import Door
from .engine.events import Board, Observer, Observers
from .engine.local import Outbox
from .engine.platform import Platform
from .engine.shared_clock import queue_clock
from .engine.steering import Steering
from .engine.tenure import Role, Tenure, Wish
from .engine.thread import StorageThread
from .engine.waiting import GRACE_SECS, Awaited, answer_within, awaited_idle, awaited_message
from .errors import ClosedError, NotRunningError, StorageError
from .explanation import Explanation, explained
from .intake import CLOSING, Intake
from .status import MessageStatus, WorkerStatus, printable
from .submission import Entry
from .wiring import load_worker, warn_of_prefork

if TYPE_CHECKING:
    from .engine.runtime import Runtime
    from .plan import Plan

DOTS_AT_EXIT_SECS = 10.0
THREAD_END_SECS = 5.0
PATIENCE_SECS = 5.0  # of who waits where nothing was started, before the log is told
LEFT_LISTED = 1000  # messages that close() lists of a queue that goes on without us

_log = logging.getLogger("mailstrom")


class Life:
    """All that belongs to one process, and the order in which it begins and ends. Any thread.

    `make_runtime` makes the worker when it is to begin. `inherited` is the life that a forked
    child found: its loop, sockets and locks are kept, and never touched, for the parent uses them.
    """

    def __init__(
        self,
        config: Config,
        storage: SharedStorage,
        observers: Sequence[Observer],
        make_runtime: Callable[[], Runtime],
        platform: Platform,
        *,
        inherited: Life | None = None,
    ) -> None:
        self.pid = os.getpid()
        self.clock = queue_clock(platform.clock, storage)
        self.board = Board()
        self.observers = Observers(observers, platform)
        self.outbox = Outbox()
        self._storage_calls = platform.calls("mailstrom-storage")
        self.storage_thread = StorageThread(self._storage_calls)
        self.is_closed: bool = inherited is not None and inherited.is_closed
        self._inherited = inherited
        self._arguments = (config, storage, observers, make_runtime, platform)
        self._config = config
        self._platform = platform
        self._storage = storage
        self._lock = threading.RLock()
        self._door = Door()  # of those who store
        self._waiting = Door()  # of those who wait: they look once more before the storage is closed
        self._is_to_exit = False  # the end of the process is told to us
        self._has_warned = False
        wish = Wish() if inherited is None else inherited._tenure.wish
        self._tenure: Tenure = Tenure(platform, make_runtime, storage.identity, inherited=wish)
        self._left: tuple[MessageStatus, ...] = ()
        self._steering = Steering(storage, self.clock.now, self.observers.teller, self._ordered)
        self.intake = Intake(
            config,
            storage,
            platform=platform,
            steady=self.clock,
            door=self._door,
            board=self.board,
            observers=self.observers,
            is_lost=lambda: self.is_closed and not storage.durable,
        )

    def in_child(self) -> Life:
        """The life of a forked child, first thing there; its worker starts when it is needed."""
        self._tenure.leave_to_parent()
        return Life(*self._arguments, inherited=self)

    def enter(self) -> None:
        """At the door of every method: raises `ClosedError` when it is over."""
        self._check_open()
        if self._tenure.is_to_begin:
            self._begin_as_in_parent()

    def enter_for_work(self) -> None:
        """At the door of what makes sense only until `close` begins."""
        self.enter()
        self._check_door()

    @property
    def status(self) -> WorkerStatus:
        """What the worker is doing."""
        return self._tenure.status

    def start(self, role: Role) -> None:
        """Begins the worker as its role says, or ends a pause."""
        self._check_open()
        self._check_door()
        with self._lock:
            self._check_open()  # it may have been closed while we waited
            self._check_door()
            self._begin(Wish(role=role))

    def pause(self) -> None:
        """Takes no new work until `start`."""
        self.enter_for_work()
        with self._lock:
            self.enter_for_work()
            self._tenure.pause()

    def store(self, entries: Sequence[Entry]) -> list[str]:
        """Stores all or none, and wakes the worker."""
        if self.status is WorkerStatus.CRASHED:
            raise NotRunningError("the worker crashed too often: see the log, and make a new Mailstrom")
        if not self._storage.durable:
            self._note_exit()  # what nobody delivers is lost then
        ids = self.intake.store(entries)
        self._tenure.wake()
        return ids

    def order(self, order: Order, selection: Selection) -> MessageStatus | int:
        """As `Steering.carry_out`; what it makes due is tried at once."""
        found = self._steering.carry_out(order, selection)
        self._tenure.wake()
        return found

    def plan(self, recipients: Sequence[InternalRecipientStatus], timeout_secs: float) -> Plan:
        """Where their mail would go now."""
        load_worker(self._config)  # before there is a thread that would do it under a fork
        from .planning import make_plan

        return make_plan(self._config, recipients, self._platform, self.clock, timeout_secs)

    def explain(self, message_id: str) -> Explanation:
        """What holds each recipient of this message now."""
        # in this order: whose claim ends meanwhile is seen with what came of it
        trying = self._storage.being_tried(message_id)
        status = self._storage.retrieve_status(message_id)
        gates = self._tenure.gates(message_id, {recipient.route_key for recipient in status.recipients})
        return explained(status, trying, gates, self.clock.now())

    def awaited_message(self, message_id: str) -> Awaited[InternalMessageStatus]:
        """A message, until nothing of it is left to do."""
        self.enter()
        vain = partial(self._is_vain, self._platform.clock.monotonic())
        return awaited_message(self._storage, self.board, message_id, vain, self._platform, self._waiting)

    def awaited_idle(self) -> Awaited[bool]:
        """The whole queue, until nothing is left to try."""
        self.enter()
        vain = partial(self._is_vain, self._platform.clock.monotonic())
        return awaited_idle(self._storage, self.board, vain, self._platform, self._waiting)

    def _ordered(self, message_id: str) -> None:
        self.board.changed(message_id)
        self.board.at_rest()

    def worker_ended(self) -> None:
        """An engine has come to its end."""
        self._tenure.ended()
        self.board.wake_all()

    def close(self, timeout: float, *, drain: bool) -> tuple[MessageStatus, ...]:
        """Ends the worker in good order; what is not completed. Again: the same answer."""
        deadline = self._platform.clock.monotonic() + timeout
        self._door.shut()
        self.board.wake_all()  # who waits for room waits in vain
        with ExitStack() as without_lock, self._lock:
            if self.is_closed:
                return self._left
            without_lock.callback(self._end_threads, deadline)
            self._door.wait_until_empty(timeout)
            self._tenure.finish(take_due=drain, timeout=self._until(deadline))
            self._leave(deadline, count_left=True)
        return self._left

    def die(self) -> None:
        """Ends the worker at once; connections are aborted."""
        self._check_open()
        now = self._platform.clock.monotonic()
        self._tenure.die()  # before the lock: a close() under way is cut short
        self._door.shut()
        with ExitStack() as without_lock, self._lock:
            if self.is_closed:
                return
            without_lock.callback(self._end_threads, now)
            self._tenure.die()  # it may have begun since
            self._leave(now, count_left=not self._storage.durable)

    def _check_open(self) -> None:
        if self.is_closed:
            raise ClosedError("this Mailstrom is closed: make a new one")

    def _check_door(self) -> None:
        if self._door.is_shut:
            raise ClosedError(CLOSING)

    def _until(self, deadline: float) -> float:
        return max(deadline - self._platform.clock.monotonic(), 0.0)

    def _is_vain(self, since: float) -> bool:
        """Whether waiting has no more sense: closed. Raises when nobody delivers."""
        if self.is_closed:
            return True
        if self.status is WorkerStatus.CRASHED:
            raise NotRunningError("the worker crashed too often and stays down: see the log")
        if self.status is WorkerStatus.NOT_STARTED:
            if not self._storage.durable:
                raise NotRunningError("nobody delivers: call start() before waiting")
            if self._platform.clock.monotonic() - since >= PATIENCE_SECS:
                self._warn_of_no_worker()
        return False

    def _warn_of_no_worker(self) -> None:
        if not self._has_warned:
            self._has_warned = True
            _log.warning("who waits here waits for another process to deliver: in this one, call start()")

    def _begin(self, wish: Wish) -> None:
        is_first = not self._tenure.has_begun
        if wish.role != "never":
            load_worker(self._config)  # before there is a thread that would do it under a fork
        self._tenure.begin(wish)
        self._note_exit()
        if is_first:
            warn_of_prefork(self._storage)

    def _note_exit(self) -> None:
        if not self._is_to_exit:
            self._is_to_exit = True
            self._platform.at_exit(self._at_exit)

    def _begin_as_in_parent(self) -> None:
        if self._door.is_shut:
            return
        with self._lock:
            if self._tenure.is_to_begin and not self._door.is_shut:
                self._begin(self._tenure.wish)

    def _leave(self, deadline: float, *, count_left: bool) -> None:
        self.is_closed = True  # from here on nothing is taken that would not be found left
        try:
            self._left = self._incomplete(deadline) if count_left else ()
        finally:
            self.board.wake_all()
            self._platform.not_at_exit(self._at_exit)
        if not self._storage.durable:
            log_lost(self._left)

    def _incomplete(self, deadline: float) -> tuple[MessageStatus, ...]:
        """None of them where the storage fails now: that stands in the log, and stops no end."""
        secs = max(self._until(deadline), GRACE_SECS)
        try:
            if self._storage.never_blocks:
                return self._listed()
            return answer_within(secs, self._listed, self._storage_calls, self._platform)
        except (StorageError, ClosedError) as error:
            _log.warning("what is left in the queue cannot be listed: %s", printable(str(error)))
            return ()

    def _listed(self) -> tuple[MessageStatus, ...]:
        limit = LEFT_LISTED if self._storage.durable else None
        return tuple(status.public() for status in self._storage.retrieve_all_incomplete(limit=limit))

    def _end_threads(self, deadline: float) -> None:
        """Called without the lock: an observer may be about to close this Mailstrom too."""
        self.observers.close(THREAD_END_SECS)
        self.storage_thread.close(max(min(self._until(deadline), THREAD_END_SECS), GRACE_SECS))
        self._waiting.shut()
        self._waiting.wait_until_empty(GRACE_SECS)
        self._storage.close()

    def _at_exit(self) -> None:
        """The interpreter ends: no new work, wait for the replies to final dots, tell what is lost."""
        if self.pid != os.getpid() or self.is_closed:
            return
        deadline = self._platform.clock.monotonic() + DOTS_AT_EXIT_SECS
        self._tenure.drain_dots(DOTS_AT_EXIT_SECS)
        self.is_closed = True
        self._left = () if self._storage.durable else self._incomplete(deadline)
        log_lost(self._left)
