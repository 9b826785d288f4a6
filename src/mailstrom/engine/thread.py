"""Every thread mailstrom makes, except the short ones of a name look-up (net.tcp).

    CallThread   runs calls one after the other: storage calls, observers, listening
    LookThread   looks at something now and then: whether its turn has come
    LoopThread   owns an asyncio event loop and the coroutine that is the engine

They are daemon threads: an application that ends does not hang on them. What must still be
done at exit is done by the facade's exit hook, which runs before daemon threads are stopped.
"""

from __future__ import annotations

import collections
import logging
import queue
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import TYPE_CHECKING, Any

from ..errors import NotRunningError

if TYPE_CHECKING:
    import asyncio

    from .event_loop import MakeLoop
    from .platform import Calls

RESTARTS_PER_MINUTE = 3
NO_THREAD = "the system has no thread for the worker now: nothing is lost, call start() again"

_log = logging.getLogger("mailstrom")


class CallThread:
    """Runs submitted calls in order on one daemon thread, made at the first call. Any thread."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._calls: queue.SimpleQueue[Callable[[], object] | None] = queue.SimpleQueue()  # None: the end
        self._lock = threading.RLock()  # a handler of the log, or of a signal, may submit too
        self._thread: threading.Thread | None = None
        self._closing = False

    @property
    def waiting(self) -> int:
        """How many calls wait."""
        return self._calls.qsize()

    def submit(self, call: Callable[[], object]) -> bool:
        """Queues a call; what it raises is only logged.

        False, and nothing is queued, after `close`, or while the system has no thread for it.
        """
        with self._lock:
            if self._closing or not self._has_thread():
                return False
            self._calls.put(call)
            return True

    def close(self, timeout: float) -> None:
        """Runs what is queued, then ends the thread; waits for it at most `timeout` seconds."""
        with self._lock:
            self._closing = True
            self._calls.put(None)
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(timeout)

    def _has_thread(self) -> bool:
        if self._thread is None:
            thread = threading.Thread(target=self._run, name=self._name, daemon=True)
            try:
                thread.start()
            except RuntimeError as error:
                _log.error("the thread %s cannot be started: %s", self._name, error)
                return False
            self._thread = thread
        return True

    def _run(self) -> None:
        while (call := self._calls.get()) is not None:
            try:
                call()
            except BaseException:  # a dead thread would leave all later calls undone, and say nothing
                _log.exception("a call failed on the thread %s", self._name)


class LookThread:
    """Calls `look` every `secs` seconds on a daemon thread, until it says True or `close` is called.

    To make one raises `NotRunningError` where the system has no thread for it.
    """

    def __init__(self, name: str, secs: float, look: Callable[[], bool]) -> None:
        self._secs = secs
        self._look = look
        self._over = threading.Event()
        self._thread = CallThread(name)
        if not self._thread.submit(self._run):
            raise NotRunningError(NO_THREAD)

    def close(self, timeout: float) -> None:
        """Looks no more; waits for the look that is under way, at most `timeout` seconds."""
        self._over.set()
        self._thread.close(timeout)

    def _run(self) -> None:
        while not self._over.wait(self._secs):
            if self._look():
                return


class StorageThread:
    """A `StorageRunner` over calls made elsewhere: the loop goes on while the storage is at work."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    def run(self, call: Callable[..., Any], *args: Any, **kwargs: Any) -> Awaitable[Any]:
        """The call's result or exception, as a future of the running loop."""
        import asyncio

        loop = asyncio.get_running_loop()
        future: asyncio.Future[Any] = loop.create_future()

        def work() -> None:
            try:
                result, error = call(*args, **kwargs), None
            except BaseException as raised:
                result, error = None, _as_exception(raised)
            try:
                loop.call_soon_threadsafe(_answer, future, result, error)
            except RuntimeError:
                _log.debug("a storage call ended after its loop: %r", error)

        if not self._calls.submit(work):
            future.set_exception(RuntimeError("the storage is closed, or has no thread for its calls"))
        return future

    def close(self, timeout: float) -> None:
        """Ends the thread after what is queued."""
        self._calls.close(timeout)


async def run_inline(call: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """A `StorageRunner` for storages that never block: memory, and simulations."""
    return call(*args, **kwargs)


class LoopThread:
    """One daemon thread with an event loop that runs `main()` to its end.

    When `main()` ends with an exception it is begun again on a new loop, at most
    `RESTARTS_PER_MINUTE` times; then `on_crash` is called and the thread ends. `make_loop`
    None: asyncio makes it. `start`, `call_soon` and `join` may be called from any thread.
    """

    def __init__(
        self,
        name: str,
        main: Callable[[], Coroutine[Any, Any, None]],
        on_crash: Callable[[], None],
        make_loop: MakeLoop | None = None,
    ) -> None:
        self._name = name
        self._main = main
        self._on_crash = on_crash
        self._make_loop = make_loop
        self._loop: asyncio.AbstractEventLoop | None = None
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._supervise, name=name, daemon=True)

    def start(self) -> None:
        """Starts the thread; once. Raises `NotRunningError` where the system has none to give."""
        try:
            self._thread.start()
        except RuntimeError as error:
            raise NotRunningError(NO_THREAD) from error

    def call_soon(self, call: Callable[[], object]) -> None:
        """Runs the call in the loop; without effect when no loop is running."""
        with self._lock:
            if self._loop is not None:
                self._loop.call_soon_threadsafe(call)

    def join(self, timeout: float | None = None) -> bool:
        """Waits for the end of the thread; True when it has ended."""
        if self._thread is not threading.current_thread():
            self._thread.join(None if timeout is None else min(timeout, threading.TIMEOUT_MAX))
        return not self._thread.is_alive()

    def _supervise(self) -> None:
        ends: collections.deque[float] = collections.deque(maxlen=RESTARTS_PER_MINUTE + 1)
        while not self._run_once():
            ends.append(time.monotonic())
            if len(ends) > RESTARTS_PER_MINUTE and ends[-1] - ends[0] < 60:
                self._on_crash()
                return

    def _run_once(self) -> bool:
        """Whether main() came to its own end."""
        import asyncio

        try:
            with asyncio.Runner(loop_factory=self._make_loop) as runner:
                with self._lock:
                    self._loop = runner.get_loop()
                _log.debug("%s has an event loop of %s", self._name, type(self._loop).__module__)
                try:
                    runner.run(self._main())
                finally:
                    with self._lock:
                        self._loop = None
        except BaseException:
            _log.critical("the worker crashed; restarting it", exc_info=True)
            return False
        return True


def _as_exception(raised: BaseException) -> Exception:
    """What a future can carry: neither the end of an iteration nor that of the interpreter."""
    if isinstance(raised, Exception) and not isinstance(raised, StopIteration):
        return raised
    error = RuntimeError(f"a storage call ended with {type(raised).__name__}")
    error.__cause__ = raised
    return error


def _answer(future: asyncio.Future[Any], result: object, error: Exception | None) -> None:
    if future.done():
        return
    if error is None:
        future.set_result(result)
    else:
        future.set_exception(error)
