"""A PostgreSQL server of the tests' own, and PgBouncer before it.

    def test_something(postgres_server, database):       fixtures, see tests/conftest.py
        database                                         a DSN: a new, empty database for this test
        postgres_server.dsn()                            the server's own database
        postgres_server.dsn(name)                        another, as new_database() made it
        postgres_server.new_database()                   a DSN; drop_database(dsn) takes it away
        postgres_server.stop("immediate")                as `pg_ctl stop -m immediate`; start() again
        postgres_server.restart()

    def test_another(postgres_bouncer, database):
        postgres_bouncer.through(database)               the same database through PgBouncer

    with running_postgres(fsync=True) as server:         of your own, also without pytest
        with running_bouncer(server) as bouncer: ...
        query(server.dsn(), "SELECT 1")                  rows, each query on a connection of its own

Nothing of the system's PostgreSQL is used but the programs. Neither server runs as root: as root
they are started as the user `postgres`, or else `nobody`. Everybody who can reach the loopback
address may log in, with any password. They end with the block, and when this process is killed,
since a shell between us and them waits for the end of its standard input.
"""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any, Literal

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from tests.interop.mailbox import STARTUP_SECS, free_ports, until

USER = "mailstrom"

_DEBIAN_PROGRAMS = Path("/usr/lib/postgresql")
_SETTINGS = """
listen_addresses = '127.0.0.1'
port = {port}
unix_socket_directories = '{home}'
max_connections = 200
shared_buffers = 64MB
fsync = {fsync}
full_page_writes = {fsync}
"""
_BOUNCER_SETTINGS = """
[databases]
* = host=127.0.0.1 port={server_port} user={user}

[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = 20
max_client_conn = 500
server_login_retry = 1
"""
# The shell passes its input on to nobody: its end tells that this process is gone.
_GUARD = 'signal=$1; shift; "$@" & read -r _; kill -s "$signal" $! 2>/dev/null; wait'

_StopMode = Literal["smart", "fast", "immediate"]


class PostgresServer:
    """A server on the loopback address; `start` and `stop` it as often as you like."""

    def __init__(self, home: Path, port: int) -> None:
        self.home = home  # also where its Unix socket is
        self.port = port
        self._numbers = count(1)
        self._running: _Guarded | None = None

    def dsn(self, database: str = "postgres") -> str:
        """Where to connect to."""
        return f"postgresql://{USER}@127.0.0.1:{self.port}/{database}"

    def new_database(self) -> str:
        """The DSN of a new, empty database."""
        name = f"test_{next(self._numbers)}"
        query(self.dsn(), f"CREATE DATABASE {name}")
        return self.dsn(name)

    def drop_database(self, dsn: str) -> None:
        """Takes it away, and cuts who still uses it."""
        query(self.dsn(), f"DROP DATABASE {_database_of(dsn)} WITH (FORCE)")

    def start(self) -> None:
        """Starts it; returns when it answers."""
        assert self._running is None, "the server runs already"
        self._running = _Guarded(self.home, "INT", [_program("postgres"), "-D", self.home / "data"])
        until(lambda: answers(self.dsn()), STARTUP_SECS, f"PostgreSQL; see {self.home / 'log'}")

    def stop(self, mode: _StopMode = "fast") -> None:
        """As `pg_ctl stop -m`: "immediate" is a crash, which the next start recovers from."""
        assert self._running is not None, "the server does not run"
        _run(self.home, _program("pg_ctl"), "stop", "-w", "-m", mode, "-D", self.home / "data")
        self._running.end()
        self._running = None

    def restart(self, mode: _StopMode = "fast") -> None:
        """Stops and starts it; every connection is cut."""
        self.stop(mode)
        self.start()

    @property
    def is_running(self) -> bool:
        """It was started, and not stopped since."""
        return self._running is not None


class Bouncer:
    """PgBouncer in transaction mode: another server connection for each transaction."""

    def __init__(self, port: int) -> None:
        self.port = port

    def through(self, dsn: str) -> str:
        """The DSN that leads to the same database through PgBouncer."""
        return f"postgresql://{USER}@127.0.0.1:{self.port}/{_database_of(dsn)}"


@contextmanager
def running_postgres(
    *, fsync: bool = False, settings: Mapping[str, str] | None = None
) -> Iterator[PostgresServer]:
    """A new server for the block; without fsync quicker, and gone with a loss of power.

    `settings` are further lines of its postgresql.conf.
    """
    with _home("mailstrom-postgres-") as home:
        _run(home, _program("initdb"), "--no-sync", "-U", USER, "-A", "trust", "-E", "UTF8", "--locale=C",
             "-D", home / "data")  # fmt: skip
        port = free_ports(1)[0]
        lines = _SETTINGS.format(port=port, home=home, fsync="on" if fsync else "off")
        lines += "".join(f"{name} = {value}\n" for name, value in (settings or {}).items())
        (home / "data" / "postgresql.auto.conf").write_text(lines, encoding="utf-8")
        server = PostgresServer(home, port)
        server.start()
        try:
            yield server
        finally:
            if server.is_running:
                server.stop("immediate")


