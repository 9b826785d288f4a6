"""`smtp-sink` of Postfix: it takes every message, throws it away, and counts."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from tests.interop.mailbox import STARTUP_SECS, ended, free_ports, greets, until

from .turns import Receiver

__all__ = ["PROGRAM", "sinking"]

PROGRAM = "/usr/sbin/smtp-sink"
BACKLOG = "200"
LAST = 200  # octets of what it has told: the last count is in them


@contextmanager
def sinking(folder: Path) -> Iterator[Receiver]:
    """One for the duration of the block; it keeps its counts in the folder."""
    (port,), counts = free_ports(1), folder / "sink.txt"
    user = ["-u", "nobody"] if os.geteuid() == 0 else []
    with counts.open("wb") as file:
        process = subprocess.Popen([PROGRAM, *user, "-4", "-c", f"127.0.0.1:{port}", BACKLOG], stdout=file)
    try:
        until(lambda: greets(port), STARTUP_SECS, "smtp-sink's greeting")
        yield Receiver(port=port, taken=partial(_last_count, counts))
    finally:
        ended(process)


def _last_count(counts: Path) -> int:
    with counts.open("rb") as file:
        file.seek(max(0, counts.stat().st_size - LAST))
        found = re.findall(rb"mesg=(\d+)\s", file.read())
    return int(found[-1]) if found else 0
