"""One Mailstrom's life in one process: made, started, closed; a forked child begins another."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING

from .abc import InternalMessageStatus, Order, Selection, SharedStorage
from .config import Config
from .engine.announce import log_lost
from .engine.door import Door
from .engine.events import Board, Observer, Observers
from .engine.local import Outbox
from .engine.platform import Platform
from .engine.steering import Steering
from .engine.tenure import Role, Tenure
from .engine.thread import StorageThread
from .engine.waiting import Awaited, awaited_idle, awaited_message
from .engine.world import SteadyClock
from .errors import ClosedError, NotRunningError, StorageError
from .intake import CLOSING, Intake
from .status import MessageStatus, WorkerStatus
from .submission import Entry
from .wiring import warn_of_prefork

if TYPE_CHECKING:
    from .engine.runtime import Runtime

DOTS_AT_EXIT_SECS = 10.0
THREAD_END_SECS = 5.0
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
        self.clock = SteadyClock(platform.clock)
        self.board = Board()
        self.observers = Observers(observers, platform)
        self.outbox = Outbox()
        self.storage_thread = StorageThread(platform.calls("mailstrom-storage"))
        self.is_closed: bool = inherited is not None and inherited.is_closed
        self._inherited = inherited
        self._arguments = (config, storage, observers, make_runtime, platform)
        self._platform = platform
        self._storage = storage
        self._lock = threading.RLock()
        self._door = Door()
        self._tenure = Tenure(platform, make_runtime, storage.identity)
        self._role: Role | None = None
        self._role_in_parent = None if inherited is None else inherited._role
        self._left: tuple[MessageStatus, ...] = ()
        self._steering = Steering(storage, self.clock.now, self.observers.tell, self.board.changed)
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
        if self._role_in_parent is not None:
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
            self._begin(role)
            self._role_in_parent = None

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
        ids = self.intake.store(entries)
        self._tenure.wake()
        return ids

    def order(self, order: Order, selection: Selection) -> MessageStatus | int:
        """As `Steering.carry_out`; what it makes due is tried at once."""
        found = self._steering.carry_out(order, selection)
        self._tenure.wake()
        return found

    def awaited_message(self, message_id: str) -> Awaited[InternalMessageStatus]:
        """A message, until nothing of it is left to do."""
        self.enter()
        return awaited_message(self._storage, self.board, message_id, self._is_vain, self._platform)

    def awaited_idle(self) -> Awaited[bool]:
        """The whole queue, until nothing is left to try."""
        self.enter()
        return awaited_idle(self._storage, self.board, self._is_vain, self._platform)

    def worker_ended(self) -> None:
        """An engine has come to its end."""
        self._tenure.ended()
        self.board.wake_all()

    def close(self, timeout: float, *, drain: bool) -> tuple[MessageStatus, ...]:
        """Ends the worker in good order; what is not completed. Again: the same answer."""
        self._role_in_parent = None
        deadline = self._platform.clock.monotonic() + timeout
        self._door.shut()
        self.board.wake_all()  # who waits for room waits in vain
        with ExitStack() as without_lock, self._lock:
            if self.is_closed:
                return self._left
            without_lock.callback(self._end_threads)
            self._door.wait_until_empty(timeout)
            self._tenure.finish(take_due=drain, timeout=max(deadline - self._platform.clock.monotonic(), 0.0))
            self._leave(count_left=True)
        return self._left

    def die(self) -> None:
        """Ends the worker at once; connections are aborted."""
        self.enter()
        self._tenure.die()  # before the lock: a close() under way is cut short
        self._door.shut()
        with ExitStack() as without_lock, self._lock:
            if self.is_closed:
                return
            without_lock.callback(self._end_threads)
            self._tenure.die()  # it may have begun since
            self._leave(count_left=not self._storage.durable)

    def _check_open(self) -> None:
        if self.is_closed:
            raise ClosedError("this Mailstrom is closed: make a new one")

    def _check_door(self) -> None:
        if self._door.is_shut:
            raise ClosedError(CLOSING)

    def _is_vain(self) -> bool:
        """Whether waiting has no more sense: closed. Raises when nobody delivers."""
        if self.is_closed:
            return True
        if self.status is WorkerStatus.CRASHED:
            raise NotRunningError("the worker crashed too often and stays down: see the log")
        if self.status is WorkerStatus.NOT_STARTED and not self._storage.durable:
            raise NotRunningError("nobody delivers: call start() before waiting")
        return False

    def _begin(self, role: Role) -> None:
        if self._role is None:
            warn_of_prefork(self._storage)
            self._platform.at_exit(self._at_exit)
        self._role = role
        self._tenure.begin(role)

    def _begin_as_in_parent(self) -> None:
        with self._lock:
            if self._role_in_parent is not None:
                self._begin(self._role_in_parent)
                self._role_in_parent = None

    def _leave(self, *, count_left: bool) -> None:
        self.is_closed = True  # from here on nothing is taken that would not be found left
        try:
            self._left = self._incomplete() if count_left else ()
        finally:
            self.board.wake_all()
            self._platform.not_at_exit(self._at_exit)
        if not self._storage.durable:
            log_lost(self._left)

    def _incomplete(self) -> tuple[MessageStatus, ...]:
        limit = LEFT_LISTED if self._storage.durable else None
        return tuple(status.public() for status in self._storage.retrieve_all_incomplete(limit=limit))

    def _end_threads(self) -> None:
        """Called without the lock: an observer may be about to close this Mailstrom too."""
        self.observers.close(THREAD_END_SECS)
        self.storage_thread.close(THREAD_END_SECS)
        self._storage.close()

    def _at_exit(self) -> None:
        """The interpreter ends: no new work, wait for the replies to final dots, tell what is lost."""
        if self.pid != os.getpid() or self.is_closed:
            return
        self._tenure.drain_dots(DOTS_AT_EXIT_SECS)
        self.is_closed = True
        try:
            self._left = () if self._storage.durable else self._incomplete()
        except StorageError as error:
            _log.warning("what is lost with this process cannot be told: %s", error)
        log_lost(self._left)
