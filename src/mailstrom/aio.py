"""`AsyncMailstrom`: the same facade for asyncio callers; the engine behind it is the same.

Nothing here runs in the caller's event loop but the waiting: delivery has a loop of its own.
"""

from __future__ import annotations

from collections.abc import (
    AsyncIterable,
    AsyncIterator,
    Callable,
    Generator,
    Iterable,
    Mapping,
)
from datetime import datetime
from functools import cache
from types import TracebackType
from typing import TYPE_CHECKING, Any, ParamSpec, Self, TypeVar, Unpack, overload

from .abc import Event, Order, Overview, SharedStorage, Storage
from .config import Config
from .engine.crew import Crew
from .engine.events import Observer
from .engine.local import Outbox
from .engine.tenure import Role
from .engine.waiting import stored
from .facade import Mailstrom
from .intake import naming_the_index
from .message.email import Email
from .secret import Secret
from .selection import Chosen
from .status import MessageStatus, WorkerStatus
from .storage.fork import call_in_forked_child
from .submission import (
    Entry,
    Submission,
    cursor_of,
    message_id_of,
    submissions_of,
    timeout_secs_or_none,
)
from .wiring import config_of

if TYPE_CHECKING:
    from email.message import Message

    from .explanation import Explanation
    from .message.address import Addresses
    from .plan import Plan
    from .records import Priority

P = ParamSpec("P")
T = TypeVar("T")

CALLS_AT_ONCE = 16  # of those that may wait for the storage; what more there is waits for a thread
COMPUTING_AT_ONCE = 2  # of those that only compute: more threads would only take turns


