"""What the figures depend on."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

__all__ = ["what_runs"]

PACKAGES = (
    "mailstrom",
    "email-validator",
    "cryptography",
    "dkimpy",
    "psycopg",
    "aiosmtplib",
    "django-post-office",
    "uvloop",
)


def what_runs() -> Iterator[str]:
    """Python, the machine, how busy it is, and the versions of what is measured."""
    yield f"{platform.python_implementation()} {platform.python_version()}, {platform.platform()}"
    load = ", ".join(f"{each:.1f}" for each in os.getloadavg())
    yield f"{os.cpu_count()} processors ({_processor()}), load {load}"
    yield ", ".join(f"{name} {_version(name)}" for name in PACKAGES)


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "(not installed)"


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())
