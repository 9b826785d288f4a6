"""Rules of replies: what is said of a host's reply is what the host said."""

from __future__ import annotations

from collections.abc import Iterator

from mailstrom.status import Attempt, Cause, DeliveryResult, Reply, printable

from .case import Case, Pass, ended_at, is_visit, secs
from .traffic import Traffic

TOLD_SECS = 10.0  # segments that were lost, and come late
DECIDED_BY = {  # the visits that put it off, or refused it
    None: "deferred",
    Cause.TRIES_EXHAUSTED: "deferred",
    Cause.EXPIRED: "deferred",
    Cause.REFUSED: "failed",
}


def the_reply_of_a_result_is_that_of_a_visit(case: Case) -> None:
    """A result names the reply of one of the visits that came to it, or repeats what was known before."""
    if not case.has_true_times or not case.all_attempts_are_there:
        return
    known: set[Reply | None] = {None}
    for event, visits in case.course:
        known |= {visit.reply for visit in visits}
        if not all(map(is_visit, visits)):
            known.add(event.result.reply if event.result else None)  # said to another: see `unvisited.py`
        if event.result is not None:
            assert event.result.reply in known, f"nobody said {event.result.reply}: {event}, of {case}"


def a_result_names_the_reply_that_it_comes_from(case: Case) -> None:
    """Who is delivered or put off by a host's reply is told that reply."""
    if not case.has_true_times or not case.all_attempts_are_there:
        return
    for event, visits in case.course:
        if event.result is not None and (said := _deciding(event.result, visits)):
            told = event.result.reply
            assert told in said, f"told {told}, said was {said}: {event}, of {case}"


def each_reply_of_a_visit_was_said_then(case: Case, traffic: Traffic) -> None:
    """The host that was visited said that, at that time."""
    for visit in case.recipient.attempts if case.has_true_times else ():
        if visit.reply is not None:
            said = set(_said(visit, traffic))
            assert str(visit.reply) in said, f"{visit.host} said {said}: {visit}, of {case}"


def _deciding(result: DeliveryResult, visits: Pass) -> set[Reply]:
    """The replies of which one decided; none where it was no reply that decided."""
    if any(visit.uncertain for visit in visits):
        return set()
    state = "delivered" if result.state == "delivered" else DECIDED_BY.get(result.cause)
    return {visit.reply for visit in visits if visit.state == state and visit.reply is not None}


def _said(visit: Attempt, traffic: Traffic) -> Iterator[str]:
    since, until = secs(visit.at) - TOLD_SECS, ended_at(visit) + TOLD_SECS
    for session in traffic.sessions(visit.host, since, until):
        yield from map(printable, session.replies)
