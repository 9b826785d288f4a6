"""Limits hold for all workers of one PostgreSQL queue together, in virtual time over the real database."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from mailstrom.storage.postgres import PostgresStorage
from tests.scenarios.limit_stories import STORIES, Open


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.__name__)
def test_workers_on_one_postgres_database(story: Callable[[Open], None], database: str) -> None:
    story(lambda: PostgresStorage(database))
