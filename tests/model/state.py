"""What the model of the queue knows: rows, workers, and what truly happened. Immutable values.

A world is a handful of recipients, two workers and a clock with three instants. Its `State` has
three parts, and no rule may mix them up:

    rows       what the storage keeps, as `SharedStorage` shows it
    jobs       what a worker knows of the claim it works on; gone when it crashes
    truths     what an observer outside knows: who has the message, how it ended first

Tokens are numbers that no row and no job has; a real storage's only grow, which the replay looks at.
"""

from __future__ import annotations

from typing import Literal, NamedTuple, TypeAlias

from mailstrom.abc import Order

EXPIRES = 2  # the last instant: nothing is tried from here on, what is held falls due to be ended
WHOLE_LEASE = 2  # a lease ends when the lease clock has passed two halves of it
MOST_TRIES = 2  # RetryPolicy: what is deferred for the second time fails
CRASHES_UNTIL_HELD = 2
WAIT_AFTER_FIRST_CRASH = 1

ResultState: TypeAlias = Literal["queued", "deferred", "delivered", "failed"]
FINAL = ("delivered", "failed")


class Row(NamedTuple):
    """A recipient as the storage keeps it, and the claim that has it."""

    message: int
    state: ResultState = "queued"
    due: int | None = 0  # None: completed
    tries: int = 0
    crashes: int = 0
    dot_sent: bool = False
    uncertain: bool = False  # the result says: perhaps delivered
    held: bool = False
    token: int | None = None  # of the claim that has it; it may be lapsed
    lease: int = 0  # halves that are left; 0 with a token: lapsed
    mark: Order | None = None  # CANCEL or HOLD that met it while it was claimed

    @property
    def is_final(self) -> bool:
        """Completed: it never changes again."""
        return self.state in FINAL


class Outcome(NamedTuple):
    """What a worker makes of one recipient."""

    state: ResultState
    due: int | None
    tries: int
    crashes: int = 0
    uncertain: bool = False
    held: bool = False


Stage: TypeAlias = Literal["claimed", "marked", "accepted", "refused", "unknown", "stopped"]


class Part(NamedTuple):
    """One recipient of a claim in a worker's hands."""

    position: int
    before: Row  # as it stood before the claim, its claim left out
    stage: Stage = "claimed"
    unheard: Outcome | None = None  # it was settled with that, and the reply was lost


class Job(NamedTuple):
    """A claim as its worker knows it; what it is rid of is no part of it any more."""

    token: int
    parts: tuple[Part, ...]


class Truth(NamedTuple):
    """What became of one recipient, whoever knows of it."""

    taken: int = 0  # how often a host took the message for it; 2: or more
    passes: int = 0  # tries whose result a storage took
    died: int = 0  # claims in a row that ended in a crash
    is_open: bool = False  # a claim has it that was neither settled nor given back
    final: ResultState | None = None  # how it completed first
    after_final: bool = False  # a final dot was written for it after that
    admitted: bool = False  # it was recorded that it may have been delivered


class State(NamedTuple):
    """A whole world at one moment."""

    rows: tuple[Row, ...]
    truths: tuple[Truth, ...]
    jobs: tuple[Job | None, ...]  # by worker
    now: int = 0
    troubles: int = 0  # how many more things may go wrong
    orders: int = 0  # how many more orders may come


class Step(NamedTuple):
    """One call, or one event; `answer` is what the storage must say to it, None where it may say anything."""

    name: str
    worker: int | None = None
    positions: tuple[int, ...] = ()
    outcomes: tuple[Outcome, ...] = ()
    order: Order | None = None
    message: int | None = None
    until: int | None = None
    answer: object = None

    def __str__(self) -> str:
        given = {
            field: value
            for field, value in self._asdict().items()
            if field != "name" and value not in (None, ())
        }
        return f"{self.name}({', '.join(f'{field}={value}' for field, value in given.items())})"


class World(NamedTuple):
    """What a model begins with, and how much may happen in it."""

    messages: tuple[int, ...]  # each recipient's message
    orders: tuple[Order, ...] = ()  # which an operator may give
    orders_given: int = 0  # how many of them
    orders_for: tuple[int, ...] = (0,)  # which recipients; where two are alike, one will do
    troubles: int = 0
    without: frozenset[str] = frozenset()  # the names of steps that are left out

    def begin(self) -> State:
        """Everything stored, nothing tried."""
        return State(
            rows=tuple(Row(message=message) for message in self.messages),
            truths=tuple(Truth() for _ in self.messages),
            jobs=(None, None),
            troubles=self.troubles,
            orders=self.orders_given,
        )
