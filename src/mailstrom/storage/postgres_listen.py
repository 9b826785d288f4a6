"""LISTEN: hearing at once that somebody has stored something.

It only saves waiting for the next look: a notification that is lost costs `poll_secs`. So it has a
connection of its own, outside of any pool (LISTEN is state of a session), makes it anew for ever,
and says nothing of trouble but to the log's debug level.
"""

from __future__ import annotations

import logging
import selectors
import time
from collections.abc import Callable
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_attempts, conninfo_to_dict, make_conninfo

from ..secret import Secret
from .postgres_silence import never_silent_for

__all__ = ["listen"]

_LOOK_SECS = 0.5  # how often to ask whether it is over
_CONNECT_SECS = 2  # the shortest that libpq knows
_SHORTEST_SECS, _LONGEST_SECS = 1.0, 30.0  # between two connections

_log = logging.getLogger("mailstrom.storage")


def listen(conninfo: Secret, channel: str, wake: Callable[[], object], is_over: Callable[[], bool]) -> None:
    """Calls `wake` at each notification, and whenever it may have missed one, until `is_over()`."""
    pause = _SHORTEST_SECS
    while not is_over():
        try:
            with _connected(conninfo, is_over) as connection:
                with never_silent_for(connection, _CONNECT_SECS):
                    connection.execute(f"LISTEN {channel}")
                pause = _SHORTEST_SECS
                wake()  # what came before has told nobody
                _hear(connection, wake, is_over)
        except (psycopg.Error, OSError) as error:
            _log.debug("listening on PostgreSQL ended, and begins anew: %s", error)
            _wait(pause, is_over)
            pause = min(2 * pause, _LONGEST_SECS)


def _connected(conninfo: Secret, is_over: Callable[[], bool]) -> psycopg.Connection[Any]:
    """To the first address that answers; the limit holds for each, so it is asked between them."""
    for address in conninfo_attempts(conninfo_to_dict(conninfo.reveal())):
        if is_over():
            break
        try:
            bounded = make_conninfo("", **{**address, "connect_timeout": _CONNECT_SECS})
            return psycopg.connect(bounded, autocommit=True)
        except psycopg.OperationalError as error:
            _log.debug("%s", error)
    raise psycopg.OperationalError("no address has let us in")


def _hear(
    connection: psycopg.Connection[Any], wake: Callable[[], object], is_over: Callable[[], bool]
) -> None:
    with selectors.DefaultSelector() as selector:
        selector.register(connection.fileno(), selectors.EVENT_READ)
        while not is_over():
            if selector.select(_LOOK_SECS):
                heard = list(connection.notifies(timeout=0))
                if heard:
                    wake()


def _wait(secs: float, is_over: Callable[[], bool]) -> None:
    deadline = time.monotonic() + secs
    while not is_over() and (left := deadline - time.monotonic()) > 0:
        time.sleep(min(left, _LOOK_SECS))
