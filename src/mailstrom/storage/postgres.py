"""The queue in PostgreSQL: any number of processes and machines share one.

    storage = PostgresStorage("postgresql://app@db.mydomain.example/app")

Polling is the mechanism: each worker looks every `poll_secs`. A notification for each commit that
stored something only shortens that, and is heard on a direct connection of its own, so that all
else works through PgBouncer in transaction mode. A connection that breaks is replaced by the next
call; while the server is away calls raise `StorageError` soon, and the engine tries again for ever.
"""

from __future__ import annotations

import logging
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, TypeVar

from ..abc import AsyncBinding, Binding, InternalMessageStatus, PreparedEmail
from ..config_storage import SCHEMA
from ..errors import ConfigError
from ..secret import Secret
from . import bound
from .bound_place import InPlace
from .sql import schema as tables
from .sql.dialect import Dialect, postgres
from .sql.queue import STATUS_RETENTION, SqlStorage
from .sql.script import Script, Statement
from .sql.storing import Storing

if TYPE_CHECKING:
    from .postgres_connections import Pool

__all__ = ["PostgresStorage"]

T = TypeVar("T")

_UPGRADE_SECS = 3600.0  # an index on a large table takes a while, and nothing is heard meanwhile

_log = logging.getLogger("mailstrom.storage")


class PostgresStorage(SqlStorage):
    """A queue in one schema of a PostgreSQL database. Any thread, any process; safe across fork.

    `dsn_or_pool` is a URL (`postgresql://...`), a conninfo (`host=... dbname=...`), or a
    `psycopg_pool.ConnectionPool`, which stays its owner's and belongs to one process. With a DSN,
    connections are made when they are needed, at most `max_connections` at once, all but two of
    which may be storing.

    `listen_dsn` is a direct way to the server, for LISTEN, where `dsn_or_pool` leads through
    PgBouncer or is a pool; a pool without one is only polled. `notify=False`: what is stored here
    is found by polling alone; see `bind`.

    `reply_timeout_secs`: how long the server may say nothing in a call before that raises
    `StorageError`. Bodies are kept for `retention` after their message is completed, all else for
    `status_retention`. The tables are made at first use; older ones want `upgrade()` first.
    """

    def __init__(
        self,
        dsn_or_pool: str | Secret | Pool,
        *,
        listen_dsn: str | Secret | None = None,
        poll_secs: float = 1.0,
        schema: str = "mailstrom",
        retention: timedelta = timedelta(0),
        status_retention: timedelta = STATUS_RETENTION,
        max_connections: int = 10,
        notify: bool = True,
        reply_timeout_secs: float = 30.0,
    ) -> None:
        _check(schema, max_connections, poll_secs=poll_secs, reply_timeout_secs=reply_timeout_secs)
        with _psycopg_needed():
            from .postgres_access import access_to
            from .postgres_transactions import Transactions
        dialect = postgres(schema)
        super().__init__(dialect, retention=retention, status_retention=status_retention)
        self._notifies = notify
        self._bound = InPlace(_Announced(dialect) if notify else self._storing, self._read)
        self._access = access_to(
            dsn_or_pool, schema=schema, listen_dsn=listen_dsn, max_connections=max_connections
        )
        self._transactions = Transactions(self._access.connections, reply_timeout_secs)
        self._is_ready = False  # the tables are there
        self.poll_secs = poll_secs
        self.identity = self._access.identity

    def __repr__(self) -> str:
        return f"PostgresStorage({self.identity!r})"

    def store(self, entries: Sequence[tuple[PreparedEmail, InternalMessageStatus]]) -> list[str]:
        """Keeps all of them or none; the ids under which they stand, in the same order."""
        with self._access.connections.storing():
            ids = super().store(entries)
        if self._notifies:
            self._transactions.tell(_channel(self.dialect))
        return ids

    def schema_version(self) -> int:
        """The version of the tables; 0: there are none."""
        return self._transactions.write(lambda: tables.installed(self.dialect))

    def upgrade(self) -> int:
        """Makes the tables, or brings them up to date; the version that they had.

        Workers go on meanwhile, also those of the version before. Raises `ConfigError` where the
        tables are newer than this mailstrom.
        """
        return self._upgrade(_UPGRADE_SECS)

    def bind(self, connection: object) -> Binding:
        """Stores through a connection of psycopg, SQLAlchemy or Django, in its transaction.

        With a NOTIFY, so that transactions that store here commit one after the other: PostgreSQL has
        one lock for all that notify, until they are on the disk. Where that is too slow, or for
        two-phase commit, which allows none, there is `notify=False`.
        """
        binding = bound.bind(self.dialect, connection, self._bound.store)
        self._bound.locate()
        return binding

    def bind_async(self, connection: object) -> AsyncBinding:
        """The same through one of psycopg, asyncpg or SQLAlchemy for asyncio."""
        binding = bound.bind_async(self.dialect, connection, self._bound.store)
        return binding if self._bound.is_located else _LocatedFirst(binding, self._bound.locate)

    def listen(self, wake: Callable[[], object], is_over: Callable[[], bool]) -> None:
        """Calls `wake` whenever somebody has stored something; with a pool alone it returns at once."""
        from .postgres_listen import listen

        if self._access.listening is not None:
            listen(self._access.listening, _channel(self.dialect), wake, is_over)

    def close(self) -> None:
        """Closes its connections; a pool is left to its owner. Calls raise `ClosedError` from then on."""
        self._access.connections.close()

    def _write(
        self,
        script: Callable[[], Script[T]],
        *,
        synced: bool = True,
        repeated: Callable[[], Script[T]] | None = None,
    ) -> T:
        self._make_ready()
        return self._transactions.write(script, synced=synced, repeated=repeated)

    def _read(self, script: Callable[[], Script[T]]) -> T:
        self._make_ready()
        return self._transactions.read(script)

    def _make_ready(self) -> None:
        if self._is_ready:
            return
        if self.schema_version() == 0:
            self._upgrade()
        self._transactions.write(lambda: tables.check_installed(self.dialect))
        unsafe = self._transactions.read(_unsafe_settings)
        self._is_ready = True  # before anything is told: a log handler may send mail by this very queue
        if unsafe:
            _log.warning(
                "%s: what send_email() has promised to deliver may be lost in a crash: %s",
                self.identity,
                ", ".join(f"{setting} is off" for setting in unsafe),
            )

    def _upgrade(self, reply_timeout_secs: float | None = None) -> int:
        return self._transactions.write(lambda: _upgrade(self.dialect), reply_timeout_secs=reply_timeout_secs)


