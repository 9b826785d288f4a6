"""SQLite: one process sends and delivers, and is killed at any instant, again and again.

    python -m tests.torture.sqlite_kills [SEEDS] [MESSAGES] [KILLS]
"""

from __future__ import annotations

import random
import sqlite3
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from mailstrom import SqliteStorage
from mailstrom.abc import Event, SharedStorage
from mailstrom.testing.smtp_server import DEFAULT_EXTENSIONS, LoopbackServer, SmtpServer
from tests.torture.life import Life
from tests.torture.oracle import Verdict, judge

AT_A_TIME = 40  # numbers given at once
DOT_REPLY_SECS = 0.004
FINISH_SECS = 90.0
LEASE_SECS = 60.0  # no help here: a dead owner's lock is what makes its claims free


def run(seed: int, messages: int, kills: int, folder: Path) -> Verdict:
    """One queue's life: `messages` sent by processes that are killed `kills` times."""
    chance = random.Random(seed)
    path = folder / f"{seed}.db"
    server = SmtpServer(extensions=offered(seed), delays={"content": DOT_REPLY_SECS})
    promised: dict[str, str] = {}
    with LoopbackServer(server) as running:
        for _ in range(kills):
            life = Life(f"sqlite:///{path}", running.port, LEASE_SECS, "ours")
            life.wait_until_ready()
            life.give(_next_numbers(messages, promised))
            life.wait_for_death(chance.uniform(0.0, 0.4))
            promised |= life.told
        last = Life(f"sqlite:///{path}", running.port, LEASE_SECS, "ours")
        last.wait_until_ready()
        last.give([str(number) for number in range(messages) if str(number) not in promised])
        code = last.finish(FINISH_SECS)
        promised |= last.told
    assert code == 0, "\n".join(["the last process did not come to its end:", *last.complaints])
    assert len(promised) == messages
    assert _is_sound(path)
    with closing(SqliteStorage(path)) as storage:
        return judge(promised.values(), server.ledger.messages, all_events(storage))


def offered(seed: int) -> frozenset[str]:
    """What the host of a seed offers: every other takes messages in one write."""
    return DEFAULT_EXTENSIONS | {"CHUNKING"} if seed % 2 else DEFAULT_EXTENSIONS


def all_events(storage: SharedStorage) -> Iterator[Event]:
    """Every event that is kept."""
    after = None
    while events := storage.events(after):
        yield from events
        after = events[-1].cursor


def _next_numbers(messages: int, promised: dict[str, str]) -> list[str]:
    missing = (str(number) for number in range(messages) if str(number) not in promised)
    return [number for number, _ in zip(missing, range(AT_A_TIME), strict=False)]


def _is_sound(path: Path) -> bool:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


def main(seeds: int = 40, messages: int = 600, kills: int = 9) -> None:
    """Runs the seeds and prints a line for each."""
    with tempfile.TemporaryDirectory() as folder:
        for seed in range(seeds):
            verdict = run(seed, messages, kills, Path(folder))
            print(f"seed {seed}: {verdict}", flush=True)
            if not verdict.holds:
                raise SystemExit(f"seed {seed} does not hold")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
