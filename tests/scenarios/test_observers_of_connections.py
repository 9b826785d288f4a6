"""What observers are told of sessions, and of the transactions over them."""

from __future__ import annotations

import asyncio

from mailstrom.event import Event, EventKind, SessionEnded, SessionOpened, Transaction
from mailstrom.status import Phase, TlsUsed
from mailstrom.testing.script import close, read_octets, send
from mailstrom.testing.smtp_server import ScriptedServer, SmtpServer
from tests.builders import a_config, an_email, with_mx
from tests.lone_engine import LoneEngine, simulate
from tests.scenarios.stages import TO_CONTENT, YOU, a_message
from tests.scenarios.tls_hosts import server_context

HOST, IP = "mx1.dest.example", "198.51.100.1"


def opened(events: list[Event]) -> list[SessionOpened]:
    return [event.session_opened for event in events if event.session_opened is not None]


def ended(events: list[Event]) -> list[SessionEnded]:
    return [event.session_ended for event in events if event.session_ended is not None]


def transactions(events: list[Event]) -> list[Transaction]:
    return [event.transaction for event in events if event.transaction is not None]


def test_a_session_that_opens_is_told_with_the_time_of_each_phase() -> None:
    delays = {"greeting": 1.0, "ehlo": 2.0, "starttls": 4.0}
    tls_context = server_context(HOST)

    async def story(sim: LoneEngine) -> None:
        with_mx(sim, SmtpServer(delays=delays, tls_context=tls_context))
        await sim.deliver(an_email())
        (told,) = opened(sim.events)
        assert told == SessionOpened(
            host=HOST,
            ip=IP,
            port=25,
            tls=TlsUsed(version="TLSv1.3", cipher="TLS_AES_256_GCM_SHA384", verified="unverified"),
            phase_secs={Phase.CONNECT: 0.0, Phase.GREETING: 1.0, Phase.EHLO: 2.0, Phase.STARTTLS: 6.0},
            open_now=1,
        )

    simulate(story, config=a_config())


def test_a_phase_that_a_session_does_not_have_takes_no_time() -> None:
    async def story(sim: LoneEngine) -> None:
        with_mx(sim, SmtpServer())
        await sim.deliver(an_email())
        (told,) = opened(sim.events)
        assert (told.tls, set(told.phase_secs)) == (None, {Phase.CONNECT, Phase.GREETING, Phase.EHLO})

    simulate(story, config=a_config())


def test_an_opening_that_fails_is_told_as_an_attempt_only() -> None:
    async def story(sim: LoneEngine) -> None:
        with_mx(sim, SmtpServer(on_greeting="450 4.3.2 busy"))
        await sim.first_try(an_email())
        assert [event.attempt.phase for event in sim.events if event.attempt] == [Phase.GREETING]
        assert (opened(sim.events), ended(sim.events), transactions(sim.events)) == ([], [], [])

    simulate(story, config=a_config())


def test_a_transaction_is_told_with_the_time_before_its_final_dot_and_after() -> None:
    async def story(sim: LoneEngine) -> None:
        with_mx(sim, SmtpServer(delays={"mail": 1.0, "data": 2.0, "content": 4.0}))
        status = await sim.deliver(a_message(), recipients=["a@dest.example", "b@dest.example"])
        (event,) = [event for event in sim.events if event.kind is EventKind.TRANSACTION]
        assert event.message_id == status.message_id
        assert event.transaction == Transaction(
            host=HOST,
            recipients=2,
            octets=len(a_message()),
            reused=False,
            before_dot_secs=3.0,
            after_dot_secs=4.0,
            outcome="delivered",
        )

    simulate(story, config=a_config())


def test_a_transaction_without_a_final_dot_has_no_time_after_it() -> None:
    async def story(sim: LoneEngine) -> None:
        with_mx(sim, SmtpServer(on_mail="550 5.7.1 no", delays={"mail": 1.0}))
        await sim.deliver(an_email())
        (told,) = transactions(sim.events)
        assert (told.before_dot_secs, told.after_dot_secs, told.outcome) == (1.0, None, "failed")

    simulate(story, config=a_config())


