"""An end to waiting for a server that says nothing.

TCP's own limits tell of a machine that is gone. They do not tell of a server that stands still while
its machine goes on, nor of a PgBouncer that pauses: those acknowledge what they are sent, for ever.

What counts is silence: as long as octets come or go, a call may take as long as it takes.
"""

from __future__ import annotations

import selectors
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import Any, TypeAlias, TypeVar

import psycopg

__all__ = ["Silence", "never_silent_for"]

T = TypeVar("T")
Steps: TypeAlias = Generator[Any, Any, T]


class Silence(psycopg.OperationalError):
    """Nothing was heard for too long; the connection is closed."""


@contextmanager
def never_silent_for(connection: psycopg.Connection[Any], secs: float) -> Iterator[None]:
    """A call in the block that hears nothing for so long raises `Silence`."""

    def bounded_wait(steps: Steps[T], *_: object, **__: object) -> T:
        return _waited(connection, steps, secs)

    # on this one connection: it may be of a class of its owner's, and a cursor asks nobody else
    vars(connection)["wait"] = bounded_wait
    try:
        yield
    finally:
        del vars(connection)["wait"]


def _waited(connection: psycopg.Connection[Any], steps: Steps[T], secs: float) -> T:
    """What the steps of a call lead to: each tells for what it waits, and is told what came."""
    try:
        wanted = next(steps)
        with selectors.DefaultSelector() as selector:
            while True:
                socket = selector.register(connection.fileno(), wanted).fd
                if not (ready := selector.select(secs)):
                    break
                selector.unregister(socket)  # a step may close it
                wanted = steps.send(ready[0][1])
    except StopIteration as done:
        result: T = done.value
        return result
    connection.close()
    raise Silence(f"the server has said nothing for {secs:g} s")
