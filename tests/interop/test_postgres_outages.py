"""PostgreSQL goes away, comes back, and loses replies: nothing is lost, and nothing done twice."""

from __future__ import annotations

import gc
import logging
import threading
from collections.abc import Iterator
from contextlib import closing

import pytest
from psycopg.conninfo import make_conninfo
from psycopg_pool import ConnectionPool

from mailstrom import StorageError, StorageFull
from mailstrom.abc import Claim, Note
from mailstrom.status import Delivered
from mailstrom.storage.postgres import PostgresStorage
from mailstrom.storage.sql.script import Script, Statement
from mailstrom.testing.storage_kit import EXPIRES_AT, LEASE, NOW, an_entry, at_once, id_of, settlement
from tests.interop.mailbox import until
from tests.pg_proxy import PostgresProxy, running_proxy
from tests.postgres import PostgresServer, query


def claimed(storage: PostgresStorage) -> Claim:
    claim = storage.claim(NOW, owner="one", lease=LEASE)
    assert claim is not None
    return claim


def states(database: str) -> list[str]:
    return [state for (state,) in query(database, "SELECT state FROM mailstrom.recipients ORDER BY seq")]


def raise_in_server(database: str, code: str, *, times: int) -> None:
    """From now on the server fails with this SQLSTATE, so often, whenever a body is stored."""
    query(database, "CREATE SEQUENCE failures")
    query(
        database,
        f"""CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            IF nextval('failures') <= {times} THEN
                RAISE EXCEPTION 'as asked' USING ERRCODE = '{code}';
            END IF;
            RETURN NEW; END $$""",
    )
    query(
        database,
        "CREATE TRIGGER failing BEFORE INSERT ON mailstrom.bodies FOR EACH ROW EXECUTE FUNCTION fail()",
    )


# A reply is lost


@pytest.mark.parametrize("cut", ["before", "after"])
def test_a_message_is_stored_once_whether_its_commit_came_to_pass_or_not(
    storage: PostgresStorage, proxy: PostgresProxy, database: str, cut: str
) -> None:
    """Row 49."""
    proxy.cut_commit(cut)  # type: ignore[arg-type]

    ids = storage.store([an_entry()])

    assert (ids, proxy.commits_cut, states(database)) == ([id_of("one")], 1, ["queued"])


def test_the_outcome_of_a_commit_is_asked_for_until_the_server_is_back(
    storage: PostgresStorage, proxy: PostgresProxy, database: str
) -> None:
    """Row 49."""
    proxy.cut_commit(refused=3)

    ids = storage.store([an_entry()])

    assert (ids, proxy.commits_cut, states(database)) == ([id_of("one")], 1, ["queued"])


@pytest.mark.parametrize("cut", ["before", "after"])
def test_a_result_whose_commit_reply_was_lost_is_taken(
    storage: PostgresStorage, proxy: PostgresProxy, database: str, cut: str
) -> None:
    """Row 49."""
    storage.store([an_entry()])
    claim = claimed(storage)
    proxy.cut_commit(cut)  # type: ignore[arg-type]

    taken = storage.settle([settlement(claim, Delivered(tries=1))], NOW)

    assert (taken, proxy.commits_cut, states(database)) == ([True], 1, ["delivered"])
    assert [event.kind for event in storage.events()] == ["accepted", "delivered"]


@pytest.mark.parametrize("cut", ["before", "after"])
def test_a_note_whose_commit_reply_was_lost_is_ours(
    storage: PostgresStorage, proxy: PostgresProxy, cut: str
) -> None:
    note = Note(namespace="test", key="k", value="v", expires_at=EXPIRES_AT)
    storage.put_note(note, NOW)  # a note beside it
    proxy.cut_commit(cut)  # type: ignore[arg-type]

    kept = storage.put_note(Note(namespace="test", key="other", value="v", expires_at=EXPIRES_AT), NOW)

    assert (kept, proxy.commits_cut) == (storage.note("test", "other", NOW), 1)


@pytest.mark.parametrize("cut", ["before", "after"])
def test_a_claim_whose_commit_reply_was_lost_is_the_callers(
    storage: PostgresStorage, proxy: PostgresProxy, cut: str
) -> None:
    """Row 49: no message waits for a lease of which nobody knows, none is claimed twice."""
    storage.store([an_entry("one"), an_entry("two")])
    proxy.cut_commit(cut)  # type: ignore[arg-type]

    claims = [claimed(storage), claimed(storage)]

    assert [claim.email.message_id for claim in claims] == [id_of("one"), id_of("two")]
    assert [claim.recipients[0].crashes for claim in claims] == [0, 0]
    assert (proxy.commits_cut, storage.renew(claims, LEASE).count(None)) == (1, 0)


