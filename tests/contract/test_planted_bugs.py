"""Each planted bug breaks a clause of the contract, and the storage without the bug keeps that clause."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from pathlib import Path

import pytest

from mailstrom.errors import StorageError
from mailstrom.storage.postgres import PostgresStorage
from mailstrom.storage.sqlite import SqliteStorage
from mailstrom.testing.storage_contract import Bench, Need, clauses_for
from tests.contract import test_postgres_storage as postgres
from tests.contract import test_sqlite_storage as sqlite
from tests.contract.planted_bugs import POSTGRES_BUGS, SQLITE_BUGS, Bugs
from tests.contract.planting import Opening
from tests.contract.subjects import emptied

RACES = 10

SQLITE_NEEDS: tuple[Need, ...] = ("another", "reopen", "in_transaction", "status_retention")


def each_bug(bugs: Bugs) -> pytest.MarkDecorator:
    """The test is run with each `bug` and the `topic` of the clauses that come first."""
    named = [(topic, bug) for topic, of_topic in bugs.items() for bug in of_topic]
    return pytest.mark.parametrize(("topic", "bug"), named, ids=[bug for _, bug in named])


@each_bug(SQLITE_BUGS)
def test_a_bug_in_sqlite_breaks_a_clause(tmp_path: Path, topic: str, bug: str) -> None:
    files = (tmp_path / f"{number}.db" for number in count())

    def bench(opening: Opening) -> Bench:
        return sqlite.bench_on(next(files), "normal", opening)

    broken = first_broken(topic, SQLITE_NEEDS, lambda: bench(SQLITE_BUGS[topic][bug]))

    assert broken is not None, f"every clause holds though {bug}"
    with bench(SqliteStorage) as correct:
        broken(correct)


@each_bug(POSTGRES_BUGS)
def test_a_bug_in_postgres_breaks_a_clause(queue: str, topic: str, bug: str) -> None:
    def bench(opening: Opening) -> Bench:
        return postgres.bench_on(emptied(queue), lambda: opening(queue, status_retention=postgres.RETENTION))

    broken = first_broken(topic, postgres.EVERY_NEED, lambda: bench(POSTGRES_BUGS[topic][bug]))

    assert broken is not None, f"every clause holds though {bug}"
    with bench(PostgresStorage) as correct:
        broken(correct)


def first_broken(
    topic: str, needs: tuple[Need, ...], bench: Callable[[], Bench]
) -> Callable[[Bench], None] | None:
    """A clause that does not hold; those of the topic are tried first, and then all others.

    Some bugs show in a race only, which a correct storage always wins and they sometimes do: the
    topic's clauses are tried several times.
    """
    clauses = clauses_for(*needs)
    of_topic = [clause for clause in clauses if clause.__module__.endswith(topic)]
    others = [clause for clause in clauses if clause not in of_topic]
    for clause in [*of_topic * RACES, *others]:
        with bench() as opened:
            if is_broken(clause, opened):
                return clause
    return None


def is_broken(clause: Callable[[Bench], None], bench: Bench) -> bool:
    """The clause ended in an exception.

    `StorageError` goes through: statements that are wrong for their database are no planted bug.
    """
    try:
        clause(bench)
    except StorageError:
        raise
    except Exception:
        return True
    return False