class _Announced(Storing):
    """Tells whoever listens, as soon as the transaction that stores commits."""

    def __init__(self, dialect: Dialect) -> None:
        super().__init__(dialect)
        self._announcement = Statement(
            "SELECT pg_catalog.pg_notify(:channel, '')", {"channel": _channel(dialect)}
        )

    def store(
        self, entries: Sequence[tuple[PreparedEmail, InternalMessageStatus]], *, repeated: bool = False
    ) -> Script[list[str]]:
        """The ids, as `Storing.store` returns them."""
        ids = yield from super().store(entries, repeated=repeated)
        yield self._announcement
        return ids


@dataclass(frozen=True, slots=True)
class _LocatedFirst(AsyncBinding):
    """The first way in, while nobody knows yet where the queue is, or whether its tables are there."""

    binding: AsyncBinding
    locate: Callable[[], None]

    async def store(self, entries: Sequence[tuple[PreparedEmail, InternalMessageStatus]]) -> list[str]:
        import asyncio  # callers without a loop never pay for it

        await asyncio.to_thread(self.locate)
        return await self.binding.store(entries)


def _upgrade(dialect: Dialect) -> Script[int]:
    # whoever comes second finds the tables made
    yield Statement("SELECT pg_advisory_xact_lock(:key)", {"key": zlib.crc32(dialect.prefix.encode())})
    # a table waits for a transaction that was left open, and everybody else would wait behind that
    yield Statement("SET LOCAL lock_timeout TO '5s'", {})
    return (yield from tables.upgrade(dialect))


def _unsafe_settings() -> Script[list[str]]:
    """Settings of the server that make less of a commit than `store` promises."""
    unsafe = []
    for setting in ("fsync", "full_page_writes", "synchronous_commit"):
        ((value,),) = yield Statement("SELECT current_setting(:setting)", {"setting": setting})
        if value == "off":
            unsafe.append(setting)
    return unsafe


def _channel(dialect: Dialect) -> str:
    return f"{dialect.schema}_stored"


@contextmanager
def _psycopg_needed() -> Iterator[None]:
    try:
        yield
    except ImportError as error:
        raise ConfigError("PostgresStorage needs psycopg 3: pip install 'mailstrom[postgres]'") from error


def _check(schema: object, max_connections: object, **secs: object) -> None:
    if not isinstance(schema, str) or not SCHEMA.fullmatch(schema):
        raise ConfigError(f"schema: expected a name of a-z, 0-9 and _, at most 41 long, got {schema!a}")
    for name, value in secs.items():
        if not isinstance(value, int | float) or not 0 < value < float("inf"):
            raise ConfigError(f"{name}: expected more than 0, got {value!r}")
    if not isinstance(max_connections, int) or max_connections < 1:
        raise ConfigError(f"max_connections: expected 1 or more, got {max_connections!r}")
