"""LIMITS (RFC 9422): what a host says it takes, and what is left of it."""

from __future__ import annotations

import pytest

from mailstrom.smtp.limits import Limits, Room, read_limits

A, B, C = "a@one.example", "b@two.example", "c@ONE.example"


@pytest.mark.parametrize(
    ("said", "limits"),
    [
        ("", Limits()),
        ("RCPTMAX=20", Limits(recipients=20)),
        ("MAILMAX=5 RCPTMAX=20 RCPTDOMAINMAX=1", Limits(mails=5, recipients=20, domains=1)),
        ("rcptmax=999999", Limits(recipients=999_999)),
        ("RCPTMAX=20 NEWNAME=3 FLAG MAILMAX=5", Limits(mails=5, recipients=20)),
        ("RCPTMAX=20 RCPTMAX=30", Limits(recipients=20)),
    ],
)
def test_known_names_with_a_number_limit(said: str, limits: Limits) -> None:
    """RFC 9422 3."""
    assert read_limits({"LIMITS": said}) == limits


@pytest.mark.parametrize(
    "value", ["", "0", "000000", "-1", "+1", "1.5", "1000000", "1k", "0x10", "１", "1\t", "1=1", "1,000"]
)
def test_what_is_no_number_of_one_to_six_digits_limits_nothing(value: str) -> None:
    """RFC 9422 3."""
    assert read_limits({"LIMITS": f"RCPTMAX={value} MAILMAX=5"}) == Limits(mails=5)


def test_a_host_that_says_nothing_takes_everything() -> None:
    room = Room(read_limits({"PIPELINING": ""}))

    for _ in range(1000):
        room.take([A, B, C])

    assert (room.fitting([A, B, C]), room.is_used_up) == ([A, B, C], False)


def test_a_transaction_names_so_many_recipients_in_order() -> None:
    room = Room(Limits(recipients=2))

    room.take(room.fitting([A, B, C]))

    assert room.fitting([C, B, A]) == [C, B]


def test_a_session_has_so_many_transactions() -> None:
    """Those that name nobody are none."""
    room = Room(Limits(mails=2))

    room.take([A])
    room.take([])
    assert (room.fitting([B]), room.is_used_up) == ([B], False)

    room.take([B])
    assert (list(room.fitting([C])), room.is_used_up) == ([], True)


def test_a_session_knows_so_many_domains_however_they_are_spelt() -> None:
    """RFC 9422: in one session, not in one transaction."""
    room = Room(Limits(domains=1))

    assert room.fitting([A, B, C]) == [A, C]
    room.take([A, C])

    assert room.fitting([B, C]) == [C]
    assert (room.fitting([B]), room.is_used_up) == ([], False)
