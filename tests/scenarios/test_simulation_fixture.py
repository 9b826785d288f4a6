"""What pytest tells of a simulated world that went wrong."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

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


def test_a_mark_that_says_something_else_is_refused(tmp_path: Path) -> None:
    told = pytest_over(STORY.replace("seeds=3", "7"), tmp_path)

    assert "expected seed=7 or seeds=100" in told


def test_the_simulation_needs_no_pytest() -> None:
    command = "import sys, mailstrom.testing.simulation; sys.exit('pytest' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", command], cwd=ROOT).returncode == 0
