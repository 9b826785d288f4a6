"""The oracle of the torture says when something is wrong."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

import pytest

from mailstrom import Deferred, Delivered, DeliveryResult, EventKind
from mailstrom.abc import Event
from mailstrom.testing.smtp_server import ReceivedMessage
from tests.torture.oracle import judge

AT = datetime(2030, 1, 1, tzinfo=UTC)
UNCERTAIN = Deferred(tries=0, reason="the worker crashed", uncertain=True)
DELIVERED = Delivered(tries=1)
HEADER = "Date: Tue, 1 Jan 2030 00:00:00 +0000\r\nFrom: me@sender.example\r\nMessage-ID: <{}>\r\n\r\n"


def a_copy(message_id: str) -> ReceivedMessage:
    return ReceivedMessage(
        ordinal=1,
        reverse_path="me@sender.example",
        recipients=("you@dest.example",),
        parameters={},
        content=HEADER.format(message_id).encode(),
        helo="sender.example",
        tls=None,
        user=None,
        ip="127.0.0.1",
        session=1,
        at=0.0,
    )


def told(message_id: str, *results: DeliveryResult) -> list[Event]:
    return [
        Event(kind=EventKind(result.state), at=AT, message_id=message_id, result=result) for result in results
    ]


ONE = "one@sender.example"


def test_mail_that_arrived_once_and_is_told_so_holds() -> None:
    assert judge([ONE], [a_copy(ONE)], told(ONE, DELIVERED)).holds


def test_a_double_that_was_flagged_holds() -> None:
    assert judge([ONE], [a_copy(ONE)] * 2, told(ONE, UNCERTAIN, DELIVERED)).holds


@pytest.mark.parametrize(
    ("copies", "results", "wrong"),
    [
        (0, [DELIVERED], "lost"),
        (2, [DELIVERED], "unflagged"),
        (1, [UNCERTAIN], "untold"),
        (1, [DELIVERED, DELIVERED], "twice_ended"),
    ],
)
def test_what_is_wrong_is_named(copies: int, results: Sequence[DeliveryResult], wrong: str) -> None:
    verdict = judge([ONE], [a_copy(ONE)] * copies, told(ONE, *results))

    assert not verdict.holds
    assert getattr(verdict, wrong) == {ONE}
    assert str(verdict).endswith(f": {ONE}")


def test_a_double_without_a_flag_is_all_there() -> None:
    assert judge([ONE], [a_copy(ONE)] * 2, told(ONE, DELIVERED)).is_all_there
