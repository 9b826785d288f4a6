"""What observers are told, and how: frozen events, on a thread of their own.

Delivery never waits for an observer. Events are queued for one observer thread; when an
observer is so slow that `QUEUE_LIMIT` events wait, further ones are dropped and counted in the log.
"""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from enum import Enum, unique

from ..config_checks import shown
from ..errors import ConfigError
from ..event import Event, EventKind
from .platform import Calls, Platform

QUEUE_LIMIT = 10_000

_log = logging.getLogger("mailstrom")


Observer = Callable[[Event], object]
Tell = Callable[[Event], None]  # None in its place: nobody observes, and no event need be made


def checked_observers(given: object) -> tuple[Observer, ...]:
    """The observers; `ConfigError` for what cannot be called."""
    listed = tuple(given) if isinstance(given, Iterable) else (None,)
    for each in listed:
        if not callable(each):
            found = shown(given if each is None else each)
            raise ConfigError(f"observers: expected a list of functions that take an Event, got {found}")
    return listed


class Observers:
    """Hands events to the observers. Any thread may tell; observers run on one thread of theirs."""

    def __init__(self, observers: Sequence[Observer], platform: Platform) -> None:
        self._observers = tuple(observers)
        self._thread = platform.calls("mailstrom-observers") if observers else None
        self._dropped = 0
        self._lock = threading.Lock()  # what is told of one message stays in order
        self._accepting: Counter[str] = Counter()
        self._kept: dict[str, list[Event]] = {}

    @property
    def are_there(self) -> bool:
        """Somebody observes."""
        return bool(self._observers)

    @property
    def teller(self) -> Tell | None:
        """`tell`, where somebody observes."""
        return self.tell if self.are_there else None

    def tell(self, event: Event) -> None:
        """Queues the event; returns at once."""
        if self._thread is None:
            return
        with self._lock:
            message_id = event.message_id or ""
            if event.kind is not EventKind.ACCEPTED and message_id in self._accepting:
                self._kept.setdefault(message_id, []).append(event)
            else:
                self._queue(self._thread, event)

    @contextmanager
    def accepting(self, message_ids: Sequence[str]) -> Iterator[None]:
        """Meanwhile these are stored: "accepted" is told first, and all else of them afterwards.

        The worker may be done with a message before the caller of `store` knows that it is there.
        """
        if self._thread is None:
            yield
            return
        with self._lock:
            self._accepting.update(message_ids)
        try:
            yield
        finally:
            with self._lock:
                self._accepted(self._thread, message_ids)

    def _accepted(self, thread: Calls, message_ids: Sequence[str]) -> None:
        self._accepting.subtract(message_ids)
        for message_id in set(message_ids):
            if not self._accepting[message_id]:
                del self._accepting[message_id]
                for event in self._kept.pop(message_id, ()):
                    self._queue(thread, event)

    def _queue(self, thread: Calls, event: Event) -> None:
        if thread.waiting >= QUEUE_LIMIT:
            self._dropped += 1
            if self._dropped & (self._dropped - 1) == 0:
                _log.warning("observers are too slow: %d events dropped so far", self._dropped)
            return
        thread.submit(lambda: self._hand_out(event))

    def close(self, timeout: float) -> None:
        """Lets the observers see what is queued, for at most `timeout` seconds."""
        if self._thread is not None:
            self._thread.close(timeout)

    def _hand_out(self, event: Event) -> None:
        for observer in self._observers:
            try:
                observer(event)
            except BaseException:  # sys.exit() in an observer is its own matter too
                _log.exception("an observer failed on the event %r", str(event))


@unique
class Whole(Enum):
    """What may change of the queue as a whole."""

    ROOM = "room"  # something has completed
    REST = "rest"  # nothing is in hand

    __hash__ = object.__hash__  # Enum's is a call, and the board is asked at each result


class Board:
    """Where those wait who want to know when something completes. Any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: dict[str | Whole, list[Callable[[], object]]] = {}

    def watch(self, what: str | Whole, wake: Callable[[], object]) -> Callable[[], None]:
        """Calls `wake` at each change of the message with this id, or of the whole; returns the undo."""
        with self._lock:
            self._waiting.setdefault(what, []).append(wake)
        return lambda: self._forget(what, wake)

    def changed(self, message_id: str) -> None:
        """Wakes who watches this message, and who waits for room in the queue."""
        if message_id in self._waiting or Whole.ROOM in self._waiting:
            self._wake(message_id, Whole.ROOM)

    def at_rest(self) -> None:
        """Wakes who waits for the queue to be idle: the worker has nothing in hand, or an order came."""
        if Whole.REST in self._waiting:
            self._wake(Whole.REST)

    def wake_all(self) -> None:
        """Wakes everybody: the queue's owner is closing."""
        with self._lock:
            watchers = [wake for group in self._waiting.values() for wake in group]
        for wake in watchers:
            wake()

    def _wake(self, *those: str | Whole) -> None:
        with self._lock:
            watchers = [wake for each in those for wake in self._waiting.get(each, ())]
        for wake in watchers:
            wake()

    def _forget(self, what: str | Whole, wake: Callable[[], object]) -> None:
        with self._lock:
            group = self._waiting.get(what, [])
            if wake in group:
                group.remove(wake)
            if not group:
                self._waiting.pop(what, None)
