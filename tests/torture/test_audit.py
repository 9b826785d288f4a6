"""The audit of the torture sees what no queue may do."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from datetime import timedelta

import pytest

from mailstrom.abc import Claim
from mailstrom.status import Deferred, Delivered
from mailstrom.storage.postgres import PostgresStorage
from mailstrom.testing.storage_kit import LATER, LEASE, NOW, an_entry, settlement, there
from tests.postgres import Bouncer, query
from tests.torture.audit import Audit, as_life

DELIVERED = Delivered(tries=1)


@pytest.fixture
def dsn(request: pytest.FixtureRequest, database: str) -> str:
    """To the server, or through PgBouncer."""
    if getattr(request, "param", "directly") == "directly":
        return database
    bouncer: Bouncer = request.getfixturevalue("postgres_bouncer")
    return bouncer.through(database)


@pytest.fixture
def life(dsn: str) -> Iterator[Callable[[str], PostgresStorage]]:
    """Makes the storage of a process of this name."""
    opened: list[PostgresStorage] = []

    def make(name: str) -> PostgresStorage:
        opened.append(PostgresStorage(as_life(dsn, name)))
        return opened[-1]

    yield make
    for storage in opened:
        storage.close()


@pytest.fixture
def audit(dsn: str) -> Audit:
    with closing(PostgresStorage(dsn)) as storage:
        storage.store([an_entry()])
    return Audit(dsn)


def claimed(storage: PostgresStorage, lease: timedelta = LEASE) -> Claim:
    return there(storage.claim(NOW, owner="the same name for all", lease=lease), "a claim")


@pytest.mark.parametrize("dsn", ["directly", "through PgBouncer"], indirect=True)
def test_a_life_whose_lease_ended_and_is_refused_leaves_no_trace(
    audit: Audit, life: Callable[[str], PostgresStorage]
) -> None:
    late, holder = life("late"), life("holder")
    lost = claimed(late, lease=timedelta(0))
    held = claimed(holder)
    later = settlement(held, Deferred(tries=1, next_attempt_at=LATER))

    assert late.settle([settlement(lost, DELIVERED)], NOW) == [False]
    assert late.renew([lost], LEASE) == [None]
    assert not late.mark_dot_sent(lost, ["you@dest.example"])
    assert holder.renew([held], LEASE) != [None]
    assert holder.mark_dot_sent(held, ["you@dest.example"])
    assert holder.settle([later], NOW) == [True]

    assert audit.findings() == []


@pytest.mark.parametrize("dsn", ["directly", "through PgBouncer"], indirect=True)
def test_a_result_for_whoever_holds_it_now_is_a_stale_write(
    audit: Audit, life: Callable[[str], PostgresStorage]
) -> None:
    late, holder = life("late"), life("holder")
    lost = claimed(late, lease=timedelta(0))
    held = claimed(holder)

    assert late.settle([settlement(replace(lost, token=held.token), DELIVERED)], NOW) == [True]

    assert audit.findings() == [("stale write", held.token, ["late"])]


@pytest.mark.parametrize(
    ("sql", "what"),
    [
        ("token = 0", "token fell"),
        ("token = nextval('mailstrom.tokens'), place = 'ready'", "a final state changed"),
    ],
)
def test_what_never_happens_is_told(
    audit: Audit, life: Callable[[str], PostgresStorage], dsn: str, sql: str, what: str
) -> None:
    storage = life("one")
    storage.settle([settlement(claimed(storage), DELIVERED)], NOW)

    query(dsn, f"UPDATE mailstrom.recipients SET {sql}")

    assert [found for found, _, _ in audit.findings()] == [what]


def test_a_token_of_two_lives_was_claimed_twice(
    audit: Audit, life: Callable[[str], PostgresStorage], dsn: str
) -> None:
    token = claimed(life("one"), lease=timedelta(0)).token
    query(dsn, f"SELECT setval('mailstrom.tokens', {token}, false)")
    query(dsn, "UPDATE mailstrom.recipients SET token = NULL")

    claimed(life("two"))

    assert audit.findings() == [("claimed twice", token, ["one", "two"])]
