"""`Mailstrom`: the thread-safe front door, and the only place where the parts are put together."""

from __future__ import annotations

import atexit
import logging
import os
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from datetime import datetime
from types import TracebackType
from typing import TYPE_CHECKING, Self

from .abc import InternalMessageStatus, SharedStorage, Storage
from .config import Config
from .engine.announce import cancellations, log_lost
from .engine.door import Door
from .engine.events import Board, Event, EventKind, Observer, Observers
from .engine.local import Outbox
from .engine.thread import StorageThread, run_inline
from .engine.waiting import Awaited, awaited_idle, awaited_message, with_room
from .engine.world import SteadyClock
from .errors import ClosedError, MailstromError, NotRunningError, StorageError
from .message.email import Email
from .net.clock import SystemClock
from .secret import Secret
from .status import MessageStatus, WorkerStatus
from .storage.fork import call_in_forked_child
from .submission import (
    Entry,
    Moment,
    Submission,
    UnsignedDomains,
    entries_for,
    entry_for,
    message_id_of,
    new_id,
    newly_stored,
    submissions_of,
    with_index,
)
from .wiring import config_of, storage_of, system_world

if TYPE_CHECKING:
    from email.message import Message

    from .engine.runtime import Runtime
    from .engine.world import World
    from .message.address import Addresses

DOTS_AT_EXIT_SECS = 10.0
CLOSING = "this Mailstrom is closing: it takes no more mail and is not started again"

_log = logging.getLogger("mailstrom")


