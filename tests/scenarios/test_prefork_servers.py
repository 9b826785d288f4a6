"""Where a server makes several processes of one program, a queue in memory is several queues."""

from __future__ import annotations

import logging
import sys
import types
from pathlib import Path

import pytest

from mailstrom import Config, Mailstrom, SqliteStorage

CAPTURE = Config(helo_name="sender.example", mode="capture")


@pytest.fixture
def _under_gunicorn(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a worker process of gunicorn."""
    monkeypatch.setitem(sys.modules, "gunicorn.arbiter", types.ModuleType("gunicorn.arbiter"))
    monkeypatch.setattr(sys, "argv", ["gunicorn", "-w", "4", "app:app"])


def warnings_of(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]


@pytest.mark.usefixtures("_under_gunicorn")
def test_it_says_once_that_each_process_has_a_queue_of_its_own_and_what_to_do(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with Mailstrom(CAPTURE) as m:
        m.start().pause()
        m.start()

    (told,) = warnings_of(caplog)
    assert "gunicorn" in told
    assert "sqlite:///mail.db" in told


@pytest.mark.usefixtures("_under_gunicorn")
def test_a_queue_that_all_processes_share_needs_no_warning(
    caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    with Mailstrom(CAPTURE, SqliteStorage(tmp_path / "mail.db")) as m:
        m.start()

    assert warnings_of(caplog) == []


def test_one_process_is_not_warned(caplog: pytest.LogCaptureFixture) -> None:
    with Mailstrom(CAPTURE) as m:
        m.start()

    assert warnings_of(caplog) == []
