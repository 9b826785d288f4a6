"""What is left of a caller's transaction where a bracket fails, or is interrupted at any statement.

The database is a value here that does as PostgreSQL does: a statement that is cut off is an error,
and after an error nothing can be done but to go back to a savepoint, or to roll back.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

import pytest

from mailstrom.storage.bound_bracket import (
    SAVEPOINT,
    Bracket,
    TransactionLost,
    in_bracket,
    in_bracket_async,
)
from mailstrom.storage.sql.script import Batch, Row, Script, Statement

BY_ITSELF = Bracket(enter=("BEGIN",), leave=("COMMIT",), undo=("ROLLBACK",))
MOST_TURNS = 60


class Database:
    """A transaction and its rows."""

    def __init__(self, *, is_open: bool) -> None:
        self.is_open = is_open
        self.is_broken = False
        self.rows = ["theirs"] if is_open else []
        self.savepoints: list[int] = []
        self.committed: list[str] = []

    def execute(self, sql: str) -> None:
        """What the statement does to them; raises where it cannot be done."""
        if self.is_broken and not sql.startswith("ROLLBACK"):
            raise RuntimeError("current transaction is aborted")
        match sql.split():
            case ["BEGIN"]:
                self.is_open = True
            case ["COMMIT"]:
                self.is_open, self.committed = False, self.rows
            case ["ROLLBACK"]:
                self.is_open, self.is_broken, self.rows = False, False, []
            case ["SAVEPOINT", _]:
                self.savepoints.append(len(self.rows))
            case ["RELEASE", *_]:
                self.savepoints.pop()
            case ["ROLLBACK", "TO", *_]:
                self._roll_back_to_savepoint()
            case ["INSERT", row]:
                self.rows.append(row)

    def _roll_back_to_savepoint(self) -> None:
        if not self.savepoints:
            self.is_broken = True
            raise RuntimeError("savepoint does not exist")
        self.is_broken = False
        del self.rows[self.savepoints[-1] :]


class Blocking:
    """A connection to it; `before` is called before each statement, `after` it after each."""

    def __init__(
        self,
        database: Database,
        *,
        before: Callable[[str], None] = lambda sql: None,
        after: Callable[[str], None] = lambda sql: None,
    ) -> None:
        self.connection: object = database
        self.database = database
        self.before, self.after = before, after

    def bracket(self) -> Bracket:
        return SAVEPOINT if self.database.is_open else BY_ITSELF

    def in_transaction(self) -> bool:
        return self.database.is_open and not self.database.is_broken

    def execute(self, statement: Statement | Batch) -> Sequence[Row]:
        self.before(statement.sql)
        self.database.execute(statement.sql)
        self.after(statement.sql)
        return ()


class Awaited:
    """The same for asyncio: each statement is on its way for two turns of the loop, and may be cut off."""

    def __init__(self, database: Database, *, before: Callable[[str], None] = lambda sql: None) -> None:
        self.connection: object = database
        self.database = database
        self.before = before

    async def bracket(self) -> Bracket:
        return SAVEPOINT if self.database.is_open else BY_ITSELF

    def in_transaction(self) -> bool:
        return self.database.is_open and not self.database.is_broken

    async def execute(self, statement: Statement | Batch) -> Sequence[Row]:
        try:
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        except asyncio.CancelledError:
            self.database.is_broken = self.database.is_open
            raise
        self.before(statement.sql)
        self.database.execute(statement.sql)
        return ()


def storing() -> Script[str]:
    yield Statement("INSERT one", {})
    yield Statement("INSERT two", {})
    return "id"


def raising_on(wanted: str, error: type[BaseException]) -> Callable[[str], None]:
    """Raises at that statement, the first time."""
    left = [wanted]

    def hook(sql: str) -> None:
        if sql.startswith(wanted) and left:
            left.clear()
            raise error(sql)

    return hook


async def cancelled_after(turns: int, driver: Awaited, *, again: bool = False) -> bool:
    """Whether the call was cancelled; after so many turns of the loop it may be done."""
    task = asyncio.create_task(in_bracket_async(driver, storing()))
    for _ in range(turns):
        await asyncio.sleep(0)
    task.cancel()
    while again and not task.done():
        task.cancel()
        await asyncio.sleep(0)
    try:
        await task
    except asyncio.CancelledError:
        return True
    return False


@pytest.mark.parametrize("again", [False, True])
@pytest.mark.parametrize("turns", range(MOST_TURNS))
def test_a_transaction_can_be_committed_wherever_a_call_in_it_was_cancelled(turns: int, again: bool) -> None:
    database = Database(is_open=True)

    asyncio.run(cancelled_after(turns, Awaited(database), again=again))

    assert (database.is_open, database.is_broken, database.savepoints) == (True, False, [])
    assert database.rows in (["theirs"], ["theirs", "one", "two"])


@pytest.mark.parametrize("again", [False, True])
@pytest.mark.parametrize("turns", range(MOST_TURNS))
def test_with_autocommit_nothing_stays_open_wherever_a_call_was_cancelled(turns: int, again: bool) -> None:
    database = Database(is_open=False)

    asyncio.run(cancelled_after(turns, Awaited(database), again=again))

    assert (database.is_open, database.is_broken) == (False, False)
    assert database.committed in ([], ["one", "two"])


@pytest.mark.parametrize(("turns", "is_cancelled"), [(1, True), (MOST_TURNS, False)])
def test_the_turns_reach_from_the_first_statement_to_the_end(turns: int, is_cancelled: bool) -> None:
    driver = Awaited(Database(is_open=True))

    assert asyncio.run(cancelled_after(turns, driver)) == is_cancelled


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
@pytest.mark.parametrize("statement", ["INSERT one", "INSERT two"])
@pytest.mark.parametrize("is_open", [True, False])
def test_of_a_call_that_blocks_nothing_stays_where_it_is_interrupted(
    is_open: bool, statement: str, error: type[BaseException]
) -> None:
    database = Database(is_open=is_open)

    with pytest.raises(error):
        in_bracket(Blocking(database, after=raising_on(statement, error)), storing())

    assert (database.is_open, database.savepoints) == (is_open, [])
    assert database.rows == (["theirs"] if is_open else [])


@pytest.mark.parametrize("is_open", [True, False])
def test_nor_where_that_is_at_its_first_statement(is_open: bool) -> None:
    database, first = Database(is_open=is_open), "SAVEPOINT" if is_open else "BEGIN"

    with pytest.raises(KeyboardInterrupt):
        in_bracket(Blocking(database, after=raising_on(first, KeyboardInterrupt)), storing())

    assert (database.is_open, database.savepoints) == (is_open, [])


def test_where_the_savepoint_was_refused_nothing_is_undone() -> None:
    """As asyncpg refuses it while another task's statement is under way."""
    database = Database(is_open=True)

    with pytest.raises(RuntimeError):
        in_bracket(Blocking(database, before=raising_on("SAVEPOINT", RuntimeError)), storing())

    assert (database.is_open, database.is_broken) == (True, False)


@pytest.mark.parametrize("turns", [1, 2, 3])
def test_nor_where_the_call_was_cancelled_meanwhile(turns: int) -> None:
    database = Database(is_open=True)
    driver = Awaited(database, before=raising_on("SAVEPOINT", RuntimeError))

    assert asyncio.run(cancelled_after(turns, driver))
    assert (database.is_open, database.is_broken) == (True, False)


def test_what_cannot_be_undone_is_said_to_be_lost() -> None:
    """The caller must not commit the one row without the other."""
    database = Database(is_open=True)

    def refusing(sql: str) -> None:
        if sql.startswith(("INSERT two", "ROLLBACK")):
            raise RuntimeError(sql)

    with pytest.raises(TransactionLost) as told:
        in_bracket(Blocking(database, before=refusing), storing())

    assert str(told.value.__cause__) == "INSERT two"
    assert database.rows == ["theirs", "one"]
