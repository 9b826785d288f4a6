"""What is told of results, and that nothing is made for nobody."""

from __future__ import annotations

import logging
from datetime import datetime, timedelta

import pytest

from mailstrom import Config
from mailstrom.abc import Claim, Clock, Outcome
from mailstrom.engine.announce import Announcer
from mailstrom.engine.events import Board, Observers
from mailstrom.status import Delivered, WorkerStatus
from mailstrom.storage.exclusive import ExclusiveStorage
from mailstrom.storage.memory import MemoryStorage
from mailstrom.submission import Moment, Submission, UnsignedDomains, entry_for
from mailstrom.testing.clock import START
from mailstrom.wiring import SystemPlatform
from tests.builders import an_email


class Unread(Clock):
    """Every event has an instant: who makes none has no need of a clock."""

    def now(self) -> datetime:
        raise AssertionError("an event is made")

    def monotonic(self) -> float:
        raise AssertionError("something is measured")


def a_claim() -> Claim:
    storage = ExclusiveStorage(MemoryStorage())
    moment = Moment(wall=START, steady=START)
    storage.store([entry_for(Submission(an_email()), Config(), moment, "1", UnsignedDomains())])
    claim = storage.claim(START, owner="me", lease=timedelta(minutes=1))
    assert claim is not None
    return claim


def test_no_event_is_made_where_nobody_observes() -> None:
    changed: list[str] = []
    claim = a_claim()
    board = Board()
    board.watch(claim.email.message_id, lambda: changed.append(claim.email.message_id))
    announcer = Announcer(Unread(), timedelta(hours=4), None, board)
    outcome = Outcome(address="you@dest.example", result=Delivered(tries=1))

    announcer.worker_status(WorkerStatus.OK)
    announcer.settled(claim, claim.recipients, [outcome])

    assert changed == [claim.email.message_id]


def test_a_result_is_not_written_out_for_a_log_that_does_not_want_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    claim = a_claim()
    announcer = Announcer(Unread(), timedelta(hours=4), None, Board())
    outcome = Outcome(address="you@dest.example", result=Delivered(tries=1))

    for level in (logging.WARNING, logging.INFO):
        caplog.set_level(level, logger="mailstrom")
        announcer.settled(claim, claim.recipients, [outcome])

    assert caplog.messages == [f"{claim.email.message_id} to you@dest.example: delivered"]


def test_who_has_no_observers_has_nobody_to_tell() -> None:
    assert Observers([], SystemPlatform()).teller is None
