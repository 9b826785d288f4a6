"""Storing in the database of the storage alone, wherever a caller's connection leads.

Another database may have tables of mailstrom's, too: that of the tests, of another application, a
copy. What is stored there returns an id that this storage never heard of.

The server tells which database it is: by the number of its cluster, which is the same on its
standbys and behind any pooler, and the number of the database in it. Every role may ask, unless an
administrator has taken that away: then the database's number has to do. A copy of the whole
cluster, made file by file, has the same numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from ..abc import InternalMessageStatus, PreparedEmail
from ..errors import ConfigError
from .sql.script import Script, Statement

__all__ = ["InPlace"]

TELLS_CLUSTER = Statement(
    """
    SELECT coalesce(pg_catalog.has_function_privilege('public', function, 'EXECUTE'), false)
    FROM pg_catalog.to_regprocedure('pg_catalog.pg_control_system()') AS function""",
    {},
)
DATABASE = Statement(
    "SELECT NULL, oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database()", {}
)
CLUSTER_AND_DATABASE = Statement(
    """
    SELECT system_identifier, oid FROM pg_catalog.pg_control_system(), pg_catalog.pg_database
    WHERE datname = pg_catalog.current_database()""",
    {},
)


class Storing(Protocol):
    """What stores, once the place is right."""

    def store(self, entries: Sequence[tuple[PreparedEmail, InternalMessageStatus]]) -> Script[list[str]]:
        """The ids."""


class Reading(Protocol):
    """The storage's own way to read."""

    def __call__(self, script: Callable[[], Script[Place]]) -> Place:
        """The script's result."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A database; `cluster` is None where roles like ours are not told."""

    cluster: int | None
    database: int


class InPlace:
    """Scripts for callers' connections. Any thread.

    A queue may move, by pg_upgrade or another server behind the same name: after a connection
    that leads elsewhere the storage's own place is found out anew.
    """

    def __init__(self, storing: Storing, read: Reading) -> None:
        self._storing = storing
        self._read = read
        self._place: Place | None = None
        self.is_located = False

    def locate(self) -> None:
        """Finds out where the queue is, by the storage's own connection; it blocks."""
        if not self.is_located:
            self._place = self._read(_own_place)
            self.is_located = True

    def store(self, entries: Sequence[tuple[PreparedEmail, InternalMessageStatus]]) -> Script[list[str]]:
        """The ids; raises `ConfigError` where the connection leads to another database."""
        here = self._place
        assert here is not None, "locate() comes first"
        if (yield from _place(with_cluster=here.cluster is not None)) != here:
            self.is_located = False
            raise ConfigError(
                "connection: it leads to another database than the storage: connect to the storage's, or "
                "make a storage for this one"
            )
        return (yield from self._storing.store(entries))


def _own_place() -> Script[Place]:
    ((tells_cluster,),) = yield TELLS_CLUSTER
    return (yield from _place(with_cluster=tells_cluster))


def _place(*, with_cluster: bool) -> Script[Place]:
    ((cluster, database),) = yield CLUSTER_AND_DATABASE if with_cluster else DATABASE
    return Place(cluster=cluster, database=database)
