"""A system that has no thread to give, as one at its limit of processes."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest


@contextmanager
def no_thread_for(name: str, monkeypatch: pytest.MonkeyPatch, *, times: int = 1000) -> Iterator[None]:
    """Meanwhile a thread of this name cannot be started, the first `times` times."""
    start, refused = threading.Thread.start, []

    def start_or_not(thread: threading.Thread) -> None:
        if thread.name == name and len(refused) < times:
            refused.append(name)
            raise RuntimeError("can't start new thread")
        start(thread)

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", start_or_not)
        yield
    assert refused, f"nobody has asked for a thread {name}"
