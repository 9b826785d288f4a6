"""What keeps a simulated world from hanging: neither time nor a storage is waited for without end.

    PatientTimeline   a wait ends after a week in which nothing happens, with words for it
    PatientStorage    a storage of the user's, called on a thread of its own, as in real life; a call
                      that does not return within 10 real seconds ends the simulation
"""

from __future__ import annotations

import random
import sys
import threading
from collections.abc import Callable
from concurrent.futures import Future
from types import FrameType
from typing import Any

from ..abc import SharedStorage
from ..engine.thread import CallThread
from .timeline import DeadlockError, Timeline

QUIET_SECS = 7 * 86_400.0  # virtual; policies try again at least once a day
CALL_SECS = 10.0  # real
THREAD = "simulated-storage"


class SimulationError(RuntimeError):
    """A story that cannot go on as it is written; the message says what to write instead."""


class PatientTimeline(Timeline):
    """A timeline for stories that people write: whoever waits in vain, or on another thread, is told."""

    def __init__(self, chance: random.Random) -> None:
        super().__init__(chance)
        self._thread = threading.get_ident()
        self._failure: SimulationError | None = None
        self._is_told = False
        self._only_passes = False
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
        self._only_passes = True
        try:
            return super().block(is_over, secs)
        finally:
            self._only_passes = False
            self.news()

    def news(self) -> None:
        """Something happened: who waits has not waited in vain."""
        self._quiet_since = self.now

    def block(self, is_over: Callable[[], bool], secs: float | None) -> bool:
        """As any timeline's; raises `SimulationError` when a week has gone by without news."""
        self.check_thread()
        if self._only_passes:
            return super().block(is_over, secs)
        if self.now - self._quiet_since >= QUIET_SECS:
            raise _in_vain(f"nothing has happened to any email for {QUIET_SECS / 86_400:g} days")
        try:
            return super().block(is_over, secs)
        except DeadlockError as error:
            raise _in_vain(str(error)) from error

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
        if self._is_stuck or not self._thread.submit(lambda: _make(call, answer)):
            raise SimulationError("the storage of this process is closed, or stuck in another call")
        try:
            return answer.result(self._call_secs)
        except TimeoutError:
            if answer.done():
                raise  # it was the storage's own
            self._is_stuck = True
            stuck = _stuck(name, self._call_secs)
            self._timeline.break_off(stuck)
            raise stuck from None


def _make(call: Callable[[], Any], answer: Future[Any]) -> None:
    try:
        answer.set_result(call())
    except BaseException as error:
        answer.set_exception(error)


def _stuck(name: str, secs: float) -> SimulationError:
    return SimulationError(
        f"the storage has not returned from {name}() for {secs:g} real seconds: it stands at "
        f"{_place()}. While a storage is called nothing else of the simulated world goes on, so what it "
        "waits for may never happen: a lock that this test holds, or a reply from inside the simulation"
    )


def _place() -> str:
    """Where the thread that calls the storage stands, in which line of the storage's."""
    ids = {thread.ident for thread in threading.enumerate() if thread.name == THREAD}
    frames = [frame for ident, frame in sys._current_frames().items() if ident in ids]
    return ", ".join(_line(frame) for frame in frames) or "an unknown place"


def _line(frame: FrameType) -> str:
    while frame.f_globals.get("__name__") == "threading" and frame.f_back is not None:
        frame = frame.f_back
    return f"{frame.f_code.co_filename}:{frame.f_lineno} ({frame.f_code.co_name})"
