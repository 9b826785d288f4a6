"""Several storages at one queue in PostgreSQL, as processes on several machines have it."""

from __future__ import annotations

import gc
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from mailstrom import ConfigError
from mailstrom.abc import Claim, Event, Order, Selection, Terms
from mailstrom.status import Delivered
from mailstrom.storage.postgres import PostgresStorage
from mailstrom.storage.sql.schema import VERSION
from mailstrom.testing.storage_kit import (
    LEASE,
    NOW,
    addresses_of,
    an_entry,
    at_once,
    id_of,
    settlement,
)
from tests.interop.mailbox import until
from tests.pg_proxy import running_proxy
from tests.postgres import query


def claims_of(storage: PostgresStorage, owner: str) -> list[Claim]:
    """All there is to claim."""
    found = []
    while (claim := storage.claim(NOW, owner=owner, lease=LEASE)) is not None:
        found.append(claim)
    return found


def ids_told(events: Sequence[Event]) -> list[str | None]:
    return [event.message_id for event in events]


# Claims


def test_workers_that_claim_at_once_share_no_recipient(opened: Callable[[], PostgresStorage]) -> None:
    storages = [opened() for _ in range(3)]
    addresses = [f"u{number}@d{number % 7}.example" for number in range(140)]
    storages[0].store([an_entry(f"m{each}", each) for each in addresses])
    claims: list[Claim] = []

    errors = at_once(
        [lambda each=each: claims.extend(claims_of(each, "w")) for each in storages * 2]  # type: ignore[misc]
    )

    assert errors == []
    assert sorted(addresses_of(*claims)) == sorted(addresses)
    assert len({claim.token for claim in claims}) == len(claims)


def test_workers_that_settle_parts_of_one_message_at_once_complete_it_once(
    opened: Callable[[], PostgresStorage],
) -> None:
    storages = [opened() for _ in range(4)]
    for number in range(10):
        storages[0].store([an_entry(f"m{number}", *(f"u@d{each}.example" for each in range(4)))])
        claims = claims_of(storages[0], "w")
        assert len(claims) == 4

        errors = at_once(
            [
                lambda each=each, claim=claim: each.settle([settlement(claim, Delivered(tries=1))], NOW)  # type: ignore[misc]
                for each, claim in zip(storages, claims, strict=True)
            ]
        )

        assert (errors, storages[0].retrieve_status(id_of(f"m{number}")).completed_at) == ([], NOW)


def test_a_claim_reads_no_table_from_end_to_end(database: str) -> None:
    """What is finished costs a claim nothing; the planner knows no statistics yet, or good ones."""
    store_and_deliver(database, "finished")
    multiply(database, 20_000)
    read_without = rows_read(database)

    store_and_deliver(database, "one")
    read_once = rows_read(database)
    query(database, "ANALYZE")
    read_by_analyze = rows_read(database)
    store_and_deliver(database, "two")

    assert read_once - read_without < 100
    assert rows_read(database) - read_by_analyze < 100


def test_a_claim_of_a_new_stream_reads_nothing_of_one_that_has_almost_all(database: str) -> None:
    """The planner has statistics that know of no other stream."""
    with closing(PostgresStorage(database)) as storage:
        storage.store([an_entry("much")])
    multiply(database, 20_000)
    query(database, "ANALYZE")
    read_before = rows_read(database)

    with closing(PostgresStorage(database)) as storage:
        storage.store([an_entry("new", stream="new")])
        claims = storage.claim_many(NOW, Terms(owner="w", lease=LEASE, limit=2))
    until(lambda: not others_on(database), 10, "the end of its connections")

    assert [claim.email.message_id for claim in claims] == [id_of("much"), id_of("new")]
    assert rows_read(database) - read_before < 100


def store_and_deliver(database: str, name: str) -> None:
    """A message's way through the queue; at the end all is counted that it has read."""
    with closing(PostgresStorage(database)) as storage:
        storage.store([an_entry(name)])
        [claim] = claims_of(storage, "w")
        storage.settle([settlement(claim, Delivered(tries=1))], NOW)
    until(lambda: not others_on(database), 10, "the end of its connections")


def multiply(database: str, times: int) -> None:
    """So many more of the one message that is there, with its recipient."""
    for table, key in (("messages", "message_id"), ("recipients", None)):
        columns = [
            name
            for (name,) in query(
                database,
                "SELECT column_name::text FROM information_schema.columns"
                " WHERE table_schema = 'mailstrom' AND table_name = %s ORDER BY ordinal_position",
                [table],
            )
        ]
        values = {"seq": "seq + number", key: f"{key} || number"}
        query(
            database,
            f"INSERT INTO mailstrom.{table} ({', '.join(columns)})"
            f" SELECT {', '.join(values.get(name, name) for name in columns)}"
            f" FROM mailstrom.{table}, generate_series(1, {times}) AS number",
        )
    query(database, "SELECT setval(pg_get_serial_sequence('mailstrom.messages', 'seq'), 1000000)")


