"""Threat S25: whatever octets stand in a queue's rows, they are read, held or an error; never code.

A damaged database of one seed after the other, worked off by everything that reads it.
"""

from __future__ import annotations

import json
import random
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest

from mailstrom.abc import Claim, Note, Order, Selection, SharedStorage
from mailstrom.errors import MailstromError
from mailstrom.status import Delivered
from mailstrom.storage.sqlite import SqliteStorage
from mailstrom.testing.storage_kit import (
    LATER,
    LEASE,
    NOW,
    a_keyed,
    addresses_of,
    an_entry,
    deferred_until,
    id_of,
    settlement,
    there,
)

SEEDS = 40
FLIPS = 6  # in each column
TABLES = ("messages", "recipients", "events", "notes")
JSON = frozenset({"envelope", "metadata", "result", "attempts"})
PICKLE = b"cos\nsystem\n(S'touch owned'\ntR."


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The file of a queue in which recipients stand in each way."""
    path = tmp_path_factory.mktemp("sound") / "mail.db"
    with closing(SqliteStorage(path)) as storage:
        storage.store([an_entry(f"m{number}", "a@dest.example", "b@dest.example") for number in range(6)])
        storage.store([a_keyed("keyed"), an_entry("later", due_at=LATER)])
        for result in (Delivered(tries=1), deferred_until(LATER), deferred_until(None)):
            storage.settle([settlement(there(claimed(storage), "a claim"), result)], NOW)
        assert claimed(storage) is not None
        storage.put_note(Note(namespace="test", key="k", value="v", expires_at=LATER), NOW)
    return path.read_bytes()


def claimed(storage: SharedStorage) -> Claim | None:
    return storage.claim(NOW, owner="one", lease=LEASE)


def damaged(path: Path, sound: bytes, seed: int, *, json_only: bool = False) -> None:
    """Other octets in some rows of each column of text; `json_only`: other ASCII, where JSON should be."""
    chance = random.Random(seed)
    kinds = 5 if json_only else 6
    path.write_bytes(sound)
    path.chmod(0o600)
    with closing(sqlite3.connect(path)) as connection, connection:
        for table, column in _texts(connection):
            if column in JSON or not json_only:
                _damage(connection, f"mailstrom_{table}", column, chance, kinds)


def _texts(connection: sqlite3.Connection) -> Iterator[tuple[str, str]]:
    for table in TABLES:
        for _, name, kind, *_ in connection.execute(f"PRAGMA table_info(mailstrom_{table})"):
            if kind == "TEXT":
                yield table, name


def _damage(
    connection: sqlite3.Connection, table: str, column: str, chance: random.Random, kinds: int
) -> None:
    rows = f"SELECT rowid, CAST({column} AS BLOB) FROM {table} WHERE {column} <> ''"
    there = connection.execute(rows).fetchall()
    damage = f"UPDATE {table} SET {column} = CAST(? AS TEXT) WHERE rowid = ?"
    for rowid, before in chance.sample(there, min(FLIPS, len(there))):
        with suppress(sqlite3.IntegrityError):  # what has to be unique stays so
            connection.execute(damage, (_other(before, chance, kinds), rowid))


def _other(before: bytes, chance: random.Random, kinds: int) -> bytes:
    at = chance.randrange(len(before)) if before else 0
    match chance.randrange(kinds):
        case 0:
            return PICKLE
        case 1:
            return json.dumps(chance.choice([None, 7, [], {}, [[]], {"state": []}, "x", 1e999])).encode()
        case 2:
            return before[:at]
        case 3 | 4:
            return before[:at] + bytes([chance.randrange(32, 127)]) + before[at + 1 :]
    return before[:at] + bytes([chance.randrange(256)]) + before[at + 1 :]


def calls(storage: SharedStorage) -> list[Callable[[], object]]:
    """Everything that reads what is stored, and what follows from that."""

    def work_off() -> None:
        for _ in range(20):
            claim = claimed(storage)
            if claim is None:
                return
            storage.renew([claim], LEASE)
            storage.mark_dot_sent(claim, addresses_of(claim))
            storage.settle([settlement(claim, Delivered(tries=1))], NOW)
        raise AssertionError("it claims and claims")

    everything = Selection()
    return [
        lambda: storage.retrieve_status(id_of("m1")),
        storage.retrieve_all_incomplete,
        storage.retrieve_all_recent,
        lambda: storage.overview(NOW),
        storage.events,
        lambda: storage.next_due(NOW),
        lambda: storage.note("test", "k", NOW),
        lambda: storage.store([a_keyed("again")]),
        work_off,
        lambda: storage.order(Order.HOLD, everything, NOW),
        lambda: storage.order(Order.RELEASE, everything, NOW),
        work_off,
        lambda: storage.order(Order.CANCEL, everything, NOW),
        lambda: storage.purge(LATER),
        lambda: storage.forget("a@dest.example", NOW),
    ]


@pytest.mark.parametrize("seed", range(SEEDS))
def test_damaged_rows_are_read_held_or_an_error_of_the_storages(
    tmp_path: Path, sound: bytes, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    monkeypatch.chdir(tmp_path)
    damaged(tmp_path / "mail.db", sound, seed)

    with closing(SqliteStorage(tmp_path / "mail.db", durability="normal")) as storage:
        for call in calls(storage):
            with suppress(MailstromError):
                call()

    assert not (tmp_path / "owned").exists()


@pytest.mark.parametrize("seed", range(SEEDS))
def test_what_is_written_beside_a_message_stops_nobody_however_damaged_it_is(
    tmp_path: Path, sound: bytes, seed: int
) -> None:
    damaged(tmp_path / "mail.db", sound, seed, json_only=True)

    with closing(SqliteStorage(tmp_path / "mail.db", durability="normal")) as storage:
        for call in calls(storage):
            call()
