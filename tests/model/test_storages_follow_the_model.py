"""What the model says, the storages say: traces of it are replayed against each.

MAILSTROM_TRACES=5000 pytest tests/model      as many of each world, of some hundred thousand
MAILSTROM_TRACES=all pytest tests/model       every one, on each storage: hours
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import cache
from pathlib import Path
from typing import TypeVar

import pytest

from mailstrom.errors import StorageError
from mailstrom.storage.exclusive import ExclusiveStorage
from mailstrom.storage.memory import MemoryStorage
from mailstrom.storage.postgres import PostgresStorage
from mailstrom.storage.sql.queue import SqlStorage
from mailstrom.storage.sql.script import Script
from mailstrom.storage.sqlite import SqliteStorage
from tests.contract import broken_storages
from tests.contract.subjects import LeaseClock
from tests.model.replaying import Desk, Disagreement, Replay
from tests.model.traces import Trace, covering
from tests.model.worlds import WORLDS, explored
from tests.postgres import query

T = TypeVar("T")

TRACES = os.environ.get("MAILSTROM_TRACES")
SEED = 4


class Forgetful(SqlStorage):
    """Does what it is asked to, and can lose the reply."""

    loses_reply = False

    def _write(
        self,
        script: Callable[[], Script[T]],
        *,
        synced: bool = True,
        repeated: Callable[[], Script[T]] | None = None,
    ) -> T:
        done = super()._write(script, synced=synced, repeated=repeated)
        if self.loses_reply:
            self.loses_reply = False
            raise StorageError("the reply to COMMIT was lost")
        return done


class ForgetfulSqlite(Forgetful, SqliteStorage):
    """In a file."""


class ForgetfulPostgres(Forgetful, PostgresStorage):
    """On a server."""


@pytest.mark.timeout(3600 if TRACES else 120)
@pytest.mark.parametrize("name", WORLDS)
def test_memory_says_what_the_model_says(name: str) -> None:
    for number, trace in enumerate(_sample(name, 1_500)):
        _replay(_memory(), name, number, trace)


@pytest.mark.timeout(3600 if TRACES else 120)
@pytest.mark.parametrize("name", WORLDS)
def test_sqlite_says_what_the_model_says(tmp_path: Path, name: str) -> None:
    with _sqlite(tmp_path / "mail.db") as desk:
        for number, trace in enumerate(_sample(name, 60)):
            _replay(desk, name, number, trace)


@pytest.mark.timeout(7200 if TRACES else 120)
@pytest.mark.parametrize("name", WORLDS)
def test_postgres_says_what_the_model_says(database: str, name: str) -> None:
    with _postgres(database) as desk:
        for number, trace in enumerate(_sample(name, 25)):
            _replay(desk, name, number, trace)


@pytest.mark.parametrize(
    "broken",
    [
        broken_storages.NoToken,
        broken_storages.NoLease,
        broken_storages.ForgetsCrashes,
        broken_storages.TriesCrashedAtOnce,
        broken_storages.SettlesAll,
        broken_storages.GiveBackCostsATry,
        broken_storages.ForgetsDot,
        broken_storages.CancelsClaimed,
        broken_storages.HoldsNothing,
    ],
)
def test_a_broken_storage_says_something_else(broken: type[ExclusiveStorage]) -> None:
    with pytest.raises(Disagreement):
        for name in ("one recipient", "two recipients"):
            for number, trace in enumerate(_sample(name, 2_000)):
                _replay(_memory(broken), name, number, trace)


@cache
def _traces(name: str) -> list[Trace]:
    """Those that together cover the world."""
    return list(covering(explored(name)))


def _sample(name: str, count: int) -> list[Trace]:
    """Some of the traces of the world, or all."""
    traces = _traces(name)
    if TRACES == "all":
        return traces
    count = min(int(TRACES) if TRACES else count, len(traces))
    return random.Random(SEED).sample(traces, count)


def _replay(desk: Desk, world: str, number: int, trace: Trace) -> None:
    """Every second time the workers share a name: the token alone must do."""
    owners = ("one", "two") if number % 2 else ("one", "one")
    name = f"{world}-{number}".replace(" ", "-")
    Replay(desk=desk, name=name, messages=WORLDS[world].messages, owners=owners).run(trace)


def _memory(kind: type[ExclusiveStorage] = ExclusiveStorage) -> Desk:
    clock = LeaseClock()
    storage = kind(MemoryStorage(), lease_clock=clock)
    return Desk(storages=(storage, storage), advance_lease_clock=clock.advance)


@contextmanager
def _sqlite(path: Path) -> Iterator[Desk]:
    clock = LeaseClock()
    with (
        closing(ForgetfulSqlite(path, lease_clock=clock, durability="normal")) as one,
        closing(ForgetfulSqlite(path, lease_clock=clock, durability="normal")) as two,
    ):
        yield Desk(storages=(one, two), advance_lease_clock=clock.advance, replies=(one, two))


@contextmanager
def _postgres(dsn: str) -> Iterator[Desk]:
    def advance_lease_clock(secs: float) -> None:
        """The clock is the database's own: instead of it, the leases are moved."""
        moved = "UPDATE mailstrom.recipients SET lease_until = lease_until - %s WHERE lease_until IS NOT NULL"
        query(dsn, moved, [int(secs * 1_000_000)])

    with closing(ForgetfulPostgres(dsn)) as one, closing(ForgetfulPostgres(dsn)) as two:
        one.upgrade()
        yield Desk(storages=(one, two), advance_lease_clock=advance_lease_clock, replies=(one, two))
