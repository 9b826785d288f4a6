"""How a script runs inside a transaction that is somebody else's.

    a transaction is open     SAVEPOINT … RELEASE; what fails goes back to the savepoint
    none is open, but any     BEGIN …: the caller's commit() decides, as if a statement of the
    statement begins one      caller's had begun it; what fails ends what was begun here
    none is open: autocommit  BEGIN … COMMIT: as each statement of the caller's commits by
                              itself, so does what is stored

Which of them holds, only the driver can tell (`Driver.bracket`); the rest is the same for all.

A task may be cancelled at any statement. A driver cancels that in the server then, and to a
transaction a cancelled SAVEPOINT is as bad as any error: nothing could be committed any more. So
the statements at either end are finished first; the script between them may be cut off.
"""

from __future__ import annotations

from collections.abc import Coroutine, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, Protocol, TypeVar

from .sql.script import Batch, Row, Script, Statement, perform, perform_async

__all__ = [
    "SAVEPOINT",
    "AsyncDriver",
    "Bracket",
    "Driver",
    "TransactionLost",
    "in_bracket",
    "in_bracket_async",
]

T = TypeVar("T")

Step = Literal["enter", "perform", "leave"]


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


class TransactionLost(Exception):
    """With what failed, its cause, the caller's transaction is gone, or must not be committed."""


class Driver(Protocol):
    """A caller's connection whose calls block."""

    @property
    def connection(self) -> object:
        """The driver's own."""

    def bracket(self) -> Bracket:
        """What the connection's transaction demands at this moment."""

    def in_transaction(self) -> bool:
        """A transaction is open that can be committed, as far as the connection knows."""

    def execute(self, statement: Statement | Batch) -> Sequence[Row]:
        """Its rows, as tuples whatever the caller has made of rows."""


class AsyncDriver(Protocol):
    """A caller's connection whose calls are awaited."""

    @property
    def connection(self) -> object:
        """As `Driver.connection`."""

    async def bracket(self) -> Bracket:
        """As `Driver.bracket`."""

    def in_transaction(self) -> bool:
        """As `Driver.in_transaction`."""

    async def execute(self, statement: Statement | Batch) -> Sequence[Row]:
        """As `Driver.execute`."""


def in_bracket(driver: Driver, script: Script[T]) -> T:
    """The script's result; where it raises, the caller's transaction is as it was before.

    Or else it is lost, and `TransactionLost` is raised.
    """
    bracket = driver.bracket()
    step: Step = "enter"
    try:
        _execute_all(driver, bracket.enter)
        step = "perform"
        result = perform(script, driver.execute)
        step = "leave"
        _execute_all(driver, bracket.leave)
    except BaseException as error:
        undone = not _is_between(step, error) or _undone(driver, bracket)
        _check_kept(driver, bracket, error, undone=undone)
        raise
    return result


async def in_bracket_async(driver: AsyncDriver, script: Script[T]) -> T:
    """The same with a driver that is awaited; it may be cancelled at any time."""
    bracket = await driver.bracket()
    step: Step = "enter"
    try:
        await _finished(_execute_all_async(driver, bracket.enter))
        step = "perform"
        result = await perform_async(script, partial(_execute, driver))
        step = "leave"
        await _finished(_execute_all_async(driver, bracket.leave))
    except BaseException as error:
        undone = not _is_between(step, error) or await _finished(_undone_async(driver, bracket))
        _check_kept(driver, bracket, error, undone=undone)
        raise
    return result


def _is_between(step: Step, error: BaseException) -> bool:
    """The bracket was entered, and was not left.

    At either end an error has kept the statements from being done, and an interrupt has not, but
    where an error is its cause. What was not entered must not be undone: that would be an error
    again, and could be the end of a transaction that goes on.
    """
    was_done = not isinstance(error.__cause__ or error, Exception)
    return {"enter": was_done, "perform": True, "leave": not was_done}[step]


def _undone(driver: Driver, bracket: Bracket) -> bool:
    with suppress(Exception):
        _execute_all(driver, bracket.undo)
        return True
    return False


async def _undone_async(driver: AsyncDriver, bracket: Bracket) -> bool:
    with suppress(Exception):
        await _execute_all_async(driver, bracket.undo)
        return True
    return False


def _check_kept(
    driver: Driver | AsyncDriver, bracket: Bracket, error: BaseException, *, undone: bool
) -> None:
    """Raises `TransactionLost` where the caller's transaction went, or has a part of the script's work."""
    if not isinstance(error, Exception):
        return
    is_lost = not undone if driver.in_transaction() else bracket is SAVEPOINT
    if is_lost:
        raise TransactionLost from error


def _execute_all(driver: Driver, statements: Sequence[str]) -> None:
    for sql in statements:
        driver.execute(Statement(sql, {}))


async def _execute(driver: AsyncDriver, statement: Statement | Batch) -> Sequence[Row]:
    """A batch is finished, too: psycopg makes a pipeline of it, and one that is cut off stays half open."""
    executing = driver.execute(statement)
    return await (_finished(executing) if isinstance(statement, Batch) else executing)


async def _execute_all_async(driver: AsyncDriver, statements: Sequence[str]) -> None:
    for sql in statements:
        await driver.execute(Statement(sql, {}))


async def _finished(doing: Coroutine[Any, Any, T]) -> T:
    """What it returns or raises when it is done; a cancellation is raised then, from what it raises."""
    import asyncio  # callers without a loop never pay for it

    task, cancelled = asyncio.ensure_future(doing), None
    while not task.done():
        try:
            await asyncio.wait((task,))
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is None:
        return task.result()
    raise cancelled from task.exception()
