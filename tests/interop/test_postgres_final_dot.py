"""The marks of final dots, while another call ends the claim for some of its recipients, and many at once."""

from __future__ import annotations

import threading
from contextlib import closing

import psycopg

from mailstrom.abc import CLAIM_LIMIT, Terms
from mailstrom.storage.postgres import PostgresStorage
from mailstrom.testing.storage_kit import LEASE, NOW, addresses_of, an_entry, id_of, there
from tests.interop.mailbox import until
from tests.postgres import query

CLAIMS = 50

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


def test_the_dots_of_many_large_claims_are_marked_in_a_moment(database: str) -> None:
    """A newsletter with all its recipients in each message: nobody else is served meanwhile."""
    with closing(PostgresStorage(database, reply_timeout_secs=3.0)) as storage:
        storage.store(
            [
                an_entry(f"m{number}", *(f"u{each}@d{number}.example" for each in range(CLAIM_LIMIT)))
                for number in range(CLAIMS)
            ]
        )
        claims = storage.claim_many(NOW, Terms(owner="one", lease=LEASE, limit=CLAIMS))

        marked = storage.mark_dots_sent([(claim, addresses_of(claim)) for claim in claims])

        assert marked == [True] * CLAIMS
