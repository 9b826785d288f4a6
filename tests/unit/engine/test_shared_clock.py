"""On a shared queue the time follows a wall clock that was set for good, and no other."""

from __future__ import annotations

import logging
from datetime import datetime, timedelta

import pytest

from mailstrom.abc import Clock, SharedStorage
from mailstrom.engine.shared_clock import Deviation, SharedClock, deviations, queue_clock
from mailstrom.engine.world import SteadyClock
from mailstrom.storage.exclusive import ExclusiveStorage
from mailstrom.storage.memory import MemoryStorage
from mailstrom.testing.clock import START

HOUR, YEAR = 3600.0, 365 * 86_400.0


class Machine(Clock):
    """A machine whose clocks go on, and are set, as the test says."""

    def __init__(self) -> None:
        self.wall = 0.0
        self.since_boot = 5000.0
        self.reading_takes = 0.0

    def now(self) -> datetime:
        found = START + timedelta(seconds=self.wall)
        self.run(self.reading_takes)
        return found

    def monotonic(self) -> float:
        return self.since_boot

    def run(self, secs: float) -> None:
        """Time passes."""
        self.wall += secs
        self.since_boot += secs

    def set(self, secs: float) -> None:
        """The wall clock jumps by so much; or the machine was suspended for so long."""
        self.wall += secs


def secs_off(clock: SharedClock, machine: Machine) -> float:
    """By how much the wall clock is ahead of the time that a look finds."""
    now = clock.now()
    return (machine.now() - now).total_seconds()


def looked_at(clock: SharedClock, machine: Machine, secs: int) -> None:
    """The time is asked for every second."""
    for _ in range(secs):
        machine.run(1)
        clock.now()


@pytest.fixture
def machine() -> Machine:
    return Machine()


@pytest.fixture
def clock(machine: Machine) -> SharedClock:
    return SharedClock(machine)


BEFORE = Deviation(secs=HOUR, since=100.0)
SINCE = Deviation(secs=2 * HOUR, since=150.0)


def now(secs: float) -> Deviation:
    return Deviation(secs=secs, since=200.0)


@pytest.mark.parametrize(
    ("before", "secs_ahead", "found"),
    [
        ((), 0.0, ()),
        ((), 0.9, ()),
        ((), -0.9, ()),
        ((), 1.0, (now(1.0),)),
        ((), -HOUR, (now(-HOUR),)),
        ((BEFORE,), HOUR, (BEFORE,)),
        ((BEFORE,), HOUR + 0.5, (BEFORE,)),
        ((BEFORE,), HOUR - 0.5, (BEFORE,)),
        ((BEFORE,), 2 * HOUR, (BEFORE, now(2 * HOUR))),
        ((BEFORE,), HOUR / 2, (now(HOUR / 2),)),
        ((BEFORE,), -HOUR, (now(-HOUR),)),
        ((BEFORE,), 0.0, ()),
        ((BEFORE, SINCE), 2 * HOUR, (BEFORE, SINCE)),
        ((BEFORE, SINCE), HOUR, (BEFORE,)),
        ((BEFORE, SINCE), 3 * HOUR / 2, (BEFORE, now(3 * HOUR / 2))),
        ((BEFORE, SINCE), 0.0, ()),
    ],
)
def test_what_is_known_after_a_look(
    before: tuple[Deviation, ...], secs_ahead: float, found: tuple[Deviation, ...]
) -> None:
    assert deviations(before, secs_ahead, last_look=200.0) == found


@pytest.mark.parametrize("jump", [HOUR, -HOUR, YEAR, -YEAR, 2.0])
def test_a_wall_clock_that_was_set_is_followed_after_a_minute(
    clock: SharedClock, machine: Machine, jump: float
) -> None:
    looked_at(clock, machine, 10)
    machine.set(jump)
    looked_at(clock, machine, 58)
    before = secs_off(clock, machine)
    looked_at(clock, machine, 2)

    assert (before, secs_off(clock, machine)) == (jump, 0.0)


