"""Delivering over an open session: each fault at its place, and nobody's result but their own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from itertools import permutations
from typing import Any

import pytest

from mailstrom.config import SmtpTimeouts
from mailstrom.smtp.session import DeliveryReport, Session
from mailstrom.status import EnhancedCode, Phase
from mailstrom.testing.script import (
    ScriptedServer,
    Step,
    close,
    drip,
    expect,
    hang,
    pause,
    read_octets,
    reset,
    send,
    send_for_ever,
    start_tls,
    stop_reading,
)
from mailstrom.testing.smtp_server import SmtpServer

from .scene import CONTENT, IP, A, B, C, Scene, Told, always, an_email, deliver_to, scripted, server_context

PLAIN = (send("220 mx"), expect("EHLO "), send("250 mx"))
PIPELINING = (send("220 mx"), expect("EHLO "), send("250-mx\r\n250 PIPELINING"))
MAIL = (expect("MAIL FROM:"), send("250 2.1.0 ok"))
RCPT = (expect("RCPT TO:"), send("250 2.1.5 ok"))
DATA = (expect("DATA"), send("354 go"))
TAKEN = (expect("<content>"), send("250 2.0.0 taken"))
QUIT = (expect("QUIT"), send("221 bye"))
WHOLE = (*PLAIN, *MAIL, *RCPT, *DATA, *TAKEN)
BIG = b"Subject: big\r\n\r\n" + b"x" * 76 * 1000 * 20 + b"\r\n"


def in_tls() -> tuple[Step, ...]:
    upgrade = (expect("STARTTLS"), send("220 go"), start_tls(server_context()), expect("EHLO "))
    return (send("220 mx"), expect("EHLO "), send("250-mx\r\n250 STARTTLS"), *upgrade, send("250 mx"))


def verdict_of(told: Told, recipient: str = A) -> Any:
    assert told.report is not None, told.failure
    return told.report.verdicts[recipient]


def summary(told: Told, recipient: str = A) -> tuple[str, str, Phase, bool]:
    verdict = verdict_of(told, recipient)
    return verdict.state, str(verdict.enhanced_code), verdict.phase, verdict.uncertain


# -- it goes well --------------------------------------------------------------------------


@pytest.mark.parametrize("extensions", [(), ("PIPELINING", "SIZE", "8BITMIME", "SMTPUTF8", "DSN")])
@pytest.mark.parametrize("tls", [False, True])
def test_a_message_arrives_octet_for_octet(extensions: tuple[str, ...], tls: bool) -> None:
    """RFC 5321 4.5.2."""
    server = SmtpServer(extensions=extensions, tls_context=server_context() if tls else None)

    told = deliver_to(server, an_email(recipients=(A, B)))

    assert told.states == {A: "delivered", B: "delivered"}
    assert [(m.content, tuple(m.recipients)) for m in server.ledger.messages] == [(CONTENT, (A, B))]
    assert not server.ledger.violations


@pytest.mark.parametrize("tls", [False, True])
def test_a_large_message_arrives_in_blocks(tls: bool) -> None:
    """Row 58: never more than a block or two in our own buffers."""
    server = SmtpServer(tls_context=server_context() if tls else None, extensions=("PIPELINING",))
    scene = Scene(server, pipe_capacity=1000 * 10)

    told = scene.run(scene.told(an_email(content=BIG)))

    assert told.states == {A: "delivered"}
    assert [message.content == BIG for message in server.ledger.messages] == [True]


@pytest.mark.parametrize("code", [200, 251, 252, 299])
def test_any_2yz_is_a_success(code: int) -> None:
    """Row 12: at RCPT and after the dot."""
    said = send(f"{code} ok")
    server = scripted(*PLAIN, *MAIL, expect("RCPT TO:"), said, *DATA, expect("<content>"), said, *QUIT)

    assert deliver_to(server).states == {A: "delivered"}


def test_pipelining_needs_two_round_trips_for_a_message() -> None:
    """RFC 2920; the greeting and EHLO take two more, with the connection three."""
    scene = Scene(SmtpServer(), latency_secs=0.5)

    told = scene.run(scene.told())

    assert told.states == {A: "delivered"}
    assert told.report is not None
    assert told.report.duration_secs == pytest.approx(2.0)


def test_several_messages_go_over_one_session() -> None:
    """RFC 5321 4.1.1.5: no RSET is needed between them."""
    server = SmtpServer()
    scene = Scene(server)

    async def three() -> list[str]:
        session = await scene.session()
        states = []
        for _ in range(3):
            report = await session.deliver(an_email(), [A], before_dot=always)
            states.append(report.verdicts[A].state)
        assert session.messages == 3
        await session.quit()
        return states

    assert scene.run(three()) == ["delivered"] * 3
    assert len(scene.network.connects) == 1
    assert not server.ledger.violations


# -- the connection is lost ----------------------------------------------------------------

ENDS: list[Callable[[], Step]] = [close, reset]


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize(
    ("steps", "phase"),
    [
        ((*PLAIN, expect("MAIL FROM:")), Phase.MAIL),
        ((*PLAIN, *MAIL, expect("RCPT TO:")), Phase.RCPT),
        ((*PLAIN, *MAIL, *RCPT, expect("DATA")), Phase.DATA),
    ],
)
def test_a_connection_lost_before_the_content_delivered_nothing(
    steps: tuple[Step, ...], phase: Phase, end: Callable[[], Step]
) -> None:
    """Row 3."""
    told = deliver_to(scripted(*steps, end()))

    assert summary(told) == ("deferred", "4.4.2", phase, False)
    assert not told.usable


@pytest.mark.parametrize("end", ENDS)
def test_a_connection_lost_in_the_content_delivered_nothing(end: Callable[[], Step]) -> None:
    """Row 3: the dot was not written yet."""
    server = scripted(*PLAIN, *MAIL, *RCPT, *DATA, read_octets(200_000), end())
    scene = Scene(server, pipe_capacity=10_000)

    told = scene.run(scene.told(an_email(content=BIG)))

    assert summary(told) == ("deferred", "4.4.2", Phase.BODY, False)


@pytest.mark.parametrize("end", ENDS)
def test_a_connection_lost_after_the_dot_is_uncertain(end: Callable[[], Step]) -> None:
    """Row 4; RFC 1047."""
    told = deliver_to(scripted(*PLAIN, *MAIL, *RCPT, *DATA, expect("<content>"), end()))

    assert summary(told) == ("deferred", "4.4.2", Phase.DOT, True)


def test_a_recipient_refused_before_the_connection_is_lost_keeps_its_answer() -> None:
    """Row 3."""
    steps = (*PLAIN, *MAIL, *RCPT, expect("RCPT TO:"), send("550 5.1.1 no"), expect("DATA"), reset())

    told = deliver_to(scripted(*steps), None, A, B)

    assert summary(told, A) == ("deferred", "4.4.2", Phase.DATA, False)
    assert summary(told, B) == ("failed", "5.1.1", Phase.RCPT, False)


def test_a_refusal_is_read_though_the_host_hangs_up_with_it() -> None:
    """Row 3: pipelined, with all the other commands unread."""
    told = deliver_to(scripted(*PIPELINING, expect("MAIL FROM:"), send("550 5.7.1 blocked"), close()))

    assert summary(told) == ("failed", "5.7.1", Phase.MAIL, False)


@pytest.mark.parametrize(
    ("steps", "phase", "uncertain"),
    [
        ((*PLAIN, expect("MAIL FROM:")), Phase.MAIL, False),
        ((*PLAIN, *MAIL, expect("RCPT TO:")), Phase.RCPT, False),
        ((*PLAIN, *MAIL, *RCPT, expect("DATA")), Phase.DATA, False),
        ((*PLAIN, *MAIL, *RCPT, *DATA, expect("<content>")), Phase.DOT, False),
    ],
)
def test_421_is_a_clear_no_at_any_stage(steps: tuple[Step, ...], phase: Phase, uncertain: bool) -> None:
    """Row 5."""
    told = deliver_to(scripted(*steps, send("421 closing"), hang()))

    assert summary(told) == ("deferred", "4.3.2", phase, uncertain)
    assert not told.usable


# -- time ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("steps", "phase", "timer"),
    [
        ((*PLAIN, expect("MAIL FROM:")), Phase.MAIL, 300),
        ((*PLAIN, *MAIL, expect("RCPT TO:")), Phase.RCPT, 300),
        ((*PLAIN, *MAIL, *RCPT, expect("DATA")), Phase.DATA, 120),
        ((*PLAIN, *MAIL, *RCPT, *DATA, expect("<content>")), Phase.DOT, 600),
    ],
)
@pytest.mark.parametrize("then", [hang(), drip("250 " + "x" * 1000, every_secs=7.0)], ids=["silence", "drip"])
def test_each_reply_has_a_timer_of_its_own(
    steps: tuple[Step, ...], phase: Phase, timer: float, then: Step
) -> None:
    """Rows 13, 14; RFC 5321 4.5.3.2."""
    told = deliver_to(scripted(*steps, then))

    assert summary(told) == ("deferred", "4.4.2", phase, phase is Phase.DOT)
    assert told.secs == pytest.approx(timer, abs=1)


@pytest.mark.parametrize("tls", [False, True])
def test_a_host_that_does_not_read_the_content_is_given_up_on(tls: bool) -> None:
    """Row 15: after 180 s for a block; the dot was not sent, so nothing is uncertain."""
    opening = in_tls() if tls else PLAIN
    server = scripted(*opening, *MAIL, *RCPT, *DATA, stop_reading(), hang())
    scene = Scene(server, pipe_capacity=10_000)

    told = scene.run(scene.told(an_email(content=BIG)))

    assert summary(told) == ("deferred", "4.4.2", Phase.BODY, False)
    assert told.secs == pytest.approx(180, abs=1)


@pytest.mark.parametrize("size", [50_000, 70_000, 130_000])
@pytest.mark.parametrize("tls", [False, True])
def test_a_last_block_that_does_not_leave_us_is_not_uncertain(size: int, tls: bool) -> None:
    """Row 15: abort() drops it, and the dot with it."""
    opening = in_tls() if tls else PLAIN
    server = scripted(*opening, *MAIL, *RCPT, *DATA, stop_reading(), hang())
    scene = Scene(server, pipe_capacity=10_000)

    taken_by_tls = 270_000 if tls else 0  # what the other side's TLS reads before it stops
    told = scene.run(scene.told(an_email(content=BIG[: size + taken_by_tls])))

    assert summary(told) == ("deferred", "4.4.2", Phase.BODY, False)


def test_a_host_that_reads_too_slowly_is_given_up_on() -> None:
    """Row 15: each block comes in time, but all of them fall below 500 octets a second."""

    slowly = (read_octets(64_000), pause(170)) * 25
    timeouts = SmtpTimeouts(session_secs=100_000.0)
    scene = Scene(scripted(*PLAIN, *MAIL, *RCPT, *DATA, *slowly), pipe_capacity=10_000)

    told = scene.run(scene.told(an_email(content=BIG), timeouts=timeouts))

    assert summary(told) == ("deferred", "4.4.2", Phase.BODY, False)
    assert 300 < told.secs < 3000


def test_a_whole_session_is_bounded_too() -> None:
    """Row 14: 30 minutes, though each of many replies comes in time."""
    recipients = [f"u{number}@dest.example" for number in range(100)]
    server = SmtpServer(delays={"rcpt": 200.0})

    told = deliver_to(server, None, *recipients)

    assert told.secs == pytest.approx(1800, abs=1)
    assert set(told.states.values()) == {"deferred"}


def test_the_wait_for_the_final_reply_is_never_cut_short() -> None:
    """Row 13: that would only make duplicates."""
    server = SmtpServer(delays={"mail": 290.0, "rcpt": 290.0, "data": 110.0, "content": 590.0})

    told = deliver_to(server, timeouts=SmtpTimeouts(session_secs=700.0))

    assert told.states == {A: "delivered"}


# -- replies that do not belong ------------------------------------------------------------


@pytest.mark.parametrize(
    "steps",
    [
        (*PLAIN, expect("MAIL FROM:"), send("250 ok\r\n250 ghost")),
        (*PLAIN, *MAIL, *RCPT, expect("DATA"), send("354 go\r\n250 ghost")),
        (*PLAIN, *MAIL, *RCPT, expect("DATA"), send("354 go\r\n250 gho")),
        (*PLAIN, *MAIL, *RCPT, expect("DATA"), send(b"354 go\r\n\n")),
        (*PLAIN, *MAIL, *RCPT, expect("DATA"), send("250 ok")),
        (*PLAIN, *MAIL, expect("RCPT TO:"), send("354 go")),
        (*PIPELINING, expect("MAIL+RCPT+DATA"), send("250 a\r\n250 b\r\n354 c\r\n250 ghost")),
    ],
)
def test_a_reply_too_many_never_delivers(steps: tuple[Step, ...]) -> None:
    """Row 20; aiosmtplib by itself says delivered."""
    told = deliver_to(scripted(*steps, hang()))

    assert verdict_of(told).state == "deferred"
    assert verdict_of(told).enhanced_code == EnhancedCode(4, 5, 0)
    assert not told.usable


def test_a_2yz_before_the_final_dot_has_left_us_delivers_nothing() -> None:
    """Row 20."""
    server = scripted(*PLAIN, *MAIL, *RCPT, *DATA, read_octets(100_000), send("250 taken"), hang())
    scene = Scene(server, pipe_capacity=10_000)

    told = scene.run(scene.told(an_email(content=BIG)))

    assert summary(told) == ("deferred", "4.5.0", Phase.BODY, False)


def test_a_2yz_while_the_last_block_is_stuck_delivers_nothing() -> None:
    """Row 20."""
    server = scripted(*PLAIN, *MAIL, *RCPT, *DATA, stop_reading(), pause(1), send("250 taken"), hang())
    scene = Scene(server, pipe_capacity=10_000)

    told = scene.run(scene.told(an_email(content=BIG[:40_000])))

    assert summary(told) == ("deferred", "4.5.0", Phase.BODY, False)


def test_250_and_then_421_is_delivered() -> None:
    """Row 5: the host closes, but it had taken the message over."""
    steps = (*PLAIN, *MAIL, *RCPT, *DATA, expect("<content>"), send("250 ok\r\n421 bye"), hang())

    told = deliver_to(scripted(*steps))

    assert told.states == {A: "delivered"}
    assert not told.usable


@pytest.mark.parametrize("octets", ["250 ok\r\n250 ghost", "2500 ok", "250-ok\r\n550 no", "25"])
def test_a_reply_to_the_dot_that_cannot_be_believed_is_uncertain(octets: str) -> None:
    """Rows 18, 20."""
    told = deliver_to(scripted(*PLAIN, *MAIL, *RCPT, *DATA, expect("<content>"), send(octets), hang()))

    assert summary(told) == ("deferred", "4.5.0", Phase.DOT, True)


@pytest.mark.parametrize("octets", [b"250-x\r\n" * 5, b"250 " + b"x" * 50])
def test_an_endless_reply_is_cut_off(octets: bytes) -> None:
    """Rows 16, 17."""
    told = deliver_to(scripted(*PLAIN, expect("MAIL FROM:"), send_for_ever(octets)))

    assert verdict_of(told).enhanced_code in (EnhancedCode(4, 5, 0), EnhancedCode(4, 4, 2))
    assert told.secs < 301


def test_a_reply_of_junk_characters_can_be_stored() -> None:
    """Row 19."""
    steps = (*PLAIN, *MAIL, *RCPT, *DATA, expect("<content>"), send(b"250 \x00\xff\x1b[31m\r\n"))

    told = deliver_to(scripted(*steps, *QUIT))

    verdict = verdict_of(told)
    assert verdict.state == "delivered"
    assert str(verdict.reply) == "250 ?\\xff?[31m"
    assert verdict.reason.isprintable()


REPLIES = ("250 2.1.0 mail", "550 5.1.1 rcpt", "250 2.1.5 rcpt", "354 data")


@pytest.mark.parametrize("order", list(permutations(REPLIES))[1:], ids=str)
def test_replies_in_another_order_never_deliver_what_was_refused(order: tuple[str, ...]) -> None:
    """Row 21: replies are counted; what cannot be told apart is judged by its place."""
    server = scripted(*PIPELINING, expect("MAIL+RCPT+RCPT+DATA"), send("\r\n".join(order)), *TAKEN, *QUIT)

    told = deliver_to(server, None, A, B)

    refused = [reply.startswith("550") for reply in order[1:3]]
    if order[3] == "354 data" and any(refused):
        states = {True: "failed", False: "delivered"}
        assert told.states == {A: states[refused[0]], B: states[refused[1]]}
    else:
        assert "delivered" not in told.states.values()


@pytest.mark.parametrize("missing", range(4))
def test_a_missing_reply_delivers_nothing(missing: int) -> None:
    """Row 21."""
    replies = [reply for place, reply in enumerate(("250 a", "250 b", "250 c", "354 d")) if place != missing]
    server = scripted(*PIPELINING, expect("MAIL+RCPT+RCPT+DATA"), send("\r\n".join(replies)), hang())

    told = deliver_to(server, None, A, B)

    assert set(told.states.values()) == {"deferred"}


# -- refusals ------------------------------------------------------------------------------


@pytest.mark.parametrize(("code", "state"), [(451, "deferred"), (552, "failed")])
def test_a_refusal_in_the_middle_of_the_content_stops_it(code: int, state: str) -> None:
    """Row 11: stopped and aborted; the refusal is the answer."""
    refused = (read_octets(100_000), send(f"{code} enough"), read_octets(10**9))
    server = scripted(*PLAIN, *MAIL, *RCPT, *DATA, *refused)
    scene = Scene(server, pipe_capacity=10_000)

    told = scene.run(scene.told(an_email(content=BIG)))

    verdict = verdict_of(told)
    assert (verdict.state, verdict.phase, verdict.reply.code) == (state, Phase.BODY, code)
    assert len(server.transcripts[0].received) < 400_000
    assert not told.usable


@pytest.mark.parametrize("phase", ["mail", "data", "content"])
@pytest.mark.parametrize(("reply", "state"), [("451 4.3.0 later", "deferred"), ("554 5.7.1 never", "failed")])
def test_a_host_that_hangs_in_rset_does_not_hide_its_answer(phase: str, reply: str, state: str) -> None:
    """Row 11: nothing but the answer itself is waited for."""
    server = SmtpServer(**{f"on_{phase}": lambda *_: reply}, delays={"rset": 10_000.0})  # type: ignore[arg-type]
    scene = Scene(server)

    async def deliver() -> DeliveryReport:
        session = await scene.session()
        report = await session.deliver(an_email(), [A], before_dot=always)
        session.abort()
        return report

    report = scene.run(deliver())

    assert report.verdicts[A].state == state
    assert report.duration_secs == 0


def test_all_refused_and_still_354_is_ended_by_a_lone_dot_and_rset() -> None:
    """Row 10; RFC 2920 3.1."""
    refused = (expect("MAIL+RCPT+DATA"), send("250 a\r\n550 5.1.1 no\r\n354 go"), expect("<just a dot>"))
    rset = (send("554 no recipients"), expect("RSET"), send("250 ok"))
    again = (expect("MAIL+RCPT+DATA"), send("250 a\r\n250 b\r\n354 c"), *TAKEN)
    scene = Scene(scripted(*PIPELINING, *refused, *rset, *again, *QUIT))

    async def twice() -> list[str]:
        session = await scene.session()
        reports = [await session.deliver(an_email(), [A], before_dot=always) for _ in range(2)]
        await session.quit()
        return [report.verdicts[A].state for report in reports]

    assert scene.run(twice()) == ["failed", "delivered"]


@pytest.mark.parametrize("extensions", [(), ("PIPELINING",)])
def test_a_limit_on_recipients_costs_transactions_not_tries(extensions: tuple[str, ...]) -> None:
    """Row 8: 10 recipients, 3 at a time, all in one attempt over one connection."""
    server = SmtpServer(recipient_limit=3, extensions=extensions)
    scene = Scene(server)
    recipients = [f"u{number}@dest.example" for number in range(10)]

    told = scene.run(scene.told(None, *recipients))

    assert told.states == dict.fromkeys(recipients, "delivered")
    assert [len(message.recipients) for message in server.ledger.messages] == [3, 3, 3, 1]
    assert len(scene.network.connects) == 1


def test_recipients_that_wait_are_deferred_when_the_host_closes_between() -> None:
    """Row 8."""
    steps = (*PLAIN, *MAIL, *RCPT, expect("RCPT TO:"), send("452 4.5.3 too many"), *DATA, *TAKEN, close())

    told = deliver_to(scripted(*steps), None, A, B, C)

    assert told.states == {A: "delivered", B: "deferred", C: "deferred"}
    assert not any(verdict_of(told, recipient).uncertain for recipient in (A, B, C))


def test_a_message_too_big_for_the_host_is_not_begun() -> None:
    """Row 29."""
    server = scripted(send("220 mx"), expect("EHLO "), send("250-mx\r\n250 SIZE 10"), *QUIT)

    told = deliver_to(server)

    assert summary(told) == ("failed", "5.3.4", Phase.MAIL, False)
    assert told.usable


def test_content_with_a_bare_line_end_is_not_sent() -> None:
    """Threat S5: it is not mended here, where it may be signed."""
    server = scripted(*PLAIN, *QUIT)

    told = deliver_to(server, an_email(content=b"Subject: x\r\n\r\na\n.\nMAIL FROM:<evil@x.example>\r\n"))

    assert summary(told) == ("failed", "5.6.0", Phase.DATA, False)


# -- the claim -----------------------------------------------------------------------------


@pytest.mark.parametrize("content", [CONTENT, BIG], ids=["small", "big"])
def test_the_claim_is_looked_at_just_before_the_dot(content: bytes) -> None:
    """Row 52: a lost claim aborts, and nothing was delivered."""
    server = SmtpServer()
    asked: list[tuple[str, ...]] = []

    async def lost(accepted: tuple[str, ...]) -> bool:
        asked.append(accepted)
        assert not server.ledger.messages
        return False

    told = deliver_to(server, an_email(content=content), A, B, before_dot=lost)

    assert asked == [(A, B)]
    assert summary(told) == ("deferred", "4.3.0", Phase.BODY, False)
    assert not verdict_of(told).counts_as_try
    assert not server.ledger.messages


def test_only_the_accepted_are_named_before_the_dot() -> None:
    """The mark `dot_sent` is for them alone."""
    asked: list[tuple[str, ...]] = []

    async def mine(accepted: tuple[str, ...]) -> bool:
        asked.append(accepted)
        return True

    server = SmtpServer(on_rcpt=lambda address, *_: "550 5.1.1 no" if address == B else None)

    told = deliver_to(server, None, A, B, C, before_dot=mine)

    assert asked == [(A, C)]
    assert told.states == {A: "delivered", B: "failed", C: "delivered"}


def test_a_failure_while_the_claim_is_looked_at_is_not_swallowed() -> None:
    """A broken storage is no trouble of delivery; `Scene.run` checks that no socket is left."""

    async def broken(_: tuple[str, ...]) -> bool:
        raise RuntimeError("the storage is broken")

    server = SmtpServer()

    with pytest.raises(RuntimeError, match="the storage is broken"):
        deliver_to(server, before_dot=broken)
    assert not server.ledger.messages


@pytest.mark.parametrize("stage", ["mail", "rcpt", "data", "content"])
def test_a_cancelled_delivery_leaves_no_socket_and_tells_where_it_was(stage: str) -> None:
    """Row 54."""
    scene = Scene(SmtpServer(delays={stage: 5.0}, extensions=()))

    async def cancel_it() -> Phase:
        session = await scene.session()
        task = asyncio.ensure_future(session.deliver(an_email(), [A], before_dot=always))
        await asyncio.sleep(1)
        phase = session.phase
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert not session.usable
        return phase

    assert scene.run(cancel_it()) is Phase({"content": "dot"}.get(stage, stage))


# -- a session that is used again ----------------------------------------------------------


async def idle_then_deliver(scene: Scene, idle_secs: float) -> tuple[Session, DeliveryReport]:
    """A session delivers, idles, delivers again."""
    session = await scene.session()
    first = await session.deliver(an_email(), [A], before_dot=always)
    assert first.verdicts[A].state == "delivered"
    await asyncio.sleep(idle_secs)
    return session, await session.deliver(an_email(), [A], before_dot=always)


@pytest.mark.parametrize(
    "then",
    [
        (close(),),
        (pause(0.5), reset()),
        (send("421 4.4.2 idle too long"), close()),
        (send("250 what"), hang()),
        (pause(0.5), send("250 what"), hang()),
        (pause(2), expect("MAIL FROM:"), close()),
        (pause(2), expect("MAIL FROM:"), reset()),
        (pause(2), expect("MAIL FROM:"), send("421 4.4.2 idle too long"), hang()),
    ],
    ids=["FIN", "RST", "421", "garbage at once", "garbage", "FIN at MAIL", "RST at MAIL", "421 at MAIL"],
)
def test_a_session_found_dead_says_nothing_of_the_message(then: tuple[Step, ...]) -> None:
    """mechanisms: a connection that died while idle must not cost a try."""
    scene = Scene(scripted(*WHOLE, *then))

    session, report = scene.run(idle_then_deliver(scene, 1.0))

    assert report.stale
    assert (report.verdicts[A].state, report.verdicts[A].uncertain) == ("deferred", False)
    assert not session.usable
    assert session.ended.is_set()


@pytest.mark.parametrize(
    ("then", "phase"),
    [
        ((*MAIL, expect("RCPT TO:"), close()), Phase.RCPT),
        ((expect("MAIL FROM:"), send("451 later"), hang()), Phase.MAIL),
        ((expect("MAIL FROM:"), hang()), Phase.MAIL),
    ],
)
def test_a_session_that_answers_is_not_stale(then: tuple[Step, ...], phase: Phase) -> None:
    """Row 3."""
    scene = Scene(scripted(*WHOLE, *then))

    async def deliver() -> DeliveryReport:
        session, report = await idle_then_deliver(scene, 1.0)
        session.abort()
        return report

    report = scene.run(deliver())

    assert (report.stale, report.verdicts[A].phase) == (False, phase)


def test_the_first_use_of_a_session_is_never_stale() -> None:
    """Otherwise a host that always hangs up would be asked for ever."""
    told = deliver_to(scripted(*PLAIN, expect("MAIL FROM:"), close()))

    assert told.report is not None
    assert not told.report.stale


@pytest.mark.parametrize(
    "rset", [(close(),), (send("421 bye"), hang()), (send("500 what"), hang()), (hang(),)]
)
def test_a_failed_rset_makes_a_session_stale(rset: tuple[Step, ...]) -> None:
    """Row 11: it costs 20 s at most, and no answer."""
    scene = Scene(scripted(*PLAIN, *MAIL, expect("RCPT TO:"), send("550 5.1.1 no"), expect("RSET"), *rset))

    async def twice() -> tuple[str, bool, float]:
        session = await scene.session()
        first = await session.deliver(an_email(), [A], before_dot=always)
        second = await session.deliver(an_email(), [B], before_dot=always)
        return first.verdicts[A].state, second.stale, second.duration_secs

    state, stale, secs = scene.run(twice())

    assert (state, stale) == ("failed", True)
    assert secs in (0, 20)


def test_the_owner_is_told_when_an_idle_session_ends() -> None:
    """A unilateral 421 is noticed before the session is used again."""
    scene = Scene(scripted(*WHOLE, pause(3), send("421 4.4.2 idle"), hang()))

    async def idle() -> float:
        session = await scene.session()
        await session.deliver(an_email(), [A], before_dot=always)
        await session.ended.wait()
        assert not session.usable
        return scene.loop.time()

    assert scene.run(idle()) == 3


# -- the end -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("then", "secs"),
    [
        ((expect("QUIT"), send("221 bye"), close()), 0),
        ((expect("QUIT"), send("421 bye"), hang()), 0),
        ((expect("QUIT"), send("500 what"), hang()), 0),
        ((expect("QUIT"), close()), 0),
        ((expect("QUIT"), hang()), 5),
        ((stop_reading(), hang()), 5),
    ],
)
@pytest.mark.parametrize("tls", [False, True])
def test_quit_takes_five_seconds_at_most(then: tuple[Step, ...], secs: float, tls: bool) -> None:
    """Row 13; what was delivered stands whatever QUIT brings."""
    opening = in_tls() if tls else PLAIN
    scene = Scene(scripted(*opening, *then))

    async def quit_it() -> float:
        session = await scene.session()
        await session.quit()
        assert session.ended.is_set()
        return scene.loop.time()

    assert scene.run(quit_it()) <= secs


def test_a_cancelled_quit_leaves_no_socket() -> None:
    """`Scene.run` checks it."""
    scene = Scene(scripted(*PLAIN, expect("QUIT"), hang()))

    async def cancel_it() -> None:
        session = await scene.session()
        task = asyncio.ensure_future(session.quit())
        await asyncio.sleep(1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    scene.run(cancel_it())


def test_an_aborted_session_is_of_no_more_use() -> None:
    """And says so to whoever tries."""
    scene = Scene(SmtpServer())

    async def abort_it() -> tuple[bool, DeliveryReport]:
        session = await scene.session()
        session.abort()
        session.abort()
        await session.quit()
        return session.usable, await session.deliver(an_email(), [A], before_dot=always)

    usable, report = scene.run(abort_it())

    assert not usable
    assert report.verdicts[A].state == "deferred"


def test_a_session_shows_who_and_how() -> None:
    """For logs; no envelope, no secret."""
    scene = Scene(SmtpServer())

    async def show() -> str:
        session = await scene.session()
        shown = repr(session)
        await session.quit()
        return shown

    assert scene.run(show()) == f"<Session usable mx.dest.example [{IP}]:25 in clear>"


def test_an_injected_recipient_never_reaches_the_wire() -> None:
    """Threat S4."""
    server = ScriptedServer((*PLAIN, *QUIT))
    injection = "x@example.net>\r\nDATA\r\nspoof\r\n.\r\n"

    told = deliver_to(server, None, injection)

    assert told.states == {injection: "failed"}
    assert server.transcripts[0].received == b"EHLO sender.example\r\nQUIT\r\n"
