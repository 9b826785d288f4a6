"""What keeps a simulated world from hanging: neither time nor a storage is waited for without end.

    PatientTimeline   a wait ends after a week in which nothing happens or is due, with words for it
    PatientStorage    a storage of the user's, called on a thread of its own, as in real life; a call
                      that does not return within 10 real seconds ends the simulation
"""

from __future__ import annotations

import random
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from types import FrameType
from typing import Any

from ..abc import SharedStorage
from ..engine.thread import CallThread
from .timeline import DeadlockError, Timeline

QUIET_SECS = 7 * 86_400.0  # virtual; what is due later than that is waited for
CALL_SECS = 10.0  # real
THREAD = "simulated-storage"


class SimulationError(RuntimeError):
    """A story that cannot go on as it is written; the message says what to write instead."""


class PatientTimeline(Timeline):
    """A timeline for stories that people write: whoever waits in vain, or on another thread, is told.

    `due_in` says in how many seconds some email is due; 0 where none is, or what is due stays undone.
    """

    def __init__(self, chance: random.Random, due_in: Callable[[], float] = lambda: 0.0) -> None:
        super().__init__(chance)
        self._due_in = due_in
        self._thread = threading.get_ident()
        self._failure: SimulationError | None = None
        self._is_told = False
        self._has_limit = False  # the innermost of those who wait
        self._quiet_since = 0.0

    def check_thread(self) -> None:
        """Raises `SimulationError` on any thread but the one that made the world."""
        if threading.get_ident() != self._thread:
            raise SimulationError(
                "a simulation belongs to the thread that made it, and was used on the thread "
                f"{threading.current_thread().name!r}: call your code on the test's own. What several "
                "threads of a server do, several processes can do here: simulation.process(...)"
            )

    def pass_time(self, is_over: Callable[[], bool], secs: float) -> bool:
        """Lets time pass until `is_over()`, or for `secs` seconds: then it is False. Quiet or not."""
        self.check_thread()
        with self.waiting_for(secs):
            return super().block(is_over, secs)

    @contextmanager
    def waiting_for(self, secs: float | None) -> Iterator[None]:
        """Around a wait: one that has a limit lasts until then, quiet or not."""
        outer, self._has_limit = self._has_limit, secs is not None
        try:
            yield
        finally:
            self._has_limit = outer
            if secs is not None:
                self.news()

    def news(self, in_secs: float = 0.0) -> None:
        """Something happens now, or will: who waits until then does not wait in vain."""
        self._quiet_since = max(self._quiet_since, self.now + in_secs)

    def block(self, is_over: Callable[[], bool], secs: float | None) -> bool:
        """As any timeline's; raises `SimulationError` after a week without news, where none is due."""
        self.check_thread()
        if self._has_limit:
            return super().block(is_over, secs)
        if self._is_in_vain():
            raise _in_vain(f"nothing has happened to any email for {QUIET_SECS / 86_400:g} days")
        try:
            return super().block(is_over, secs)
        except DeadlockError as error:
            raise _in_vain(str(error)) from error

    def _is_in_vain(self) -> bool:
        """Whoever waits next is given a week again."""
        if self.now - self._quiet_since < QUIET_SECS:
            return False
        self.news(in_secs=self._due_in())
        return self._quiet_since <= self.now

    def run_beside(self, until: float) -> bool:
        """As any timeline's, until it is broken off: then it raises why."""
        if self._failure is not None:
            self._is_told = True
            raise self._failure
        return super().run_beside(until)

    def break_off(self, failure: SimulationError) -> None:
        """Ends the story, in whichever process the failure arose: from now on every wait raises it."""
        self._failure = self._failure or failure

    def take_failure(self) -> SimulationError | None:
        """The failure, if nobody was told of it; from now on time can go on."""
        untold = None if self._is_told else self._failure
        self._failure = None
        return untold


def _in_vain(why: str) -> SimulationError:
    return SimulationError(
        f"what is waited for does not come: {why}. Is the mail held, or the process frozen, killed, paused, "
        "or one with the role 'never'? simulation.run(days=...) lets time pass in any case"
    )


@SharedStorage.register
class PatientStorage:
    """A storage whose calls are made on one real thread, each awaited in real time.

    The world stands still meanwhile, so that it stays repeatable.
    """

    def __init__(
        self, storage: SharedStorage, timeline: PatientTimeline, *, call_secs: float = CALL_SECS
    ) -> None:
        self.durable = storage.durable
        self.never_blocks = storage.never_blocks
        self.poll_secs = storage.poll_secs
        self.identity = storage.identity
        self.bind, self.bind_async = storage.bind, storage.bind_async  # a connection is its thread's
        self._storage = storage
        self._timeline = timeline
        self._call_secs = call_secs
        self._thread = CallThread(THREAD)
        self._thread_id: int | None = None  # once it runs
        self._is_stuck = False

    def __getattr__(self, name: str) -> Callable[..., Any]:
        method = getattr(self._storage, name)
        return lambda *args, **kwargs: self._awaited(name, lambda: method(*args, **kwargs))

    def close(self) -> None:
        """Closes the storage, unless it is stuck, and ends the thread. Again: nothing."""
        if not self._is_stuck:
            self._thread.submit(self._storage.close)
        self._thread.close(0.0 if self._is_stuck else self._call_secs)

    def _awaited(self, name: str, call: Callable[[], Any]) -> Any:
        answer: Future[Any] = Future()
        if self._is_stuck or not self._thread.submit(lambda: self._make(call, answer)):
            raise SimulationError("the storage of this process is closed, or stuck in another call")
        try:
            return answer.result(self._call_secs)
        except TimeoutError:
            if answer.done():
                raise  # it was the storage's own
            self._is_stuck = True
            stuck = _stuck(name, self._call_secs, _place(self._thread_id))
            self._timeline.break_off(stuck)
            raise stuck from None

    def _make(self, call: Callable[[], Any], answer: Future[Any]) -> None:
        self._thread_id = threading.get_ident()
        try:
            answer.set_result(call())
        except BaseException as error:
            answer.set_exception(error)


def _stuck(name: str, secs: float, place: str) -> SimulationError:
    return SimulationError(
        f"the storage has not returned from {name}() for {secs:g} real seconds: it stands at "
        f"{place}. While a storage is called nothing else of the simulated world goes on, so what it "
        "waits for may never happen: a lock that this test holds, or a reply from inside the simulation"
    )


def _place(thread_id: int | None) -> str:
    """Where the thread that calls the storage stands, in which line of the storage's."""
    frame: FrameType | None = None if thread_id is None else sys._current_frames().get(thread_id)
    if frame is None:
        return "an unknown place"
    while frame.f_globals.get("__name__") == "threading" and frame.f_back is not None:
        frame = frame.f_back
    return f"{frame.f_code.co_filename}:{frame.f_lineno} ({frame.f_code.co_name})"