class Mailstrom:
    """Sends mail: takes an email, returns its id at once, delivers it on a thread of its own.

    `config`: a `Config`, or a relay URL such as "smtp+starttls://user:pw@mail.example.org"; the
    default delivers to the MX of each domain. `storage`: where the queue rests; the default
    `MemoryStorage` lasts as long as the process. `observers` are called with an `Event` for
    each thing that happens, on a thread of their own.

    Nothing is sent before `start()`. Every method may be called from any thread, and in a forked
    child, which begins with a queue and a worker of its own. Use it as a context manager, or
    call `close()`. After that each method raises `ClosedError`.
    """

    def __init__(
        self,
        config: Config | str | None = None,
        storage: Storage | SharedStorage | None = None,
        *,
        observers: Iterable[Observer] = (),
    ) -> None:
        hidden = Secret(config) if isinstance(config, str) else config
        del config  # a traceback may show the locals of every frame
        self._config = config_of(hidden)
        self._storage = storage_of(storage)
        self._given_observers = tuple(observers)
        self._started = False
        self._start_anew = False  # in a forked child: the parent had started, so shall we
        self._begin_life()
        call_in_forked_child(self._in_child)

    def _begin_life(self) -> None:
        """All that belongs to one process: made anew in a forked child."""
        self._pid = os.getpid()
        self._lock = threading.RLock()
        self._board = Board()
        self._observers = Observers(self._given_observers)
        self._clock = SteadyClock(SystemClock())
        self._wall = SystemClock()
        self._outbox = Outbox()
        self._unsigned = UnsignedDomains()
        self._runtime: Runtime | None = None
        self._storage_thread = StorageThread()
        self._paused = False
        self._door = Door()
        self._closed = False
        self._left: tuple[MessageStatus, ...] = ()

    # --- the worker

    def start(self) -> Self:
        """Starts the worker, or ends a pause; without effect when it is running. Returns self."""
        self._enter_for_work()
        with self._lock:
            self._enter_for_work()  # it may have been closed while we waited
            self._started = True
            self._start_anew = False
            if self._runtime is None:
                self._runtime = self._make_runtime()
                self._runtime.start()
                atexit.register(self._at_exit)
            elif self._paused:
                self._runtime.resume()
            self._paused = False
        return self

    def pause(self) -> None:
        """Takes no new work until `start()`; what is being sent is finished."""
        self._enter_for_work()
        with self._lock:
            self._enter_for_work()
            if self._runtime is None:
                raise NotRunningError("pause() needs a worker: call start() first")
            self._paused = True
            self._runtime.pause()

    def worker_status(self) -> WorkerStatus:
        """What the worker is doing; also after `close`."""
        if self._closed:
            return WorkerStatus.TERMINATED
        self._enter()
        runtime = self._runtime
        return WorkerStatus.NOT_STARTED if runtime is None else runtime.status

    def close(self, timeout: float = 30.0) -> tuple[MessageStatus, ...]:
        """Ends the worker in good order; what is not completed. Again: the same answer.

        With a storage that dies with the process, every queued recipient gets its first try
        within `timeout` seconds, and what is left is logged with count and ids. With a
        durable one nothing new is begun.
        """
        return self._close(timeout, drain=not self._storage.durable)

    def die(self) -> None:
        """Ends the worker at once; connections are aborted, and this Mailstrom is closed."""
        self._enter()
        if (runtime := self._runtime) is not None:
            runtime.die()  # before the lock: a close() under way is cut short
        self._door.shut()
        with ExitStack() as without_lock, self._lock:
            if self._closed:
                return
            without_lock.callback(self._end_threads)
            if self._runtime is not runtime and self._runtime is not None:
                self._runtime.die()
            self._leave(count_left=not self._storage.durable)

    def __enter__(self) -> Self:
        self._enter()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self._closed:
            self._close(30.0, drain=kind is None and not self._storage.durable)

    # --- sending

    def send_email(
        self,
        email: Email | Message | bytes,
        *,
        recipients: Addresses | None = None,
        return_path: str | None = None,
        send_at: datetime | None = None,
        expires_at: datetime | None = None,
        idempotency_key: str | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> str:
        """The message id, as soon as the email is checked and stored; never waits for DNS or SMTP.

        `recipients` and `return_path` override the envelope (`return_path=""`: the null
        reverse-path). `send_at`, `expires_at`: aware datetimes. The same `idempotency_key`
        returns the first id and sends nothing. `metadata` comes back in the status.

        Raises `MessageError` (names the field), `DuplicateMessage`, `IdempotencyConflict`,
        `QueueFull`, `StorageError`, `ClosedError`; `NotRunningError` when the worker has crashed.
        """
        submission = Submission(
            email,
            recipients=recipients,
            return_path=return_path,
            send_at=send_at,
            expires_at=expires_at,
            idempotency_key=idempotency_key,
            metadata=metadata,
        )
        self._enter()
        moment = Moment(wall=self._wall.now(), steady=self._clock.now())
        return self._store([entry_for(submission, self._config, moment, new_id(), self._unsigned)])[0]

    def send_emails(self, emails: Iterable[Email | Message | bytes | Submission]) -> list[str]:
        """The ids, in the same order; all are stored, or none: the error names the index."""
        self._enter()
        submissions = submissions_of(emails)
        moment = Moment(wall=self._wall.now(), steady=self._clock.now())
        entries = entries_for(submissions, self._config, moment, iter(new_id, None), self._unsigned)
        try:
            return self._store(entries) if entries else []
        except MailstromError as error:
            raise (error if error.index is None else with_index(error, error.index)) from error.__cause__

    def _store(self, entries: Sequence[Entry]) -> list[str]:
        if self.worker_status() is WorkerStatus.CRASHED:
            raise NotRunningError("the worker crashed too often: see the log, and make a new Mailstrom")
        accepting = self._observers.accepting([email.message_id for email, _ in entries])
        with self._door.within() as is_open, accepting:
            if not is_open:
                raise ClosedError(CLOSING)
            wait_secs, is_shut = self._config.queue_full_wait_secs, lambda: self._door.is_shut
            ids = with_room(lambda: self._storage.store(entries), self._board, wait_secs, is_shut)
            if self._closed and not self._storage.durable:
                raise ClosedError("this Mailstrom was closed in the meantime: the mail was not taken")
            if self._given_observers:
                for message_id in newly_stored(entries, ids, self._storage):
                    now, kind = self._clock.now(), EventKind.ACCEPTED
                    self._observers.tell(Event(kind=kind, at=now, message_id=message_id))
        if (runtime := self._runtime) is not None:
            runtime.wake()
        return ids

    # --- asking

    def query_status(self, message_id: str) -> MessageStatus:
        """How it stands with a message now; raises `MessageNotFound`. `<id>` is understood too."""
        self._enter()
        return self._storage.retrieve_status(message_id_of(message_id)).public()

    def query_recent(self) -> list[MessageStatus]:
        """Every message with work left, and those completed since the last such call."""
        self._enter()
        return [status.public() for status in self._storage.retrieve_all_recent()]

    def wait(self, message_id: str, timeout: float | None = None) -> MessageStatus:
        """The status once every recipient is completed, or as it is after `timeout` seconds.

        Raises `NotRunningError` when nobody can deliver: call `start()`. `close` wakes it.
        """
        return self._awaited_message(message_id).wait(timeout).public()

    def drain(self, timeout: float | None = None) -> bool:
        """Waits until everything queued is completed (or held); False at the timeout."""
        return self._awaited_idle().wait(timeout)

    def cancel(self, message_id: str) -> MessageStatus:
        """Stops trying: what is not completed fails with `Cause.CANCELLED`.

        A recipient that is being sent to at this moment keeps what comes of that.
        """
        self._enter()
        message_id = message_id_of(message_id)
        before = self._storage.retrieve_status(message_id)
        after = self._storage.cancel(message_id, self._clock.now())
        for event in cancellations(before, after, self._clock.now()):
            self._observers.tell(event)
        self._board.changed(message_id)
        return after.public()

    @property
    def outbox(self) -> Outbox:
        """What mode="capture" kept instead of sending it."""
        return self._outbox

    # --- inside

    def _enter(self) -> None:
        """At the door of every method: open, and in the process it was made for."""
        if self._pid != os.getpid():
            self._in_child()  # forked by something that does not tell Python
        if self._closed:
            raise ClosedError("this Mailstrom is closed: make a new one")
        if self._start_anew:
            self._restart_in_child()

    def _enter_for_work(self) -> None:
        """At the door of what makes sense only until `close` begins."""
        self._enter()
        if self._door.is_shut:
            raise ClosedError(CLOSING)

    def _in_child(self) -> None:
        """First thing in a forked child, before it can have threads; the worker starts when it is needed."""
        # The parent's loop, sockets and locks are only kept, never touched: its worker uses them.
        self._inherited = (self._runtime, self._storage_thread, self._lock, self._board, self._observers)
        was_closed = self._closed
        self._begin_life()
        self._closed = was_closed
        self._start_anew = self._started and not was_closed

    def _restart_in_child(self) -> None:
        with self._lock:
            if self._start_anew:
                self._start_anew = False
                self.start()

    def _make_runtime(self) -> Runtime:
        from .engine.carriers import carrier_maker  # the worker's parts are loaded when it starts
        from .engine.runtime import Runtime

        return Runtime(
            self._config,
            self._storage,
            self._make_world,
            carrier_maker(self._outbox),
            owner=f"{os.getpid()}-{new_id()[:8]}",
            tell=self._observers.tell,
            now=self._clock.now,
            changed=self._board.changed,
            ended=self._board.wake_all,
        )

    def _make_world(self) -> World:
        run = run_inline if self._storage.never_blocks else self._storage_thread.run
        return system_world(self._config, self._clock, run)

    def _awaited_message(self, message_id: str) -> Awaited[InternalMessageStatus]:
        self._enter()
        return awaited_message(self._storage, self._board, message_id_of(message_id), self._is_vain)

    def _awaited_idle(self) -> Awaited[bool]:
        self._enter()
        return awaited_idle(self._storage, self._board, self._is_vain)

    def _is_vain(self) -> bool:
        """Whether waiting has no more sense: closed. Raises when nobody delivers."""
        if self._closed:
            return True
        status = self.worker_status()
        if status is WorkerStatus.CRASHED:
            raise NotRunningError("the worker crashed too often and stays down: see the log")
        if status is WorkerStatus.NOT_STARTED and not self._storage.durable:
            raise NotRunningError("nobody delivers: call start() before waiting")
        return False

    def _close(self, timeout: float, *, drain: bool) -> tuple[MessageStatus, ...]:
        timeout = float(timeout)  # a TypeError now, before anything is closed
        if self._pid != os.getpid():
            self._in_child()
        self._start_anew = False
        deadline = time.monotonic() + timeout
        self._door.shut()
        self._board.wake_all()  # who waits for room waits in vain
        with ExitStack() as without_lock, self._lock:
            if self._closed:
                return self._left
            without_lock.callback(self._end_threads)
            self._door.wait_until_empty(timeout)
            if self._runtime is not None:
                self._runtime.finish(take_due=drain, timeout=max(deadline - time.monotonic(), 0.0))
            self._leave(count_left=True)
        return self._left

    def _leave(self, *, count_left: bool) -> None:
        self._closed = True  # from here on nothing is taken that would not be found left
        try:
            self._left = self._incomplete() if count_left else ()
        finally:
            self._board.wake_all()
            atexit.unregister(self._at_exit)
        if not self._storage.durable:
            log_lost(self._left)

    def _incomplete(self) -> tuple[MessageStatus, ...]:
        return tuple(status.public() for status in self._storage.retrieve_all_incomplete())

    def _end_threads(self) -> None:
        """Called without the lock: an observer may be about to close this Mailstrom too."""
        self._observers.close(5.0)
        self._storage_thread.close(5.0)
        self._storage.close()

    def _at_exit(self) -> None:
        """The interpreter ends: no new work, wait for the replies to final dots, tell what is lost."""
        if self._pid != os.getpid() or self._closed or self._runtime is None:
            return
        self._runtime.drain_dots(DOTS_AT_EXIT_SECS)
        self._closed = True
        try:
            self._left = () if self._storage.durable else self._incomplete()
        except StorageError as error:
            _log.warning("what is lost with this process cannot be told: %s", error)
        log_lost(self._left)