# Connections break


def test_a_call_after_all_connections_broke_works(storage: PostgresStorage, proxy: PostgresProxy) -> None:
    """However many there were."""
    together = threading.Barrier(6)

    def in_use_together() -> Script[None]:
        yield Statement("SELECT 1", {})
        together.wait()

    errors = at_once([lambda: storage._read(in_use_together)] * 6)
    proxy.cut()

    ids = storage.store([an_entry()])

    assert (errors, ids) == ([], [id_of("one")])


@pytest.mark.parametrize("mode", ["fast", "immediate"])
def test_a_call_after_a_restart_of_the_server_works(
    storage: PostgresStorage, postgres_server: PostgresServer, mode: str
) -> None:
    """Row 48: "immediate" is a crash of the server."""
    storage.store([an_entry("one")])
    claim = claimed(storage)
    postgres_server.restart(mode)  # type: ignore[arg-type]

    taken = storage.settle([settlement(claim, Delivered(tries=1))], NOW)

    assert taken == [True]


def test_while_the_server_is_away_calls_raise_and_then_work_again(
    storage: PostgresStorage, postgres_server: PostgresServer
) -> None:
    """Row 48."""
    storage.store([an_entry("one")])
    postgres_server.stop()
    with pytest.raises(StorageError, match="PostgreSQL: connection failed"):
        storage.store([an_entry("two")])
    with pytest.raises(StorageError):
        storage.next_due(NOW)
    postgres_server.start()

    storage.store([an_entry("three")])

    waiting = storage.retrieve_all_incomplete()
    assert [status.message_id for status in waiting] == [id_of("one"), id_of("three")]


def test_a_storage_that_is_made_while_the_server_is_away_works_once_it_is_there(
    database: str, postgres_server: PostgresServer
) -> None:
    postgres_server.stop()
    storage = PostgresStorage(database)
    with pytest.raises(StorageError):
        storage.is_idle()
    postgres_server.start()

    assert storage.is_idle()
    storage.close()


# The server says nothing


@pytest.mark.parametrize("words", [b"BEGIN", b"INSERT"])
def test_a_call_to_a_server_that_falls_silent_comes_to_an_end_and_the_next_one_works(
    impatient: PostgresStorage, proxy: PostgresProxy, database: str, words: bytes
) -> None:
    """Its machine acknowledges every octet: TCP sees nothing wrong."""
    proxy.freeze_at(words)
    with pytest.raises(StorageError, match=r"has said nothing for 0\.3 s"):
        impatient.store([an_entry("one")])
    proxy.thaw()

    ids = impatient.store([an_entry("two")])

    assert (ids, states(database)) == ([id_of("two")], ["queued"])


def test_a_commit_to_a_server_that_falls_silent_says_that_its_outcome_is_not_known(
    impatient: PostgresStorage, proxy: PostgresProxy
) -> None:
    proxy.freeze_at(b"COMMIT\0")

    with pytest.raises(StorageError, match="COMMIT was sent, and whether it was performed is not known"):
        impatient.store([an_entry()])
    gc.collect()  # psycopg keeps a connection that never came about in a cycle


def test_a_commit_of_which_nothing_is_heard_is_asked_for_on_another_connection(
    impatient: PostgresStorage, proxy: PostgresProxy, database: str
) -> None:
    proxy.cut_commit("silent")

    ids = impatient.store([an_entry()])

    assert (ids, proxy.commits_cut, states(database)) == ([id_of("one")], 1, ["queued"])


def test_a_statement_that_takes_long_is_not_silence_while_replies_come(impatient: PostgresStorage) -> None:
    def slowly() -> Script[int]:
        for _ in range(4):
            yield Statement("SELECT pg_sleep(0.1)", {})
        return 4

    assert impatient._read(slowly) == 4


def test_a_connection_of_a_pool_that_falls_silent_is_given_up(proxy: PostgresProxy) -> None:
    with ConnectionPool(proxy.dsn, min_size=1, max_size=1, timeout=5, open=True) as pool:
        storage = PostgresStorage(pool, reply_timeout_secs=0.3)
        storage.is_idle()
        proxy.freeze_at(b"BEGIN")
        with pytest.raises(StorageError, match="has said nothing"):
            storage.is_idle()
        proxy.thaw()

        assert storage.is_idle()


def test_a_listener_that_is_not_heard_comes_to_an_end(
    impatient: PostgresStorage, proxy: PostgresProxy
) -> None:
    is_over = threading.Event()
    listener = threading.Thread(target=impatient.listen, args=(lambda: None, is_over.is_set))
    proxy.freeze_at(b"LISTEN")
    listener.start()
    until(lambda: proxy.is_frozen, 10, "a LISTEN")

    is_over.set()
    listener.join(10)

    assert not listener.is_alive()


