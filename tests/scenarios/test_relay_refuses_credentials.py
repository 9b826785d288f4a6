"""The relay does not let us in: the queue waits, and now and then one delivery asks again."""

from __future__ import annotations

import asyncio
import logging
from datetime import timedelta

import pytest

from mailstrom import Config, EventKind, RetryPolicy, Submission
from mailstrom.testing.smtp_server import Hook, SmtpServer
from tests.builders import an_email
from tests.lone_engine import LoneEngine, simulate
from tests.scenarios.stages import YOU, outcome, visits
from tests.scenarios.tls_hosts import AUTH, a_relay_config, at_relay

HOUR = timedelta(hours=1)
QUARTER = timedelta(minutes=15)
REFUSED = "535 5.7.8 authentication credentials invalid"


def in_clear(**relay: object) -> Config:
    """TLS is another test's subject, and would only take time here."""
    return a_relay_config(tls="none", allow_cleartext_auth=True, **relay)


def a_relay(on_auth: Hook, **settings: object) -> SmtpServer:
    return SmtpServer(credentials={"user": "secret"}, on_auth=on_auth, **settings)


def refusing_until(sim_secs: float, reply: str = REFUSED) -> Hook:
    """Refuses for that long, by the clock of the loop it runs in."""
    return lambda *_: reply if asyncio.get_running_loop().time() < sim_secs else None


def auths(server: SmtpServer) -> list[float]:
    """When the server was asked to let somebody in."""
    return [
        session.began_at
        for session in server.ledger.sessions
        for command in session.commands
        if command.upper().startswith("AUTH")
    ]


def fifty(sim: LoneEngine) -> list[str]:
    emails = [an_email(to=f"r{number}@dest.example") for number in range(50)]
    return sim.send_emails([Submission(email) for email in emails])


def test_refused_credentials_hold_the_whole_queue_and_one_probe_each_15_minutes_finds_out() -> None:
    """Row 32: 535 for two hours, then 235; 50 messages wait. In the crate each of them failed."""
    server = a_relay(refusing_until(2 * 3600 + 60))

    async def story(sim: LoneEngine) -> None:
        at_relay(sim, server)
        began = sim.loop.time()
        ids = fifty(sim)
        await asyncio.sleep(2 * 3600 + 30)
        for message_id in ids:
            result = sim.status(message_id).recipients[0].result
            assert (result.state, result.tries) in (("queued", 0), ("deferred", 0))
        assert [round(at - began) for at in auths(server)] == [900 * probe for probe in range(9)]
        for message_id in ids:
            status = await sim.wait(message_id)
            assert status.succeeded
            assert status.recipients[0].result.tries == 1
        assert sim.loop.time() - began < 2 * 3600 + 16 * 60

    simulate(story, config=in_clear())

    assert sorted(message.recipients for message in server.ledger.messages) == sorted(
        (f"r{number}@dest.example",) for number in range(50)
    )
    assert server.ledger.violations == ()


@pytest.mark.parametrize("queued", [1, 2, 50])
def test_a_relay_that_has_not_let_us_in_yet_is_asked_by_one_delivery_alone(queued: int) -> None:
    """Row 32: 20 refusals in one second would lock the account."""
    server = a_relay(REFUSED)

    async def story(sim: LoneEngine) -> None:
        at_relay(sim, server)
        sim.send_emails([Submission(an_email(to=f"r{number}@dest.example")) for number in range(queued)])
        await asyncio.sleep(899)

    simulate(story, config=in_clear())

    assert len(auths(server)) == 1
    assert len(server.ledger.sessions) == 1


def test_once_it_has_let_us_in_the_relay_gets_the_queue_over_many_sessions() -> None:
    """Row 32: the caution ends with the first success."""
    server = a_relay([], delays={"content": 10.0})

    async def story(sim: LoneEngine) -> None:
        at_relay(sim, server)
        began = sim.loop.time()
        for message_id in fifty(sim):
            assert (await sim.wait(message_id)).succeeded
        assert sim.loop.time() - began < 60

    simulate(story, config=in_clear())

    assert len(server.ledger.messages) == 50
    assert 1 < len(server.ledger.sessions) <= 20


