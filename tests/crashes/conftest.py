"""Where a queue rests, and how a process lives to its end."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from mailstrom.storage.sqlite import SqliteStorage
from tests.crashes.dying import DIED
from tests.crashes.program import Place, UnheardPostgres

# Each is forked from a process that has no threads, and has loaded what start() loads.
_processes = multiprocessing.get_context("forkserver")
_processes.set_forkserver_preload(
    [
        "tests.crashes.program",
        "mailstrom.engine.carriers",
        "mailstrom.engine.runtime",
        "mailstrom.engine.delivery",
    ]
)


def live(life: Callable[[], None], folder: Path) -> None:
    """A process of its own, whose life that is; it has to come to its point."""
    process = _processes.Process(target=life)
    process.start()
    process.join()
    assert process.exitcode == DIED, (folder / "complaints").read_text()


@pytest.fixture(params=["sqlite", "postgres"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    if request.param == "sqlite":
        return Place(storage_class=SqliteStorage, path_or_dsn=str(tmp_path / "mail.db"))
    found = Place(storage_class=UnheardPostgres, path_or_dsn=request.getfixturevalue("database"))
    with closing(found.storage()) as storage:
        assert storage.is_idle()  # its tables are made
    return found
