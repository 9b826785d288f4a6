"""What a test may not leave behind: threads, sockets, unfinished tasks, unseen errors.

    with watched() as left:          (the whole of one test, its fixtures included)
        ...
    left                             a line for each thing that was left behind

asyncio.run() quietly cancels the tasks that are still there when its main coroutine is done,
so a task that nobody waits for never shows. They are recorded here before that happens.
"""

from __future__ import annotations

import asyncio
import asyncio.runners
import gc
import logging
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

GRACE_SECS = 5.0  # a thread that is ending gets this long

_OPEN_FILES = Path("/proc/self/fd")


@contextmanager
def watched(grace_secs: float = GRACE_SECS) -> Iterator[list[str]]:
    """Fills the list with what was left behind, at the end."""
    left: list[str] = []
    threads, sockets = _threads(), _sockets()
    with _loop_errors(left), _abandoned_tasks(left):
        yield left
    left += [f"thread {thread.name!r} still runs" for thread in _still_running(threads, grace_secs)]
    left += [f"{name} is still open" for name in sorted(_sockets_left(sockets))]


def _threads() -> set[threading.Thread]:
    return set(threading.enumerate())


def _still_running(before: set[threading.Thread], grace_secs: float) -> list[threading.Thread]:
    deadline = time.monotonic() + grace_secs
    for thread in _threads() - before:
        thread.join(max(0.0, deadline - time.monotonic()))
    return sorted(_threads() - before, key=lambda thread: thread.name)


def _sockets() -> set[str]:
    """The open sockets as the kernel names them ("socket:[4711]"); none where there is no /proc."""
    found = set()
    for entry in _OPEN_FILES.iterdir() if _OPEN_FILES.is_dir() else ():
        try:
            found.add(os.readlink(entry))
        except OSError:  # closed since it was listed
            continue
    return {name for name in found if name.startswith("socket:")}


def _sockets_left(before: set[str]) -> set[str]:
    if not _sockets() - before:
        return set()
    left = _sockets() - before
    gc.collect()  # an unclosed socket in a cycle says here where it was made
    return left


@contextmanager
def _loop_errors(left: list[str]) -> Iterator[None]:
    """asyncio has nobody to raise to in a callback or a lost task: it logs."""
    listener = _Listener(left)
    logger = logging.getLogger("asyncio")
    logger.addHandler(listener)
    try:
        yield
    finally:
        logger.removeHandler(listener)


class _Listener(logging.Handler):
    def __init__(self, left: list[str]) -> None:
        super().__init__(logging.ERROR)
        self._left = left

    def emit(self, record: logging.LogRecord) -> None:
        cause = record.exc_info[1] if record.exc_info else None
        because = "" if cause is None else f" ({cause!r})"
        self._left.append(f"asyncio logged: {record.getMessage()}{because}")


@contextmanager
def _abandoned_tasks(left: list[str]) -> Iterator[None]:
    original: Callable[[asyncio.AbstractEventLoop], None] = asyncio.runners._cancel_all_tasks  # type: ignore[attr-defined]

    def recording(loop: asyncio.AbstractEventLoop) -> None:
        left.extend(f"{task!r} was left behind" for task in asyncio.all_tasks(loop))
        original(loop)

    asyncio.runners._cancel_all_tasks = recording  # type: ignore[attr-defined]
    try:
        yield
    finally:
        asyncio.runners._cancel_all_tasks = original  # type: ignore[attr-defined]
