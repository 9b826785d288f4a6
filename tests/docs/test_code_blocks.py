"""What README and docs show is true: their Python runs, their tests pass, their TOML can be read."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.docs.run_blocks import blocks_of

ROOT = Path(__file__).parents[2]
RUNNER = Path(__file__).with_name("run_blocks.py")
PAGES = sorted((*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")))


def holds(language: str, page: Path) -> bool:
    return any(block.language == language for block in blocks_of(page.read_text(encoding="utf-8")))


def shown_tests(page: Path) -> list[str]:
    """The blocks that are test files of their own."""
    blocks = blocks_of(page.read_text(encoding="utf-8"))
    return [block.text for block in blocks if block.language == "python" and "pytest" in block.words]


@pytest.mark.parametrize(
    "page",
    [page for page in PAGES if holds("python", page)],
    ids=lambda page: str(page.relative_to(ROOT)),
)
def test_the_python_blocks_of_a_page_run_in_their_order(page: Path, tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}

    done = subprocess.run(
        [sys.executable, "-X", "dev", "-W", "error", RUNNER, page],
        cwd=tmp_path,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=50,
    )

    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("page", "number"),
    [(page, number) for page in PAGES for number in range(len(shown_tests(page)))],
    ids=lambda given: str(given.relative_to(ROOT)) if isinstance(given, Path) else str(given),
)
def test_the_tests_that_a_page_shows_pass(page: Path, number: int, tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    tmp_path.joinpath("test_shown.py").write_text(shown_tests(page)[number], encoding="utf-8")

    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-W",
            "error",
            "-p",
            "no:cacheprovider",
            "--rootdir",
            ".",
            ".",
        ],
        cwd=tmp_path,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=50,
    )

    assert done.returncode == 0, done.stdout + done.stderr


def test_the_toml_blocks_are_toml() -> None:
    blocks = [block for page in PAGES for block in blocks_of(page.read_text(encoding="utf-8"))]

    for block in blocks:
        if block.language == "toml":
            tomllib.loads(block.text)
