"""The outbox: an email stored inside its caller's own transaction.

    bind(dialect, connection, storing, checking)         -> Binding       store() blocks
    bind_async(dialect, connection, storing, checking)   -> AsyncBinding  store() is awaited

`storing` makes the storage's own script for storing, which runs through the caller's connection
in a bracket that fits the transaction there. `checking` makes a script that raises `ConfigError`
where the connection leads elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeAlias

from ..abc import AsyncBinding, Binding, InternalMessageStatus, PreparedEmail
from ..errors import MailstromError, StorageError, StorageFull
from .bound_bracket import in_bracket, in_bracket_async
from .bound_kinds import async_driver_of, check_async_kind, check_kind, driver_of
from .sql.dialect import Dialect
from .sql.script import Script, perform, perform_async

__all__ = ["bind", "bind_async"]

Entries: TypeAlias = Sequence[tuple[PreparedEmail, InternalMessageStatus]]
Storing: TypeAlias = Callable[[Entries], Script[list[str]]]
Checking: TypeAlias = Callable[[], Script[None]]

NO_TABLES = frozenset({"42P01", "3F000"})  # SQLSTATE: no such table, no such schema
FULL = frozenset({"53100", "SQLITE_FULL"})


def no_check() -> Script[None]:
    """For a connection that is known to lead to the storage when its tables are there."""
    yield from ()


def bind(dialect: Dialect, connection: object, storing: Storing, checking: Checking = no_check) -> Binding:
    """A way to store through a connection whose calls block; `ConfigError` for any other kind."""
    check_kind(dialect, connection)
    return _Bound(dialect, connection, storing, checking)


def bind_async(
    dialect: Dialect, connection: object, storing: Storing, checking: Checking = no_check
) -> AsyncBinding:
    """The same through a connection whose calls are awaited."""
    check_async_kind(dialect, connection)
    return _AsyncBound(dialect, connection, storing, checking)


@dataclass(frozen=True, slots=True)
class _Bound(Binding):
    dialect: Dialect
    connection: object
    storing: Storing
    checking: Checking

    def store(self, entries: Entries) -> list[str]:
        with _border():
            driver = driver_of(self.dialect, self.connection)
            perform(self.checking(), driver.execute)
            return in_bracket(driver, self.storing(entries))


@dataclass(frozen=True, slots=True)
class _AsyncBound(AsyncBinding):
    dialect: Dialect
    connection: object
    storing: Storing
    checking: Checking

    async def store(self, entries: Entries) -> list[str]:
        with _border():
            driver = await async_driver_of(self.dialect, self.connection)
            await perform_async(self.checking(), driver.execute)
            return await in_bracket_async(driver, self.storing(entries))


@contextmanager
def _border() -> Iterator[None]:
    """Lets mailstrom's own errors through and translates a driver's."""
    try:
        yield
    except MailstromError:
        raise
    except Exception as error:
        raise _translated(error) from error


def _translated(error: Exception) -> StorageError:
    code = getattr(error, "sqlstate", None) or getattr(error, "sqlite_errorname", None)
    if code in NO_TABLES:
        return StorageError(
            "connection: its database has no tables of mailstrom's where the storage has them: connect "
            "to the storage's database, or run `mailstrom db upgrade` there"
        )
    primary = str(error).partition("\n")[0]  # PostgreSQL's details may show what was to be stored
    text = f"the email was not stored through the connection: {type(error).__name__}: {primary}"
    return StorageFull(text) if code in FULL else StorageError(text)
