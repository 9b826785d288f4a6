"""Row 61: a host that does not answer is asked by one delivery at a time; its answer holds for the others."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from mailstrom import Attempt, Cause, EventKind, Phase, RetryPolicy, Submission
from mailstrom.explanation import Gate, Hold
from mailstrom.testing.smtp_server import SmtpServer
from tests.builders import a_config, an_email, mx
from tests.lone_engine import LoneEngine, simulate
from tests.scenarios.lane_tools import (
    DEAD,
    DEAD_IP,
    a_domain,
    cancel_all,
    connects,
    gates,
    holds,
    living,
    send_to,
    states,
)

BEGAN = datetime(2025, 1, 1, 12, 0, tzinfo=UTC)
WHY = "mx.dead.example: timed out: no connection within 30 s (on connecting)"


def secs(number: float) -> timedelta:
    return timedelta(seconds=number)


def test_after_a_cohort_of_passes_in_vain_one_delivery_asks_for_all_that_were_due() -> None:
    """Mechanism 16: 5 at first; 1/5 + 1/4 + 1/3 + 1/2 is a cohort. Then a thousand mails cost one connect."""

    async def story(sim: LoneEngine) -> None:
        a_domain(sim, DEAD, DEAD_IP)
        ids = send_to(sim, *[DEAD] * 1000)
        await asyncio.sleep(59)
        assert states(sim, ids) == {("deferred", 1): 5, ("queued", 0): 995}
        await asyncio.sleep(2)
        assert states(sim, ids) == {("deferred", 1): 1000}
        assert connects(sim) == [0.0] * 5 + [30.0]
        cancel_all(sim)

    simulate(story, config=a_config())


def test_who_was_not_asked_for_is_told_so_and_keeps_the_schedule_of_its_own() -> None:
    """A counted try, with an attempt that visited nobody: no address, no duration."""

    async def story(sim: LoneEngine) -> None:
        a_domain(sim, DEAD, DEAD_IP)
        last = send_to(sim, *[DEAD] * 7)[-1]
        await asyncio.sleep(70)
        [recipient] = sim.status(last)
        assert recipient.attempts == (
            Attempt(
                at=BEGAN + secs(60),
                host="mx.dead.example",
                phase=Phase.CONNECT,
                state="deferred",
                reason=f"not asked again; at 2025-01-01 12:01:00 UTC it was: {WHY}",
            ),
        )
        result = recipient.result
        assert (result.tries, result.reason, str(result.enhanced_code)) == (1, WHY, "4.4.1")
        assert result.next_attempt_at == BEGAN + secs(60 + 180)
        told = [event.kind for event in sim.events if event.message_id == last]
        assert told == [EventKind.ATTEMPT, EventKind.DEFERRED]
        cancel_all(sim)

    simulate(story, config=a_config())


def test_what_falls_due_after_the_probe_began_is_asked_for_by_one_of_its_own() -> None:
    """One at a time; what falls due meanwhile waits for the next."""

    async def story(sim: LoneEngine) -> None:
        a_domain(sim, DEAD, DEAD_IP)
        early = send_to(sim, *[DEAD] * 8)
        await asyncio.sleep(40)
        late = send_to(sim, DEAD, DEAD)
        await asyncio.sleep(30)
        assert states(sim, early) == {("deferred", 1): 8}
        assert states(sim, late) == {("queued", 0): 2}
        await asyncio.sleep(30)
        assert states(sim, late) == {("deferred", 1): 2}
        assert connects(sim) == [0.0] * 5 + [30.0, 60.0]
        cancel_all(sim)

    simulate(story, config=a_config())


def test_no_message_fails_for_want_of_being_asked_for() -> None:
    """Its tries are used up as if each had been a visit of its own: 3, by 3 and 9 minutes apart."""

    async def story(sim: LoneEngine) -> None:
        a_domain(sim, DEAD, DEAD_IP)
        ids = send_to(sim, *[DEAD] * 50)
        for message_id in ids:
            result = (await sim.wait(message_id)).recipients[0].result
            assert (result.state, result.cause, result.tries) == ("failed", Cause.TRIES_EXHAUSTED, 3)
        assert 720 <= sim.clock.monotonic() <= 1000
        assert len(connects(sim)) < 30

    simulate(story, config=a_config())


def test_what_expires_meanwhile_is_failed_for_that() -> None:
    """As ever: its time is over, whatever the host would have said."""

    async def story(sim: LoneEngine) -> None:
        a_domain(sim, DEAD, DEAD_IP)
        send_to(sim, *[DEAD] * 5)
        await asyncio.sleep(40)
        send_to(sim, DEAD)  # it asks; the other waits meanwhile
        [short] = sim.send_emails(
            [Submission(an_email(to=f"you@{DEAD}"), expires_at=sim.clock.now() + secs(10))]
        )
        result = (await sim.wait(short)).recipients[0].result
        assert (result.cause, result.tries) == (Cause.EXPIRED, 0)
        cancel_all(sim)

    simulate(story, config=a_config())


@pytest.mark.parametrize("reply", ["421 4.3.2 too busy", "450 4.3.2 not now"])
def test_a_host_that_sends_everybody_away_at_the_door_is_down_too(reply: str) -> None:
    """Host trouble: the session never opened."""
    server = SmtpServer(on_greeting=reply)

    async def story(sim: LoneEngine) -> None:
        a_domain(sim, DEAD, DEAD_IP, server)
        ids = send_to(sim, *[DEAD] * 100)
        await asyncio.sleep(60)
        assert states(sim, ids) == {("deferred", 1): 100}
        assert len(connects(sim)) <= 7
        cancel_all(sim)

    simulate(story, config=a_config())


def test_the_domains_of_one_dead_host_are_asked_for_together() -> None:
    """The lane is the MX set; a key that is met for the first time finds it down."""

    async def story(sim: LoneEngine) -> None:
        a_domain(sim, DEAD, DEAD_IP)
        names = [f"d{number}.example" for number in range(200)]
        sim.zone.records |= {name: mx(f"mx.{DEAD}") for name in names}
        ids = send_to(sim, *names)
        await asyncio.sleep(70)
        assert states(sim, ids) == {("deferred", 1): 200}
        later = send_to(sim, *[f"new{name}" for name in names])
        sim.zone.records |= {f"new{name}": mx(f"mx.{DEAD}") for name in names}
        await asyncio.sleep(70)
        assert states(sim, later) == {("deferred", 1): 200}
        assert len(connects(sim)) <= 10
        cancel_all(sim)

    simulate(story, config=a_config())


def test_a_domain_whose_look_ups_hang_is_down_as_a_host_would_be() -> None:
    """Row 41: 30 s each; a thousand mails to it cost a few look-ups."""

    async def story(sim: LoneEngine) -> None:
        sim.zone.records[DEAD] = {"rcode": "TIMEOUT"}
        ids = send_to(sim, *[DEAD] * 1000)
        await asyncio.sleep(100)
        assert states(sim, ids) == {("deferred", 1): 1000}
        assert gates(sim, ids[0]) == [Gate.BACKOFF, Gate.HOST_DOWN]
        sim.zone.records[DEAD] = mx("mx.dead.example")
        sim.host("mx.dead.example", DEAD_IP, SmtpServer())
        assert all([(await sim.wait(message_id)).succeeded for message_id in ids])

    simulate(story, config=a_config())


def test_a_dead_host_with_much_mail_delays_nobody_else() -> None:
    """What is settled unvisited takes turns with the others' mail."""

    async def story(sim: LoneEngine) -> None:
        a_domain(sim, DEAD, DEAD_IP)
        dead = send_to(sim, *[DEAD] * 3000)
        await asyncio.sleep(60)
        before = sim.clock.monotonic()
        alive = send_to(sim, *living(sim, 20) * 5)
        assert all([(await sim.wait(message_id)).succeeded for message_id in alive])
        assert sim.clock.monotonic() - before < 1
        await asyncio.sleep(10)
        assert states(sim, dead) == {("deferred", 1): 3000}
        cancel_all(sim)

    simulate(story, config=a_config())


