"""What a process and those it made have used, as the kernel of Linux has it."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

__all__ = ["TICK_SECS", "cpu_secs", "memory_octets"]

TICK_SECS = 1 / os.sysconf("SC_CLK_TCK")  # so finely the kernel counts


def cpu_secs(pid: int) -> float:
    """The processor's time, user and system, of the process and of those below it, ended or not."""
    return sum(sum(map(int, _stat(each)[11:15])) for each in _family(pid)) * TICK_SECS


def memory_octets(pid: int) -> int:
    """What the process and those below it have in memory; what they share with others counts in part."""
    return sum(map(_proportional_octets, _family(pid)))


def _family(pid: int) -> set[int]:
    """The process and those below it that live."""
    parents = {each: int(_stat(each)[1]) for each in _living()}
    found = {pid}
    while more := {each for each, parent in parents.items() if parent in found} - found:
        found |= more
    return found


def _living() -> Iterator[int]:
    return (int(name) for name in os.listdir("/proc") if name.isdigit())


def _stat(pid: int) -> list[str]:
    """The fields of proc(5) behind the name, from the state on; zeros where the process has ended."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ["0"] * 50
    return text.rpartition(")")[2].split()


def _proportional_octets(pid: int) -> int:
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="utf-8")
    except OSError:
        return 0
    found = re.search(r"^Pss:\s*(\d+) kB", text, re.MULTILINE)
    return int(found[1]) * 1024 if found else 0
