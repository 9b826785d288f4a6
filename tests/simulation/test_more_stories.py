"""As many stories as in `test_stories.py`: what stands in two files runs in two processes at once."""

from __future__ import annotations

import pytest

from .planning import plan_for
from .story import run


@pytest.mark.parametrize("first", range(150, 300, 10))
def test_ten_more_stories_by_chance_end_well(first: int) -> None:
    for seed in range(first, first + 10):
        run(plan_for(seed))
