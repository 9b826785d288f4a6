"""Waiting for what the worker brings about: from a thread, or from any asyncio loop.

A look at the storage may fail or hang. Who gave a time limit gets an answer then, all the same: what was
seen last, or `StorageError` where the storage still fails, or has not answered at all.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Generic, TypeVar

from ..errors import ClosedError, QueueFull, StorageError
from .door import Door
from .events import Board, Whole
from .platform import Calls, Platform

if TYPE_CHECKING:
    import asyncio

    from ..abc import InternalMessageStatus, SharedStorage

T = TypeVar("T")

POLL_SECS = 1.0  # how often to look where another process may deliver ...
FIRST_POLL_SECS = 0.05  # ... at first, and each time twice as long: most waits are short
LONGEST_LOOK_SECS = 86_400.0  # a lock takes no timeout without end; who waits longer looks again
GRACE_SECS = 1.0  # that a look has at least, also at the time limit


class NoAnswer(StorageError):
    """The storage has not answered in time."""


def answer_within(secs: float, call: Callable[[], T], calls: Calls, platform: Platform) -> T:
    """What `call` returns or raises, made by `calls`; raises `NoAnswer` where that takes too long."""
    answered = platform.flag()
    results: list[T] = []
    errors: list[BaseException] = []

    def make() -> None:
        try:
            results.append(call())
        except BaseException as error:
            errors.append(error)
        answered.set()

    if not calls.submit(make):
        return call()  # there is no thread for it: late is better than never
    if not answered.wait(secs):
        raise _no_answer(secs)
    if errors:
        raise errors[0]
    return results[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class Awaited(Generic[T]):
    """Something worth waiting for: how to look at it, when it is over, who tells of changes.

    `is_vain` says that nothing will change any more, or raises why. `poll_secs` is how often to
    look where another process may bring the change, which wakes nobody here. `may_hang` is a look that
    can be left alone at the time limit. Who waits is within `door`.
    """

    look: Callable[[], T]
    is_over: Callable[[T], bool]
    is_vain: Callable[[], bool]
    watch: Callable[[Callable[[], object]], Callable[[], None]]
    poll_secs: float | None
    platform: Platform
    may_hang: bool = False
    door: Door = field(default_factory=Door)

    def wait(self, timeout: float | None) -> T:
        """What was seen last: over, in vain, or `timeout` seconds later."""
        sight = _Sight(self, timeout)
        changed = self.platform.flag()
        with ExitStack() as at_end:
            at_end.enter_context(_through(self.door))
            at_end.callback(self.watch(changed.set))
            look = self._look_in_time(sight, at_end) if sight.has_limit and self.may_hang else self.look
            while True:
                changed.clear()
                with sight.of_look():
                    sight.saw(look())
                if sight.is_last():
                    return sight.answer()
                changed.wait(sight.look_again_in())

    async def wait_in_loop(
        self, timeout_secs: float | None, run: Callable[[Callable[[], T]], Awaitable[T]]
    ) -> T:
        """The same for a coroutine; `run` makes the look without blocking the loop."""
        import asyncio  # callers without a loop never pay for it

        loop = asyncio.get_running_loop()
        sight = _Sight(self, timeout_secs)
        changed = asyncio.Event()
        with ExitStack() as at_end:
            at_end.enter_context(_through(self.door))
            at_end.callback(self.watch(partial(_set_in, loop, changed)))
            while True:
                changed.clear()
                with sight.of_look():
                    sight.saw(await _in_time(run(self.look), sight.secs_for_look()))
                if sight.is_last():
                    return sight.answer()
                await _wait_for(changed, sight.look_again_in())

    def _look_in_time(self, sight: _Sight[T], at_end: ExitStack) -> Callable[[], T]:
        calls = self.platform.calls("mailstrom-waiting")
        at_end.callback(lambda: calls.close(0.0 if sight.is_unanswered else GRACE_SECS))
        return lambda: answer_within(sight.secs_for_look() or 0.0, self.look, calls, self.platform)


class _Sight(Generic[T]):
    """What one who waits has seen, and what stood in the way since."""

    def __init__(self, awaited: Awaited[T], timeout: float | None) -> None:
        self._awaited = awaited
        self._clock = awaited.platform.clock
        self._until = None if timeout is None else self._clock.monotonic() + timeout
        self._left = timeout
        self._seen: list[T] = []  # the latest, if there is any
        self._error: Exception | None = None
        self._soon = FIRST_POLL_SECS / 2

    @property
    def has_limit(self) -> bool:
        return self._until is not None

    @property
    def is_unanswered(self) -> bool:
        """A look was left alone."""
        return isinstance(self._error, NoAnswer)

    def secs_for_look(self) -> float | None:
        """How long a look may take; None: as long as it does."""
        if self._until is None or not self._awaited.may_hang:
            return None
        return max(self._until - self._clock.monotonic(), GRACE_SECS)

    @contextmanager
    def of_look(self) -> Iterator[None]:
        """Around a look: keeps what fails now and may succeed before the time limit."""
        try:
            yield
        except StorageError as error:
            if not self.has_limit:
                raise
            self._error = error
        except ClosedError as error:
            if not self._seen or not self._awaited.is_vain():
                raise
            self._error = error

    def saw(self, found: T) -> None:
        self._seen, self._error = [found], None

    def is_last(self) -> bool:
        """No further look is needed."""
        if self._until is not None:
            self._left = max(self._until - self._clock.monotonic(), 0.0)
        if self._error is None and self._awaited.is_over(self._seen[0]):
            return True
        return self._left == 0.0 or isinstance(self._error, ClosedError) or self._awaited.is_vain()

    def answer(self) -> T:
        """What was seen last; raises where the storage fails to the end, or was never heard of."""
        if self._error is not None and not (self._seen and isinstance(self._error, NoAnswer | ClosedError)):
            raise self._error
        return self._seen[0]

    def look_again_in(self) -> float:
        poll_secs = self._awaited.poll_secs if self._error is None else POLL_SECS
        if poll_secs is not None:
            self._soon = poll_secs = min(2 * self._soon, poll_secs)
        return min(secs for secs in (self._left, poll_secs, LONGEST_LOOK_SECS) if secs is not None)


@contextmanager
def _through(door: Door) -> Iterator[None]:
    with door.within() as is_open:
        if not is_open:
            raise ClosedError("this Mailstrom is closed: make a new one")
        yield


async def _in_time(look: Awaitable[T], secs: float | None) -> T:
    import asyncio

    try:
        async with asyncio.timeout(secs) as limit:
            return await look
    except TimeoutError:
        if secs is None or not limit.expired():
            raise
        raise _no_answer(secs) from None


def _no_answer(secs: float) -> NoAnswer:
    return NoAnswer(f"the storage has not answered within {secs:.1f} s")


def _set_in(loop: asyncio.AbstractEventLoop, changed: asyncio.Event) -> None:
    """Sets the event in its loop; one that was closed under who waited there hears nothing more."""
    with suppress(RuntimeError):
        loop.call_soon_threadsafe(changed.set)


def awaited_message(
    storage: SharedStorage,
    board: Board,
    message_id: str,
    is_vain: Callable[[], bool],
    platform: Platform,
    door: Door,
) -> Awaited[InternalMessageStatus]:
    """A message, until nothing of it is left to do."""
    return Awaited(
        look=lambda: storage.retrieve_status(message_id),
        is_over=lambda status: status.completed_at is not None,  # of any number of recipients
        is_vain=is_vain,
        watch=lambda wake: board.watch(message_id, wake),
        poll_secs=_poll_secs(storage),
        platform=platform,
        may_hang=not storage.never_blocks,
        door=door,
    )


def awaited_idle(
    storage: SharedStorage, board: Board, is_vain: Callable[[], bool], platform: Platform, door: Door
) -> Awaited[bool]:
    """The whole queue, until nothing is left to try."""
    return Awaited(
        look=storage.is_idle,
        is_over=bool,
        is_vain=is_vain,
        watch=lambda wake: board.watch(Whole.REST, wake),
        poll_secs=_poll_secs(storage),
        platform=platform,
        may_hang=not storage.never_blocks,
        door=door,
    )


def awaited_room(
    store: Callable[[], T], storage: SharedStorage, board: Board, platform: Platform
) -> Awaited[T | QueueFull]:
    """Room in the queue: what `store` returns as soon as there is any, else how it was refused."""
    return Awaited(
        look=lambda: _or_full(store),
        is_over=lambda found: not isinstance(found, QueueFull),
        is_vain=lambda: False,  # `store` raises then
        watch=lambda wake: board.watch(Whole.ROOM, wake),
        poll_secs=_poll_secs(storage),
        platform=platform,
    )


def stored(found: T | QueueFull) -> T:
    """What was found in the place of room; raises `QueueFull` where there was none in time."""
    try:
        if isinstance(found, QueueFull):
            raise found
        return found
    finally:
        del found  # its traceback leads here, and to the emails


def _or_full(store: Callable[[], T]) -> T | QueueFull:
    try:
        return store()
    except QueueFull as full:
        return full


def _poll_secs(storage: SharedStorage) -> float | None:
    """Another process may deliver what outlives this one."""
    if storage.poll_secs is not None:
        return storage.poll_secs
    return POLL_SECS if storage.durable else None


async def _wait_for(event: asyncio.Event, secs: float) -> None:
    import asyncio

    try:
        async with asyncio.timeout(secs):
            await event.wait()
    except TimeoutError:
        pass
