"""Whether a thread is sending mail already when it is asked to send.

That is a log handler then, such as `AdminEmailHandler`, with what the sending itself has logged. To
serve it would mean to wait for a lock that its own thread has, or to log the same again, without end.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["at_work", "tell_of_refusal"]

OURS = "mailstrom-"  # how the names of the engine's threads begin
OBSERVERS = "mailstrom-observers"  # runs what is not ours, and may send

_log = logging.getLogger("mailstrom.django")


class _Thread(threading.local):
    is_at_work = False
    is_telling = False


_thread = _Thread()


@contextmanager
def at_work() -> Iterator[bool]:
    """As long as it lasts this thread is at work here; yields whether it was before."""
    was_at_work, _thread.is_at_work = _thread.is_at_work, True
    try:
        yield was_at_work or _is_of_the_engine(threading.current_thread().name)
    finally:
        _thread.is_at_work = was_at_work


def tell_of_refusal() -> None:
    """Logs it; not once more where this very line is to be mailed."""
    if _thread.is_telling:
        return
    _thread.is_telling = True
    try:
        _log.error(
            "an email was not sent: a log handler mails what mailstrom logs; keep that from it, with a "
            "handler of its own for LOGGING['loggers']['mailstrom'], and 'propagate': False"
        )
    finally:
        _thread.is_telling = False


def _is_of_the_engine(name: str) -> bool:
    return name.startswith(OURS) and name != OBSERVERS