@contextmanager
def running_bouncer(server: PostgresServer) -> Iterator[Bouncer]:
    """PgBouncer before this server for the block."""
    program = _bouncer_program()
    assert program is not None, "needs PgBouncer: apt install pgbouncer"
    with _home("mailstrom-pgbouncer-") as home:
        port = free_ports(1)[0]
        settings = _BOUNCER_SETTINGS.format(server_port=server.port, port=port, user=USER)
        (home / "pgbouncer.ini").write_text(settings, encoding="utf-8")
        running = _Guarded(home, "TERM", [program, home / "pgbouncer.ini"])
        try:
            bouncer = Bouncer(port)
            until(lambda: answers(bouncer.through(server.dsn())), STARTUP_SECS, "PgBouncer")
            yield bouncer
        finally:
            running.end()


def query(dsn: str, sql: str, params: Sequence[object] = ()) -> list[tuple[Any, ...]]:
    """The rows of one statement, on a connection and in a transaction of its own."""
    with psycopg.connect(dsn, autocommit=True, prepare_threshold=None) as connection:
        cursor = connection.execute(sql, params or None)
        return cursor.fetchall() if cursor.description else []


def answers(dsn: str) -> bool:
    """A server is there and lets us in."""
    try:
        return query(dsn, "SELECT 1") == [(1,)]
    except psycopg.OperationalError:
        return False


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """One server for the whole session."""
    skip_unless_it_can_run()
    with running_postgres() as server:
        yield server


@pytest.fixture(scope="session")
def postgres_bouncer(postgres_server: PostgresServer) -> Iterator[Bouncer]:
    """PgBouncer before that server, for the whole session."""
    if _bouncer_program() is None:
        pytest.skip("needs PgBouncer: apt install pgbouncer")
    with running_bouncer(postgres_server) as bouncer:
        yield bouncer


@pytest.fixture
def database(postgres_server: PostgresServer) -> Iterator[str]:
    """The DSN of a new, empty database; after the test it is gone, and the server runs."""
    dsn = postgres_server.new_database()
    yield dsn
    if not postgres_server.is_running:
        postgres_server.start()
    postgres_server.drop_database(dsn)


def skip_unless_it_can_run() -> None:
    """Skips the test, with what to do about it, where PostgreSQL cannot be started."""
    if not _installed():
        pytest.skip("needs PostgreSQL: apt install postgresql")


class _Guarded:
    """A server, and the shell that ends it with this process."""

    def __init__(self, home: Path, signal: str, command: Sequence[str | Path]) -> None:
        with (home / "log").open("ab") as log:
            self._shell = subprocess.Popen(
                ["sh", "-c", _GUARD, "sh", signal, *command],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C in a terminal is for the tests alone
                **_as_owner(home),
            )

    def end(self) -> None:
        """Ends the server where it still runs; returns when it is gone."""
        assert self._shell.stdin is not None
        self._shell.stdin.close()
        self._shell.wait()


def _run(home: Path, *command: str | Path) -> None:
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, **_as_owner(home)
    )
    assert done.returncode == 0, f"{command[0]}: {done.stdout}{done.stderr}"


@contextmanager
def _home(prefix: str) -> Iterator[Path]:
    home = Path(tempfile.mkdtemp(prefix=prefix))
    if os.geteuid() == 0:
        owner = _unprivileged()
        os.chown(home, owner.pw_uid, owner.pw_gid)
    try:
        yield home
    finally:
        shutil.rmtree(home)


def _as_owner(home: Path) -> dict[str, Any]:
    """What makes a new process one of the folder's owner."""
    if os.geteuid() != 0:
        return {"cwd": home}
    owner = _unprivileged()
    return {"cwd": home, "user": owner.pw_uid, "group": owner.pw_gid, "extra_groups": []}


def _unprivileged() -> pwd.struct_passwd:
    """PostgreSQL and PgBouncer refuse to run as root."""
    try:
        return pwd.getpwnam("postgres")
    except KeyError:
        return pwd.getpwnam("nobody")


def _program(name: str) -> Path:
    folder = _installed()
    assert folder is not None, "needs PostgreSQL: apt install postgresql"
    return folder / name


def _installed() -> Path | None:
    """The folder of the newest version's programs."""
    versions = [entry for entry in _DEBIAN_PROGRAMS.glob("*/bin") if (entry / "initdb").exists()]
    if versions:
        return max(versions, key=lambda entry: int(entry.parent.name))
    found = shutil.which("initdb")
    return None if found is None else Path(found).resolve().parent


def _bouncer_program() -> str | None:
    return shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin")


def _database_of(dsn: str) -> str:
    return str(conninfo_to_dict(dsn)["dbname"])
