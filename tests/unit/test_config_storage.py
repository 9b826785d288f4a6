"""A queue's URL with settings: from anywhere, checked, and never with a password in sight."""

from __future__ import annotations

import inspect
import io
import traceback
from collections.abc import Callable
from contextlib import closing
from dataclasses import asdict, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from mailstrom import Config, ConfigError, PostgresStorage, SqliteStorage
from mailstrom.cli.main import run_command_line
from mailstrom.cli.storage_option import with_storage
from mailstrom.cli.terminal import Streams
from mailstrom.config_storage import StorageConfig
from mailstrom.secret import Secret
from mailstrom.wiring import storage_of

PASSWORD = "correct-horse"
URL = f"postgresql://me:{PASSWORD}@db.example/app"
DIRECT = f"host=direct.example password={PASSWORD}"
TOML = f"""
[storage]
url = "{URL}"
retention = 86400
status_retention = 0
poll_secs = 2.5
listen_dsn = "{DIRECT}"
schema = "mail"
max_connections = 3
notify = false
reply_timeout_secs = 10
"""
TABLE = {
    "url": URL,
    "retention": timedelta(days=1),
    "status_retention": 0,
    "poll_secs": 2.5,
    "listen_dsn": DIRECT,
    "schema": "mail",
    "max_connections": 3,
    "notify": False,
    "reply_timeout_secs": 10,
}
ENVIRONMENT = {
    "MAILSTROM_STORAGE": URL,
    "MAILSTROM_STORAGE_RETENTION": "86400",
    "MAILSTROM_STORAGE_STATUS_RETENTION": "0",
    "MAILSTROM_STORAGE_POLL_SECS": "2.5",
    "MAILSTROM_STORAGE_LISTEN_DSN": DIRECT,
    "MAILSTROM_STORAGE_SCHEMA": "mail",
    "MAILSTROM_STORAGE_MAX_CONNECTIONS": "3",
    "MAILSTROM_STORAGE_NOTIFY": "no",
    "MAILSTROM_STORAGE_REPLY_TIMEOUT_SECS": "10",
}
MEANT = StorageConfig(
    url=URL,
    retention=timedelta(days=1),
    status_retention=timedelta(0),
    poll_secs=2.5,
    listen_dsn=DIRECT,
    schema="mail",
    max_connections=3,
    notify=False,
    reply_timeout_secs=10,
)


def shown_by(error: Exception) -> str:
    """The error with its frames, and what their locals are, but for this file's."""
    told = traceback.TracebackException.from_exception(error, capture_locals=True)
    told.stack[:] = [frame for frame in told.stack if frame.filename != __file__]
    return "".join(told.format())


@pytest.fixture(params=["argument", "dict", "toml", "environment"])
def config(request: pytest.FixtureRequest, tmp_path: Path) -> Config:
    toml = tmp_path / "mailstrom.toml"
    toml.write_text(TOML)
    made: dict[str, Callable[[], Config]] = {
        "argument": lambda: Config(storage=MEANT),
        "dict": lambda: Config.from_dict({"storage": TABLE}),
        "toml": lambda: Config.from_toml(toml),
        "environment": lambda: Config.from_env(ENVIRONMENT),
    }
    return made[request.param]()


def test_every_source_has_every_setting_and_shows_no_password(config: Config) -> None:
    assert config.storage == MEANT
    assert PASSWORD not in f"{config!r} {config} {asdict(config)}"


@pytest.mark.parametrize("storage", [SqliteStorage, PostgresStorage])
def test_every_setting_of_a_storage_can_be_written_down(storage: type) -> None:
    told = {*inspect.signature(storage).parameters} - {"path", "dsn_or_pool", "lease_clock"}

    assert told <= {*inspect.signature(StorageConfig).parameters}