def rows_read(database: str) -> int:
    """How many rows of the large tables were read so far, one way or another."""
    ((count,),) = query(
        database,
        "SELECT CAST(sum(seq_tup_read + idx_tup_fetch) AS BIGINT) FROM pg_stat_user_tables"
        " WHERE relname IN ('messages', 'recipients')",
    )
    return int(count)


def others_on(database: str) -> bool:
    mine = "datname = current_database() AND application_name = 'mailstrom'"
    return query(database, f"SELECT 1 FROM pg_stat_activity WHERE {mine}") != []


# Transactions that overlap


def test_events_are_told_in_the_order_of_commits(
    database: str, opened: Callable[[], PostgresStorage]
) -> None:
    storage = opened()
    with outbox(database) as early, outbox(database) as late:
        storage.bind(early).store([an_entry("begun first")])
        storage.bind(late).store([an_entry("committed first")])
        late.commit()
        [first] = storage.events()
        early.commit()
        [second] = storage.events(first.cursor)

    assert ids_told([first, second]) == [id_of("committed first"), id_of("begun first")]
    assert ids_told(opened().events()) == ids_told([first, second])


def test_readers_of_events_at_once_are_told_the_same(opened: Callable[[], PostgresStorage]) -> None:
    storages = [opened() for _ in range(4)]
    storages[0].store([an_entry(f"m{number}") for number in range(50)])
    told: list[Sequence[Event]] = []

    errors = at_once(
        [lambda each=each: told.append(each.events()) for each in storages]  # type: ignore[misc]
    )

    assert errors == []
    assert told == [told[0]] * 4
    assert sorted(map(str, ids_told(told[0]))) == sorted(id_of(f"m{number}") for number in range(50))


def test_a_transaction_that_has_stored_and_stays_open_holds_up_nothing(database: str) -> None:
    impatient = PostgresStorage(f"{database}?options=-c%20lock_timeout%3D2s")
    with closing(impatient) as storage, outbox(database) as caller:
        storage.store([an_entry("one"), an_entry("two"), an_entry("three")])
        storage.bind(caller).store([an_entry("open", idempotency_key="open")])

        claims = claims_of(storage, "w")
        taken = storage.settle([settlement(claim, Delivered(tries=1)) for claim in claims[:2]], NOW)
        storage.give_back(claims[2])
        storage.store([an_entry("four", idempotency_key="four")])
        cancelled = storage.order(Order.CANCEL, Selection(), NOW)
        told = storage.events()
        purged = storage.purge(NOW)
        version = storage.upgrade()
        caller.commit()

        assert (len(claims), taken, len(cancelled)) == (3, [True, True], 2)
        assert ids_told(told).count(id_of("open")) == 0
        assert (len(told), purged, version) == (8, 4, VERSION)
        assert addresses_of(*claims_of(storage, "w")) == ["you@dest.example"]


# Notifications


def test_listening_hears_of_every_kind_of_store(database: str, opened: Callable[[], PostgresStorage]) -> None:
    storage = opened()
    with listening(opened()) as woken, outbox(database) as caller:
        woken()
        storage.store([an_entry("one")])
        woken()
        storage.bind(caller).store([an_entry("two")])
        caller.commit()
        woken()


def test_listening_goes_on_after_its_connection_broke(database: str) -> None:
    with (
        running_proxy(database) as proxy,
        closing(PostgresStorage(database, listen_dsn=proxy.dsn)) as storage,
        listening(storage) as woken,
    ):
        woken()
        proxy.cut()
        woken()
        storage.store([an_entry()])
        woken()


def test_listening_ends_though_the_server_is_never_there(database: str) -> None:
    with running_proxy(database) as proxy, proxy.closed(), listening(PostgresStorage(proxy.dsn)):
        pass


def test_listening_ends_between_two_addresses_that_do_not_answer(database: str) -> None:
    """A limit of libpq's holds for each address: together they would take longer than that."""
    with socket.create_server(("127.0.0.1", 0)) as first, socket.create_server(("127.0.0.1", 0)) as second:
        ports = ",".join(str(each.getsockname()[1]) for each in (first, second))
        silent = make_conninfo(database, host="127.0.0.1,127.0.0.1", port=ports)

        with listening(PostgresStorage(silent), ends_within=4):
            accepted, _ = first.accept()

        accepted.close()
        gc.collect()  # psycopg leaves to it what came to no answer in time
        second.setblocking(False)
        with pytest.raises(BlockingIOError):
            second.accept()


@pytest.mark.parametrize(("notify", "told"), [(True, ["", "", "end"]), (False, ["end"])])
def test_nothing_is_announced_where_that_is_not_wanted(
    database: str, opened: Callable[[], PostgresStorage], notify: bool, told: list[str]
) -> None:
    opened().upgrade()
    with (
        psycopg.connect(database, autocommit=True) as listener,
        closing(PostgresStorage(database, notify=notify)) as storage,
        outbox(database) as caller,
    ):
        listener.execute("LISTEN mailstrom_stored")
        storage.store([an_entry("one")])
        storage.bind(caller).store([an_entry("two")])
        caller.commit()
        query(database, "NOTIFY mailstrom_stored, 'end'")

        assert payloads_up_to("end", listener) == told


