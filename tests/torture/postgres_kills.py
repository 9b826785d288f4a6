"""PostgreSQL: six processes at one queue, killed, frozen beyond their leases, their server stopped.

    python -m tests.torture.postgres_kills [SEEDS] [MESSAGES] [KILLS] [FREEZES]

Every second seed goes through PgBouncer. A server that is stopped at once may lose the unsynced
marks of the last half second; where the worker is killed before it could record its results after
all, a double is not flagged. So only the seeds of SQLite demand the flag.
"""

from __future__ import annotations

import random
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack, closing

from mailstrom import PostgresStorage
from mailstrom.testing.smtp_server import LoopbackServer, SmtpServer
from tests.postgres import PostgresServer, running_bouncer, running_postgres
from tests.torture.audit import Audit
from tests.torture.life import Life
from tests.torture.oracle import Verdict, judge
from tests.torture.sqlite_kills import all_events

PROCESSES = 6
AT_A_TIME = 60
DOT_REPLY_SECS = 0.01
LEASE_SECS = 3.0
FROZEN_SECS = 4.0  # longer than a lease
FINISH_SECS = 120.0


class Crew:
    """The processes of one run, and what they were given and told."""

    def __init__(self, dsn: str, port: int, messages: int) -> None:
        self._start: Callable[[int], Life] = lambda slot: Life(dsn, port, LEASE_SECS, f"sender-{slot}")
        self._missing = [
            {str(number) for number in range(messages) if number % PROCESSES == slot}
            for slot in range(PROCESSES)
        ]
        self.promised: dict[str, str] = {}
        self.complaints: list[str] = []
        self._lives = [self._begin(slot) for slot in range(PROCESSES)]

    def kill(self, slot: int) -> None:
        """Ends one process, and begins another in its place."""
        self._lives[slot].wait_for_death(0.0)
        self._note(slot)
        self._lives[slot] = self._begin(slot)

    def freeze(self, slot: int) -> None:
        """One process stands still for longer than its leases last."""
        self._lives[slot].stop()
        time.sleep(FROZEN_SECS)
        self._lives[slot].go_on()

    def finish(self) -> list[int]:
        """Kills what has numbers left to send, lets new ones send them and end; the exit codes."""
        for slot in range(PROCESSES):
            self.kill(slot)
            self._lives[slot].give(sorted(self._missing[slot]))
        codes = [life.finish(FINISH_SECS) for life in self._lives]
        for slot in range(PROCESSES):
            self._note(slot)
        return codes

    def _begin(self, slot: int) -> Life:
        life = self._start(slot)
        life.give(sorted(self._missing[slot])[:AT_A_TIME])
        return life

    def _note(self, slot: int) -> None:
        self.promised |= self._lives[slot].told
        self._missing[slot] -= self._lives[slot].told.keys()
        self.complaints += self._lives[slot].complaints


def run(
    seed: int, server: PostgresServer, dsn: str, *, messages: int, kills: int, freezes: int
) -> tuple[Verdict, Audit]:
    """One queue's life; `dsn` may lead through a bouncer."""
    chance = random.Random(seed)
    smtp = SmtpServer(delays={"content": DOT_REPLY_SECS})
    with closing(PostgresStorage(dsn)) as storage, LoopbackServer(smtp) as running:
        storage.upgrade()
        audit = Audit(dsn)
        crew = Crew(dsn, running.port, messages)
        blows = ["kill"] * kills + ["freeze"] * freezes + ["restart", "immediate"]
        chance.shuffle(blows)
        for blow in blows:
            time.sleep(chance.uniform(0.0, 0.5))
            _strike(blow, crew, server, chance.randrange(PROCESSES))
        codes = crew.finish()
        assert codes == [0] * PROCESSES, "\n".join(crew.complaints)
        assert len(crew.promised) == messages
        verdict = judge(crew.promised.values(), smtp.ledger.messages, all_events(storage))
        return verdict, audit


def _strike(blow: str, crew: Crew, server: PostgresServer, slot: int) -> None:
    match blow:
        case "kill":
            crew.kill(slot)
        case "freeze":
            crew.freeze(slot)
        case _:
            server.stop("immediate" if blow == "immediate" else "fast")
            server.start()


def main(seeds: int = 4, messages: int = 3000, kills: int = 25, freezes: int = 10) -> None:
    """Runs the seeds and prints a line for each."""
    with ExitStack() as stack:
        server = stack.enter_context(running_postgres(fsync=True))
        bouncer = stack.enter_context(running_bouncer(server))
        for seed in range(2 * seeds):
            dsn = server.new_database()
            way = "directly"
            if seed % 2:
                dsn, way = bouncer.through(dsn), "through PgBouncer"
            verdict, audit = run(seed, server, dsn, messages=messages, kills=kills, freezes=freezes)
            print(f"seed {seed}, {way}: {verdict}, {audit.findings()}", flush=True)
            if not verdict.is_all_there or audit.findings():
                raise SystemExit(f"seed {seed} does not hold")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
