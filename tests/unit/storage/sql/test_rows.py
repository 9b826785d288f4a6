"""What is stored comes back as it was."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import pytest

from mailstrom.abc import InternalRecipientStatus, PreparedEmail
from mailstrom.message.prepared import DsnOptions
from mailstrom.status import (
    Attempt,
    Cause,
    Deferred,
    Delivered,
    DeliveryResult,
    EnhancedCode,
    Failed,
    Phase,
    Queued,
    Reply,
    TlsUsed,
)
from mailstrom.storage.sql import rows
from mailstrom.testing.storage_kit import LATER, NOW, an_entry, deferred_recipient, queued, with_first
from tests.unit.storage.sql.memory import MemorySqlStorage

REPLY = Reply(code=451, enhanced=EnhancedCode(4, 7, 1), text="come back later")
ATTEMPT = Attempt(
    at=NOW,
    duration_secs=0.25,
    host="mx.dest.example",
    ip="192.0.2.1",
    port=25,
    phase=Phase.RCPT,
    reply=REPLY,
    tls=TlsUsed(version="TLSv1.3", cipher="TLS_AES_256_GCM_SHA384", verified="pkix"),
    state="deferred",
    reason="busy",
    uncertain=True,
)
RESULTS: list[DeliveryResult] = [
    Queued(),
    Queued(next_attempt_at=LATER),
    Deferred(tries=3, reason="“busy”\x00", reply=REPLY, next_attempt_at=LATER, uncertain=True),
    Delivered(tries=1, reply=Reply(code=250, text="ok")),
    Failed(tries=2, enhanced_code=EnhancedCode(5, 1, 1), cause=Cause.REFUSED),
]


@pytest.mark.parametrize("result", RESULTS, ids=lambda result: result.state)
def test_a_recipient_comes_back_with_every_field(result: DeliveryResult) -> None:
    due_at = None if result.completed else LATER
    recipient = InternalRecipientStatus(
        recipient="Jürgen <jürgen@dest.example>",
        address="jürgen@dest.example",
        route_key="relay:main",
        result=result,
        attempts=(ATTEMPT, replace(ATTEMPT, reply=None, tls=None, ip=None)),
        due_at=due_at,
        crashes=2,
        dot_sent=not result.completed,
    )
    email, status = an_entry()

    with MemorySqlStorage() as storage:
        storage.store([(email, with_first(status, recipient))])

        assert storage.retrieve_status(status.message_id).recipients == (recipient,)


@pytest.mark.parametrize(
    "email",
    [
        PreparedEmail(
            message_id="one@sender.example",
            reverse_path="",
            recipients=("you@dest.example",),
            content=bytes(range(256)),
            needs_8bitmime=True,
            needs_smtputf8=True,
            dsn=DsnOptions(ret="HDRS", envid="an id", notify=("SUCCESS", "DELAY")),
        ),
        replace(an_entry()[0], content=b""),
    ],
    ids=["everything", "nothing"],
)
def test_an_email_comes_back_octet_for_octet(email: PreparedEmail) -> None:
    with MemorySqlStorage() as storage:
        storage.store([(email, an_entry()[1])])

        assert storage.claimed().email == email


def test_a_message_comes_back_with_every_field() -> None:
    email, status = an_entry()
    status = replace(status, metadata={"\x00": "\ud800", "ü": "ß"}, idempotency_key="kéy", fingerprint="f")

    with MemorySqlStorage() as storage:
        storage.store([(email, status)])

        assert storage.retrieve_status(status.message_id) == status


# What others wrote


def read_as(storage: MemorySqlStorage, column: str, was: str, becomes: str) -> InternalRecipientStatus:
    """The one recipient there is, with another text in its row."""
    found = storage.rows(
        f"SELECT {column} FROM mailstrom_recipients WHERE {column} LIKE :was", was=f"%{was}%"
    )
    assert found
    storage.rows(
        f"UPDATE mailstrom_recipients SET {column} = replace({column}, :was, :becomes)",
        was=was,
        becomes=becomes,
    )
    return storage.retrieve_status("one@sender.example").recipients[0]


@pytest.mark.parametrize(
    ("was", "becomes", "known"),
    [
        ('"cause":"refused"', '"cause":"quota"', {"cause": None}),
        ('"tries":2', '"tries":2,"newer":[1]', {}),
    ],
)
def test_a_result_of_a_newer_version_is_read_as_far_as_it_is_known(
    was: str, becomes: str, known: dict[str, object]
) -> None:
    email, status = an_entry()
    recipient = replace(status.recipients[0], result=RESULTS[-1], due_at=None)
    with MemorySqlStorage() as storage:
        storage.store([(email, with_first(status, recipient))])

        found = read_as(storage, "result", was, becomes)

    assert found == replace(recipient, result=replace(RESULTS[-1], **known))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("was", "becomes", "known"),
    [
        ('"port":25', '"port":25,"newer":1', {}),
        ('"cipher"', '"newer":1,"cipher"', {}),
        (
            '"phase":"rcpt"',
            '"phase":"lookup"',
            {"phase": Phase.CONNECT, "reason": "at 'lookup', which this version does not know: busy"},
        ),
    ],
)
def test_an_attempt_of_a_newer_version_is_read_as_far_as_it_is_known(
    was: str, becomes: str, known: dict[str, object]
) -> None:
    email, status = an_entry()
    recipient = replace(status.recipients[0], attempts=(ATTEMPT,))
    with MemorySqlStorage() as storage:
        storage.store([(email, with_first(status, recipient))])

        found = read_as(storage, "attempts", was, becomes)

    assert found == replace(recipient, attempts=(replace(ATTEMPT, **known),))  # type: ignore[arg-type]


def test_a_delivery_whose_result_cannot_be_read_is_still_a_delivery() -> None:
    email, status = an_entry()
    recipient = replace(status.recipients[0], result=Delivered(tries=1), due_at=None)
    with MemorySqlStorage() as storage:
        storage.store([(email, with_first(status, recipient))])

        found = read_as(storage, "result", "{", "<")

    assert found == replace(recipient, result=Delivered(reason=rows.UNREADABLE))


def test_an_order_that_is_not_known_here_asks_for_no_more_tries() -> None:
    with MemorySqlStorage() as storage:
        storage.store([an_entry()])
        claim = storage.claimed()
        storage.rows("UPDATE mailstrom_recipients SET mark = 'forward'")

        storage.give_back(claim)

        assert [each.state for each in storage.overview(NOW).backlog] == ["held"]


def test_what_was_written_beside_a_message_may_be_damaged() -> None:
    with MemorySqlStorage() as storage:
        storage.store([an_entry()])
        storage.rows("UPDATE mailstrom_messages SET metadata = '{'")

        assert [each.metadata for each in storage.retrieve_all_incomplete()] == [{}]


@pytest.mark.parametrize(
    "at",
    [
        datetime(1, 1, 1, tzinfo=UTC),
        datetime(1969, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC),
        datetime(9999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC),
        datetime(2030, 6, 1, 2, tzinfo=timezone(timedelta(hours=-8))),
    ],
)
def test_an_instant_comes_back_to_the_microsecond(at: datetime) -> None:
    assert rows.instant(rows.micros(at)) == at


@pytest.mark.parametrize(
    ("recipient", "place"),
    [
        (queued("a@dest.example", NOW), "ready"),
        (queued("a@dest.example", LATER), "later"),
        (queued("a@dest.example", None), "held"),
        (deferred_recipient(queued("a@dest.example", NOW)), "later"),
        (replace(queued("a@dest.example", LATER), result=Deferred(tries=1)), "held"),
        (replace(queued("a@dest.example", NOW), result=Deferred(tries=1)), "ready"),
        (replace(queued("a@dest.example", None), result=Delivered(tries=1)), "completed"),
    ],
    ids=["due", "not due", "held for ever", "deferred", "held", "held, and expired", "delivered"],
)
def test_a_place_says_who_may_take_a_recipient(recipient: InternalRecipientStatus, place: str) -> None:
    assert rows.place_at(recipient, NOW) == place
