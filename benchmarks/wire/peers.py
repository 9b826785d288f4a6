"""Which of the others are installed, and in what version."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping
from importlib.util import find_spec

import pytest

from tests.interop.postfix import skip_unless_it_can_run as skip_without_postfix

from .senders import MODULES
from .sink import PROGRAM

__all__ = ["NODEMAILER", "POSTFIX", "POST_OFFICE", "SINK", "left_out", "missing", "versions"]

SINK, POSTFIX = "everything", "Postfix"
NODEMAILER, POST_OFFICE = "Nodemailer", "django-post_office"


def missing() -> Mapping[str, str]:
    """Who cannot run here, and why."""
    found = {name: reason() for name, reason in _REASONS.items()}
    return {name: reason for name, reason in found.items() if reason}


def left_out() -> Iterator[str]:
    """The same in a line for each."""
    return (f"{name} is left out: {reason}" for name, reason in missing().items())


def versions() -> str:
    """Of what is not a Python package."""
    said = {"Postfix": ["postconf", "-dh", "mail_version"], "Node.js": ["node", "--version"]}
    found = {name: _first_line(command) for name, command in said.items() if shutil.which(command[0])}
    if (package := MODULES / "nodemailer" / "package.json").exists():
        found[NODEMAILER] = json.loads(package.read_text(encoding="utf-8"))["version"]
    return ", ".join(f"{name} {version}" for name, version in found.items())


def _first_line(command: list[str]) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()[0]


def _no_sink() -> str:
    return "" if shutil.which(PROGRAM) else "needs Postfix: apt install postfix"


def _no_postfix() -> str:
    try:
        skip_without_postfix()
    except pytest.skip.Exception as skipped:
        return str(skipped)
    return ""


def _no_nodemailer() -> str:
    is_there = shutil.which("node") and (MODULES / "nodemailer").exists()
    return "" if is_there else "needs Node.js and Nodemailer: make peers"


def _no_post_office() -> str:
    return "" if find_spec("post_office") else "needs its package: make bench installs it"


_REASONS: Mapping[str, Callable[[], str]] = {
    SINK: _no_sink,
    POSTFIX: _no_postfix,
    NODEMAILER: _no_nodemailer,
    POST_OFFICE: _no_post_office,
}
