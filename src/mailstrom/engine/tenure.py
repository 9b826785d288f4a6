"""The worker's life in one process: who delivers here, from when, and until when."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, get_args

from ..errors import ConfigError, NotRunningError
from ..status import WorkerStatus
from .gates import Gates
from .platform import Looks, Platform

if TYPE_CHECKING:
    from .runtime import Runtime

Role = Literal["auto", "always", "never"]

LOOK_AGAIN_SECS = 1.0  # how often who waits for its turn looks whether it has come
STANDBY_END_SECS = 5.0

_log = logging.getLogger("mailstrom")


def checked_role(role: object) -> None:
    """`ConfigError` for what is no role."""
    if role not in get_args(Role):
        raise ConfigError(f"start: expected role 'auto', 'always' or 'never', got {role!a}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What the application wants of the worker. A forked child inherits it."""

    role: Role | None = None  # None: `start` was never called
    is_paused: bool = False


class Tenure:
    """Begins the worker as is wished: at once, when its turn comes, or not at all. Any thread.

    `identity` is that of the storage; with None nobody else can deliver, so it is always our turn.
    `inherited` was wished in the process from which this one was forked; nothing begins by itself.
    """

    def __init__(
        self,
        platform: Platform,
        make_runtime: Callable[[], Runtime],
        identity: str | None,
        *,
        inherited: Wish,
    ) -> None:
        self.wish = inherited
        self.has_begun = False  # in this process
        self.runtime: Runtime | None = None
        self._platform = platform
        self._make_runtime = make_runtime
        self._others_may_deliver = identity is not None
        self._turn = None if identity is None else platform.turn(identity)
        self._standby: Looks | None = None
        self._lock = threading.RLock()  # a wish and the turn may come at once
        self._is_over = False

    @property
    def status(self) -> WorkerStatus:
        """What the worker is doing."""
        if (runtime := self.runtime) is not None:
            return runtime.status
        stands_by = self.has_begun and self._others_may_deliver
        return WorkerStatus.STANDBY if stands_by else WorkerStatus.NOT_STARTED

    @property
    def is_to_begin(self) -> bool:
        """What the parent process wished has not begun in this one."""
        return self.wish.role is not None and not self.has_begun

    def begin(self, wish: Wish) -> None:
        """Starts the worker, or has it wait for its turn; one that was started is paused or resumed.

        Raises `NotRunningError` where the system has no thread for it; then nothing has changed.
        """
        with self._lock:
            self._begin(wish)
            self.wish, self.has_begun = wish, True
        if self.runtime is not None or wish.role == "never":
            self._end_standby()

    def pause(self) -> None:
        """Takes no new work, also when the turn comes meanwhile."""
        with self._lock:
            if self.runtime is None and self._standby is None:
                raise NotRunningError("pause() needs a worker: call start() first")
            self.wish = replace(self.wish, is_paused=True)
            if self.runtime is not None:
                self.runtime.pause()

    def wake(self) -> None:
        """Something new may be due."""
        if (runtime := self.runtime) is not None:
            runtime.wake()

    def gates(self, message_id: str, route_keys: Collection[str]) -> Gates:
        """What the worker, if there is one, sees of this message."""
        runtime = self.runtime
        seen = Gates(status=self.status) if runtime is None else runtime.gates(message_id, route_keys)
        return replace(seen, others_may_deliver=self._others_may_deliver)

    def finish(self, *, take_due: bool, timeout: float) -> None:
        """Ends the worker in good order within `timeout` seconds, else by force."""
        self._begin_no_more()
        if self.runtime is not None:
            self.runtime.finish(take_due=take_due, timeout=timeout)
        self._release()

    def drain_dots(self, timeout: float) -> None:
        """Gives up all that has not sent its final dot, waits for the other replies."""
        self._begin_no_more()
        if self.runtime is not None:
            self.runtime.drain_dots(timeout)
        self._release()

    def die(self) -> None:
        """Ends the worker at once; connections are aborted."""
        self._begin_no_more()
        if (runtime := self.runtime) is not None:
            runtime.die()
        self._release()

    def ended(self) -> None:
        """To be called when an engine has ended: where it stays down, another process may deliver."""
        with self._lock:
            if self.runtime is not None and self.runtime.status is WorkerStatus.CRASHED:
                self._release()

    def leave_to_parent(self) -> None:
        """In a forked child: the parent goes on with all of it."""
        if self._turn is not None:
            self._turn.leave_to_parent()

    def _begin(self, wish: Wish) -> None:
        if self.runtime is not None:
            self._pause_or_resume(self.runtime, wish)
        elif wish.role == "never":
            return
        elif self._has_turn() or wish.role == "always":
            self._deliver(wish)
        elif self._standby is None:
            self._standby = self._platform.looks("mailstrom-standby", LOOK_AGAIN_SECS, self._takes_turn)

    def _pause_or_resume(self, runtime: Runtime, wish: Wish) -> None:
        if wish.is_paused:
            runtime.pause()
        elif self.wish.is_paused:
            runtime.resume()

    def _has_turn(self) -> bool:
        if self._turn is None:
            return True
        try:
            return self._turn.try_acquire()
        except OSError as error:
            _log.warning("delivering without asking who else does on this host: %s", error)
            return True

    def _takes_turn(self) -> bool:
        """Whether there is nothing more to look for. Called by who stands by."""
        with self._lock:
            if self._is_over or self.runtime is not None or self.wish.role == "never":
                return True
            if not self._has_turn():
                return False
            try:
                self._deliver(self.wish)
            except Exception as error:
                _log.error("it is our turn to deliver, but %s; tried again soon", error)
            return self.runtime is not None

    def _deliver(self, wish: Wish) -> None:
        try:
            runtime = self._make_runtime()
            if wish.is_paused:
                runtime.pause()
            runtime.start()
        except BaseException:
            self._release()
            raise
        self.runtime = runtime
        runtime.wake()  # who stored something meanwhile found nobody to wake

    def _begin_no_more(self) -> None:
        with self._lock:
            self._is_over = True
        self._end_standby()

    def _end_standby(self) -> None:
        standby, self._standby = self._standby, None
        if standby is not None:
            standby.close(STANDBY_END_SECS)

    def _release(self) -> None:
        with self._lock:
            if self._turn is not None:
                self._turn.release()
