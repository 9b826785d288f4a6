"""The worker as the facade sees it: a thread with an engine in it, driven from any thread."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Collection
from datetime import datetime

from ..abc import SharedStorage
from ..config import Config
from ..errors import NotRunningError
from ..event import Event, EventKind
from ..status import WorkerStatus
from .events import Board, Tell
from .gates import Gates
from .job import MakeCarrier
from .platform import Platform
from .thread import NO_THREAD
from .worker import Engine
from .world import World

ANSWER_SECS = 2.0  # a loop that takes longer is kept from running
LISTENER_END_SECS = 3.0  # a storage's listen() returns within 2 s

_log = logging.getLogger("mailstrom")


class Runtime:
    """One worker thread, from its start to its end. Any thread may call.

    A crashed engine is made anew by the thread's supervision; what was asked of the old one
    (pause, stop) holds for the new one too.
    """

    def __init__(
        self,
        config: Config,
        storage: SharedStorage,
        make_world: Callable[[], World],
        make_carrier: MakeCarrier,
        *,
        platform: Platform,
        owner: str,
        tell: Tell | None,
        now: Callable[[], datetime],
        board: Board,
        ended: Callable[[], None],
    ) -> None:
        self._make_engine: Callable[[], Engine] = lambda: self._engine_class(
            config, storage, make_world(), make_carrier, owner=owner, tell=tell, board=board
        )
        self._engine_class = Engine
        self._tell = tell
        self._now = now
        self._clock = platform.clock
        self._platform = platform
        self._ended = ended
        self._engine: Engine | None = None
        self._is_waking = False  # a wake-up is on its way into the loop
        self._asked: dict[str, Callable[[Engine], None]] = {}  # the latest in each matter
        self._lock = threading.Lock()
        self._crashed = False
        self._thread = platform.loop("mailstrom-worker", self._main, self._on_crash, config.event_loop)
        self._over = threading.Event()
        self._listener = platform.calls("mailstrom-listener")
        self._others_store = storage.poll_secs is not None
        self._listen = lambda: storage.listen(self.wake, self._over.is_set)

    @property
    def status(self) -> WorkerStatus:
        """What the engine is doing."""
        if self._crashed:
            return WorkerStatus.CRASHED
        engine = self._engine
        if engine is None or engine.status is WorkerStatus.NOT_STARTED:
            is_paused = self._asked.get("pause") is Engine.pause
            return WorkerStatus.PAUSED if is_paused else WorkerStatus.OK  # the thread is on its way there
        return engine.status

    def start(self) -> None:
        """Starts the thread, and one that listens where others may store: both, or neither.

        Raises `NotRunningError` where the system has no thread to give.
        """
        if self._others_store and not self._listener.submit(self._listen):
            raise NotRunningError(NO_THREAD)
        try:
            self._thread.start()
        except BaseException:
            self._over.set()
            self._listener.close(LISTENER_END_SECS)
            raise

    def wake(self) -> None:
        """Something new may be due."""
        if self._is_waking:
            return  # whoever stored before us wakes it for us too
        try:
            self._is_waking = True
            self._thread.call_soon(self._wake_engine)
        except BaseException:  # a signal's, in the caller's thread
            self._is_waking = False
            raise

    def _wake_engine(self) -> None:
        self._is_waking = False  # first: what is stored from now on is seen, or wakes it again
        if self._engine is not None:
            self._engine.wake()

    def pause(self) -> None:
        """Takes no new work: nothing that is stored from now on."""
        with self._lock:
            self._asked["pause"] = Engine.pause
            if self._engine is not None:
                self._engine.hold_on()  # the loop may be at work just now, and hear the rest later
        self._in_loop(Engine.pause)

    def resume(self) -> None:
        """Takes work again."""
        self._ask("pause", Engine.resume)

    def gates(self, message_id: str, route_keys: Collection[str]) -> Gates:
        """What the engine sees of this message; only its status where the loop does not answer."""
        if self._crashed or self._engine is None:
            return Gates(status=self.status)
        seen: list[Gates] = []
        answered = self._platform.flag()

        def look(engine: Engine) -> None:
            seen.append(engine.gates(message_id, route_keys))
            answered.set()

        self._in_loop(look)
        answered.wait(ANSWER_SECS)
        return seen[0] if seen else Gates(status=self.status, is_silent=True)

    def finish(self, *, take_due: bool, timeout: float) -> None:
        """Ends the worker in good order within `timeout` seconds, else by force."""
        self._over.set()
        self._finish(take_due, timeout)
        self._listener.close(LISTENER_END_SECS)

    def _finish(self, take_due: bool, timeout: float) -> None:
        deadline = self._clock.monotonic() + timeout
        self._ask("finish", lambda engine: engine.finish(take_due=take_due))
        if self._thread.join(timeout):
            return
        self._ask("abort before dot", Engine.abort_before_dot)
        if not self._thread.join(max(deadline - self._clock.monotonic(), 1.0)):
            self.die()

    def drain_dots(self, timeout: float) -> None:
        """Gives up all that has not sent its final dot, waits for the other replies."""
        self._over.set()
        self._ask("abort before dot", Engine.abort_before_dot)
        if not self._thread.join(timeout):
            self.die()
        self._listener.close(LISTENER_END_SECS)

    def die(self) -> None:
        """Ends the worker at once; connections are aborted."""
        self._over.set()
        self._ask("abort", Engine.abort)
        if not self._thread.join(10.0):
            _log.error("the worker thread did not end within 10 s")
        self._listener.close(LISTENER_END_SECS)

    def _ask(self, matter: str, ask: Callable[[Engine], None]) -> None:
        """Does it now in the loop, and again to any engine that is made later."""
        with self._lock:
            self._asked[matter] = ask
        self._in_loop(ask)

    def _in_loop(self, ask: Callable[[Engine], None]) -> None:
        def call() -> None:
            if self._engine is not None:
                ask(self._engine)

        self._thread.call_soon(call)

    async def _main(self) -> None:
        self._is_waking = False  # one that the loop before this has not heard, it will not; we look anyway
        engine = self._make_engine()
        with self._lock:
            asked = list(self._asked.values())
            self._engine = engine
        for ask in asked:
            ask(engine)
        try:
            await engine.run()
        finally:
            self._ended()

    def _on_crash(self) -> None:
        self._crashed = True
        self._over.set()
        _log.critical("the worker crashed too often and stays down: nothing is delivered any more")
        if self._tell is not None:
            crashed = WorkerStatus.CRASHED
            self._tell(Event(kind=EventKind.WORKER_STATUS, at=self._now(), worker_status=crashed))
        self._ended()
