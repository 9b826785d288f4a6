"""A storage that does not come back is named, with the line at which it stands."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator

import pytest

from mailstrom.abc import InternalMessageStatus
from mailstrom.errors import StorageError
from mailstrom.storage.exclusive import ExclusiveStorage
from mailstrom.testing.patience import PatientStorage, PatientTimeline, SimulationError
from tests.contract.plain_storage import PlainStorage


class Stuck(PlainStorage):
    """Waits at its first question until the test has ended."""

    def __init__(self) -> None:
        super().__init__()
        self.goes_on = threading.Event()

    def retrieve_all_incomplete(self) -> list[InternalMessageStatus]:
        self.goes_on.wait()
        return []


class StuckElsewhere(Stuck):
    """Waits at another question."""

    def retrieve_all_incomplete(self) -> list[InternalMessageStatus]:
        return []

    def retrieve_all_recent(self) -> list[InternalMessageStatus]:
        self.goes_on.wait()
        return []


class Broken(PlainStorage):
    """Notes who calls, and raises an error that could be taken for one of ours."""

    def __init__(self) -> None:
        super().__init__()
        self.threads: set[str] = set()

    def retrieve_all_incomplete(self) -> list[InternalMessageStatus]:
        self.threads.add(threading.current_thread().name)
        return []

    def retrieve_all_recent(self) -> list[InternalMessageStatus]:
        raise TimeoutError("the disk is slow")


@pytest.fixture
def timeline() -> Iterator[PatientTimeline]:
    timeline = PatientTimeline(random.Random(0))
    yield timeline
    timeline.close()


@pytest.fixture
def stuck() -> Iterator[Stuck]:
    storage = Stuck()
    yield storage
    storage.goes_on.set()


def test_a_call_that_does_not_return_ends_the_story_and_names_its_line(
    timeline: PatientTimeline, stuck: Stuck
) -> None:
    patient = PatientStorage(ExclusiveStorage(stuck), timeline, call_secs=0.05)

    with pytest.raises(SimulationError, match=r"from is_idle\(\) .*test_patience\.py:\d+ \(retrieve_all_inc"):
        patient.is_idle()
    with pytest.raises(SimulationError, match=r"from is_idle\(\)"):
        timeline.block(lambda: False, 1.0)
    with pytest.raises(SimulationError, match="stuck in another call"):
        patient.is_idle()
    patient.close()


def test_a_storage_that_got_stuck_earlier_is_not_named_again(
    timeline: PatientTimeline, stuck: Stuck
) -> None:
    earlier, later = StuckElsewhere(), PatientStorage(ExclusiveStorage(stuck), timeline, call_secs=0.05)
    patient = PatientStorage(ExclusiveStorage(earlier), timeline, call_secs=0.05)
    with pytest.raises(SimulationError, match=r"\(retrieve_all_recent\)"):
        patient.retrieve_all_recent()

    with pytest.raises(SimulationError) as raised:
        later.is_idle()
    for each in patient, later:
        each.close()
    earlier.goes_on.set()

    assert "(retrieve_all_recent)" not in str(raised.value)


def test_a_failure_that_no_wait_has_told_is_kept_for_the_end(
    timeline: PatientTimeline, stuck: Stuck
) -> None:
    patient = PatientStorage(ExclusiveStorage(stuck), timeline, call_secs=0.05)
    with pytest.raises(SimulationError) as raised:
        patient.is_idle()
    patient.close()

    assert timeline.take_failure() is raised.value
    assert timeline.take_failure() is None


def test_an_error_of_the_storage_comes_through_as_it_is(timeline: PatientTimeline) -> None:
    patient = PatientStorage(ExclusiveStorage(Broken()), timeline)

    with pytest.raises(StorageError, match="the disk is slow"):
        patient.retrieve_all_recent()
    patient.close()
    patient.close()


def test_calls_are_made_on_another_thread_as_in_real_life(timeline: PatientTimeline) -> None:
    storage = Broken()
    patient = PatientStorage(ExclusiveStorage(storage), timeline)

    patient.is_idle()
    patient.close()

    assert storage.threads == {"simulated-storage"}


# --- how long one waits

WEEK_SECS = 7 * 86_400.0


def test_a_wait_with_a_limit_lasts_until_then(timeline: PatientTimeline) -> None:
    with timeline.waiting_for(3 * WEEK_SECS):
        for _ in range(3):
            assert not timeline.block(lambda: False, WEEK_SECS)

    assert not timeline.block(lambda: False, WEEK_SECS)
    with pytest.raises(SimulationError, match="for 7 days"):
        timeline.block(lambda: False, 1.0)


def test_a_wait_without_a_limit_within_one_that_has_one_is_told(timeline: PatientTimeline) -> None:
    def waits_for_ever() -> None:
        with timeline.waiting_for(None), pytest.raises(SimulationError, match="for 7 days"):
            while True:
                timeline.block(lambda: False, WEEK_SECS)

    timeline.loop("observer").call_soon(waits_for_ever)
    assert not timeline.pass_time(lambda: False, 1.0)


def test_where_nothing_can_happen_any_more_it_is_told_at_once(timeline: PatientTimeline) -> None:
    with pytest.raises(SimulationError, match="nothing left to happen at 0 s"):
        timeline.block(lambda: False, None)


def test_what_is_due_is_waited_for() -> None:
    due_in = [2 * WEEK_SECS, -WEEK_SECS]
    timeline = PatientTimeline(random.Random(0), lambda: due_in.pop(0))

    for _ in range(4):  # the week in which nothing is due begins when what was due did not happen
        timeline.block(lambda: False, WEEK_SECS)
    with pytest.raises(SimulationError, match="for 7 days"):
        timeline.block(lambda: False, 1.0)
