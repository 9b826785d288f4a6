"""What a Mailstrom finds around itself: a clock, threads, chance, the end of the process.

The facade, the worker and the waiting take all of that from one `Platform`. Exchange it, and the
whole of mailstrom runs on virtual time, on one thread: see `mailstrom.testing.simulation`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, Protocol

from ..abc import Clock, StorageRunner

if TYPE_CHECKING:
    from ..config import Config, EventLoop
    from .world import World


class Turn(Protocol):
    """The right to be the one worker on this host; see `HostLock`."""

    def try_acquire(self) -> bool: ...
    def release(self) -> None: ...
    def leave_to_parent(self) -> None: ...


class Flag(Protocol):
    """What `threading.Event` is."""

    def is_set(self) -> bool: ...
    def set(self) -> None: ...
    def clear(self) -> None: ...
    def wait(self, timeout: float | None = None) -> bool: ...


class Calls(Protocol):
    """Calls that are made one after the other; see `CallThread`."""

    @property
    def waiting(self) -> int: ...
    def submit(self, call: Callable[[], object]) -> bool: ...
    def close(self, timeout: float) -> None: ...


class Looks(Protocol):
    """Something that is looked at again and again; see `LookThread`."""

    def close(self, timeout: float) -> None: ...


class Loop(Protocol):
    """An event loop somewhere else, and what runs in it; see `LoopThread`."""

    def start(self) -> None: ...
    def call_soon(self, call: Callable[[], object]) -> None: ...
    def join(self, timeout: float | None = None) -> bool: ...


class Platform(ABC):
    """Where a Mailstrom lives. Any thread."""

    clock: Clock

    @abstractmethod
    def new_id(self) -> str:
        """An id that nobody else has: 24 hexadecimal digits."""

    @abstractmethod
    def flag(self) -> Flag:
        """A new flag that one can wait for."""

    @abstractmethod
    def calls(self, name: str) -> Calls:
        """Makes calls one after the other, beside the caller."""

    @abstractmethod
    def looks(self, name: str, secs: float, look: Callable[[], bool]) -> Looks:
        """Calls `look` every `secs` seconds, beside the caller, until it says True.

        Raises `NotRunningError` where the system has no thread for it.
        """

    @abstractmethod
    def loop(
        self,
        name: str,
        main: Callable[[], Coroutine[Any, Any, None]],
        on_crash: Callable[[], None],
        kind: EventLoop,
    ) -> Loop:
        """An event loop that runs `main`, not started yet; that raises `NotRunningError` as above.

        Of this kind, where there is a choice.
        """

    @abstractmethod
    def turn(self, identity: str) -> Turn:
        """The right to deliver from the storage of this identity."""

    @abstractmethod
    def at_exit(self, call: Callable[[], object]) -> None:
        """Calls it when the process ends."""

    @abstractmethod
    def not_at_exit(self, call: Callable[[], object]) -> None:
        """Takes that back."""

    @abstractmethod
    def world(self, config: Config, clock: Clock, run_storage: StorageRunner) -> World:
        """Network, name servers and chance for a worker."""
