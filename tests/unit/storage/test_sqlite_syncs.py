"""Row 51: what of a SQLite queue is on the disk when a call returns, as the kernel saw it."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import textwrap
from itertools import groupby
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(shutil.which("strace") is None, reason="needs strace")

STRACE = ("strace", "-f", "-y", "-e", "trace=write,pwrite64,fsync,fdatasync")

PROGRAM = """
    import os, sqlite3, sys
    from contextlib import closing
    from datetime import UTC, datetime
    from mailstrom import Config, Mailstrom, SqliteStorage
    from mailstrom.abc import EVERYTHING, Order
    from mailstrom.status import Delivered
    from mailstrom.testing.storage_kit import LEASE, addresses_of, settlement
    from tests.builders import an_email

    def begin(step):
        os.write(1, f"MARK {step}\\n".encode())

    storage = SqliteStorage(sys.argv[1], durability=sys.argv[2])
    with closing(sqlite3.connect(sys.argv[1])) as other:  # whose log it will find, and nobody has synced
        other.execute("PRAGMA synchronous=OFF")
        other.execute("CREATE TABLE others (x)")
        with Mailstrom(Config(helo_name="sender.example"), storage) as m:
            begin("send_email")
            m.send_email(an_email(to="a@one.example, b@two.example"))
            now = datetime.now(UTC)
            begin("claim")
            claim = storage.claim(now, owner="one", lease=LEASE)
            begin("mark_dot_sent")
            storage.mark_dot_sent(claim, addresses_of(claim))
            begin("settle")
            storage.settle([settlement(claim, Delivered(tries=1))], now)
            begin("order")
            assert storage.order(Order.HOLD, EVERYTHING, now)
            begin("end")
"""


def syncs_of(path: Path, durability: str) -> dict[str, list[str]]:
    """What was written and synced in each step; the same in a row counts once."""
    traced = subprocess.run(
        [*STRACE, sys.executable, "-c", textwrap.dedent(PROGRAM), str(path), durability],
        capture_output=True,
        text=True,
        timeout=50,
        check=True,
    )
    steps: dict[str, list[str]] = {}
    found: list[str] = []
    for line in traced.stderr.splitlines():
        if mark := re.search(r'"MARK (\w+)', line):
            found = steps[mark[1]] = []
        elif call := re.search(r"(pwrite64|fsync|fdatasync)\(\d+<([^>]*)>", line):
            found.append(f"{'sync' if 'sync' in call[1] else 'write'} {named(call[2], path)}")
    return {step: [call for call, _ in groupby(calls)] for step, calls in steps.items()}


def named(file: str, path: Path) -> str:
    return "the directory" if file == str(path.parent) else file.removeprefix(str(path))


def test_what_is_promised_returns_when_the_disk_has_it_and_claims_and_marks_wait_for_no_disk(
    tmp_path: Path,
) -> None:
    steps = syncs_of(tmp_path / "mail.db", "full")

    # SQLite has its own after that, unless it was built without (SQLITE_DISABLE_DIRSYNC)
    assert steps["send_email"][:3] == ["sync the directory", "write -wal", "sync -wal"]
    assert steps["settle"] == steps["order"] == ["write -wal", "sync -wal"]
    assert steps["claim"] == steps["mark_dot_sent"] == ["write -wal"]


def test_with_normal_durability_nothing_waits_for_the_disk(tmp_path: Path) -> None:
    steps = syncs_of(tmp_path / "mail.db", "normal")

    promises = ("send_email", "claim", "mark_dot_sent", "settle", "order")
    assert [steps[step][-1] for step in promises] == ["write -wal"] * 5
