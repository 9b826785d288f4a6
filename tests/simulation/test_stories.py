"""Whatever happens in a simulated world: no mail is lost, stuck, or doubled unsaid.

`make simulate SEEDS=20000` tells more stories; a failing one is told again by its number alone.
"""

from __future__ import annotations

import pytest

from .planning import plan_for
from .story import run


@pytest.mark.parametrize("first", range(0, 150, 10))
def test_ten_stories_by_chance_end_well(first: int) -> None:
    for seed in range(first, first + 10):
        run(plan_for(seed))
