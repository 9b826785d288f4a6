"""What PostgresStorage makes of its arguments, before it connects to anything."""

from __future__ import annotations

from typing import Any

import pytest

from mailstrom import ConfigError
from mailstrom.secret import Secret
from mailstrom.storage.postgres import PostgresStorage
from mailstrom.storage.postgres_access import access_to


@pytest.mark.parametrize(
    ("dsn", "identity"),
    [
        ("postgresql://app:pw@db.example/mail", "postgres:db.example:5432/mail/mailstrom"),
        ("postgres://app@db.example:6432/mail", "postgres:db.example:6432/mail/mailstrom"),
        ("host=db.example dbname=mail user=app password=pw", "postgres:db.example:5432/mail/mailstrom"),
        ("hostaddr=192.0.2.1 dbname=mail", "postgres:192.0.2.1:5432/mail/mailstrom"),
        ("postgresql://app@/mail?host=/run/postgresql", "postgres:/run/postgresql:5432/mail/mailstrom"),
        ("postgresql://a.example:1,b.example:2/mail", "postgres:a.example,b.example:1,2/mail/mailstrom"),
        ("host=db.example user=app", "postgres:db.example:5432/app/mailstrom"),
        ("postgresql://app:p%40ss@db.example/mail", "postgres:db.example:5432/mail/mailstrom"),
    ],
)
def test_the_identity_is_where_the_queue_is(without_libpq_settings: None, dsn: str, identity: str) -> None:
    assert PostgresStorage(dsn).identity == identity
    assert PostgresStorage(Secret(dsn)).identity == identity


def test_the_schema_is_part_of_the_identity(without_libpq_settings: None) -> None:
    storage = PostgresStorage("postgresql://db.example/mail", schema="outgoing")

    assert storage.identity == "postgres:db.example:5432/mail/outgoing"


def test_the_environment_fills_in_what_the_dsn_leaves_out(
    without_libpq_settings: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGHOST", "other.example")
    monkeypatch.setenv("PGDATABASE", "mail")

    assert PostgresStorage("").identity == "postgres:other.example:5432/mail/mailstrom"


def test_what_the_dsn_says_of_time_limits_holds() -> None:
    access = access_to(
        "host=db.example connect_timeout=3", schema="mailstrom", listen_dsn=None, max_connections=1
    )

    assert access.listening is not None
    conninfo = access.listening.reveal().split()
    assert "connect_timeout=3" in conninfo
    assert "keepalives_idle=10" in conninfo


def test_texts_come_as_utf8_whatever_the_dsn_says() -> None:
    access = access_to(
        "host=db.example client_encoding=SQL_ASCII", schema="mailstrom", listen_dsn=None, max_connections=1
    )

    assert access.listening is not None
    assert "client_encoding=utf8" in access.listening.reveal().split()


@pytest.mark.parametrize(
    "dsn",
    [
        "postgresql://app:hun@ter2@db.example/mail",
        "postgresql://app:hun/ter2@db.example/mail",
        "postgresql://app:hun:ter2/@db.example/mail",
        "postgresql://app:hun%ter2@db.example/mail",
        "host=db.example password=hun ter2",
        "hunter2",
    ],
)
@pytest.mark.parametrize("name", ["dsn", "listen_dsn"])
def test_a_dsn_that_cannot_be_read_is_refused_without_being_shown(name: str, dsn: str) -> None:
    given: dict[str, Any] = {"dsn_or_pool": "postgresql://db.example/mail", "listen_dsn": None}
    given["dsn_or_pool" if name == "dsn" else name] = dsn

    with pytest.raises(ConfigError, match=f"^{name}: expected postgresql://") as raised:
        PostgresStorage(**given)

    assert "ter2" not in str(raised.value)
    assert raised.value.__cause__ is None


@pytest.mark.parametrize("given", [None, 5, b"postgresql://", object()])
def test_neither_a_dsn_nor_a_pool_is_refused(given: Any) -> None:
    with pytest.raises(ConfigError, match="ConnectionPool"):
        PostgresStorage(given)


@pytest.mark.parametrize(
    "settings",
    [
        {"schema": ""},
        {"schema": "Mail"},
        {"schema": "1st"},
        {"schema": "a" * 42},
        {"schema": 'm"; DROP TABLE messages; --'},
        {"schema": "mail\n"},
        {"poll_secs": 0},
        {"poll_secs": float("nan")},
        {"poll_secs": "1"},
        {"max_connections": 0},
        {"max_connections": 1.5},
        {"listen_dsn": 5},
    ],
)
def test_a_wrong_setting_is_a_config_error_that_names_it(settings: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=next(iter(settings))):
        PostgresStorage("postgresql://db.example/mail", **settings)


@pytest.fixture
def without_libpq_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PGHOST", "PGHOSTADDR", "PGPORT", "PGDATABASE", "PGUSER", "PGSERVICE"):
        monkeypatch.delenv(name, raising=False)
