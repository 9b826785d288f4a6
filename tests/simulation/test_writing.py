"""A plan that is printed is the plan that it was."""

from __future__ import annotations

import pytest

from . import plan
from .planning import plan_for
from .writing import as_test, written


@pytest.mark.parametrize("seed", range(20))
def test_a_plan_that_is_written_reads_the_same(seed: int) -> None:
    assert eval(written(plan_for(seed)), vars(plan)) == plan_for(seed)


@pytest.mark.parametrize("seed", range(3))
def test_a_plan_becomes_a_module_with_a_test(seed: int) -> None:
    module = as_test(plan_for(seed)).replace("from .", "from tests.simulation.")
    found: dict[str, object] = {}

    exec(compile(module, "test_found.py", "exec"), found)

    assert callable(found["test_"])
