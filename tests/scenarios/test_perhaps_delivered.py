"""The connection died after the final dot: what `RetryPolicy.on_uncertain` makes of it."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from mailstrom import Cause, Deferred, RetryPolicy
from mailstrom.testing.smtp_server import Action, SmtpServer
from tests.builders import a_config, an_email, with_mx
from tests.lone_engine import LoneEngine, simulate
from tests.scenarios.stages import YOU

HOLD = RetryPolicy(jitter=0, on_uncertain="hold")
FAIL = RetryPolicy(jitter=0, on_uncertain="fail")
MINUTE = timedelta(minutes=1)


def resets_after_the_dot(times: int = 1) -> SmtpServer:
    """Resets the connection instead of its reply to the final dot."""
    return SmtpServer(on_content=[Action.RESET] * times)


def test_it_is_tried_again_after_fifteen_minutes() -> None:
    """Row 4: not before 15 min, although the schedule would say 3."""

    async def story(sim: LoneEngine) -> None:
        with_mx(sim, resets_after_the_dot())
        status = await sim.deliver(an_email())
        assert status.succeeded
        assert [round(connect.at) for connect in sim.network.connects] == [0, 900]

    simulate(story, config=a_config())


def test_one_that_is_refused_the_next_time_stays_perhaps_delivered() -> None:
    server = SmtpServer(on_content=[Action.RESET, "550 5.7.1 seen already"])

    async def story(sim: LoneEngine) -> None:
        with_mx(sim, server)
        status = await sim.deliver(an_email())
        result = status[YOU].result
        assert (result.state, result.cause, result.uncertain) == ("failed", Cause.REFUSED, True)
        assert "may have been delivered" in str(result)

    simulate(story, config=a_config())


def test_with_hold_it_waits_for_a_person_and_nobody_sends_it_again() -> None:
    async def story(sim: LoneEngine) -> None:
        with_mx(sim, resets_after_the_dot())
        status = await sim.first_try(an_email())
        await asyncio.sleep(1_000_000)
        result = sim.status(status.message_id)[YOU].result
        assert isinstance(result, Deferred)
        assert (result.uncertain, result.next_attempt_at, sim.storage.is_idle()) == (True, None, True)
        assert "held" in str(result)
        assert len(sim.network.connects) == 1

    simulate(story, config=a_config(retry=HOLD))


def test_with_hold_it_ends_at_the_moment_that_its_sender_set() -> None:
    """After `expires_at` nobody wants it sent any more, also no person."""

    async def story(sim: LoneEngine) -> None:
        with_mx(sim, resets_after_the_dot())
        expires_at = sim.clock.now() + 60 * MINUTE
        status = await sim.deliver(an_email(), expires_at=expires_at)
        result = status[YOU].result
        assert (result.cause, result.uncertain, status.completed_at) == (Cause.EXPIRED, True, expires_at)
        assert len(sim.network.connects) == 1

    simulate(story, config=a_config(retry=HOLD))


def test_with_hold_it_outlives_the_end_of_the_retry_schedule() -> None:
    """`max_age` bounds how long we try; who waits for a person is not being tried."""
    policy = RetryPolicy(jitter=0, on_uncertain="hold", max_age=timedelta(hours=1))

    async def story(sim: LoneEngine) -> None:
        with_mx(sim, resets_after_the_dot())
        status = await sim.first_try(an_email())
        await asyncio.sleep(100_000)
        assert sim.status(status.message_id).state == "deferred"

    simulate(story, config=a_config(retry=policy))


def test_with_hold_it_can_be_cancelled() -> None:
    async def story(sim: LoneEngine) -> None:
        with_mx(sim, resets_after_the_dot())
        status = await sim.first_try(an_email())
        sim.cancel(status.message_id)
        result = sim.status(status.message_id)[YOU].result
        assert (result.cause, result.uncertain) == (Cause.CANCELLED, True)

    simulate(story, config=a_config(retry=HOLD))


def test_with_fail_it_is_sent_at_most_once() -> None:
    async def story(sim: LoneEngine) -> None:
        with_mx(sim, resets_after_the_dot())
        status = await sim.deliver(an_email())
        result = status[YOU].result
        assert (result.state, result.cause, result.uncertain) == ("failed", Cause.UNCERTAIN, True)
        assert (len(sim.network.connects), sim.clock.monotonic()) == (1, 0)

    simulate(story, config=a_config(retry=FAIL))


@pytest.mark.parametrize("policy", [HOLD, FAIL], ids=["hold", "fail"])
def test_what_was_not_in_the_transaction_is_tried_again_as_ever(policy: RetryPolicy) -> None:
    server = SmtpServer(
        on_content=[Action.RESET],
        on_rcpt=lambda address, count: "450 4.2.0 later" if (address[:4], count) == ("slow", 1) else None,
    )

    async def story(sim: LoneEngine) -> None:
        with_mx(sim, server)
        message_id = sim.send_email(an_email(to="you@dest.example, slow@dest.example"))
        status = await sim.until(message_id, lambda status: status["slow@dest.example"].result.completed)
        assert status["slow@dest.example"].result.state == "delivered"
        assert status[YOU].result.uncertain

    simulate(story, config=a_config(retry=policy))


def test_the_uncertain_try_is_counted() -> None:
    async def story(sim: LoneEngine) -> None:
        with_mx(sim, resets_after_the_dot(times=3))
        status = await sim.deliver(an_email())
        result = status[YOU].result
        assert (result.cause, result.tries, result.uncertain) == (Cause.TRIES_EXHAUSTED, 3, True)
        assert [round(connect.at) for connect in sim.network.connects] == [0, 900, 1800]

    simulate(story, config=a_config())
