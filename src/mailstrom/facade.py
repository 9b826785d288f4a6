"""`Mailstrom`: the thread-safe front door; what stands behind it is put together here."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from types import TracebackType
from typing import TYPE_CHECKING, Self, Unpack, overload

from .abc import AsyncBinding, Event, Order, Overview, SharedStorage, Storage
from .config import Config
from .engine.events import Observer, checked_observers
from .engine.local import Outbox
from .engine.platform import Platform
from .engine.tenure import Role, checked_role
from .engine.thread import run_inline
from .engine.waiting import stored
from .intake import naming_the_index
from .life import Life
from .message.email import Email
from .secret import Secret
from .selection import Chosen, address_of, selection_of
from .status import MessageStatus, WorkerStatus
from .storage.fork import call_in_forked_child
from .submission import (
    Entry,
    Submission,
    cursor_of,
    message_id_of,
    timeout_secs,
    timeout_secs_or_none,
)
from .wiring import SystemPlatform, config_of, storage_of

if TYPE_CHECKING:
    from email.message import Message

    from .engine.runtime import Runtime
    from .explanation import Explanation
    from .message.address import Addresses
    from .plan import Plan
    from .records import Priority

EVENTS_AT_ONCE = 1000  # that a storage is asked for


class Mailstrom:
    """Sends mail: takes an email, returns its id at once, delivers it on a thread of its own.

    `config`: a `Config`, or a relay URL such as "smtp+starttls://user:pw@mail.example.org"; the
    default delivers to the MX of each domain. `storage`: where the queue rests, a storage or a URL
    such as "sqlite:///mail.db"; default `Config.storage`, else a `MemoryStorage`, which ends with
    the process. It belongs to this Mailstrom, which closes it: give each one its own, two of them may
    lead to the same queue. `observers` are called with an `Event` for each thing, on a thread of their own.

    Nothing is sent before `start()`. Every method may be called from any thread, and in a forked
    child, which has a worker of its own, and with `MemoryStorage` a queue of its own. Use it as a
    context manager, or call `close()`. After that each method raises `ClosedError`.
    """

    _platform: Platform = SystemPlatform()

    def __init__(
        self,
        config: Config | str | None = None,
        storage: Storage | SharedStorage | str | Secret | None = None,
        *,
        observers: Iterable[Observer] = (),
    ) -> None:
        hidden = Secret(config) if isinstance(config, str) else config
        place = Secret(storage) if isinstance(storage, str) else storage
        del config, storage  # a traceback may show the locals of every frame
        self._config = config_of(hidden)
        self._storage = storage_of(self._config.storage if place is None else place)
        told = checked_observers(observers)
        self._life = Life(self._config, self._storage, told, self._make_runtime, self._platform)
        call_in_forked_child(self._in_child)

    # --- the worker

    def start(self, role: Role = "auto") -> Self:
        """Starts the worker, or ends a pause; without effect when it is running. Returns self.

        Where other processes may deliver from the same storage, "auto" runs one worker per host:
        this one, or the next when that ends; "always" runs one whoever else does; "never" leaves
        delivery to others. Raises `NotRunningError` where the system has no thread to give:
        nothing is lost then, call it again.
        """
        checked_role(role)
        self._here().start(role)
        return self

    def pause(self) -> None:
        """Takes no new work until `start()`; what is being sent is finished."""
        self._here().pause()

    def worker_status(self) -> WorkerStatus:
        """What the worker is doing; also after `close`."""
        life = self._here()
        return WorkerStatus.TERMINATED if life.is_closed else self._open().status

    def close(self, timeout: float = 30.0) -> tuple[MessageStatus, ...]:
        """Ends the worker in good order; what is not completed. Again: the same answer.

        With a storage that dies with the process, every queued recipient gets its first try
        within `timeout` seconds, and what is left is logged with count and ids. With a
        durable one nothing new is begun, and the answer holds the 1000 oldest at most. A storage
        that does not answer adds ten seconds at most, and what is left is then not listed.
        """
        return self._here().close(timeout_secs(timeout), drain=not self._storage.durable)

    def die(self) -> None:
        """Ends the worker at once; connections are aborted, and this Mailstrom is closed."""
        self._here().die()

    def __enter__(self) -> Self:
        self._open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not (life := self._here()).is_closed:
            life.close(30.0, drain=kind is None and not self._storage.durable)

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
        stream: str | None = None,
        priority: Priority | None = None,
        connection: object | None = None,
    ) -> str:
        """The message id, as soon as the email is checked and stored; never waits for DNS or SMTP.

        `recipients` and `return_path` override the envelope (`return_path=""`: the null
        reverse-path). `send_at`, `expires_at`: aware datetimes. The same `idempotency_key`
        returns the first id and sends nothing. `metadata` comes back in the status.

        For one destination, mail of higher `priority` ("high", "normal", "low") goes first, but others are
        never kept from their turns; within one, each `stream` (a name of yours; else the reverse-path) has
        its turn, however much waits in another. `Email.bulk()` is "low" by itself.

        `connection`: store it in the transaction that this connection of yours is in, beside your
        own rows; it is sent if that commits. Observers are not told of its acceptance.

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
            stream=stream,
            priority=priority,
        )
        return self._send(submission, connection)

    def send_emails(
        self, emails: Iterable[Email | Message | bytes | Submission], *, connection: object | None = None
    ) -> list[str]:
        """The ids, in the same order; all are stored, or none: the error names the index."""
        entries = self._entries(emails)
        with naming_the_index():
            return self._store(entries, connection) if entries else []

    # --- asking

    def plan(self, email: Email | Message | bytes | Addresses, *, timeout: float = 30.0) -> Plan:
        """Where an email, or mail to these addresses, would go now: hosts, addresses, TLS, lane.

        Asks the DNS, by the rules of delivery, and connects to no mail host; stores nothing. It needs no
        worker and takes `timeout` seconds at most: what is not known then is told as such. A `str` holds
        addresses, `bytes` are a finished message.

        Raises `MessageError` as `send_email` does, `ClosedError`, `NotRunningError` where the system has
        no thread for it, and a `MailstromError` where no name server is known.
        """
        secs, life = timeout_secs(timeout), self._open()
        return life.plan(life.intake.recipients(email), secs)

    def query_status(self, message_id: str) -> MessageStatus:
        """How it stands with a message now; raises `MessageNotFound`. `<id>` is understood too."""
        self._open()
        return self._storage.retrieve_status(message_id_of(message_id)).public()

    def explain(self, message_id: str) -> Explanation:
        """Which gate holds each recipient of a message now, until when, and why; `MessageNotFound`.

        What only a worker's own process knows (limits, lanes, a pause) is told of this one's worker.
        Asks that worker's thread, and waits for its answer for 2 seconds at most.
        """
        return self._open().explain(message_id_of(message_id))

    def query_recent(self) -> list[MessageStatus]:
        """Every message with work left, and those completed since the last such call."""
        self._open()
        return [status.public() for status in self._storage.retrieve_all_recent()]

    def wait(self, message_id: str, timeout: float | None = None) -> MessageStatus:
        """The status once every recipient is completed, or as it is after `timeout` seconds.

        Raises `NotRunningError` when nobody can deliver: call `start()`. With a durable storage
        another process may: then it waits, and after a few seconds the log says so. `close` wakes it.

        A storage that fails is asked again until `timeout`; only if it still fails then, or never
        answered, that is raised, as `StorageError`. Without `timeout` it is raised at once.
        """
        secs = timeout_secs_or_none(timeout)
        return self._here().awaited_message(message_id_of(message_id)).wait(secs).public()

    def drain(self, timeout: float | None = None) -> bool:
        """Waits until everything queued is completed (or held); False at the timeout.

        Raises as `wait` does.
        """
        return self._here().awaited_idle().wait(timeout_secs_or_none(timeout))

    def events(self, after: int | None = None) -> Iterator[Event]:
        """What has become of messages, in order, until now: from the oldest kept, or behind a cursor.

        Go on later behind the `cursor` of the last event you have seen. An event comes at least
        once, in whichever process it arose.
        """
        return self._told(cursor_of(after), self._open().clock.now())

    def overview(self) -> Overview:
        """How full the queue is, by destination and state, and whether it moves."""
        return self._storage.overview(self._open().clock.now())

    @property
    def outbox(self) -> Outbox:
        """What mode="capture" kept instead of sending it."""
        return self._here().outbox

    # --- steering
    # each takes a message id, and returns its status; or what chooses recipients (see `Chosen`), and
    # returns how many they were

    @overload
    def cancel(self, message_id: str, **chosen: Unpack[Chosen]) -> MessageStatus: ...
    @overload
    def cancel(self, message_id: None = None, **chosen: Unpack[Chosen]) -> int: ...
    def cancel(self, message_id: str | None = None, **chosen: Unpack[Chosen]) -> MessageStatus | int:
        """Stops trying: what is not completed fails with `Cause.CANCELLED`.

        Nothing is sent to them any more, but for whom the last octet of the content is on its way.
        """
        return self._order(Order.CANCEL, message_id, chosen)

    @overload
    def hold(self, message_id: str, **chosen: Unpack[Chosen]) -> MessageStatus: ...
    @overload
    def hold(self, message_id: None = None, **chosen: Unpack[Chosen]) -> int: ...
    def hold(self, message_id: str | None = None, **chosen: Unpack[Chosen]) -> MessageStatus | int:
        """Keeps what is not completed in the queue without trying it, until `release`."""
        return self._order(Order.HOLD, message_id, chosen)

    @overload
    def release(self, message_id: str, **chosen: Unpack[Chosen]) -> MessageStatus: ...
    @overload
    def release(self, message_id: None = None, **chosen: Unpack[Chosen]) -> int: ...
    def release(self, message_id: str | None = None, **chosen: Unpack[Chosen]) -> MessageStatus | int:
        """Ends a hold: what was held is due now."""
        return self._order(Order.RELEASE, message_id, chosen)

    @overload
    def retry_now(self, message_id: str, **chosen: Unpack[Chosen]) -> MessageStatus: ...
    @overload
    def retry_now(self, message_id: None = None, **chosen: Unpack[Chosen]) -> int: ...
    def retry_now(self, message_id: str | None = None, **chosen: Unpack[Chosen]) -> MessageStatus | int:
        """Makes due now what waits for its next try; what is held stays held."""
        return self._order(Order.RETRY, message_id, chosen)

    def forget(self, address: str) -> int:
        """Erases one person: cancels what waits for the address, erases all of it; how many recipients.

        One that is being sent to at this moment stays: it is completed by that or cancelled
        after it, and then erased by the next call.
        """
        self.cancel(address=address)
        return self._storage.forget(address_of(address), self._open().clock.now())

    # --- inside

    def _here(self) -> Life:
        """The life of this process."""
        if self._life.pid != os.getpid():
            self._in_child()  # forked by something that does not tell Python
        return self._life

    def _open(self) -> Life:
        """The same, while it is not closed."""
        life = self._here()
        life.enter()
        return life

    def _in_child(self) -> None:
        self._life = self._life.in_child()

    def _entries(self, emails: Iterable[Email | Message | bytes | Submission]) -> list[Entry]:
        return self._open().intake.entries(emails)

    def _send(self, submission: Submission, connection: object | None = None) -> str:
        return self._store([self._open().intake.entry(submission)], connection)[0]

    def _store(self, entries: Sequence[Entry], connection: object | None) -> list[str]:
        if connection is None:
            life = self._open()
            room = life.intake.awaited_room(lambda: life.store(entries))
            return stored(room.wait(self._config.queue_full_wait_secs))
        self._here().enter_for_work()
        return self._storage.bind(connection).store(entries)

    def _bound_async(self, connection: object) -> AsyncBinding:
        self._here().enter_for_work()
        return self._storage.bind_async(connection)

    def _order(self, order: Order, message_id: str | None, chosen: Chosen) -> MessageStatus | int:
        return self._open().order(order, selection_of(message_id, chosen))

    def _told(self, after: int | None, until: datetime) -> Iterator[Event]:
        goes_on = True
        while goes_on:
            events, goes_on = self._events(after, until)
            yield from events
            after = events[-1].cursor if goes_on else None

    def _events(self, after: int | None, until: datetime) -> tuple[Sequence[Event], bool]:
        """The next events, and whether more of those that arose until then may follow.

        Who sends mail at each event would else be told of that, too, without end.
        """
        self._open()
        events = self._storage.events(after, limit=EVENTS_AT_ONCE)
        return events, len(events) == EVENTS_AT_ONCE and events[-1].at <= until

    def _make_runtime(self) -> Runtime:
        from .engine.carriers import carrier_maker  # the worker's parts are loaded when it starts
        from .engine.runtime import Runtime

        life = self._life
        run_storage = run_inline if self._storage.never_blocks else life.storage_thread.run
        return Runtime(
            self._config,
            self._storage,
            lambda: self._platform.world(self._config, life.clock, run_storage),
            carrier_maker(life.outbox, life.observers.teller),
            platform=self._platform,
            owner=f"{os.getpid()}-{self._platform.new_id()[:8]}",
            tell=life.observers.teller,
            now=life.clock.now,
            board=life.board,
            ended=life.worker_ended,
        )