def test_credentials_that_stop_working_hold_what_is_left() -> None:
    """Row 32: after a success; the sessions under way may be refused, no others."""
    server = a_relay(lambda _, count: None if count == 1 else REFUSED)

    async def story(sim: LoneEngine) -> None:
        at_relay(sim, server)
        assert (await sim.deliver(an_email())).succeeded
        await asyncio.sleep(sim.config.session_idle_secs + 1)
        fifty(sim)
        await asyncio.sleep(3600)

    simulate(story, config=in_clear())

    assert len(auths(server)) <= 1 + in_clear().max_sessions_per_lane + 4


def test_the_probed_message_says_why_it_waits() -> None:
    """Row 32: deferred 4.7.8, no try counted, due again in 15 minutes."""
    server = a_relay(REFUSED)

    async def story(sim: LoneEngine) -> None:
        at_relay(sim, server)
        began = sim.clock.now()
        status = await sim.first_try(an_email())
        assert outcome(status) == ("deferred", "4.7.8", False, 0)
        assert visits(status) == [("1", "auth", "deferred")]
        result = status[YOU].result
        assert result.next_attempt_at is not None
        assert round((result.next_attempt_at - began) / QUARTER, 3) == 1.0
        assert result.reply is not None
        assert (result.reply.code, str(result.reply.enhanced)) == (535, "5.7.8")
        assert "relay.example refused our credentials" in str(result)

    simulate(story, config=in_clear())


def test_observers_and_the_log_are_told(caplog: pytest.LogCaptureFixture) -> None:
    """Row 32: an event, and a warning for who runs the program."""
    caplog.set_level(logging.WARNING, logger="mailstrom")
    server = a_relay(REFUSED)

    async def story(sim: LoneEngine) -> None:
        at_relay(sim, server)
        await sim.first_try(an_email())
        *_, attempt, deferred = sim.events
        assert (attempt.kind, deferred.kind) == (EventKind.ATTEMPT, EventKind.DEFERRED)
        told = deferred.result
        assert told is not None
        assert str(told.enhanced_code) == "4.7.8"

    simulate(story, config=in_clear())

    (warning,) = caplog.messages
    assert "relay.example" in warning
    assert "credentials" in warning
    assert "secret" not in warning


@pytest.mark.parametrize(
    ("reply", "code"),
    [
        ("535 5.7.8 bad credentials", "4.7.8"),
        ("454 4.7.0 temporary authentication failure", "4.7.0"),
        ("530 5.7.0 must issue STARTTLS first", "4.7.0"),
        ("534 5.7.9 mechanism too weak", "4.7.0"),
        ("504 5.5.4 not that mechanism", "4.7.0"),
        ("501 5.5.2 cannot decode", "4.7.0"),
    ],
)
def test_every_refusal_of_auth_holds_the_relay(reply: str, code: str) -> None:
    """Rows 32 and 33."""
    server = a_relay(refusing_until(1000, reply))

    async def story(sim: LoneEngine) -> None:
        at_relay(sim, server)
        ids = fifty(sim)
        await asyncio.sleep(950)
        assert len(auths(server)) == 2
        first = sim.status(ids[0])
        assert outcome(first, "r0@dest.example") == ("deferred", code, False, 0)
        for message_id in ids:
            assert (await sim.wait(message_id)).succeeded

    simulate(story, config=in_clear())


@pytest.mark.parametrize("settings", [{}, {"auth_mechanisms": ["GSSAPI"]}], ids=["none", "another"])
def test_auth_that_is_not_offered_holds_the_relay(settings: dict[str, object]) -> None:
    """Row 33. The crate went on without credentials."""
    credentials = {"user": "secret"} if settings else None
    server = SmtpServer(credentials=credentials, **settings)

    async def story(sim: LoneEngine) -> None:
        at_relay(sim, server)
        ids = fifty(sim)
        await asyncio.sleep(2 * 900 + 60)
        assert len(server.ledger.sessions) == 3
        result = outcome(sim.status(ids[0]), "r0@dest.example")
        assert result == ("deferred", "4.7.0", False, 0)
        at_relay(sim, SmtpServer(credentials={"user": "secret"}))
        for message_id in ids:
            assert (await sim.wait(message_id)).succeeded

    simulate(story, config=in_clear())

    assert not server.ledger.messages
    assert not any(c.startswith("MAIL") for s in server.ledger.sessions for c in s.commands)


