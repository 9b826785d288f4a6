"""What each event adds to the metrics."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mailstrom.event import Event, EventKind
from mailstrom.metrics.instruments import INSTRUMENTS, QUEUE_INSTRUMENTS, Kind
from mailstrom.metrics.measuring import measure
from mailstrom.status import Cause, Deferred, Delivered, Failed, Phase, WorkerStatus
from tests.unit.metrics.some_events import (
    TLS,
    a_commit,
    a_result,
    a_status,
    a_transaction,
    an_attempt,
    an_end,
    an_opening,
    told,
)


def measured(event: Event) -> list[tuple[str, tuple[str, ...], float]]:
    return [(each.instrument.name, each.labels, each.value) for each in measure(event)]


@pytest.mark.parametrize(
    ("event", "measurements"),
    [
        (told(EventKind.ACCEPTED), [("messages.accepted", (), 1)]),
        (told(EventKind.DELAYED, result=Deferred()), [("recipients.delayed", (), 1)]),
        (a_result(Delivered()), [("results", ("delivered", "none"), 1)]),
        (a_result(Deferred()), [("results", ("deferred", "none"), 1)]),
        (a_result(Failed(cause=Cause.REFUSED)), [("results", ("failed", "refused"), 1)]),
        (
            an_attempt(),
            [("attempts", ("delivered", "dot"), 1), ("attempt.duration", ("delivered",), 0.25)],
        ),
        (
            an_attempt("deferred", uncertain=True),
            [("attempts", ("uncertain", "dot"), 1), ("attempt.duration", ("uncertain",), 0.25)],
        ),
        (
            an_attempt("deferred", phase=Phase.CONNECT, reply=None),
            [("attempts", ("deferred", "connect"), 1), ("attempt.duration", ("deferred",), 0.25)],
        ),
        (
            an_opening(),
            [
                ("sessions.opened", ("TLSv1.3", "pkix", "full"), 1),
                ("sessions.open", (), 1),
                ("phase.duration", ("connect",), 0.02),
                ("phase.duration", ("greeting",), 0.3),
            ],
        ),
        (
            an_end(),
            [("sessions.open", (), 0), ("session.duration", (), 12.0), ("session.messages", (), 3)],
        ),
        (
            a_transaction(),
            [
                ("transactions", ("delivered", "new"), 1),
                ("transaction.recipients", (), 2),
                ("phase.duration", ("before_dot",), 0.2),
                ("phase.duration", ("after_dot",), 2.0),
                ("transaction.size", (), 4000),
            ],
        ),
        (
            a_transaction("failed", reused=True, after_dot_secs=None),
            [
                ("transactions", ("failed", "reused"), 1),
                ("transaction.recipients", (), 2),
                ("phase.duration", ("before_dot",), 0.2),
            ],
        ),
        (a_commit(), [("commit.results", (), 7), ("commit.duration", (), 0.004)]),
    ],
    ids=lambda given: str(given) if isinstance(given, Event) else "",
)
def test_an_event_is_measured_as_what_it_tells(
    event: Event, measurements: list[tuple[str, tuple[str, ...], float]]
) -> None:
    assert measured(event) == measurements


def test_a_session_in_clear_has_no_tls() -> None:
    assert ("sessions.opened", ("none", "none", "none"), 1) in measured(an_opening(tls=None))


def test_a_session_whose_handshake_was_short_is_told_apart() -> None:
    resumed = replace(TLS, resumed=True)

    assert ("sessions.opened", ("TLSv1.3", "pkix", "resumed"), 1) in measured(an_opening(tls=resumed))


def test_one_status_of_the_worker_holds_and_the_others_do_not() -> None:
    found = {labels: value for _, labels, value in measured(a_status(WorkerStatus.PAUSED))}

    assert found == {(status,): status is WorkerStatus.PAUSED for status in WorkerStatus}


def test_each_kind_of_event_is_measured() -> None:
    events = [
        told(EventKind.ACCEPTED),
        told(EventKind.DELAYED),
        an_attempt(),
        *map(a_result, (Delivered(), Deferred(), Failed())),
        a_status(WorkerStatus.OK),
        an_opening(),
        an_end(),
        a_transaction(),
        a_commit(),
    ]

    assert {event.kind for event in events} == set(EventKind)
    assert all(measured(event) for event in events)
    assert {each.instrument for event in events for each in measure(event)} == set(INSTRUMENTS)


def test_every_measurement_has_the_labels_of_its_instrument() -> None:
    for event in (an_attempt(), a_result(Delivered()), an_opening(), an_end(), a_transaction(), a_commit()):
        for each in measure(event):
            assert len(each.labels) == len(each.instrument.labels)


def test_histograms_alone_have_bounds_and_these_rise() -> None:
    for instrument in (*INSTRUMENTS, *QUEUE_INSTRUMENTS):
        assert bool(instrument.bounds) == (instrument.kind is Kind.HISTOGRAM)
        assert list(instrument.bounds) == sorted(set(instrument.bounds))
