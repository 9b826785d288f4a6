"""Whatever happens in a simulated world: no mail is lost, stuck, or doubled unsaid.

`make simulate SEEDS=20000` tells more stories; a failing one is told again by its number alone.
"""

from __future__ import annotations

import pytest

from .plan import plan_for
from .story import run


@pytest.mark.parametrize("seed", range(150))
def test_a_story_by_chance_ends_well(seed: int) -> None:
    run(plan_for(seed))
