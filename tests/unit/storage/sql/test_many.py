"""Many rows of values: how each database is given them."""

from __future__ import annotations

import json

from mailstrom.storage.sql.dialect import SQLITE, postgres
from mailstrom.storage.sql.many import inserting, updating
from mailstrom.storage.sql.script import Batch, Statement

POSTGRES = postgres("queue")
TOLD = [{"seq": 1, "kind": "it's :one"}, {"seq": 2, "kind": None}]
DONE = {"remaining": "queue.messages.remaining - :remaining"}


def words(sql: str) -> str:
    return " ".join(sql.split())


def test_sqlite_binds_row_after_row_to_one_statement() -> None:
    asked = inserting(SQLITE, "events", ("seq", "kind")).of(TOLD)

    assert asked == Batch("INSERT INTO mailstrom_events (seq, kind) VALUES (:seq, :kind)", TOLD)


def test_postgresql_gets_all_rows_in_one_statement() -> None:
    asked = inserting(POSTGRES, "events", ("seq", "kind")).of(TOLD)

    assert isinstance(asked, Statement)
    assert asked.sql == (
        "INSERT INTO queue.events (seq, kind) SELECT given.seq, given.kind FROM"
        " json_populate_recordset(CAST(NULL AS queue.events), CAST(:rows AS json)) AS given"
    )
    assert {name: json.loads(str(value)) for name, value in asked.params.items()} == {"rows": TOLD}


def test_postgresql_locks_what_an_update_changes_in_the_order_of_the_queue() -> None:
    """Else two that end the last recipients of the same messages could wait for each other."""
    text = words(updating(POSTGRES, "messages", DONE, ("seq",)).sql)

    assert text.startswith("UPDATE queue.messages SET remaining = queue.messages.remaining - given.remaining")
    assert "JOIN queue.messages AS u ON u.seq = listed.seq ORDER BY u.seq FOR UPDATE OF u) AS given" in text
    assert text.endswith("WHERE queue.messages.seq = given.seq")
