"""Threat S24: a value is a value, whatever it says in the language of the database."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from mailstrom.abc import (
    InternalMessageStatus,
    InternalRecipientStatus,
    Note,
    Order,
    PreparedEmail,
    Selection,
)
from mailstrom.message.prepared import DsnOptions
from mailstrom.status import Attempt, Deferred, Phase, Reply
from mailstrom.storage.postgres import PostgresStorage
from mailstrom.storage.sql.queue import SqlStorage
from mailstrom.storage.sqlite import SqliteStorage
from mailstrom.testing.storage_kit import LATER, LEASE, NOW, an_entry, queued, settlement, there

HOSTILE = (
    "'; DROP TABLE mailstrom_messages; --",
    "'); DELETE FROM mailstrom.messages; --",
    '" OR 1 = 1; --',
    "\\'; SELECT pg_sleep(20); --",
    "$$; COMMIT; $$ %s %(now)s :now ? ?1 @now $1",
    '["a", 1]}{\'"\\',
)


@pytest.fixture(params=["sqlite", "postgres"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[SqlStorage]:
    made = (
        SqliteStorage(tmp_path / "mail.db")
        if request.param == "sqlite"
        else PostgresStorage(request.getfixturevalue("database"))
    )
    with closing(made) as found:
        found.store([an_entry("bystander", "else@other.example", due_at=LATER)])
        yield found


def an_email_of(words: str) -> tuple[PreparedEmail, InternalMessageStatus]:
    """Each text of it says the same."""
    email = PreparedEmail(
        message_id=words,
        reverse_path=words,
        recipients=(words,),
        content=words.encode(),
        dsn=DsnOptions(ret="HDRS", envid=words),
    )
    recipient = InternalRecipientStatus(
        recipient=words, address=words, route_key=words, result=queued(words, NOW).result, due_at=NOW
    )
    status = InternalMessageStatus(
        message_id=words,
        recipients=(recipient,),
        submitted_at=NOW,
        metadata={words: words},
        idempotency_key=words,
        fingerprint=words,
    )
    return email, status


@pytest.mark.parametrize("words", HOSTILE)
def test_what_is_stored_and_settled_comes_back_as_it_was(storage: SqlStorage, words: str) -> None:
    email, status = an_email_of(words)
    attempt = Attempt(at=NOW, host=words, ip=words, port=25, phase=Phase.RCPT, state="deferred", reason=words)
    result = Deferred(tries=1, reason=words, reply=Reply(code=450, text=words), next_attempt_at=LATER)

    assert storage.store([(email, status)]) == storage.store([(email, status)]) == [words]
    claim = there(storage.claim(NOW, owner=words, lease=LEASE, skip=[f"{words} "]), "a claim")
    [renewed] = storage.renew([claim], LEASE)
    settled = settlement(there(renewed, "the claim"), result)
    outcome = replace(settled.outcomes[0], attempts=(attempt,))

    assert (claim.email, claim.recipients, claim.owner) == (email, status.recipients, words)
    assert storage.mark_dot_sent(claim, [words])
    assert storage.settle([replace(settled, outcomes=(outcome,))], NOW) == [True]
    after = replace(status.recipients[0], result=result, attempts=(attempt,), due_at=LATER)
    assert storage.retrieve_status(words) == replace(status, recipients=(after,))
    assert [event.result for event in storage.events() if event.address == words] == [result]
    assert words in {each.destination for each in storage.overview(NOW).backlog}


@pytest.mark.parametrize("words", HOSTILE)
def test_what_is_asked_for_by_it_is_that_alone(storage: SqlStorage, words: str) -> None:
    storage.store([an_email_of(words)])
    fields = ("message_id", "address", "destination", "sender")
    note = Note(namespace="test", key=words, value=words, expires_at=LATER)

    for field in fields:
        selection = Selection(**{field: words})
        assert [each.message_id for each in storage.retrieve_all_incomplete(selection)] == [words]
        assert [each.message_id for each in storage.order(Order.HOLD, selection, NOW)] == [words]
        assert [each.message_id for each in storage.order(Order.RELEASE, selection, NOW)] == [words]
    assert storage.retrieve_all_incomplete(Selection(domain=words)) == []
    assert storage.next_due(NOW, skip=[words]) == LATER
    assert storage.claim(NOW, owner=words, lease=LEASE, skip=[words]) is None
    assert there(storage.put_note(note, NOW), "the note") == storage.note("test", words, NOW)
    storage.order(Order.CANCEL, Selection(address=words), NOW)
    assert storage.forget(words, NOW) == 1
    assert [each.message_id for each in storage.retrieve_all_incomplete()] == ["bystander@sender.example"]