class AsyncMailstrom:
    """`Mailstrom` with the same methods, awaited; `async with` closes it.

    `query_recent()` can be awaited for a list or used in `async for`; `send_emails` also takes
    an async iterable. May be used from any task of any event loop.
    """

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
        self._mailstrom = Mailstrom(config_of(hidden), place, observers=observers)
        self._make_crews()
        call_in_forked_child(self._make_crews)

    async def start(self, role: Role = "auto") -> Self:
        """Starts the worker, or ends a pause; returns self. As `Mailstrom.start`."""
        await self._control.run(self._mailstrom.start, role)
        return self

    async def pause(self) -> None:
        """Takes no new work until `start()`."""
        await self._control.run(self._mailstrom.pause)

    async def worker_status(self) -> WorkerStatus:
        """What the worker is doing; also after `close`."""
        return self._mailstrom.worker_status()

    async def close(self, timeout: float = 30.0) -> tuple[MessageStatus, ...]:
        """Ends the worker in good order; what is not completed."""
        return await self._control.run(self._mailstrom.close, timeout)

    async def die(self) -> None:
        """Ends the worker at once."""
        await self._control.run(self._mailstrom.die)

    async def __aenter__(self) -> Self:
        self._mailstrom.__enter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._control.run(self._mailstrom.__exit__, kind, error, trace)

    async def send_email(
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
        """The message id, as soon as the email is checked and stored. As `Mailstrom.send_email`.

        `connection` is one of asyncio, and is used in this event loop.

        Where the waiting is cut short (`asyncio.timeout`, a cancelled task) the email may have been
        stored all the same: give an `idempotency_key`, and a repeat sends it once.
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
        ids = await self._store(lambda: [self._mailstrom._open().intake.entry(submission)], connection)
        return ids[0]

    async def send_emails(
        self,
        emails: Iterable[Email | Message | bytes | Submission]
        | AsyncIterable[Email | Message | bytes | Submission],
        *,
        connection: object | None = None,
    ) -> list[str]:
        """The ids, in the same order; all are stored, or none."""
        listed = [e async for e in emails] if isinstance(emails, AsyncIterable) else emails
        submissions = submissions_of(listed)  # a caller's own iterator stays on the caller's thread
        with naming_the_index():
            return await self._store(lambda: self._mailstrom._entries(submissions), connection)

    async def query_status(self, message_id: str) -> MessageStatus:
        """How it stands with a message now; raises `MessageNotFound`."""
        return await self._look(lambda: self._mailstrom.query_status(message_id))

    async def explain(self, message_id: str) -> Explanation:
        """Which gate holds each recipient of a message now. As `Mailstrom.explain`."""
        return await self._off_loop(self._mailstrom.explain, message_id)

    async def plan(self, email: Email | Message | bytes | Addresses, *, timeout: float = 30.0) -> Plan:
        """Where an email, or mail to these addresses, would go now. As `Mailstrom.plan`."""
        return await self._control.run(self._mailstrom.plan, email, timeout=timeout)

    def query_recent(self) -> Recent:
        """Every message with work left, and those completed since the last such call."""
        return Recent(self)

    async def wait(self, message_id: str, timeout: float | None = None) -> MessageStatus:
        """The status once every recipient is completed, or as it is after `timeout` seconds."""
        secs = timeout_secs_or_none(timeout)
        awaited = self._mailstrom._here().awaited_message(message_id_of(message_id))
        return (await awaited.wait_in_loop(secs, self._look)).public()

    async def drain(self, timeout: float | None = None) -> bool:
        """Waits until everything queued is completed (or held); False at the timeout."""
        secs = timeout_secs_or_none(timeout)
        return await self._mailstrom._here().awaited_idle().wait_in_loop(secs, self._look)

    def events(self, after: int | None = None) -> AsyncIterator[Event]:
        """What has become of messages, in order, until now. As `Mailstrom.events`."""
        return self._told(cursor_of(after), self._mailstrom._open().clock.now())

    async def overview(self) -> Overview:
        """How full the queue is, by destination and state, and whether it moves."""
        return await self._off_loop(self._mailstrom.overview)

    @overload
    async def cancel(self, message_id: str, **chosen: Unpack[Chosen]) -> MessageStatus: ...
    @overload
    async def cancel(self, message_id: None = None, **chosen: Unpack[Chosen]) -> int: ...
    async def cancel(self, message_id: str | None = None, **chosen: Unpack[Chosen]) -> MessageStatus | int:
        """Stops trying: what is not completed fails with `Cause.CANCELLED`."""
        return await self._off_loop(self._mailstrom._order, Order.CANCEL, message_id, chosen)

    @overload
    async def hold(self, message_id: str, **chosen: Unpack[Chosen]) -> MessageStatus: ...
    @overload
    async def hold(self, message_id: None = None, **chosen: Unpack[Chosen]) -> int: ...
    async def hold(self, message_id: str | None = None, **chosen: Unpack[Chosen]) -> MessageStatus | int:
        """Keeps what is not completed in the queue without trying it, until `release`."""
        return await self._off_loop(self._mailstrom._order, Order.HOLD, message_id, chosen)

    @overload
    async def release(self, message_id: str, **chosen: Unpack[Chosen]) -> MessageStatus: ...
    @overload
    async def release(self, message_id: None = None, **chosen: Unpack[Chosen]) -> int: ...
    async def release(self, message_id: str | None = None, **chosen: Unpack[Chosen]) -> MessageStatus | int:
        """Ends a hold: what was held is due now."""
        return await self._off_loop(self._mailstrom._order, Order.RELEASE, message_id, chosen)

    @overload
    async def retry_now(self, message_id: str, **chosen: Unpack[Chosen]) -> MessageStatus: ...
    @overload
    async def retry_now(self, message_id: None = None, **chosen: Unpack[Chosen]) -> int: ...
    async def retry_now(self, message_id: str | None = None, **chosen: Unpack[Chosen]) -> MessageStatus | int:
        """Makes due now what waits for its next try; what is held stays held."""
        return await self._off_loop(self._mailstrom._order, Order.RETRY, message_id, chosen)

    async def forget(self, address: str) -> int:
        """Erases a recipient's address wherever it is completed; how many recipients that were."""
        return await self._off_loop(self._mailstrom.forget, address)

    @property
    def outbox(self) -> Outbox:
        """What mode="capture" kept instead of sending it."""
        return self._mailstrom.outbox

    def _make_crews(self) -> None:
        """At first, and in a forked child: the threads of these belong to the parent."""
        platform, never_blocks = self._mailstrom._platform, self._mailstrom._storage.never_blocks
        at_once = COMPUTING_AT_ONCE if never_blocks else CALLS_AT_ONCE
        self._crew = Crew(platform, "mailstrom-asyncio", at_once)
        self._control = Crew(platform, "mailstrom-control", None)  # nobody waits for one that takes long

    async def _store(self, compose: Callable[[], list[Entry]], connection: object | None) -> list[str]:
        """Composes and stores off the loop: an attachment to encode or a signature takes its time."""
        if connection is not None:
            entries = await self._off_loop(compose)
            return await self._mailstrom._bound_async(connection).store(entries) if entries else []
        composed = cache(compose)  # once, however often the queue is full

        def store() -> list[str]:
            return self._mailstrom._open().store(composed()) if composed() else []

        room = self._mailstrom._here().intake.awaited_room(store)
        wait_secs = self._mailstrom._config.queue_full_wait_secs
        return stored(await room.wait_in_loop(wait_secs, self._off_loop))

    async def _told(self, after: int | None, until: datetime) -> AsyncIterator[Event]:
        goes_on = True
        while goes_on:
            events, goes_on = await self._off_loop(self._mailstrom._events, after, until)
            for event in events:
                yield event
            after = events[-1].cursor if goes_on else None

    async def _look(self, call: Callable[[], T]) -> T:
        """A look at one thing, which takes no time but the storage's."""
        return call() if self._mailstrom._storage.never_blocks else await self._off_loop(call)

    async def _off_loop(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        return await self._crew.run(call, *args, **kwargs)


class Recent:
    """The answer of `query_recent`: await it for a list, or go through it with `async for`."""

    def __init__(self, owner: AsyncMailstrom) -> None:
        self._owner = owner

    def __await__(self) -> Generator[Any, None, list[MessageStatus]]:
        return self._list().__await__()

    async def __aiter__(self) -> AsyncIterator[MessageStatus]:
        for status in await self._list():
            yield status

    async def _list(self) -> list[MessageStatus]:
        return await self._owner._off_loop(self._owner._mailstrom.query_recent)
