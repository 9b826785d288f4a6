"""Whatever happens: nothing is lost, doubled unsaid, stuck, or left open.

`MAILSTROM_SEEDS=5000` tells more stories than the usual ones; a failing one is told again by its
number alone: `pytest -k 'ends_well[4711]'`.
"""

from __future__ import annotations

import os

import pytest

from tests.lone_engine import simulate
from tests.scenarios.random_stories import Story

SEEDS = int(os.environ.get("MAILSTROM_SEEDS", "200"))


@pytest.mark.parametrize("seed", range(SEEDS))
def test_a_random_story_ends_well(seed: int) -> None:
    story = Story.by_chance(seed)

    simulate(story, config=story.config, storage=story.storage, seed=seed)
