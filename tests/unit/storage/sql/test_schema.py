"""Versions of the tables: each step is done once, and what is newer is left alone."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from mailstrom.errors import ConfigError
from mailstrom.storage.sql import schema
from mailstrom.storage.sql.dialect import SQLITE, postgres
from mailstrom.storage.sql.script import Statement, perform
from mailstrom.storage.sql.tables import first_tables
from mailstrom.testing.storage_kit import an_entry, id_of
from tests.unit.storage.sql.memory import MemorySqlStorage


@pytest.fixture
def storage() -> Iterator[MemorySqlStorage]:
    with MemorySqlStorage() as storage:
        yield storage


def test_an_upgrade_brings_the_tables_to_the_version_of_this_code(storage: MemorySqlStorage) -> None:
    assert storage.perform(schema.installed(SQLITE)) == schema.VERSION
    storage.perform(schema.check_installed(SQLITE))


def test_a_second_upgrade_changes_nothing(storage: MemorySqlStorage) -> None:
    texts = storage.texts_of(lambda: storage.perform(schema.upgrade(SQLITE)))

    assert storage.perform(schema.upgrade(SQLITE)) == schema.VERSION
    assert not [text for text in texts if not text.startswith("SELECT")]


def test_the_first_upgrade_tells_that_there_was_nothing() -> None:
    asked: list[Statement] = []

    def empty(statement: object) -> list[tuple[object, ...]]:
        assert isinstance(statement, Statement)
        asked.append(statement)
        return []

    assert perform(schema.upgrade(postgres("queue")), empty) == 0
    made = [each.sql for each in asked]
    assert made.index("CREATE SCHEMA queue") < made.index(
        "CREATE TABLE queue.schema (version INTEGER PRIMARY KEY, works_from INTEGER NOT NULL)"
    )
    assert [each.params for each in asked if each.sql.startswith("INSERT INTO queue.schema")] == [
        {"version": 1, "works_from": 1},
        {"version": 2, "works_from": 1},
        {"version": 3, "works_from": 3},
    ]


def test_newer_tables_are_refused_by_upgrade_and_by_use(storage: MemorySqlStorage) -> None:
    storage.rows("INSERT INTO mailstrom_schema (version, works_from) VALUES (99, 99)")

    for script in (schema.upgrade(SQLITE), schema.check_installed(SQLITE)):
        with pytest.raises(
            ConfigError, match=r"of version 99, .* older than version 99 may use .* is of version 3"
        ):
            storage.perform(script)


def test_newer_tables_that_allow_it_are_used_and_not_changed(storage: MemorySqlStorage) -> None:
    storage.rows("INSERT INTO mailstrom_schema (version, works_from) VALUES (4, 3), (5, 1)")

    storage.perform(schema.check_installed(SQLITE))

    assert storage.perform(schema.upgrade(SQLITE)) == storage.perform(schema.installed(SQLITE)) == 5


def test_each_of_the_newer_steps_has_a_say_in_who_may_use_the_tables(storage: MemorySqlStorage) -> None:
    storage.rows("INSERT INTO mailstrom_schema (version, works_from) VALUES (4, 4), (5, 1)")

    with pytest.raises(ConfigError, match="older than version 4 may use them"):
        storage.perform(schema.check_installed(SQLITE))


def test_tables_that_are_not_there_are_asked_for() -> None:
    with pytest.raises(ConfigError, match=r"are not there yet.*mailstrom db upgrade"):
        perform(schema.check_installed(SQLITE), lambda _: [])


def test_in_an_applications_own_file_every_name_is_ours(storage: MemorySqlStorage) -> None:
    named = "SELECT name FROM sqlite_master WHERE name NOT LIKE 'sqlite_%'"

    assert [name for (name,) in storage.rows(named) if not name.startswith("mailstrom_")] == []


def test_on_postgresql_the_recipients_are_vacuumed_early() -> None:
    [recipients] = [sql for sql in first_tables(postgres("queue")) if "TABLE queue.recipients" in sql]

    assert "autovacuum_vacuum_scale_factor = 0.01" in recipients


def test_mail_that_was_stored_in_version_1_is_one_stream_of_normal_priority(
    storage: MemorySqlStorage,
) -> None:
    storage.store([an_entry("old", stream="gone", priority="low")])
    for sql in (
        "DROP INDEX mailstrom_recipients_turns",
        *(
            f"ALTER TABLE mailstrom_{table} DROP COLUMN {column}"
            for table in ("messages", "recipients")
            for column in ("stream", "priority")
        ),
        "DROP TABLE mailstrom_blocks",
        "DELETE FROM mailstrom_schema WHERE version > 1",
    ):
        storage.rows(sql)

    assert storage.perform(schema.upgrade(SQLITE)) == 1

    email, status = an_entry("old")
    assert storage.retrieve_status(id_of("old")) == status
    storage.store([an_entry("new", priority="high")])
    assert [storage.claimed().email.message_id for _ in range(2)] == [id_of("new"), email.message_id]
