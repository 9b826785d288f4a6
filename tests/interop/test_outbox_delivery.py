"""The outbox through a whole Mailstrom, with a mail server that takes what comes."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import asyncpg
import pytest

from mailstrom import AsyncMailstrom, Config, Mailstrom, MessageError, RelayConfig
from mailstrom.testing.smtp_server import LoopbackServer, SmtpServer
from tests.builders import a_config, an_email


@pytest.fixture
def server() -> SmtpServer:
    return SmtpServer()


@pytest.fixture
def config(server: SmtpServer) -> Iterator[Config]:
    with LoopbackServer(server) as running:
        yield a_config(delivery=RelayConfig("127.0.0.1", running.port, tls="none"))


def taken(server: SmtpServer) -> list[tuple[str, ...]]:
    return sorted(message.recipients for message in server.ledger.messages)


def test_what_was_committed_is_delivered_and_nothing_else(
    config: Config, server: SmtpServer, tmp_path: Path
) -> None:
    path = tmp_path / "app.db"
    with Mailstrom(config, f"sqlite:///{path}") as m, closing(sqlite3.connect(path)) as connection:
        m.start()
        m.send_email(an_email(to="rolled-back@dest.example"), connection=connection)
        connection.rollback()
        first = m.send_email(an_email(to="committed@dest.example"), connection=connection)
        others = m.send_emails([an_email(to=f"{n}@dest.example") for n in "ab"], connection=connection)
        connection.commit()

        statuses = [m.wait(each, timeout=20) for each in (first, *others)]

    assert [status.state for status in statuses] == ["delivered"] * 3
    assert taken(server) == [("a@dest.example",), ("b@dest.example",), ("committed@dest.example",)]


def test_the_same_with_asyncio_and_postgresql(config: Config, server: SmtpServer, database: str) -> None:
    async def story() -> str:
        connection = await asyncpg.connect(database)
        async with AsyncMailstrom(config, database) as m:
            await m.start()
            undone = connection.transaction()
            await undone.start()
            await m.send_email(an_email(to="rolled-back@dest.example"), connection=connection)
            await undone.rollback()
            async with connection.transaction():
                message_id = await m.send_email(an_email(to="committed@dest.example"), connection=connection)
            status = await m.wait(message_id, timeout=20)
        await connection.close()
        return status.state

    assert asyncio.run(story()) == "delivered"
    assert taken(server) == [("committed@dest.example",)]


def test_an_email_that_is_wrong_is_told_by_its_index_and_changes_nothing(
    config: Config, tmp_path: Path
) -> None:
    path = tmp_path / "app.db"
    with Mailstrom(config, f"sqlite:///{path}") as m, closing(sqlite3.connect(path)) as connection:
        with pytest.raises(MessageError) as refused:
            m.send_emails([an_email(), b"no message"], connection=connection)

        assert (refused.value.index, connection.in_transaction) == (1, False)
