"""The mark of the final dot, while another call ends the claim for some of its recipients."""

from __future__ import annotations

import threading
from contextlib import closing

import psycopg

from mailstrom.storage.postgres import PostgresStorage
from mailstrom.testing.storage_kit import LEASE, NOW, addresses_of, an_entry, id_of, there
from tests.interop.mailbox import until
from tests.postgres import query

_SETTLED = "UPDATE mailstrom.recipients SET lease_until = NULL WHERE address = 'b@dest.example'"
_WAITS = "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"


def test_no_dot_is_marked_for_some_where_another_is_just_settled(database: str) -> None:
    marked: list[bool] = []
    with closing(PostgresStorage(database)) as storage, psycopg.connect(database) as settling:
        storage.store([an_entry("one", "a@dest.example", "b@dest.example")])
        claim = there(storage.claim(NOW, owner="one", lease=LEASE), "a claim")
        settling.execute(_SETTLED)

        marking = threading.Thread(
            target=lambda: marked.append(storage.mark_dot_sent(claim, addresses_of(claim)))
        )
        marking.start()
        until(lambda: query(database, _WAITS) != [], 10, "a mark that waits for the settlement")
        settling.commit()
        marking.join()

        dots = [each.dot_sent for each in storage.retrieve_status(id_of("one")).recipients]
        assert (marked, dots) == ([False], [False, False])
