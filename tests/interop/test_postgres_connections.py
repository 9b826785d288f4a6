"""The connections of a PostgreSQL queue: how many, whose they are, and what they tell of a password."""

from __future__ import annotations

import ctypes
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager

import psycopg
import pytest
from psycopg.conninfo import make_conninfo
from psycopg.rows import dict_row
from psycopg_pool import AsyncConnectionPool, ConnectionPool, PoolTimeout

from mailstrom import ClosedError, ConfigError, StorageError
from mailstrom.storage.postgres import PostgresStorage
from mailstrom.storage.sql.script import Script, Statement
from mailstrom.testing.storage_kit import LEASE, NOW, a_keyed, an_entry, at_once, id_of, there
from tests.interop.mailbox import free_ports, until
from tests.postgres import Bouncer, PostgresServer, query


class Asking(PostgresStorage):
    """Asks the server about the connection and the transactions in which all else is done."""

    def backend(self) -> int:
        """Which process of the server the next call speaks to."""
        return int(self._read(lambda: _asked("pg_backend_pid()")))

    def settings(self, name: str) -> set[str]:
        """The server's setting of this name in a question, and in writing, synced and not."""
        setting = f"current_setting('{name}')"
        written = {self._write(lambda: _asked(setting), synced=synced) for synced in (True, False)}
        return {self._read(lambda: _asked(setting)), *written}


def _asked(expression: str) -> Script[str]:
    ((value,),) = yield Statement(f"SELECT {expression}", {})
    return str(value)


def backends(database: str) -> int:
    others = "datname = current_database() AND pid <> pg_backend_pid()"
    ((count,),) = query(database, f"SELECT count(*) FROM pg_stat_activity WHERE {others}")
    return int(count)


def waiting_for_locks(database: str) -> int:
    others = "datname = current_database() AND wait_event_type = 'Lock'"
    ((count,),) = query(database, f"SELECT count(*) FROM pg_stat_activity WHERE {others}")
    return int(count)


# Its own


def test_calls_one_after_the_other_use_one_connection(storage: Asking, database: str) -> None:
    used = {storage.backend() for _ in range(5)}

    assert (len(used), backends(database)) == (1, 1)


def test_more_threads_than_connections_wait_for_each_other(database: str) -> None:
    with closing(PostgresStorage(database, max_connections=2)) as storage:
        errors = at_once([lambda n=n: storage.store([an_entry(f"m{n}")]) for n in range(12)])  # type: ignore[misc]

        assert (errors, len(storage.retrieve_all_incomplete())) == ([], 12)
        assert backends(database) <= 2


def test_a_connection_whose_server_process_was_ended_is_replaced(
    storage: Asking, database: str
) -> None:
    before = storage.backend()

    query(database, "SELECT pg_terminate_backend(%s)", [before])

    assert storage.backend() != before


def test_a_closed_storage_has_no_connections_and_says_so(storage: Asking, database: str) -> None:
    storage.is_idle()

    storage.close()

    until(lambda: backends(database) == 0, 10, "the end of its connection")
    with pytest.raises(ClosedError):
        storage.is_idle()


def test_a_search_path_that_leads_elsewhere_does_no_harm(storage: Asking, database: str) -> None:
    query(database, f"ALTER DATABASE {database.rpartition('/')[2]} SET search_path TO nowhere")

    assert storage.store([an_entry()]) == [id_of("one")]


def test_a_process_that_stands_still_in_a_transaction_is_cut_off_by_the_server(storage: Asking) -> None:
    """Row 52: else its locks would outlast its lease."""
    assert storage.settings("idle_in_transaction_session_timeout") == {"20s"}


def test_nobody_waits_long_for_what_another_transaction_has_locked(storage: Asking) -> None:
    """An outbox transaction that was left open, with a key that is tried again."""
    assert storage.settings("lock_timeout") == {"10s"}


def test_a_statement_of_a_millisecond_is_not_compiled_for_half_a_second(storage: Asking) -> None:
    assert storage.settings("jit") == {"off"}


def test_stores_that_wait_for_an_open_outbox_leave_connections_to_the_engine(database: str) -> None:
    """Row 47: else no lease could be renewed meanwhile."""
    with (
        closing(PostgresStorage(database, max_connections=3)) as storage,
        psycopg.connect(database) as outbox,
    ):
        storage.bind(outbox).store([a_keyed("first", key="invoice 1")])
        again = [lambda n=n: storage.store([a_keyed(f"again{n}", key="invoice 1")]) for n in range(5)]
        stores = [threading.Thread(target=store) for store in again]
        for store in stores:
            store.start()
        until(lambda: waiting_for_locks(database) > 0, 10, "a store that waits")

        claims = [storage.claim(NOW, owner="w", lease=LEASE) for _ in range(20)]

        assert (claims, waiting_for_locks(database)) == ([None] * 20, 1)
        outbox.commit()
        for store in stores:
            store.join()
        assert [each.message_id for each in storage.retrieve_all_incomplete()] == [id_of("first")]


# Through PgBouncer


def test_nothing_is_left_on_a_connection_that_pgbouncer_gives_to_others(
    postgres_bouncer: Bouncer, database: str
) -> None:
    """Settings of the session and prepared statements: the next program has the same one."""
    through = postgres_bouncer.through(database)
    with closing(PostgresStorage(through)) as storage:
        storage.store([an_entry("one"), an_entry("two")])
        storage.renew([there(storage.claim(NOW, owner="w", lease=LEASE), "a claim")], LEASE)

        left = query(
            through,
            "SELECT count(*), current_setting('synchronous_commit'),"
            " current_setting('idle_in_transaction_session_timeout') FROM pg_prepared_statements",
        )

        assert left == [(0, "on", "0")]