@pytest.mark.parametrize("stage", ["mail", "rcpt"])
def test_a_relay_that_wants_credentials_we_have_none_of_is_held(stage: str) -> None:
    """Row 33: 530 to MAIL or RCPT."""
    server = SmtpServer(**{f"on_{stage}": "530 5.7.0 authentication required"})

    async def story(sim: LoneEngine) -> None:
        at_relay(sim, server)
        ids = fifty(sim)
        await asyncio.sleep(2 * 900 + 60)
        said = [c for s in server.ledger.sessions for c in s.commands if c.startswith("MAIL")]
        assert len(said) <= sim.config.max_sessions_per_lane + 2
        for message_id in ids:
            assert sim.status(message_id).recipients[0].result.tries == 0
        assert sim.status(ids[0]).recipients[0].result.state == "deferred"
        at_relay(sim, SmtpServer())
        for message_id in ids:
            assert (await sim.wait(message_id)).succeeded

    simulate(story, config=in_clear(auth=None))


def test_a_relay_with_several_addresses_is_asked_at_one_of_them() -> None:
    """Rows 32 and 33: they are one relay, and it knows one account."""
    first, second = a_relay(refusing_until(1000)), a_relay(refusing_until(1000))

    async def story(sim: LoneEngine) -> None:
        at_relay(sim, first, second)
        message_id = sim.send_email(an_email())
        await asyncio.sleep(950)
        assert len(auths(first)) + len(auths(second)) == 2
        assert (await sim.wait(message_id)).succeeded

    simulate(story, config=in_clear())


def test_a_message_of_many_recipients_is_one_probe() -> None:
    """Row 32: 300 recipients are three claims, and one AUTH."""
    server = a_relay(REFUSED)

    async def story(sim: LoneEngine) -> None:
        at_relay(sim, server)
        sim.send_email(an_email(to=[f"r{number}@dest.example" for number in range(300)]))
        await asyncio.sleep(60)

    simulate(story, config=in_clear())

    assert len(auths(server)) == 1


def test_a_relay_that_is_down_is_not_held() -> None:
    """Row 1: only credentials hold a relay; 50 messages are tried together and by their schedule."""

    async def story(sim: LoneEngine) -> None:
        sim.network.hosts["relay.example"] = ("198.51.100.1",)
        sim.network.black_hole("198.51.100.1")
        ids = fifty(sim)
        await asyncio.sleep(1 + 4 * 30)
        states = {outcome(sim.status(each), f"r{n}@dest.example")[:2] for n, each in enumerate(ids)}
        assert states == {("deferred", "4.4.1")}

    simulate(story, config=in_clear())


def test_the_hold_outlives_what_else_happens_to_the_relay() -> None:
    """Row 32: a probe that cannot even connect does not let the others loose."""
    server = a_relay(refusing_until(3000))

    async def story(sim: LoneEngine) -> None:
        at_relay(sim, server)
        ids = fifty(sim)
        await asyncio.sleep(60)
        sim.network.refuse("198.51.100.1", 25)
        await asyncio.sleep(900)
        at_relay(sim, server)
        await asyncio.sleep(30)
        assert len(auths(server)) <= 2
        for message_id in ids:
            assert (await sim.wait(message_id)).succeeded

    simulate(story, config=in_clear())


def test_mail_that_may_not_wait_so_long_expires_while_the_relay_is_held() -> None:
    """Row 32: `expires_at` is the caller's own word, and holds."""
    server = a_relay(REFUSED)

    async def story(sim: LoneEngine) -> None:
        at_relay(sim, server)
        began = sim.clock.now()
        status = await sim.deliver(an_email(), expires_at=began + HOUR)
        assert status[YOU].result.state == "failed"
        assert str(status[YOU].result.enhanced_code) == "4.4.7"
        assert status.completed_at is not None
        assert HOUR <= status.completed_at - began <= HOUR + QUARTER

    simulate(story, config=in_clear())


def test_tries_are_neither_used_up_nor_given_back_by_a_refusal() -> None:
    """Row 32: 96 refusals in a day, and the one try that counts is the delivery."""
    server = a_relay(refusing_until(24 * 3600))

    async def story(sim: LoneEngine) -> None:
        at_relay(sim, server)
        status = await sim.deliver(an_email())
        assert outcome(status) == ("delivered", "2.0.0", False, 1)

    config = in_clear()
    assert config.retry == RetryPolicy(jitter=0)
    assert config.delivery.auth == AUTH  # type: ignore[union-attr]
    simulate(story, config=config)

    assert 96 <= len(auths(server)) <= 98
