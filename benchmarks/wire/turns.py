"""One sender at a time: how long it took, and what it used, seen from outside.

A turn begins with the word, and ends when the sender says that it is done and all is received. In every
round each sender has a turn. How many messages it sends is found by a turn that does not count.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import monotonic
from typing import TypeAlias

from tests.interop.mailbox import until

from ..rounds import in_turn
from .senders import Sender, started
from .watching import TICK_SECS, cpu_secs, memory_octets

__all__ = ["Pace", "Receiver", "Row", "Turn", "Turns", "turns"]

LOOK_SECS = 0.25  # between two looks at the memory
PATIENCE_SECS = 120.0  # with a sender
MOST = 60_000  # messages in a turn


@dataclass(frozen=True, slots=True, kw_only=True)
class Receiver:
    """Who takes the mail on this port of this machine, and counts: `taken` is how many until now."""

    port: int
    taken: Callable[[], int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A sender, and who gets what it sends.

    `command` starts it with so many messages to send. `watched` is the process that does the work, where
    it is another one.
    """

    name: str
    receiver: Receiver
    command: Callable[[int], Sequence[str]]
    watched: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How much is measured."""

    rounds: int = 5
    turn_secs: float = 3.0  # about so long a turn takes; 0: as many messages as the trial
    trial: int = 400  # messages of the turn that does not count


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """What one turn showed."""

    rate: float  # messages a second
    cpu_secs: float  # for 1,000 messages
    megabytes: float  # the most that was seen


Turns: TypeAlias = dict[str, list[Turn]]  # of each row, round by round


def turns(rows: Sequence[Row], pace: Pace) -> Turns:
    """Every row's turns; another one begins each round."""
    named = {row.name: row for row in rows}
    counts = {row.name: _count_for(row, pace) for row in rows}
    taken: Turns = {name: [] for name in named}
    for number in range(pace.rounds):
        for name in in_turn(named, number):
            taken[name].append(_turn(named[name], counts[name]))
    return taken


def _count_for(row: Row, pace: Pace) -> int:
    if not pace.turn_secs:
        return pace.trial
    return max(pace.trial, min(MOST, round(_turn(row, pace.trial).rate * pace.turn_secs)))


def _turn(row: Row, count: int) -> Turn:
    before = row.receiver.taken()
    with started(row.command(count)) as sender:
        watched = row.watched or sender.pid
        cpu_before, began_at = cpu_secs(watched), monotonic()
        sender.begin()
        octets = _watched_until_done(sender, watched)
        until(lambda: row.receiver.taken() - before >= count, PATIENCE_SECS, f"the mail of {row.name}")
        secs = monotonic() - began_at
        used_secs = max(TICK_SECS, cpu_secs(watched) - cpu_before)
        octets = max(octets, memory_octets(watched))
    taken = row.receiver.taken() - before
    assert taken == count, f"{row.name} sent {taken} messages instead of {count}"
    return Turn(rate=count / secs, cpu_secs=used_secs / count * 1000, megabytes=octets / 1e6)


def _watched_until_done(sender: Sender, watched: int) -> int:
    """The most of its memory that was seen until it said so."""
    deadline = monotonic() + PATIENCE_SECS
    octets = [memory_octets(watched)]
    while not sender.is_done(LOOK_SECS):
        assert monotonic() < deadline, f"a sender was not done after {PATIENCE_SECS} s"
        octets.append(memory_octets(watched))
    return max(octets)
