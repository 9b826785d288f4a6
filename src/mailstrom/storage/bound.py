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
from .bound_bracket import TransactionLost, in_bracket, in_bracket_async
from .bound_kinds import async_way_of, check_async_kind, check_kind, way_of
from .bound_turns import in_turn, in_turn_async
from .sql.dialect import Dialect
from .sql.script import Script, perform, perform_async

__all__ = ["bind", "bind_async"]

Entries: TypeAlias = Sequence[tuple[PreparedEmail, InternalMessageStatus]]
Storing: TypeAlias = Callable[[Entries], Script[list[str]]]
Checking: TypeAlias = Callable[[], Script[None]]

NO_TABLES = frozenset({"42P01", "3F000"})  # SQLSTATE: no such table, no such schema
FULL = frozenset({"53100", "SQLITE_FULL"})


def no_check() -> Script[None]:
    """For a script that checks where it is before it stores."""
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
            way = way_of(self.dialect, self.connection)
            with in_turn(way.driver.connection):
                way.begin(way.driver.in_transaction())
                perform(self.checking(), way.driver.execute)
                return in_bracket(way.driver, self.storing(entries))


@dataclass(frozen=True, slots=True)
class _AsyncBound(AsyncBinding):
    dialect: Dialect
    connection: object
    storing: Storing
    checking: Checking

    async def store(self, entries: Entries) -> list[str]:
        with _border():
            way = await async_way_of(self.dialect, self.connection)
            async with in_turn_async(way.driver.connection):
                await way.begin(way.driver.in_transaction())
                await perform_async(self.checking(), way.driver.execute)
                return await in_bracket_async(way.driver, self.storing(entries))


@contextmanager
def _border() -> Iterator[None]:
    """Lets mailstrom's own errors through and translates a driver's."""
    try:
        yield
    except MailstromError:
        raise
    except TransactionLost as lost:
        raise _with_the_transaction(lost.__cause__) from lost.__cause__
    except Exception as error:
        raise _translated(error) from error


def _with_the_transaction(error: BaseException | None) -> StorageError:
    first = _translated(error)
    told = type(first)(f"{first}; with it your whole transaction is lost: roll it back")
    told.transaction_lost = True
    return told


def _translated(error: BaseException | None) -> StorageError:
    code = getattr(error, "sqlstate", None) or getattr(error, "sqlite_errorname", None)
    if code in NO_TABLES:
        return StorageError(
            "connection: its database has no tables of mailstrom's where the storage has them: connect "
            "to the storage's database, or run `mailstrom db upgrade` there"
        )
    primary = str(error).partition("\n")[0]  # PostgreSQL's details may show what was to be stored
    text = f"the email was not stored through the connection: {type(error).__name__}: {primary}"
    return StorageFull(text) if code in FULL else StorageError(text)
