"""The worker's life in one process: who delivers here, from when, and until when."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Literal, get_args

from ..errors import ConfigError, NotRunningError
from ..status import WorkerStatus
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


class Tenure:
    """Begins the worker as its role says: at once, when its turn comes, or not at all.

    `identity` is that of the storage; with None nobody else can deliver, so it is always our turn.
    `status`, `wake` and `die` may be called from any thread, the others by one at a time.
    """

    def __init__(
        self, platform: Platform, make_runtime: Callable[[], Runtime], identity: str | None
    ) -> None:
        self.runtime: Runtime | None = None
        self._platform = platform
        self._make_runtime = make_runtime
        self._others_may_deliver = identity is not None
        self._turn = None if identity is None else platform.turn(identity)
        self._standby: Looks | None = None
        self._leaves_it_to_others = False
        self._lock = threading.Lock()  # a pause and the turn may come at once
        self._is_paused = False

    @property
    def status(self) -> WorkerStatus:
        """What the worker is doing."""
        if (runtime := self.runtime) is not None:
            return runtime.status
        waits = self._standby is not None or self._leaves_it_to_others
        return WorkerStatus.STANDBY if waits else WorkerStatus.NOT_STARTED

    def begin(self, role: Role) -> None:
        """Starts the worker, or has it wait for its turn; ends a pause where that is done already."""
        if self.runtime is not None or self._standby is not None:
            self._resume()
        elif role == "never":
            self._leaves_it_to_others = self._others_may_deliver
        elif self._has_turn() or role == "always":
            self._deliver()
        else:
            self._standby = self._platform.looks("mailstrom-standby", LOOK_AGAIN_SECS, self._takes_turn)

    def pause(self) -> None:
        """Takes no new work, also when the turn comes meanwhile."""
        if self.runtime is None and self._standby is None:
            raise NotRunningError("pause() needs a worker: call start() first")
        with self._lock:
            self._is_paused = True
            if self.runtime is not None:
                self.runtime.pause()

    def wake(self) -> None:
        """Something new may be due."""
        if (runtime := self.runtime) is not None:
            runtime.wake()

    def finish(self, *, take_due: bool, timeout: float) -> None:
        """Ends the worker in good order within `timeout` seconds, else by force."""
        self._end_standby()
        if self.runtime is not None:
            self.runtime.finish(take_due=take_due, timeout=timeout)
        self._release()

    def drain_dots(self, timeout: float) -> None:
        """Gives up all that has not sent its final dot, waits for the other replies."""
        self._end_standby()
        if self.runtime is not None:
            self.runtime.drain_dots(timeout)
        self._release()

    def die(self) -> None:
        """Ends the worker at once; connections are aborted."""
        self._end_standby()
        if (runtime := self.runtime) is not None:
            runtime.die()
        self._release()

    def ended(self) -> None:
        """To be called when an engine has ended: where it stays down, another process may deliver."""
        if (runtime := self.runtime) is not None and runtime.status is WorkerStatus.CRASHED:
            self._release()

    def leave_to_parent(self) -> None:
        """In a forked child: the parent goes on with all of it."""
        if self._turn is not None:
            self._turn.leave_to_parent()

    def _resume(self) -> None:
        with self._lock:
            if self._is_paused and self.runtime is not None:
                self.runtime.resume()
            self._is_paused = False

    def _has_turn(self) -> bool:
        if self._turn is None:
            return True
        try:
            return self._turn.try_acquire()
        except OSError as error:
            _log.warning("delivering without asking who else does on this host: %s", error)
            return True

    def _takes_turn(self) -> bool:
        if not self._has_turn():
            return False
        self._deliver()
        return True

    def _deliver(self) -> None:
        try:
            runtime = self._make_runtime()
        except BaseException:
            self._release()
            raise
        with self._lock:
            if self._is_paused:
                runtime.pause()
            self.runtime = runtime
        runtime.start()

    def _end_standby(self) -> None:
        if self._standby is not None:
            self._standby.close(STANDBY_END_SECS)

    def _release(self) -> None:
        with self._lock:
            if self._turn is not None:
                self._turn.release()
