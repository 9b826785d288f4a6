"""The worker keeps its queue in order: purged by retention, and free of due times from a wrong clock."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from mailstrom import MessageNotFound, SqliteStorage
from mailstrom.testing.smtp_server import SmtpServer
from tests.builders import a_config, an_email, with_mx
from tests.contract.plain_storage import PlainStorage
from tests.lone_engine import LoneEngine, simulate
from tests.scenarios.stages import YOU

DAY_SECS = 86_400
YEARS = timedelta(days=3650)


def is_known(sim: LoneEngine, message_id: str) -> bool:
    try:
        sim.status(message_id)
    except MessageNotFound:
        return False
    return True


def test_a_status_is_kept_for_its_retention_and_then_purged(tmp_path: Path) -> None:
    storage = SqliteStorage(tmp_path / "mail.db", status_retention=timedelta(days=2), poll_secs=3600.0)

    async def story(sim: LoneEngine) -> None:
        with_mx(sim, SmtpServer())
        done = (await sim.deliver(an_email())).message_id
        later = sim.send_email(an_email(), send_at=sim.clock.now() + timedelta(days=9))
        await asyncio.sleep(1.5 * DAY_SECS)
        assert is_known(sim, done)
        await asyncio.sleep(1 * DAY_SECS)
        assert not is_known(sim, done)
        assert is_known(sim, later)

    try:
        simulate(story, config=a_config(), storage=storage)
    finally:
        storage.close()


def test_a_retry_that_is_due_in_ten_years_is_made_soon() -> None:
    """Row 45: the process before had a wall clock that stood far ahead."""
    storage = PlainStorage(durable=True)

    async def before(sim: LoneEngine) -> None:
        with_mx(sim, SmtpServer(on_rcpt="450 4.2.0 later"))
        await sim.first_try(an_email())

    simulate(before, config=a_config(), storage=storage)
    (status,) = storage.retrieve_all_incomplete()
    (recipient,) = status.recipients
    late = recipient.due_at + YEARS if recipient.due_at else None
    storage.update_status(
        replace(
            status,
            recipients=(
                replace(recipient, due_at=late, result=replace(recipient.result, next_attempt_at=late)),
            ),
        )
    )

    async def story(sim: LoneEngine) -> None:
        with_mx(sim, SmtpServer())
        done = await sim.wait(status.message_id)
        assert done[YOU].result.tries == 2
        assert sim.loop.time() < DAY_SECS

    simulate(story, config=a_config(), storage=storage)
