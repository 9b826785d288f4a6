"""How a script runs inside a transaction that is somebody else's.

    a transaction is open     SAVEPOINT … RELEASE; what fails goes back to the savepoint
    none is open, but any     BEGIN …: the caller's commit() decides, as if a statement of the
    statement begins one      caller's had begun it; what fails ends what was begun here
    none is open: autocommit  BEGIN … COMMIT: as each statement of the caller's commits by
                              itself, so does what is stored

Which of them holds, only the driver can tell (`Driver.bracket`); the rest is the same for all.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol, TypeVar

from .sql.script import Batch, Row, Script, Statement, perform, perform_async

__all__ = ["SAVEPOINT", "AsyncDriver", "Bracket", "Driver", "in_bracket", "in_bracket_async"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Bracket:
    """What is executed before a script, after it, and in the place of that where it failed."""

    enter: tuple[str, ...]
    leave: tuple[str, ...]
    undo: tuple[str, ...]


SAVEPOINT = Bracket(
    enter=("SAVEPOINT mailstrom_outbox",),
    leave=("RELEASE SAVEPOINT mailstrom_outbox",),
    undo=("ROLLBACK TO SAVEPOINT mailstrom_outbox", "RELEASE SAVEPOINT mailstrom_outbox"),
)


class Driver(Protocol):
    """A caller's connection whose calls block."""

    def bracket(self) -> Bracket:
        """What the connection's transaction demands at this moment."""

    def execute(self, statement: Statement | Batch) -> Sequence[Row]:
        """Its rows, as tuples whatever the caller has made of rows."""


class AsyncDriver(Protocol):
    """A caller's connection whose calls are awaited."""

    async def bracket(self) -> Bracket:
        """As `Driver.bracket`."""

    async def execute(self, statement: Statement | Batch) -> Sequence[Row]:
        """As `Driver.execute`."""


def in_bracket(driver: Driver, script: Script[T]) -> T:
    """The script's result; where it raises, the caller's transaction is as it was before."""
    bracket = driver.bracket()
    _execute_all(driver, bracket.enter)
    try:
        result = perform(script, driver.execute)
        _execute_all(driver, bracket.leave)
    except BaseException:
        with suppress(Exception):  # a connection that is gone has rolled back already
            _execute_all(driver, bracket.undo)
        raise
    return result


async def in_bracket_async(driver: AsyncDriver, script: Script[T]) -> T:
    """The same with a driver that is awaited."""
    bracket = await driver.bracket()
    await _execute_all_async(driver, bracket.enter)
    try:
        result = await perform_async(script, driver.execute)
        await _execute_all_async(driver, bracket.leave)
    except BaseException:
        with suppress(Exception):
            await _execute_all_async(driver, bracket.undo)
        raise
    return result


def _execute_all(driver: Driver, statements: Sequence[str]) -> None:
    for sql in statements:
        driver.execute(Statement(sql, {}))


async def _execute_all_async(driver: AsyncDriver, statements: Sequence[str]) -> None:
    for sql in statements:
        await driver.execute(Statement(sql, {}))