def test_a_jump_that_is_taken_back_at_once_moves_nothing(clock: SharedClock, machine: Machine) -> None:
    """Row 45."""
    for _ in range(10):
        looked_at(clock, machine, 30)
        machine.set(HOUR)
        looked_at(clock, machine, 30)
        machine.set(-HOUR)

        assert secs_off(clock, machine) == 0.0


def test_who_looks_seldom_finds_the_time_of_those_who_began_since(
    clock: SharedClock, machine: Machine
) -> None:
    """A process that sends a mail now and then, on a machine that was suspended in between."""
    machine.run(600)
    machine.set(8 * HOUR)

    assert secs_off(clock, machine) == 0.0


def test_a_wall_clock_that_was_set_twice_is_followed_a_minute_after_each(
    clock: SharedClock, machine: Machine
) -> None:
    looked_at(clock, machine, 10)
    machine.set(90)
    looked_at(clock, machine, 30)
    machine.set(90)
    looked_at(clock, machine, 32)
    after_the_first = secs_off(clock, machine)
    looked_at(clock, machine, 30)

    assert (after_the_first, secs_off(clock, machine)) == (90.0, 0.0)


def test_who_looks_after_the_minute_follows_both_at_once(clock: SharedClock, machine: Machine) -> None:
    for _ in range(2):
        machine.set(90)
        looked_at(clock, machine, 1)
    machine.run(185)

    assert secs_off(clock, machine) == 0.0


@pytest.mark.parametrize("jump", [10 * YEAR, -90])
def test_what_follows_within_the_minute_and_is_not_believed_does_not_undo_the_first(
    clock: SharedClock, machine: Machine, jump: float
) -> None:
    machine.set(180)
    looked_at(clock, machine, 50)
    machine.set(jump)
    looked_at(clock, machine, 50)

    assert secs_off(clock, machine) == (jump if jump > 0 else 90)


def test_a_clock_that_runs_away_is_followed_a_minute_behind(clock: SharedClock, machine: Machine) -> None:
    for _ in range(600):
        machine.set(0.1)
        looked_at(clock, machine, 1)

    assert abs(secs_off(clock, machine)) <= 13


@pytest.mark.parametrize("jump", [10 * YEAR, -10 * YEAR])
def test_a_jump_of_more_than_a_year_is_never_followed_and_told_once(
    clock: SharedClock, machine: Machine, jump: float, caplog: pytest.LogCaptureFixture
) -> None:
    """Row 45: no storm, no stall."""
    machine.set(jump)
    looked_at(clock, machine, 3600)

    assert secs_off(clock, machine) == jump
    (told,) = caplog.records
    assert (told.levelno, "not believed" in told.getMessage()) == (logging.ERROR, True)


def test_what_it_follows_is_told_once(
    clock: SharedClock, machine: Machine, caplog: pytest.LogCaptureFixture
) -> None:
    machine.set(-HOUR)
    looked_at(clock, machine, 3600)

    (told,) = caplog.records
    assert "1:00:00 behind" in told.getMessage()


def test_a_process_that_was_stopped_between_two_readings_draws_no_conclusion(
    clock: SharedClock, machine: Machine
) -> None:
    machine.run(600)
    machine.reading_takes = HOUR
    clock.now()
    machine.reading_takes = 0.0

    assert clock._deviations == ()
    assert secs_off(clock, machine) == 0.0


class Shared(ExclusiveStorage):
    """As if other processes stored here, too."""

    poll_secs = 1.0


class Identified(ExclusiveStorage):
    """As if other processes delivered from here, too."""

    identity = "sqlite:/mail.db"


@pytest.mark.parametrize(
    ("storage", "kind"), [(ExclusiveStorage, SteadyClock), (Shared, SharedClock), (Identified, SharedClock)]
)
def test_only_a_queue_of_several_processes_follows_the_wall_clock(
    machine: Machine, storage: type[ExclusiveStorage], kind: type[Clock]
) -> None:
    made: SharedStorage = storage(MemoryStorage())

    assert type(queue_clock(machine, made)) is kind