# A caller's pool


def test_a_pools_connections_come_back_as_they_were(pool: ConnectionPool) -> None:
    storage = PostgresStorage(pool)
    storage.store([an_entry()])

    with pool.connection() as connection:
        assert (connection.autocommit, connection.prepare_threshold) == (False, 5)
        assert connection.row_factory is dict_row


def test_a_pool_outlives_the_storage(pool: ConnectionPool) -> None:
    storage = PostgresStorage(pool)
    storage.store([an_entry()])

    storage.close()

    with pytest.raises(ClosedError):
        storage.is_idle()
    with pool.connection() as connection:
        assert connection.execute("SELECT 1 AS one").rowcount == 1


def test_a_pool_is_not_listened_through(pool: ConnectionPool) -> None:
    storage = PostgresStorage(pool)

    storage.listen(lambda: None, lambda: False)  # returns


def test_a_pool_leads_to_the_same_queue_as_its_dsn(pool: ConnectionPool, database: str) -> None:
    assert PostgresStorage(pool).identity == PostgresStorage(database).identity


def test_a_pool_that_has_no_connection_in_time_is_a_storage_error(database: str) -> None:
    with ConnectionPool(database, min_size=1, max_size=1, timeout=0.1, open=True) as pool:
        storage = PostgresStorage(pool)
        with pool.connection(), pytest.raises(StorageError, match="PoolTimeout"):
            storage.is_idle()


class LendingOnce:
    """A pool that has no connection left from some moment on."""

    def __init__(self, database: str) -> None:
        self._database = database
        self.left = 100

    @contextmanager
    def connection(self) -> Iterator[psycopg.Connection]:
        if not self.left:
            raise PoolTimeout
        self.left -= 1
        with psycopg.connect(self._database) as connection:
            yield connection


def test_a_message_is_stored_though_it_cannot_be_announced(database: str) -> None:
    pool = LendingOnce(database)
    storage = PostgresStorage(pool)
    storage.is_idle()
    pool.left = 1

    assert storage.store([an_entry()]) == [id_of("one")]
    assert pool.left == 0


def test_a_pool_for_asyncio_is_refused(database: str) -> None:
    with pytest.raises(ConfigError, match="asyncio"):
        PostgresStorage(AsyncConnectionPool(database, open=False))  # type: ignore[arg-type]


# fork


@pytest.fixture(params=[os.fork, ctypes.PyDLL(None).fork], ids=["told", "behind Python's back"])
def fork(request: pytest.FixtureRequest) -> Callable[[], int]:
    """Python's, and the system's: uWSGI and other programs in C have no other."""
    forks: Callable[[], int] = request.param
    return forks


def exit_code_of_child(fork: Callable[[], int], is_true: Callable[[], bool]) -> int:
    """0 where it is, in a forked child."""
    child = fork()
    if child == 0:
        try:
            os._exit(0 if is_true() else 1)
        finally:
            os._exit(2)
    _, code = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(code)


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_has_connections_of_its_own(storage: Asking, fork: Callable[[], int]) -> None:
    """Row 53: the parent's go on, and serve it alone."""
    parents = storage.backend()

    code = exit_code_of_child(
        fork,
        lambda: storage.backend() != parents and storage.store([an_entry("child")]) == [id_of("child")],
    )

    assert (code, storage.backend()) == (0, parents)
    assert [each.message_id for each in storage.retrieve_all_incomplete()] == [id_of("child")]


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_child_that_closes_the_storage_leaves_the_parents_connections(
    storage: Asking, fork: Callable[[], int]
) -> None:
    """Row 53."""
    parents = storage.backend()

    def closes() -> bool:
        storage.close()
        return True

    code = exit_code_of_child(fork, closes)

    assert (code, storage.backend()) == (0, parents)


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_child_does_not_touch_its_parents_pool(pool: ConnectionPool, fork: Callable[[], int]) -> None:
    """Row 53."""
    storage = PostgresStorage(pool)
    storage.is_idle()

    def is_refused() -> bool:
        with pytest.raises(StorageError, match="after the fork"):
            storage.is_idle()
        return True

    assert exit_code_of_child(fork, is_refused) == 0
    assert storage.is_idle()


# Passwords


def test_a_password_stands_in_no_error_log_or_name(
    postgres_server: PostgresServer, caplog: pytest.LogCaptureFixture
) -> None:
    """Nor in what libpq says of a server that is not there, or a database."""
    [port] = free_ports(1)
    nowhere = make_conninfo(postgres_server.dsn(), password="hunter2", port=port)
    no_database = make_conninfo(postgres_server.dsn(), password="hunter2", dbname="none")
    said = []

    with caplog.at_level("DEBUG"):
        for dsn in (nowhere, no_database):
            storage = PostgresStorage(dsn)
            with pytest.raises(StorageError) as raised:
                storage.is_idle()
            looks = iter([False, True])
            storage.listen(lambda: None, lambda looks=looks: next(looks, True))  # type: ignore[misc]
            said += [str(raised.value), repr(raised.value.__cause__), repr(storage), str(storage.identity)]

    assert "hunter2" not in "\n".join([*said, caplog.text])
    assert "listening on PostgreSQL ended" in caplog.text


@pytest.fixture
def storage(database: str) -> Iterator[Asking]:
    with closing(Asking(database)) as storage:
        yield storage


@pytest.fixture
def pool(database: str) -> Iterator[ConnectionPool]:
    """As an application may have it: transactions without being asked for, rows of its own kind."""
    kwargs = {"row_factory": dict_row}
    with ConnectionPool(database, min_size=1, max_size=4, kwargs=kwargs, open=True) as pool:
        yield pool
