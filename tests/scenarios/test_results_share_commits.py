"""Many results at once cost few commits, one alone waits for none; leases are prolonged in one call."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from mailstrom import Config, Mailstrom, MemoryStorage, SqliteStorage
from mailstrom.abc import Claim, Settlement
from mailstrom.storage.exclusive import ExclusiveStorage
from mailstrom.testing.smtp_server import SmtpServer
from tests.builders import a_config, an_email, with_mx
from tests.lone_engine import LoneEngine, simulate

CAPTURE = Config(helo_name="sender.example", mode="capture")


class Counting(SqliteStorage):
    """Notes how many results each commit had."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.commits: list[int] = []

    def settle(self, settlements: Sequence[Settlement], *args: Any) -> list[bool]:
        self.commits.append(len(settlements))
        return super().settle(settlements, *args)


def test_each_result_is_committed_once_and_those_that_are_there_together(tmp_path: Path) -> None:
    storage = Counting(tmp_path / "mail.db")
    with Mailstrom(CAPTURE, storage) as m:
        ids = m.send_emails([an_email() for _ in range(200)])
        m.start().drain(timeout=30)

        assert all(m.query_status(message_id).succeeded for message_id in ids)
    assert sum(storage.commits) == 200
    assert len(storage.commits) < 200


def test_a_mail_that_is_alone_has_a_commit_of_its_own(tmp_path: Path) -> None:
    storage = Counting(tmp_path / "mail.db")
    with Mailstrom(CAPTURE, storage) as m:
        m.start()
        for _ in range(3):
            assert m.wait(m.send_email(an_email()), timeout=30).succeeded

    assert storage.commits == [1, 1, 1]


class Renewed(ExclusiveStorage):
    """Notes how many claims each renewal was for."""

    def __init__(self) -> None:
        super().__init__(MemoryStorage(), lease_clock=lambda: asyncio.get_running_loop().time())
        self.renewals: list[int] = []

    def renew(self, claims: Sequence[Claim], lease: timedelta) -> list[Claim | None]:
        self.renewals.append(len(claims))
        return super().renew(claims, lease)


@pytest.mark.parametrize("deliveries", [0, 5])
def test_the_leases_of_all_deliveries_are_prolonged_in_one_call(deliveries: int) -> None:
    storage = Renewed()

    async def story(sim: LoneEngine) -> None:
        with_mx(sim, SmtpServer(delays={"content": 40.0}))
        for _ in range(deliveries):
            sim.send_email(an_email())
        await asyncio.sleep(35)
        assert storage.renewals == [deliveries] * 2 * bool(deliveries)
        await asyncio.sleep(60)

    simulate(story, config=a_config(), storage=storage)