def test_a_store_is_announced_in_a_transaction_of_its_own(
    database: str, opened: Callable[[], PostgresStorage]
) -> None:
    """Those that notify hold one lock until they are on the disk: stores would go there one by one."""
    opened().store([an_entry()])

    ((latest,),) = query(database, "SELECT query FROM pg_stat_activity WHERE application_name = 'mailstrom'")

    assert latest.startswith("BEGIN")
    assert latest.endswith("synchronous_commit TO off; NOTIFY mailstrom_stored; COMMIT")


def payloads_up_to(last: str, listener: psycopg.Connection) -> list[str]:
    payloads: list[str] = []
    for heard in listener.notifies(timeout=10):
        payloads.append(heard.payload)
        if heard.payload == last:
            return payloads
    raise AssertionError(f"heard {payloads}")


@contextmanager
def listening(storage: PostgresStorage, *, ends_within: float = 2) -> Iterator[Callable[[], None]]:
    """Listens on a thread; what it yields returns after the next `wake`. It ends in that many seconds."""
    heard, over = threading.Semaphore(0), threading.Event()
    thread = threading.Thread(target=storage.listen, args=(heard.release, over.is_set))
    thread.start()

    def woken() -> None:
        assert heard.acquire(timeout=10)

    try:
        yield woken
    finally:
        over.set()
        thread.join(timeout=ends_within)
        assert not thread.is_alive()


# The tables


def test_storages_that_begin_together_make_the_tables_once(opened: Callable[[], PostgresStorage]) -> None:
    storages = [opened() for _ in range(6)]

    errors = at_once([storage.is_idle for storage in storages])

    assert (errors, storages[0].schema_version()) == ([], VERSION)


def test_an_upgrade_tells_what_was_there_and_may_be_repeated(opened: Callable[[], PostgresStorage]) -> None:
    storage = opened()

    found = [storage.schema_version(), storage.upgrade(), storage.upgrade(), storage.schema_version()]

    assert found == [0, 0, VERSION, VERSION]


def upgraded_beyond_us(database: str, *, works_from: int) -> None:
    """As a newer mailstrom does it."""
    step = [VERSION + 1, works_from]
    query(database, "INSERT INTO mailstrom.schema (version, works_from) VALUES (%s, %s)", step)


def test_a_newer_schema_that_allows_it_is_used_by_who_has_it_open_and_by_who_comes(
    database: str, opened: Callable[[], PostgresStorage]
) -> None:
    """Workers that end and are started again, while other machines have the new version."""
    storage = opened()
    storage.store([an_entry("one")])
    upgraded_beyond_us(database, works_from=VERSION)

    storage.store([an_entry("two")])
    restarted = opened()
    restarted.store([an_entry("three")])

    assert len(storage.retrieve_all_incomplete()) == 3
    assert [restarted.upgrade(), restarted.schema_version()] == [VERSION + 1, VERSION + 1]


def test_a_newer_schema_that_does_not_is_refused(
    database: str, opened: Callable[[], PostgresStorage]
) -> None:
    opened().upgrade()
    upgraded_beyond_us(database, works_from=VERSION + 1)
    storage = opened()

    with pytest.raises(ConfigError, match=f"version {VERSION + 1}"):
        storage.store([an_entry()])
    with pytest.raises(ConfigError, match=f"version {VERSION + 1}"):
        storage.upgrade()


def test_an_older_schema_wants_the_upgrade(database: str, opened: Callable[[], PostgresStorage]) -> None:
    opened().upgrade()
    query(database, "DROP TABLE mailstrom.blocks; DELETE FROM mailstrom.schema WHERE version > 2")

    with pytest.raises(ConfigError, match="mailstrom db upgrade"):
        opened().is_idle()

    assert opened().upgrade() == 2
    email, status = an_entry()
    opened().store([(replace(email, content=b"x" * 1_000_000), status)])


def test_two_schemas_are_two_queues(database: str, opened: Callable[[], PostgresStorage]) -> None:
    with closing(PostgresStorage(database, schema="other_queue")) as other:
        other.store([an_entry()])

        assert (opened().is_idle(), other.is_idle()) == (True, False)


@contextmanager
def outbox(database: str) -> Iterator[psycopg.Connection]:
    """A caller's connection; what it has not committed is rolled back."""
    with psycopg.connect(database) as connection:
        yield connection
        connection.rollback()


@pytest.fixture
def opened(database: str) -> Iterator[Callable[[], PostgresStorage]]:
    """Opens one more storage on the same queue."""
    storages: list[PostgresStorage] = []

    def one_more() -> PostgresStorage:
        storages.append(PostgresStorage(database))
        return storages[-1]

    yield one_more
    for storage in storages:
        storage.close()