# The server says no


def test_a_transaction_that_was_chosen_to_end_a_deadlock_is_performed_again(
    storage: PostgresStorage, database: str
) -> None:
    raise_in_server(database, "40P01", times=2)

    storage.store([an_entry()])

    assert states(database) == ["queued"]


def test_a_full_disk_is_told_as_such_and_nothing_is_stored(storage: PostgresStorage, database: str) -> None:
    """Row 46."""
    raise_in_server(database, "53100", times=1)

    with pytest.raises(StorageFull, match="as asked"):
        storage.store([an_entry("one")])
    storage.store([an_entry("two")])

    assert states(database) == ["queued"]


def test_a_lock_that_another_keeps_too_long_is_told_with_what_it_may_be(
    storage: PostgresStorage, database: str
) -> None:
    raise_in_server(database, "55P03", times=1)

    with pytest.raises(StorageError, match="the same Message-ID or idempotency key is still open"):
        storage.store([an_entry()])


def test_an_error_shows_nothing_of_what_was_to_be_stored(storage: PostgresStorage, database: str) -> None:
    query(database, "ALTER TABLE mailstrom.messages ADD CHECK (sender <> 'private@sender.example')")

    with pytest.raises(StorageError, match="violates check constraint") as raised:
        storage.store([an_entry(sender="private@sender.example")])

    assert "private" not in str(raised.value)


# What is promised


def test_what_is_promised_is_synced_and_what_is_not_is_not(storage: PostgresStorage, database: str) -> None:
    """Row 51."""
    query(database, "CREATE TABLE seen (id serial, synced text)")
    query(
        database,
        """CREATE FUNCTION see() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            INSERT INTO seen (synced) VALUES (current_setting('synchronous_commit')); RETURN NULL; END $$""",
    )
    query(
        database,
        "CREATE TRIGGER seeing AFTER INSERT OR UPDATE ON mailstrom.recipients EXECUTE FUNCTION see()",
    )

    def settings_of_commits() -> set[str]:
        return {synced for (synced,) in query(database, "DELETE FROM seen RETURNING synced")}

    storage.store([an_entry()])
    assert settings_of_commits() == {"on"}
    claim = claimed(storage)
    assert settings_of_commits() == {"on"}
    storage.renew([claim], LEASE)
    assert settings_of_commits() == {"off"}
    storage.mark_dot_sent(claim, ["you@dest.example"])
    assert settings_of_commits() == {"off"}
    storage.settle([settlement(claim, Delivered(tries=1))], NOW)
    assert settings_of_commits() == {"on"}


@pytest.mark.parametrize("value", ["off", "on"])
def test_a_server_that_promises_less_is_told_of_once(
    database: str, postgres_server: PostgresServer, caplog: pytest.LogCaptureFixture, value: str
) -> None:
    """Row 51."""
    name = database.rpartition("/")[2]
    query(database, f"ALTER DATABASE {name} SET synchronous_commit TO {value}")
    storage = PostgresStorage(database)

    with caplog.at_level(logging.WARNING, "mailstrom.storage"):
        for _ in range(3):
            storage.is_idle()

    storage.close()
    told = [line for line in caplog.messages if "synchronous_commit is off" in line]
    assert len(told) == (value == "off")


def test_who_sends_what_is_logged_may_do_so_when_the_server_promises_less(database: str) -> None:
    """A log handler that mails warnings stores them in the same queue."""
    query(database, f"ALTER DATABASE {database.rpartition('/')[2]} SET synchronous_commit TO off")
    asked: list[bool] = []

    class Mailing(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            asked.append(storage.is_idle())

    handler = Mailing(logging.WARNING)
    logging.getLogger("mailstrom.storage").addHandler(handler)
    try:
        with closing(PostgresStorage(database)) as storage:
            storage.is_idle()
    finally:
        logging.getLogger("mailstrom.storage").removeHandler(handler)

    assert asked == [True]


@pytest.fixture
def proxy(database: str) -> Iterator[PostgresProxy]:
    with running_proxy(database) as proxy:
        yield proxy


@pytest.fixture
def storage(proxy: PostgresProxy) -> Iterator[PostgresStorage]:
    """On the far side of the proxy, its tables made."""
    storage = PostgresStorage(proxy.dsn)
    storage.is_idle()
    yield storage
    storage.close()


@pytest.fixture
def impatient(proxy: PostgresProxy) -> Iterator[PostgresStorage]:
    """The same, and it does not wait long for a reply."""
    storage = PostgresStorage(make_conninfo(proxy.dsn, connect_timeout=2), reply_timeout_secs=0.3)
    storage.is_idle()
    yield storage
    proxy.thaw()
    storage.close()
