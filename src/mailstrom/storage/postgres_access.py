"""Where a PostgreSQL queue is, and the ways to it: by a DSN, or by a caller's pool.

A DSN holds a password. None of it is shown in an error, and it is a `Secret` from here on.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.pq import Conninfo

from ..errors import ConfigError
from ..secret import Secret
from .postgres_connections import Connections, OwnConnections, Pool, PooledConnections

__all__ = ["Access", "access_to"]

# A machine that has gone silent is noticed within 25 s, long before a lease of 60 s ends. Not a server
# that stands still on a machine that goes on, whose kernel answers for it: postgres_silence.py sees that.
_DEFAULTS: Mapping[str, str] = {
    "connect_timeout": "10",
    "fallback_application_name": "mailstrom",
    "keepalives_idle": "10",
    "keepalives_interval": "5",
    "keepalives_count": "3",
    "tcp_user_timeout": "25000",
}
# Whatever the DSN and PGCLIENTENCODING say: as SQL_ASCII, texts would come as octets.
_ALWAYS: Mapping[str, str] = {"client_encoding": "utf8"}
_PLACE = ("host", "hostaddr", "port", "dbname", "user", "service")
_PORTS = re.compile(r"[0-9,]*")
_WORD = re.compile(r"[A-Za-z_]{1,40}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """The ways to one queue."""

    connections: Connections
    identity: str  # host, port, database and schema: no user, no password
    listening: Secret | None  # the conninfo of a direct connection


def access_to(dsn_or_pool: object, *, schema: str, listen_dsn: object, max_connections: int) -> Access:
    """The ways that are given; raises `ConfigError` for what leads nowhere, and connects to nothing."""
    listening = None if listen_dsn is None else _conninfo("listen_dsn", listen_dsn)
    if isinstance(dsn_or_pool, str | Secret):
        conninfo = _conninfo("dsn", dsn_or_pool)
        return Access(
            connections=OwnConnections(conninfo, max_connections),
            identity=_identity(conninfo, schema),
            listening=listening or conninfo,
        )
    if not isinstance(dsn_or_pool, Pool):
        kind = type(dsn_or_pool).__name__
        raise ConfigError(f"PostgresStorage: expected a DSN or a psycopg_pool.ConnectionPool, got a {kind}")
    return Access(
        connections=PooledConnections(dsn_or_pool),
        identity=_identity_of_pool(dsn_or_pool, schema),
        listening=listening,
    )


def _conninfo(name: str, dsn: object) -> Secret:
    """The DSN, a URL or conninfo, with our defaults; `name` is the argument it was given as."""
    if not isinstance(dsn, str | Secret):
        raise ConfigError(f"{name}: expected a text, got a {type(dsn).__name__}")
    try:
        given = conninfo_to_dict(Secret(dsn).reveal())
    except psycopg.Error:
        # its text may quote a part of the password
        raise _unreadable(name, _unknown_parameter(Secret(dsn).reveal())) from None
    # libpq takes what is behind the first @, : or / of a password for host, port or database
    if "@" in f"{given.get('host')}{given.get('dbname')}" or not _PORTS.fullmatch(str(given.get("port", ""))):
        raise _unreadable(name)
    return Secret(make_conninfo("", **{**_DEFAULTS, **given, **_ALWAYS}))


def _unknown_parameter(url: str) -> str | None:
    """What a URL sets and libpq does not know; None where there may be a part of a password in it."""
    before, _, query = url.partition("?")
    _, is_url, place = before.partition("://")
    if not is_url or (":" in place and "@" not in place) or "@" in query or "password" in query:
        return None
    known = {"ssl", *(each.keyword.decode() for each in Conninfo.get_defaults())}
    named = (part.partition("=")[0] for part in query.split("&"))
    return next((each for each in named if _WORD.fullmatch(each) and each not in known), None)


def _unreadable(name: str, parameter: str | None = None) -> ConfigError:
    if parameter is not None:
        return ConfigError(f"{name}: libpq knows no parameter {parameter!r}: leave it out of the URL")
    return ConfigError(
        f"{name}: expected postgresql://user:password@host:5432/database, or host=... dbname=...; "
        "in a URL, the password's @ : / ? # and % are written as %40 %3A %2F %3F %23 and %25"
    )


def _identity(conninfo: Secret, schema: str) -> str:
    known = {each.keyword.decode(): (each.val or b"").decode() for each in Conninfo.get_defaults()}
    known |= {name: str(value) for name, value in conninfo_to_dict(conninfo.reveal()).items()}
    host = known["host"] or known["hostaddr"] or known["service"] or "local"
    return f"postgres:{host}:{known['port']}/{known['dbname'] or known['user']}/{schema}"


def _identity_of_pool(pool: Pool, schema: str) -> str:
    conninfo, given = getattr(pool, "conninfo", None), getattr(pool, "kwargs", None) or {}
    if not isinstance(conninfo, str) or not isinstance(given, Mapping):
        # nothing tells where it leads: its worker runs beside all others, which is always safe
        return f"postgres:pool {secrets.token_hex(8)}/{schema}"
    place = {name: value for name, value in given.items() if name in _PLACE}
    return _identity(Secret(make_conninfo(conninfo, **place)), schema)
