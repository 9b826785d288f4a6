"""Where the queue rests, as a URL."""

from __future__ import annotations

import traceback
from pathlib import Path

import pytest

from mailstrom import Config, ConfigError, Mailstrom, SqliteStorage
from mailstrom.secret import Secret
from mailstrom.storage.urls import storage_from_url

PASSWORD = "correct-horse"


def shown_by(error: Exception) -> str:
    """The error with its frames, and what their locals are, but for this file's."""
    told = traceback.TracebackException.from_exception(error, capture_locals=True)
    told.stack[:] = [frame for frame in told.stack if frame.filename != __file__]
    return "".join(told.format())


def test_three_slashes_name_a_file_in_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    storage = storage_from_url("sqlite:///mail.db")
    storage.close()

    assert isinstance(storage, SqliteStorage)
    assert (tmp_path / "mail.db").is_file()


def test_four_slashes_name_a_file_by_its_absolute_path(tmp_path: Path) -> None:
    storage_from_url(Secret(f"sqlite:///{tmp_path}/the%20queue%3F.db")).close()

    assert (tmp_path / "the queue?.db").is_file()


@pytest.mark.parametrize(
    "url",
    [
        "sqlite://",
        "sqlite:///",
        "sqlite://mail.db",
        "sqlite://host/mail.db",
        "sqlite:///:memory:",
        "sqlite:///mail.db?mode=ro",
        "sqlite:///mail.db#1",
    ],
)
def test_a_sqlite_url_without_a_plain_path_is_refused(url: str) -> None:
    with pytest.raises(ConfigError, match="sqlite:///"):
        storage_from_url(url)


@pytest.mark.parametrize(
    "url", [f"mysql://me:{PASSWORD}@db.example/app", f"me:{PASSWORD}@db.example", PASSWORD, "", "sqlite:"]
)
def test_another_scheme_is_refused_with_those_that_there_are_and_not_repeated(url: str) -> None:
    with pytest.raises(ConfigError, match="sqlite://, postgresql://, postgres://") as caught:
        Mailstrom(storage=url)
    with pytest.raises(ConfigError, match="sqlite://, postgresql://, postgres://") as configured:
        Config(storage=url)

    assert PASSWORD not in shown_by(caught.value) + shown_by(configured.value)


def test_a_url_is_not_shown_where_another_setting_is_wrong() -> None:
    with pytest.raises(ConfigError) as caught:
        Config(storage=f"postgresql://me:{PASSWORD}@db.example/app", max_sessions=0)

    assert PASSWORD not in shown_by(caught.value)


def test_the_configuration_names_the_queue_where_no_other_is_given(tmp_path: Path) -> None:
    config = Config(mode="capture", storage=f"sqlite:///{tmp_path}/mail.db")
    with Mailstrom(config), Mailstrom(config, f"sqlite:///{tmp_path}/other.db"):
        pass

    assert {path.name for path in tmp_path.glob("*.db")} == {"mail.db", "other.db"}


@pytest.mark.parametrize("origin", ["argument", "dict", "toml", "environment"])
def test_a_url_may_come_from_anywhere_and_is_never_shown(origin: str, tmp_path: Path) -> None:
    url = f"postgresql://me:{PASSWORD}@db.example/app"
    toml = tmp_path / "mailstrom.toml"
    toml.write_text(f'storage = "{url}"\n')
    configs = {
        "argument": lambda: Config(storage=url),
        "dict": lambda: Config.from_dict({"storage": url}),
        "toml": lambda: Config.from_toml(toml),
        "environment": lambda: Config.from_env({"MAILSTROM_STORAGE": url}),
    }

    config = configs[origin]()

    assert config.storage == Secret(url)
    assert PASSWORD not in repr(config)
