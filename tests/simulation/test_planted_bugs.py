"""The stories find bugs: each of these shows at its seed, and the same story without it ends well.

`python -m tests.simulation.planted_bugs` looks for them anew among all seeds.
"""

from __future__ import annotations

import pytest

from .bugs import BUGS
from .planning import plan_for
from .planted_bugs import FOUND_AT, KNOWN_MISSED, fails
from .story import run

FAILURES = ("AssertionError", "MessageNotFound")  # not a slip of a planted bug


@pytest.mark.parametrize(("name", "seed"), FOUND_AT.items())
def test_a_story_with_a_planted_bug_fails(name: str, seed: int) -> None:
    assert str(fails(name, plan_for(seed))).startswith(FAILURES)


@pytest.mark.parametrize("seed", sorted(set(FOUND_AT.values())))
def test_the_same_story_without_a_bug_ends_well(seed: int) -> None:
    run(plan_for(seed))


def test_every_bug_is_found_or_known_to_be_missed() -> None:
    assert BUGS.keys() == FOUND_AT.keys() | KNOWN_MISSED.keys()
    assert FOUND_AT.keys().isdisjoint(KNOWN_MISSED)
