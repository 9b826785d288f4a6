"""What pytest tells of a simulated world that went wrong."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from mailstrom.testing.pytest_plugin import _marked

ROOT = Path(__file__).parents[2]

STORY = """
import pytest
from mailstrom import Email

@pytest.mark.simulation(seeds=3)
def test_it(simulation):
    simulation.mailstrom().send_email(Email(from_="a@sender.example", to="b@nowhere.example", text="Hi."))
    simulation.run(minutes=1)
    assert simulation.seed != 2
"""


def pytest_over(story: str, folder: Path) -> str:
    folder.joinpath("test_story.py").write_text(story, encoding="utf-8")
    options = ["-q", "-p", "no:cacheprovider", "--strict-markers", "--rootdir", "."]
    command = [sys.executable, "-m", "pytest", *options]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=50)
    return done.stdout + done.stderr


def test_the_report_of_a_failure_names_the_seed_the_replay_and_what_happened(tmp_path: Path) -> None:
    told = pytest_over(STORY, tmp_path)

    assert "1 failed, 2 passed" in told
    assert "- simulation, seed 2 -" in told
    assert 'the same again: pytest "test_story.py::test_it[seed2]"' in told
    assert "process 1: failed" in told


def test_a_mark_that_says_something_else_is_refused_without_a_traceback(tmp_path: Path) -> None:
    told = pytest_over(STORY.replace("seeds=3", "7"), tmp_path)

    assert "expected seed=7 or seeds=100" in told
    assert "pytest_plugin.py" not in told


@pytest.mark.parametrize(
    "said",
    [
        {"seed": 9, "seeds": 2},
        {"seeds": 0},
        {"seeds": -3},
        {"seeds": []},
        {"seeds": "12"},
        {"seeds": ["1", "2"]},
        {"seeds": True},
        {"seed": True},
        {"seed": "abc"},
        {"sed": 4},
    ],
    ids=str,
)
def test_a_mark_says_one_seed_or_several_and_both_in_numbers(
    request: pytest.FixtureRequest, said: dict[str, object]
) -> None:
    request.node.add_marker(pytest.mark.simulation(**said))

    with pytest.raises(pytest.fail.Exception, match="expected seed=7 or seeds=100"):
        _marked(request.node)


@pytest.mark.parametrize(
    ("said", "understood"),
    [
        ({}, (0, ())),
        ({"seed": 9}, (9, ())),
        ({"seeds": 3}, (0, (0, 1, 2))),
        ({"seeds": [9, 3]}, (0, (9, 3))),
    ],
    ids=str,
)
def test_a_mark_says_which_seeds(
    request: pytest.FixtureRequest, said: dict[str, object], understood: tuple[int, tuple[int, ...]]
) -> None:
    request.node.add_marker(pytest.mark.simulation(**said))

    assert _marked(request.node) == understood


def test_the_simulation_needs_no_pytest() -> None:
    command = "import sys, mailstrom.testing.simulation; sys.exit('pytest' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", command], cwd=ROOT).returncode == 0