def test_a_file_of_sqlite_is_opened_with_its_settings(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/mail.db"

    with closing(storage_of(StorageConfig(url=url, durability="normal", poll_secs=3.0))) as storage:
        assert isinstance(storage, SqliteStorage)
        assert (storage.durability, storage.poll_secs) == ("normal", 3.0)


def test_a_database_of_postgresql_is_named_with_its_settings() -> None:
    with closing(storage_of(replace(MEANT, listen_dsn=None))) as storage:
        assert (storage.identity, storage.poll_secs) == ("postgres:db.example:5432/app/mail", 2.5)


@pytest.mark.parametrize(
    ("url", "settings", "named"),
    [
        (
            "sqlite:///mail.db",
            {"schema": "mail"},
            "StorageConfig.schema: a queue on SQLite has no such setting",
        ),
        ("sqlite:///mail.db", {"listen_dsn": DIRECT}, "StorageConfig.listen_dsn: a queue on SQLite"),
        (
            URL,
            {"durability": "normal"},
            "StorageConfig.durability: a queue on PostgreSQL has no such setting",
        ),
        (URL, {"busy_timeout_secs": 1}, "StorageConfig.busy_timeout_secs: a queue on PostgreSQL"),
        (f"mysql://me:{PASSWORD}@db.example/app", {}, "StorageConfig.url: expected a URL that begins with"),
        (None, {"retention": timedelta(seconds=-1)}, "StorageConfig.retention: expected 0 seconds or more"),
        (None, {"status_retention": 30}, "StorageConfig.status_retention: expected a timedelta"),
        (None, {"poll_secs": 0}, "StorageConfig.poll_secs: expected a number of seconds, above 0"),
        (None, {"durability": "none"}, "StorageConfig.durability: expected one of 'full', 'normal'"),
        (None, {"schema": "Mail; DROP"}, "StorageConfig.schema: expected a name of a-z"),
        (None, {"max_connections": 0}, "StorageConfig.max_connections: expected a whole number"),
        (None, {"notify": "no"}, "StorageConfig.notify: expected True or False"),
        (None, {"listen_dsn": 7}, "StorageConfig.listen_dsn: expected a text"),
        (None, {"reply_timeout_secs": float("nan")}, "StorageConfig.reply_timeout_secs: expected a number"),
    ],
)
def test_a_setting_that_cannot_be_used_is_named(url: str | None, settings: Any, named: str) -> None:
    with pytest.raises(ConfigError, match=named) as caught:
        StorageConfig(url=url, **settings)

    assert PASSWORD not in shown_by(caught.value)


@pytest.mark.parametrize("table", [{"retention": "a day"}, {"retention": -1}, {"poll_sec": 1}, {"url": 7}])
def test_a_table_that_cannot_be_used_is_refused(table: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match=r"Config\.(storage|url)"):
        Config.from_dict({"storage": table})


def test_the_url_may_be_in_a_file_or_a_variable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "url").write_text(f"{URL}\n")
    monkeypatch.setenv("APP_DIRECT", DIRECT)

    config = Config.from_dict(
        {"storage": {"url_file": str(tmp_path / "url"), "listen_dsn_env": "APP_DIRECT"}}
    )

    assert config.storage == StorageConfig(url=URL, listen_dsn=DIRECT)


def test_a_url_that_is_named_in_two_ways_is_refused() -> None:
    with pytest.raises(ConfigError, match="one of them, got url and url_env"):
        Config.from_dict({"storage": {"url": URL, "url_env": "APP_URL"}})
    with pytest.raises(ConfigError, match="one of STORAGE and STORAGE_URL"):
        Config.from_env({"MAILSTROM_STORAGE": URL, "MAILSTROM_STORAGE_URL": URL})


def test_a_table_with_a_url_alone_is_that_url() -> None:
    assert Config.from_dict({"storage": {"url": URL}}) == Config(storage=URL)
    assert Config(storage=URL).storage == Secret(URL)


def test_settings_without_a_url_wait_for_it() -> None:
    """The file has the settings, and the environment the URL with its password."""
    config = Config(storage=StorageConfig(schema="mail"))

    with pytest.raises(ConfigError, match=r"StorageConfig.url: expected the queue's"):
        storage_of(config.storage)
    named = with_storage(config, None, {"MAILSTROM_STORAGE": URL})
    other = with_storage(named, "postgresql://elsewhere.example/app", {})

    assert named.storage == StorageConfig(url=URL, schema="mail")
    assert other.storage == StorageConfig(url="postgresql://elsewhere.example/app", schema="mail")


def test_a_command_opens_the_queue_of_a_files_table(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/mail.db"
    storage_of(StorageConfig(url=url)).close()
    (file := tmp_path / "mailstrom.toml").write_text(
        f'[storage]\nurl = "{url}"\nretention = 60\ndurability = "normal"\n'
    )
    streams = Streams(stdin=io.BytesIO(), stdout=io.StringIO(), stderr=io.StringIO())

    code = run_command_line(("queue", "--json", "--config", str(file)), streams)

    assert (code, streams.stderr.getvalue()) == (0, "")
