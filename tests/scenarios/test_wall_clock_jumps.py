"""The wall clock is set ten years ahead, or back, while mail waits."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import monotonic

import pytest

from mailstrom import Cause, Config, Mailstrom, RetryPolicy
from mailstrom.abc import Clock
from mailstrom.testing.smtp_server import SmtpServer
from mailstrom.wiring import SystemPlatform
from tests.builders import a_config, an_email, with_mx
from tests.lone_engine import LoneEngine, simulate
from tests.scenarios.stages import YOU

TEN_YEARS = timedelta(days=3653)
HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)
JUMPS = pytest.mark.parametrize("jump", [TEN_YEARS, -TEN_YEARS], ids=["ahead", "back"])


def connected_at(sim: LoneEngine) -> list[float]:
    """Seconds, by the clock that does not jump."""
    return [round(connect.at) for connect in sim.network.connects]


@JUMPS
def test_a_deferred_recipient_is_tried_again_when_it_would_have_been(jump: timedelta) -> None:
    """Row 45: no storm, no stall."""

    async def story(sim: LoneEngine) -> None:
        with_mx(sim, SmtpServer(on_rcpt="450 4.2.1 later"))
        message_id = sim.send_email(an_email())
        await asyncio.sleep(60)
        sim.clock.jump(jump)
        status = await sim.wait(message_id)
        assert connected_at(sim) == [0, 180, 720]
        assert status[YOU].result.cause is Cause.TRIES_EXHAUSTED

    simulate(story, config=a_config())


@JUMPS
def test_nothing_expires_before_or_after_its_time(jump: timedelta) -> None:
    """Row 45."""

    async def story(sim: LoneEngine) -> None:
        with_mx(sim, SmtpServer(on_rcpt="450 4.2.1 later"))
        message_id = sim.send_email(an_email(), expires_at=sim.clock.now() + 5 * MINUTE)
        await asyncio.sleep(60)
        sim.clock.jump(jump)
        await sim.wait(message_id)
        assert sim.clock.monotonic() == 300

    simulate(story, config=a_config())


@JUMPS
def test_five_days_of_tries_stay_five_days(jump: timedelta) -> None:
    """Row 45."""

    async def story(sim: LoneEngine) -> None:
        with_mx(sim, SmtpServer(on_rcpt="450 4.2.1 later"))
        message_id = sim.send_email(an_email())
        for _ in range(4):
            await asyncio.sleep(86_400)
            sim.clock.jump(jump)
        await sim.wait(message_id)
        assert round(sim.clock.monotonic()) == 5 * 86_400

    simulate(story, config=a_config(retry=RetryPolicy.rfc5321()))


@JUMPS
def test_what_is_sent_after_the_jump_goes_out_at_once_and_at_the_time_it_says(jump: timedelta) -> None:
    """Row 45: `send_at` is by the wall clock of the caller."""

    async def story(sim: LoneEngine) -> None:
        with_mx(sim, SmtpServer())
        await asyncio.sleep(60)
        sim.clock.jump(jump)
        await sim.deliver(an_email())
        assert sim.clock.monotonic() == 60
        await sim.deliver(an_email(), send_at=sim.clock.now() + 10 * MINUTE)
        assert sim.clock.monotonic() == 660

    simulate(story, config=a_config())


@JUMPS
def test_a_delivery_in_flight_does_not_notice(jump: timedelta) -> None:
    """Row 45: timers and leases are monotonic."""
    server = SmtpServer(delays={"data": 100.0, "content": 500.0})

    async def story(sim: LoneEngine) -> None:
        with_mx(sim, server)
        message_id = sim.send_email(an_email())
        for turn in range(10):
            await asyncio.sleep(50)
            sim.clock.jump(jump if turn % 2 else -jump)
        assert (await sim.wait(message_id)).succeeded

    simulate(story, config=a_config())

    assert len(server.ledger.messages) == 1


class WrongClock(Clock):
    """The machine's clocks, with a wall clock that stands wrong by so much, until it is put right."""

    def __init__(self, wrong_by: timedelta) -> None:
        self.wrong_by = wrong_by
        self.went_on = timedelta(0)

    def now(self) -> datetime:
        return datetime.now(UTC) + self.wrong_by

    def monotonic(self) -> float:
        return monotonic() + self.went_on.total_seconds()

    def put_right(self) -> None:
        """And a minute has passed since."""
        self.wrong_by = timedelta(0)
        self.went_on = MINUTE


class BegunAtAWrongTime(Mailstrom):
    """One whose process began when the wall clock stood wrong."""

    def __init__(self, wrong_by: timedelta, folder: Path) -> None:
        self._platform = SystemPlatform()
        self._platform.clock = self.clock = WrongClock(wrong_by)
        super().__init__(Config(mode="capture", helo_name="sender.example"), f"sqlite:///{folder}/mail.db")


@pytest.mark.parametrize("wrong_by", [HOUR, -HOUR], ids=["ahead", "behind"])
def test_the_mail_of_processes_that_began_after_a_jump_is_sent_when_they_say(
    wrong_by: timedelta, tmp_path: Path
) -> None:
    """Row 45, on a queue that they share: no stall, nothing too early, nothing expired."""
    with (
        BegunAtAWrongTime(wrong_by, tmp_path) as worker,
        Mailstrom(worker._config, f"sqlite:///{tmp_path}/mail.db") as other,
    ):
        worker.clock.put_right()
        worker.start("always")
        soon = datetime.now(UTC) + 30 * MINUTE
        at_once = other.send_email(an_email(), expires_at=soon)
        later = other.send_email(an_email(), send_at=soon)

        assert other.wait(at_once, timeout=30).succeeded
        assert other.query_status(later).state == "queued"
