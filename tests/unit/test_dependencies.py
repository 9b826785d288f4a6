"""Threat S28: what is installed with mailstrom, and from which version on."""

from __future__ import annotations

import tomllib
from pathlib import Path

from packaging.requirements import Requirement

PROJECT = Path(__file__).parents[2] / "pyproject.toml"
HAS_HOLES = {"aiosmtplib": "5.1.2", "dnspython": "2.6.0"}


def test_three_dependencies_are_installed_and_none_in_a_version_that_is_known_to_have_holes() -> None:
    lines = tomllib.loads(PROJECT.read_text(encoding="utf-8"))["project"]["dependencies"]
    needed = {each.name: each.specifier for each in map(Requirement, lines)}

    assert sorted(needed) == ["aiosmtplib", "dnspython", "email-validator"]
    assert not [name for name, version in HAS_HOLES.items() if needed[name].contains(version)]
