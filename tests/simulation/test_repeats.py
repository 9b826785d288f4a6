"""A story takes the same course wherever it is told: all of it follows from its seed."""

from __future__ import annotations

import os
import subprocess
import sys

from .telling import digest

SEEDS = range(6)


def test_a_story_takes_the_same_course_twice_in_one_process() -> None:
    assert digest(SEEDS) == digest(SEEDS)


def test_a_story_takes_the_same_course_in_another_process() -> None:
    """With other hashes of strings, and so another order in sets of them."""
    command = [sys.executable, "-m", "tests.simulation", "--digest", "--seeds", str(len(SEEDS))]
    told = subprocess.run(
        command, env={**os.environ, "PYTHONHASHSEED": "4711"}, stdout=subprocess.PIPE, check=True, text=True
    )

    assert told.stdout.strip() == digest(SEEDS)


def test_another_seed_makes_another_story() -> None:
    assert digest([1]) != digest([2])
