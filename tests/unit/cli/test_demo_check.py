"""The demo fails where its recipients did not end as they should."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from mailstrom import (
    Attempt,
    Delivered,
    Failed,
    MessageStatus,
    Phase,
    PreparedEmail,
    RecipientStatus,
    Reply,
    TlsUsed,
)
from mailstrom.cli.demo_check import complaints_of
from mailstrom.cli.demo_world import EXPECTED, Expected
from mailstrom.testing.ledger import Ledger, ReceivedMessage

AT = datetime(2026, 1, 1, tzinfo=UTC)
CONTENT = b"Subject: Hi\r\n\r\nHi.\r\n"
PREPARED = PreparedEmail(
    message_id="1@sender.example",
    reverse_path="demo@sender.example",
    recipients=tuple(expected.address for expected in EXPECTED),
    content=CONTENT,
)
TLS = TlsUsed(version="TLSv1.3", cipher="TLS_AES_256_GCM_SHA384", verified="unverified")


def as_expected(expected: Expected) -> RecipientStatus:
    reply = None if expected.code is None else Reply(code=expected.code)
    tls = TLS if expected.needs_tls else None
    kind = {"delivered": Delivered, "failed": Failed}[expected.state]
    return RecipientStatus(
        recipient=expected.address,
        address=expected.address,
        result=kind(tries=expected.tries, reply=reply, cause=expected.cause),
        attempts=tuple(
            Attempt(at=AT, host=host, phase=Phase.DOT, state="delivered", tls=tls) for host in expected.hosts
        ),
    )


def a_status(**others: RecipientStatus) -> MessageStatus:
    recipients = tuple(
        others.get(e.address.partition("@")[2].partition(".")[0], as_expected(e)) for e in EXPECTED
    )
    return MessageStatus(message_id="1@sender.example", recipients=recipients, submitted_at=AT)


def a_ledger(content: bytes = CONTENT, without: str = "", more: tuple[str, ...] = ()) -> Ledger:
    ledger = Ledger()
    taken = [expected.address for expected in EXPECTED if expected.state == "delivered"]
    for address in [address for address in taken if address != without] + list(more):
        ledger.take(lambda ordinal, address=address: received(ordinal, address, content))  # type: ignore[misc]
    return ledger


def received(ordinal: int, address: str, content: bytes) -> ReceivedMessage:
    return ReceivedMessage(
        ordinal=ordinal,
        reverse_path="demo@sender.example",
        recipients=(address,),
        parameters={},
        content=content,
        helo="mail.sender.example",
        tls=None,
        user=None,
        ip="127.0.0.1",
        session=1,
        at=0.0,
    )


def test_nothing_is_complained_of_when_all_went_as_it_should() -> None:
    assert complaints_of(a_status(), PREPARED, {"mx": a_ledger()}) == []


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda r: replace(r, result=Failed(tries=1)), "state is failed, expected delivered"),
        (lambda r: replace(r, result=Delivered(tries=2, reply=Reply(code=250))), "tries is 2, expected 1"),
        (
            lambda r: replace(r, result=Delivered(tries=1, reply=Reply(code=251))),
            "reply code is 251, expected 250",
        ),
        (lambda r: replace(r, attempts=(replace(r.attempts[0], host="mx2"),)), "hosts is ('mx2',)"),
        (lambda r: replace(r, attempts=(replace(r.attempts[0], tls=None),)), "expected TLS"),
    ],
    ids=["state", "tries", "code", "hosts", "tls"],
)
def test_a_recipient_that_ended_otherwise_is_named(
    change: Callable[[RecipientStatus], RecipientStatus], complaint: str
) -> None:
    status = a_status(encrypted=change(as_expected(EXPECTED[0])))

    found = complaints_of(status, PREPARED, {"mx": a_ledger()})

    assert found
    assert all(line.startswith("reader@encrypted.example: ") for line in found)
    assert any(complaint in line for line in found)


@pytest.mark.parametrize(
    ("ledger", "complaint"),
    [
        (a_ledger(without="reader@encrypted.example"), "reader@encrypted.example: the servers took 0 copies"),
        (a_ledger(more=("reader@backup.example",)), "reader@backup.example: the servers took 2 copies"),
        (a_ledger(more=("nobody@strict.example",)), "nobody@strict.example: the servers took 1 copies"),
        (a_ledger(content=CONTENT + b".\r\n"), "reader@encrypted.example: what the server took is not"),
    ],
    ids=["lost", "twice", "refused and taken", "changed"],
)
def test_the_servers_must_have_taken_what_the_status_says(ledger: Ledger, complaint: str) -> None:
    found = complaints_of(a_status(), PREPARED, {"mx": ledger})

    assert any(line.startswith(complaint) for line in found)


def test_what_no_client_should_say_is_complained_of() -> None:
    ledger = a_ledger()
    ledger.begin("127.0.0.1", 0.0).violations.append("MAIL before EHLO")

    found = complaints_of(a_status(), PREPARED, {"mx.strict.example": ledger})

    assert found == ["mx.strict.example was told what no client should say: MAIL before EHLO"]