def test_the_outcome_of_a_transaction_is_the_best_that_somebody_had() -> None:
    replies = {"b@dest.example": "450 4.2.1 later", "c@dest.example": "550 5.1.1 nobody"}
    cases = {"abc": "delivered", "bc": "deferred", "c": "failed"}

    async def story(sim: LoneEngine) -> None:
        with_mx(sim, SmtpServer(on_rcpt=lambda address, _: replies.get(address)))
        for names in cases:
            await sim.first_try(an_email(to=[f"{name}@dest.example" for name in names]))
        assert [told.outcome for told in transactions(sim.events)] == list(cases.values())

    simulate(story, config=a_config())


def test_a_message_that_takes_several_transactions_has_each_told() -> None:
    recipients = [f"r{number}@dest.example" for number in range(5)]

    async def story(sim: LoneEngine) -> None:
        with_mx(sim, SmtpServer(recipient_limit=2, delays={"content": 1.0}))
        await sim.deliver(an_email(to=recipients))
        told = transactions(sim.events)
        assert [(each.recipients, each.after_dot_secs) for each in told] == [(2, 1.0), (2, 1.0), (1, 1.0)]

    simulate(story, config=a_config())


def test_a_session_tells_what_it_carried_when_it_ends() -> None:
    async def story(sim: LoneEngine) -> None:
        with_mx(sim, SmtpServer(delays={"content": 1.0}))
        await sim.deliver(an_email())
        await sim.deliver(an_email())
        await sim.stop()
        (told,) = ended(sim.events)
        assert told == SessionEnded(host=HOST, ip=IP, port=25, messages=2, age_secs=2.0, open_now=0)
        assert [each.reused for each in transactions(sim.events)] == [False, True]

    simulate(story, config=a_config())


def test_a_host_that_hangs_up_behind_its_reply_has_carried_the_message() -> None:
    server = ScriptedServer([*TO_CONTENT, read_octets(len(a_message())), send("250 ok"), close()])

    async def story(sim: LoneEngine) -> None:
        with_mx(sim, server)
        await sim.deliver(a_message(), recipients=[YOU])
        await sim.stop()
        assert [told.messages for told in ended(sim.events)] == [1]

    simulate(story, config=a_config())


def test_a_session_that_was_found_dead_is_no_transaction() -> None:
    async def story(sim: LoneEngine) -> None:
        with_mx(sim, SmtpServer(on_mail=[None, "421 4.4.2 idle for too long"]))
        await sim.deliver(an_email())
        await sim.deliver(an_email())
        assert [told.reused for told in transactions(sim.events)] == [False, False]
        assert [told.open_now for told in opened(sim.events)] == [1, 1]

    simulate(story, config=a_config())


def test_each_session_that_opened_is_told_to_have_ended_however_the_worker_ends() -> None:
    async def story(sim: LoneEngine) -> None:
        with_mx(sim, SmtpServer(delays={"content": 60.0}))
        with_mx(sim, SmtpServer(delays={"mail": 60.0}), domain="other.example")
        with_mx(sim, SmtpServer(), domain="third.example")
        await sim.deliver(an_email(to="you@third.example"))
        sim.send_email(an_email())
        sim.send_email(an_email(to="you@other.example"))
        await asyncio.sleep(30)
        await sim.die()
        await asyncio.sleep(60)
        assert [told.open_now for told in ended(sim.events)] == [2, 1, 0]

    simulate(story, config=a_config())


def test_a_transaction_that_ended_is_told_although_the_worker_stops_before_the_next() -> None:
    recipients = ["a@dest.example", "b@dest.example"]

    async def story(sim: LoneEngine) -> None:
        with_mx(sim, SmtpServer(recipient_limit=1, delays={"content": 60.0}))
        sim.send_email(an_email(to=recipients))
        await asyncio.sleep(30)
        sim.engine.abort_before_dot()
        await asyncio.sleep(60)
        assert [told.outcome for told in transactions(sim.events)] == ["delivered"]

    simulate(story, config=a_config())
