"""Rules of telling: events against statuses, and what observers hear against both."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from itertools import pairwise

from mailstrom.event import Event, EventKind
from mailstrom.status import Cause, MessageStatus

from .case import Case
from .doubt import DEATHS, ENDS

RESULTS = (EventKind.DELIVERED, EventKind.DEFERRED, EventKind.FAILED)
LOSES_CLAIMS = (*DEATHS, *ENDS, "freeze", "outage", "lose_replies")


def cursors_rise(events: Sequence[Event]) -> None:
    """Events have an order, and none comes twice."""
    cursors = [event.cursor for event in events]
    assert all(a is not None and b is not None and a < b for a, b in pairwise(cursors)), f"{cursors}"


def each_message_is_accepted_once(events: Sequence[Event], statuses: Sequence[MessageStatus]) -> None:
    """Of each message that `send_email` returned it is told once that it was accepted, before all else."""
    first: dict[str | None, list[Event]] = defaultdict(list)
    for event in events:
        first[event.message_id].append(event)
    for status in statuses:
        kinds = [event.kind for event in first[status.message_id]]
        assert kinds[:1] == [EventKind.ACCEPTED], f"{status.message_id}: {kinds}"
        assert kinds.count(EventKind.ACCEPTED) == 1, f"{status.message_id}: {kinds}"


def completed_messages_say_when(status: MessageStatus) -> None:
    """`completed_at` is there as soon as nothing is left to do."""
    assert (status.completed_at is not None) == status.completed, f"{status}: {status.completed_at}"


def the_end_is_told_once_and_last(case: Case) -> None:
    """A final result is told once, and nothing after it."""
    ends = [event for event in case.events if event.result is not None and event.result.completed]
    assert len(ends) == case.result.completed, f"{case}: {case.events}"
    assert not ends or case.events[-1] is ends[0], f"told after its end: {case}: {case.events}"


def the_last_event_is_the_status(case: Case) -> None:
    """What is told last of a final result is what the status says."""
    if case.result.completed:
        assert case.events[-1].result == case.result, f"{case.events[-1]} is told, and the status is {case}"


def observers_hear_only_what_is_so(case: Case, heard: Sequence[Event]) -> None:
    """Observers hear of each result once, and of none that was not recorded."""
    said, recorded = _results(heard), _results(case.events)
    assert not said - recorded, f"heard {said}, recorded {recorded}: {case}"


def observers_hear_of_each_result(case: Case, heard: Sequence[Event]) -> None:
    """Observers of a process that goes on hear of each result of its tries."""
    if not case.acts(*LOSES_CLAIMS) and case.result.cause is not Cause.CANCELLED:
        said, recorded = _results(heard), _results(case.events)
        assert said == recorded, f"heard {said}, recorded {recorded}: {case}"


def _results(events: Sequence[Event]) -> Counter[str]:
    return Counter(event.kind for event in events if event.kind in RESULTS)
