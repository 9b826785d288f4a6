"""PostgreSQL: six processes at one queue, killed, frozen beyond their leases, their server stopped.

    python -m tests.torture.postgres_kills [SEEDS] [MESSAGES] [KILLS] [FREEZES]

Each seed is run directly and through PgBouncer, with a crash of the server. That may lose the
unsynced marks of the last half second; where the worker is killed before it could record its results
after all, a double is not flagged. So one more run each way has no crash, and demands the flag.

Around a freeze the host says nothing to some final dots, and whoever sent one waits for longer than a
lease lasts: so a process that comes back has a result while another waits with the same message.
"""

from __future__ import annotations

import random
import sys
import time
import zlib
from collections.abc import Callable
from contextlib import ExitStack, closing
from dataclasses import dataclass
from itertools import count

from mailstrom import PostgresStorage
from mailstrom.testing.smtp_server import Action, LoopbackServer, SmtpServer
from tests.postgres import PostgresServer, running_bouncer, running_postgres
from tests.torture.audit import Audit, as_life
from tests.torture.life import Life
from tests.torture.oracle import Verdict, judge
from tests.torture.program import DOT_SECS
from tests.torture.sqlite_kills import all_events, offered

PROCESSES = 6
DOT_REPLY_SECS = 0.01
LEASE_SECS = 3.0
FROZEN_SECS = 4.0  # longer than a lease, shorter than who sent a final dot waits for the reply
SILENT_ONE_IN = 4  # messages: the sessions for the others go on
BUSY_SECS = 0.2  # what was given is on its way by then
FINISH_SECS = 120.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Blows:
    """What befalls the processes of one run, and their server."""

    messages: int
    kills: int
    freezes: int
    crash: bool

    @property
    def at_a_time(self) -> int:
        """How many numbers to give each process at its start and before a freeze, so that some are left."""
        return self.messages // (PROCESSES * (self.freezes + 2) + self.kills)

    def shuffled(self, chance: random.Random) -> list[str]:
        """In an order of chance."""
        blows = ["kill"] * self.kills + ["freeze"] * self.freezes + ["restart"] + ["immediate"] * self.crash
        chance.shuffle(blows)
        return blows


class Host:
    """A receiving server; at times it says nothing to the final dots of some messages' first two tries."""

    def __init__(self, extensions: frozenset[str]) -> None:
        self.is_silent = False
        self.server = SmtpServer(
            extensions=extensions, delays={"content": DOT_REPLY_SECS}, on_content=self._answer
        )

    def _answer(self, content: str, count: int) -> Action | None:
        is_one = zlib.crc32(content.encode("latin-1")) % SILENT_ONE_IN == 0
        return Action.HANG if self.is_silent and is_one and count <= 2 else None


class Crew:
    """The processes of one run, and what they were given and told."""

    def __init__(self, dsn: str, port: int, blows: Blows) -> None:
        self._at_a_time = blows.at_a_time
        lives = count()  # each with a name of its own, by which the audit knows it
        self._start: Callable[[int], Life] = lambda slot: Life(
            as_life(dsn, f"life-{next(lives)}"), port, LEASE_SECS, f"sender-{slot}"
        )
        self._missing = [
            {str(number) for number in range(blows.messages) if number % PROCESSES == slot}
            for slot in range(PROCESSES)
        ]
        self.promised: dict[str, str] = {}
        self.complaints: list[str] = []
        self._lives: list[Life] = []
        self._lives += (self._begin(slot) for slot in range(PROCESSES))

    def kill(self, slot: int) -> None:
        """Ends one process, and begins another in its place."""
        self._lives[slot].wait_for_death(0.0)
        self._note(slot)
        self._lives[slot] = self._begin(slot)

    def freeze(self, slot: int) -> None:
        """One process stands still, amid the work of all, for longer than its leases last."""
        for each in range(PROCESSES):
            self._lives[each].give(self._next(each))
        time.sleep(BUSY_SECS)
        self._lives[slot].stop()
        time.sleep(FROZEN_SECS)
        self._lives[slot].go_on()
        time.sleep(DOT_SECS - FROZEN_SECS)  # until it has its results

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
        life.give(self._next(slot))
        return life

    def _next(self, slot: int) -> list[str]:
        told = list(self._lives[slot].told) if slot < len(self._lives) else ()
        return sorted(self._missing[slot].difference(told))[: self._at_a_time]

    def _note(self, slot: int) -> None:
        self.promised |= self._lives[slot].told
        self._missing[slot] -= self._lives[slot].told.keys()
        self.complaints += self._lives[slot].complaints


def run(seed: int, server: PostgresServer, dsn: str, blows: Blows) -> tuple[Verdict, Audit]:
    """One queue's life; `dsn` may lead through a bouncer."""
    chance = random.Random(seed)
    host = Host(offered(seed))
    with closing(PostgresStorage(dsn)) as storage, LoopbackServer(host.server) as running:
        storage.upgrade()
        audit = Audit(dsn)
        crew = Crew(dsn, running.port, blows)
        for blow in blows.shuffled(chance):
            time.sleep(chance.uniform(0.0, 0.5))
            host.is_silent = blow == "freeze"
            _strike(blow, crew, server, chance.randrange(PROCESSES))
            host.is_silent = False
        codes = crew.finish()
        assert codes == [0] * PROCESSES, "\n".join(crew.complaints)
        assert len(crew.promised) == blows.messages
        verdict = judge(crew.promised.values(), host.server.ledger.messages, all_events(storage))
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


def main(
    seeds: int = 4, messages: int = 3000, kills: int = 25, freezes: int = 10, *, each_way: bool = True
) -> None:
    """Runs the seeds, and one more without a crash of the server; prints a line for each run.

    `each_way`: all of them directly and through PgBouncer; else they take turns.
    """
    with ExitStack() as stack:
        server = stack.enter_context(running_postgres(fsync=True))
        bouncer = stack.enter_context(running_bouncer(server))
        ways = {"directly": lambda dsn: dsn, "through PgBouncer": bouncer.through}
        for seed in range(seeds + 1):
            blows = Blows(messages=messages, kills=kills, freezes=freezes, crash=seed < seeds)
            for way in ways if each_way else [list(ways)[seed % 2]]:
                verdict, audit = run(seed, server, ways[way](server.new_database()), blows)
                print(f"seed {seed}, {way}: {verdict}, {audit.findings()}", flush=True)
                holds = verdict.is_all_there if blows.crash else verdict.holds
                if not holds or audit.findings():
                    raise SystemExit(f"seed {seed} does not hold")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