def test_nothing_is_claimed_round_and_round_while_a_probe_is_under_way() -> None:
    """What comes while the host is asked stays in the queue, after one look at most in each step."""

    async def story(sim: LoneEngine) -> None:
        a_domain(sim, DEAD, DEAD_IP)
        send_to(sim, *[DEAD] * 20)
        await asyncio.sleep(65)
        claims, claim_many = [0], sim.storage.claim_many

        def counted(*args: object) -> object:
            granted = claim_many(*args)  # type: ignore[arg-type]
            claims[0] += len(granted)
            return granted

        sim.storage.claim_many = counted  # type: ignore[assignment, method-assign]
        for _ in range(10):
            send_to(sim, *[DEAD] * 10)
            await asyncio.sleep(1)
        assert claims[0] <= 60
        cancel_all(sim)

    simulate(story, config=a_config())


def test_it_is_told_since_when_the_host_is_down_and_what_is_awaited() -> None:
    async def story(sim: LoneEngine) -> None:
        a_domain(sim, DEAD, DEAD_IP)
        ids = send_to(sim, *[DEAD] * 7)
        await asyncio.sleep(40)
        since = "mx.dead.example has not answered since 2025-01-01 12:00:30 UTC"
        text = f"{since}: one delivery asks there now, for all others too"
        assert holds(sim, ids[-1]) == (Hold(gate=Gate.HOST_DOWN, text=text),)
        await asyncio.sleep(30)
        backoff, down = holds(sim, ids[-1])
        assert (backoff.gate, backoff.until) == (Gate.BACKOFF, BEGAN + secs(60 + 180))
        awaited = "the next delivery that is due asks there"
        assert down == Hold(
            gate=Gate.HOST_DOWN, text=f"{since}: {awaited}, for all others too; last: {WHY}"
        )
        cancel_all(sim)

    simulate(story, config=a_config())


def test_a_lane_that_nobody_uses_for_a_while_begins_anew() -> None:
    """The memory of a dead host is no more than that."""

    async def story(sim: LoneEngine) -> None:
        a_domain(sim, DEAD, DEAD_IP)
        [first, *_] = send_to(sim, *[DEAD] * 10)
        await asyncio.sleep(100)
        assert Gate.HOST_DOWN in gates(sim, first)
        send_to(sim, *living(sim, 1))  # somebody looks at the queue
        await asyncio.sleep(1000)
        send_to(sim, "d0.example")
        await asyncio.sleep(1)
        assert gates(sim, first) == [Gate.BACKOFF]
        cancel_all(sim)

    simulate(story, config=a_config(retry=RetryPolicy.rfc5321()))
