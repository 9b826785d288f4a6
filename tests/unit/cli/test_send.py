"""When `mailstrom send` stops waiting, and how it ends."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from mailstrom import Deferred, Delivered, DeliveryResult, Failed, MessageStatus, Queued, RecipientStatus
from mailstrom.cli.exit_codes import ExitCode
from mailstrom.cli.send import exit_code_for, may_change_until

UNTIL = datetime(2026, 1, 1, 12, 0, tzinfo=UTC)
BEFORE, AFTER = UNTIL - timedelta(seconds=1), UNTIL + timedelta(seconds=1)
DEFERRED = Deferred(tries=1, next_attempt_at=AFTER)


def a_status(*results: DeliveryResult) -> MessageStatus:
    addresses = (f"r{number}@dest.example" for number in range(len(results)))
    recipients = (
        RecipientStatus(recipient=address, address=address, result=result)
        for address, result in zip(addresses, results, strict=True)
    )
    return MessageStatus(message_id="1@sender.example", recipients=tuple(recipients), submitted_at=BEFORE)


@pytest.mark.parametrize(
    ("results", "code"),
    [
        ((Delivered(), Delivered()), ExitCode.OK),
        ((Delivered(), Failed()), ExitCode.UNAVAILABLE),
        ((Failed(), DEFERRED, Queued()), ExitCode.UNAVAILABLE),
        ((Delivered(), DEFERRED), ExitCode.NOT_YET),
        ((Delivered(), Queued()), ExitCode.NOT_YET),
    ],
)
def test_the_exit_code_tells_the_worst_that_will_not_change(
    results: tuple[DeliveryResult, ...], code: ExitCode
) -> None:
    assert exit_code_for(a_status(*results)) is code


@pytest.mark.parametrize(
    ("result", "may_change"),
    [
        (Queued(), True),
        (Queued(next_attempt_at=AFTER), False),
        (Deferred(tries=1, next_attempt_at=BEFORE), True),
        (Deferred(tries=1, next_attempt_at=AFTER), False),
        (Deferred(tries=1), False),
        (Delivered(), False),
        (Failed(), False),
    ],
)
def test_waiting_ends_when_nothing_is_due_in_the_time_given(result: DeliveryResult, may_change: bool) -> None:
    assert may_change_until(a_status(Delivered(), result), UNTIL) is may_change
