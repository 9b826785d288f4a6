"""Rules of promises: the try that is promised is made in time, and what is to end ends."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from mailstrom.event import Event
from mailstrom.status import Attempt

from .case import INSTANT_SECS, WRITTEN_SECS, Case, ended_at, secs
from .plan import DAY, HOUR, MINUTE, Act
from .smooth import HARMLESS, PROMPT_SECS
from .traffic import BEFORE_IN_TROUBLE_SECS, Traffic
from .witness import LOOKED_UP_SECS, Witness

ENDED_AFTER_SECS = HOUR  # a try of before that goes on, and what befell the last process
SPARED_AGAIN_SECS = 10 * MINUTE  # between two passes of which none counts
SUSPECTED_SECS = 5 * MINUTE  # before a network is said to be lost
UNSEEN_SECS = HOUR  # what was begun before a claim was lost goes on, and is written down nowhere
TELLING_SECS = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Promise:
    """Something is to become of a recipient after `since`, and as soon as it is `due`."""

    since: float
    due: float


def what_is_due_is_tried(case: Case, traffic: Traffic, witness: Witness) -> None:
    """A pass begins by `next_attempt_at`, `send_at`, `release` or `retry_now`, or it is over by then.

    That holds where no process is disturbed, and the lane has room. Who is spared a try, where the network is
    lost, is tried again within minutes, and after a day in each process it is a try.
    """
    if not case.has_true_times or not case.all_attempts_are_there:
        return
    slack = BEFORE_IN_TROUBLE_SECS if traffic.is_troubled(case.domain) else PROMPT_SECS
    for promise in _promises(case):
        due = max(promise.since, promise.due)
        spared_at = _spared_at(case, promise, witness, slack)
        by = (due if spared_at is None else spared_at + SPARED_AGAIN_SECS) + slack
        if _is_kept(case, promise, by) or _is_disturbed(case, promise, by):
            continue
        if traffic.waits_its_turn(case, by):
            continue
        has_room = traffic.leaves_room(case.domain, (spared_at or promise.due) - TELLING_SECS, by)
        assert not has_room, f"due at {promise.due:g}, and nothing happened by {by:g}: {case}"


def _spared_at(case: Case, promise: Promise, witness: Witness, slack: float) -> float | None:
    """When somebody asked for it in vain last, in a row without long gaps, and spared it the try."""
    asked = sorted(
        at
        for seen in witness.seen.values()
        for at in witness.asked_at(seen, case.domain)
        if any(span.since - SUSPECTED_SECS <= at <= span.until for span in seen.offline)
    )
    due = max(promise.since, promise.due)
    most = due + DAY * len(witness.seen)
    last = None
    for at in asked:
        again = slack + (due if last is None else last + SPARED_AGAIN_SECS)
        if due - LOOKED_UP_SECS <= at <= min(again, most):
            last = max(at, due)
    return last


def what_has_expired_is_ended(case: Case) -> None:
    """When a message expires each recipient is ended, held ones too."""
    expires_at = _expires_at(case)
    if case.has_true_times and case.seen_at > expires_at + ENDED_AFTER_SECS:
        assert case.result.completed, f"expired at {expires_at:g}, and not ended by {case.seen_at:g}: {case}"


def due_before(case: Case, at: float) -> float:
    """When it was due that was told of at that time, or could be had sooner."""
    before = [each for each in _promises(case) if each.since < at - INSTANT_SECS]
    last = max(each.since for each in before)
    return min(each.due for each in before if each.since == last)


def _is_kept(case: Case, promise: Promise, by: float) -> bool:
    """It was tried, or told of, since then; the next thing may be told at the same instant."""
    tried = any(
        _began(attempt, promise.since) and secs(attempt.at) <= by for attempt in case.recipient.attempts
    )
    told = [secs(event.at) for event in case.events if secs(event.at) >= promise.since]
    told_before = sum(at == promise.since for at in told[:1])
    return tried or any(at <= by for at in told[told_before:])


def _began(attempt: Attempt, since: float) -> bool:
    """After that, or at that instant: then it went on beyond it."""
    at = secs(attempt.at)
    return at > since or (at > since - WRITTEN_SECS and ended_at(attempt) > since + INSTANT_SECS)


def _promises(case: Case) -> Iterator[Promise]:
    yield _hastened(case, -math.inf, case.due)
    for event in case.events:
        if event.result is None or event.result.completed:
            continue
        since, next_at = secs(event.at), event.result.next_attempt_at
        if next_at is not None:
            yield _hastened(case, since, secs(next_at))
        elif not case.acts("release"):
            yield Promise(since=since, due=_expires_at(case))
    for asked in case.orders.of("release"):
        if asked.done_at is not None and _is_held(case, asked.act.at):
            yield Promise(since=asked.act.at, due=asked.done_at)


def _hastened(case: Case, since: float, due: float) -> Promise:
    """`retry_now` does not wait until it is due."""
    first = max(since, case.sent_at) + WRITTEN_SECS
    retried = [asked.done_at for asked in case.orders.of("retry") if asked.act.at > first]
    return Promise(since=since, due=min([due, *(at for at in retried if at is not None)]))


def _is_held(case: Case, at: float) -> bool:
    """It is certain that it was held then, and that nobody had claimed it."""
    before = [event for event in case.events if secs(event.at) < at]
    last = before[-1] if before else None
    since = case.sent_at if last is None else secs(last.at)
    if last is not None and last.result is not None and last.result.completed:
        return False
    if any(since <= act.at < at for act in case.acts("release")):
        return False
    due = _waits_until(case, last)
    return due is None or _was_held_before(case, since, min(due, at))


def _was_held_before(case: Case, since: float, until: float) -> bool:
    """Somebody held it while it was waiting for its time."""
    hastened_at = min((act.at for act in case.acts("retry") if act.at >= since), default=math.inf)
    return any(
        since < asked.act.at < hastened_at and asked.done_at < until - TELLING_SECS
        for asked in case.orders.of("hold", case.mail.number)
        if asked.done_at is not None
    )


def _waits_until(case: Case, last: Event | None) -> float | None:
    """For when its next try was promised last; None: it is held."""
    if last is None or last.result is None:
        return case.due
    next_at = last.result.next_attempt_at
    return None if next_at is None else secs(next_at)


def _is_disturbed(case: Case, promise: Promise, by: float) -> bool:
    """Somebody did not want it to be tried, or something befell a process near that time."""
    own = [act for act in case.acts("cancel", "hold") if act.number == case.mail.number]
    if any(promise.since <= act.at <= by for act in own) or promise.due == math.inf:
        return True
    return any(_disturbs(act, promise.due, by) for act in case.orders.acts) or by > case.seen_at


def _disturbs(act: Act, since: float, until: float) -> bool:
    if act.what in (*HARMLESS, "cancel", "hold"):
        return False
    return act.at - TELLING_SECS < until and act.at + act.secs + UNSEEN_SECS > since


def _expires_at(case: Case) -> float:
    secs_left = case.mail.expires_in_secs
    return math.inf if secs_left is None else case.sent_at + secs_left
