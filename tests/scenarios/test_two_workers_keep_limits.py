"""Limits hold for all workers of a queue together, on SQLite here; on PostgreSQL: tests/interop."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from mailstrom.storage.sqlite import SqliteStorage
from tests.scenarios.limit_stories import STORIES, Open


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.__name__)
def test_workers_on_one_sqlite_file(story: Callable[[Open], None], tmp_path: Path) -> None:
    story(lambda: SqliteStorage(tmp_path / "mail.db", durability="normal"))
