"""The two roles of docs/deployment.md: with these rights the queue is made, used and upgraded."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from mailstrom import Config, Mailstrom, RelayConfig
from mailstrom.abc import Note
from mailstrom.storage.postgres import PostgresStorage
from mailstrom.storage.sql.schema import VERSION
from mailstrom.storage.unusable import Unusable
from mailstrom.testing.smtp_server import LoopbackServer, SmtpServer
from tests.builders import HELO, an_email
from tests.postgres import query

PAGE = Path(__file__).parents[2] / "docs" / "deployment.md"
WAIT_SECS = 20.0


@pytest.fixture
def roles(database: str) -> Iterator[tuple[str, str]]:
    """The DSNs of the role that owns the queue, and of the one that works with it."""
    for statements in re.findall(
        r"^```sql\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
    ):
        query(database, statements)
    yield database.replace("mailstrom@", "mail_owner@"), database.replace("mailstrom@", "app@")
    query(database, "DROP OWNED BY app, mail_owner CASCADE; DROP ROLE app, mail_owner")


def test_a_role_with_the_rights_of_the_page_stores_delivers_steers_and_forgets(
    roles: tuple[str, str],
) -> None:
    owner, app = roles
    with closing(PostgresStorage(owner)) as storage:
        assert storage.upgrade() == 0
    with LoopbackServer(server := SmtpServer()) as running:
        config = Config(helo_name=HELO, delivery=RelayConfig("127.0.0.1", running.port, tls="none"))
        with Mailstrom(config, app) as m:
            m.start()
            delivered = m.wait(m.send_email(an_email()), WAIT_SECS)
            held = m.send_email(an_email(), send_at=datetime.now(UTC) + timedelta(days=1))
            m.hold(held)
            m.cancel(held)
            told = [event.kind for event in m.events()]
            m.forget(delivered.recipients[0].address)

    assert (delivered.succeeded, len(server.ledger.messages)) == (True, 1)
    assert {"accepted", "delivered", "failed"} <= {*told}


def test_that_role_cleans_up_and_writes_notes(roles: tuple[str, str]) -> None:
    owner, app = roles
    with closing(PostgresStorage(owner)) as storage:
        storage.upgrade()
    now = datetime.now(UTC)
    note = Note(namespace="test", key="k", value="v", expires_at=now + timedelta(seconds=1))

    with closing(PostgresStorage(app)) as storage:
        storage.put_note(note, now)
        storage.put_note(replace(note, key="other"), now)

        assert storage.purge(now + timedelta(days=1)) == 2


def test_that_role_makes_no_tables(roles: tuple[str, str]) -> None:
    with closing(PostgresStorage(roles[1])) as storage, pytest.raises(Unusable, match="42501"):
        storage.is_idle()


def test_an_upgrade_that_has_nothing_to_do_needs_no_further_rights(roles: tuple[str, str]) -> None:
    owner, app = roles
    with closing(PostgresStorage(owner)) as storage:
        storage.upgrade()

    with closing(PostgresStorage(app)) as storage:
        assert (storage.upgrade(), storage.schema_version()) == (VERSION, VERSION)
