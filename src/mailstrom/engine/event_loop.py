"""What makes the event loop of a worker: asyncio, or uvloop, which does the same faster."""

from __future__ import annotations

import _thread
from collections.abc import Callable
from typing import TYPE_CHECKING

from ..errors import ConfigError

if TYPE_CHECKING:
    import asyncio

    from ..config import EventLoop

MakeLoop = Callable[[], "asyncio.AbstractEventLoop"]


def loop_maker(kind: EventLoop, *, threads_are_real: bool | None = None) -> MakeLoop | None:
    """Makes loops of this kind; None: asyncio makes them, by the policy that the application set.

    Imports what it takes: to be called before there is a thread under which somebody may fork.
    Raises `ConfigError` where uvloop is asked for, and there but broken.
    """
    are_real = _threads_are_real() if threads_are_real is None else threads_are_real
    if kind == "asyncio" or (kind == "auto" and not are_real):
        return None
    try:
        import uvloop
    except (ImportError, RuntimeError) as error:  # RuntimeError: the interpreter is about to end
        if kind == "auto":
            return None
        raise ConfigError(f"Config.event_loop: uvloop cannot be loaded: {error}") from error
    return uvloop.new_event_loop


def _threads_are_real() -> bool:
    """False under gevent and eventlet: what waits in C, as uvloop does, would stop all of the process."""
    return _thread.start_new_thread.__module__ == "_thread"
