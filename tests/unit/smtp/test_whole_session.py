"""A message in one write, over a session: each fault at its place, before and after the last octet."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from itertools import permutations

import pytest

from mailstrom.config import SmtpTimeouts
from mailstrom.message.prepared import PreparedEmail
from mailstrom.smtp.session import WHOLE_OCTETS, DeliveryReport, Habits, Session
from mailstrom.status import Phase
from mailstrom.testing.script import (
    Step,
    close,
    drip,
    expect,
    hang,
    pause,
    read_octets,
    reset,
    send,
    start_tls,
    stop_reading,
)
from mailstrom.testing.smtp_server import DEFAULT_EXTENSIONS, SmtpServer

from .scene import CONTENT, A, B, C, Scene, Told, always, an_email, deliver_to, scripted, server_context

CHUNKING = DEFAULT_EXTENSIONS | {"CHUNKING"}
OFFER = send("250-mx\r\n250-PIPELINING\r\n250 CHUNKING")
OPENING = (send("220 mx"), expect("EHLO "), OFFER)
ALL_OF_IT = expect("MAIL FROM:+RCPT TO:+RCPT TO:+<chunk>")
BY_DATA = (expect("MAIL+RCPT+DATA"), send("250 a\r\n250 b\r\n354 c"), expect("<content>"), send("250 d"))
QUIT = (expect("QUIT"), send("221 bye"))
BIG = b"Subject: big\r\n\r\n" + (b"x" * 76 + b"\r\n") * 1500  # more than pipes hold, less than is too big
ENDS: list[Callable[[], Step]] = [close, reset]


def in_tls() -> tuple[Step, ...]:
    upgrade = (expect("STARTTLS"), send("220 go"), start_tls(server_context()), expect("EHLO "))
    return (send("220 mx"), expect("EHLO "), send("250-mx\r\n250 STARTTLS"), *upgrade, OFFER)


def summary(told: Told, recipient: str = A) -> tuple[str, str, Phase, bool]:
    assert told.report is not None, told.failure
    verdict = told.report.verdicts[recipient]
    return verdict.state, str(verdict.enhanced_code), verdict.phase, verdict.uncertain


def over_one_session(scene: Scene, *emails: PreparedEmail, idle_secs: float = 0.0) -> list[DeliveryReport]:
    """What became of each, one after the other, to A."""

    async def deliver() -> list[DeliveryReport]:
        session = await scene.session()
        reports = []
        for email in emails:
            reports.append(await session.deliver(email, [A], before_dot=always))
            await asyncio.sleep(idle_secs)
        await session.quit()
        return reports

    return list(scene.run(deliver()))


def verbs(server: SmtpServer) -> list[str]:
    (session,) = server.ledger.sessions
    return [command.partition(" ")[0] for command in session.commands]


# -- it goes well --------------------------------------------------------------------------


def test_a_message_takes_one_round_trip() -> None:
    """RFC 3030, RFC 2920."""
    scene = Scene(SmtpServer(extensions=CHUNKING), latency_secs=0.5)

    told = scene.run(scene.told())

    assert told.states == {A: "delivered"}
    assert told.report is not None
    assert told.report.duration_secs == pytest.approx(1.0)


@pytest.mark.parametrize("tls", [False, True])
@pytest.mark.parametrize(
    "content",
    [CONTENT, BIG, b"x: y\r\n\r\n.\r\nQUIT\r\n.\r\nBDAT 9 LAST\r\nMAIL FROM:<evil@x.example>\r\n", b"\r\n"],
    ids=["small", "big", "commands", "empty"],
)
def test_the_content_arrives_octet_for_octet(content: bytes, tls: bool) -> None:
    """RFC 3030 2; threat S5."""
    server = SmtpServer(extensions=CHUNKING, tls_context=server_context() if tls else None)
    scene = Scene(server, pipe_capacity=10_000)

    told = scene.run(scene.told(an_email(content=content), A, B))

    assert told.states == {A: "delivered", B: "delivered"}
    assert [message.content for message in server.ledger.messages] == [content]
    assert f"BDAT {len(content)} LAST" in server.ledger.sessions[0].commands
    assert (verbs(server)[-1], server.ledger.violations) == ("QUIT", ())


@pytest.mark.parametrize(
    ("content", "extensions"),
    [
        (CONTENT, CHUNKING - {"PIPELINING"}),
        (CONTENT, CHUNKING - {"CHUNKING"}),
        (b"x" * 76 + b"\r\n" + b"\r\n" * (WHOLE_OCTETS // 2), CHUNKING),
    ],
    ids=["no PIPELINING", "no CHUNKING", "too large"],
)
def test_all_else_goes_by_data(content: bytes, extensions: frozenset[str]) -> None:
    server = SmtpServer(extensions=extensions)

    told = deliver_to(server, an_email(content=content))

    assert told.states == {A: "delivered"}
    assert verbs(server) == ["EHLO", "MAIL", "RCPT", "DATA", "QUIT"]


def test_the_claim_is_looked_at_before_anything_is_sent_and_for_all_who_are_named() -> None:
    """Row 52: the one write holds the end of the message."""
    server = SmtpServer(extensions=CHUNKING)
    asked: list[tuple[str, ...]] = []

    async def lost(named: tuple[str, ...]) -> bool:
        asked.append(named)
        return False

    told = deliver_to(server, None, A, B, before_dot=lost)

    assert (asked, verbs(server)) == ([(A, B)], ["EHLO"])
    assert summary(told) == ("deferred", "4.3.0", Phase.MAIL, False)


def test_replies_that_are_all_held_back_are_waited_for_longer_than_a_session_lasts() -> None:
    """RFC 2920 3.2: each may take as long as that to the content."""
    replies = [step for reply in ("250 a", "250 b", "250 c") for step in (pause(590.0), send(reply))]
    server = scripted(*OPENING, expect("MAIL+RCPT+<chunk>"), *replies, *QUIT)

    told = deliver_to(server, timeouts=SmtpTimeouts(session_secs=60.0))

    assert told.states == {A: "delivered"}


def test_replies_that_come_late_one_by_one_are_not_waited_for_for_ever() -> None:
    """A tarpit: row 14."""
    to = [f"r{number}@dest.example" for number in range(20)]
    replies = [step for _ in range(len(to) + 2) for step in (pause(590.0), send("250 yes"))]
    server = scripted(*OPENING, expect("MAIL" + "+RCPT" * len(to) + "+<chunk>"), *replies)

    told = deliver_to(server, None, *to)

    assert summary(told, to[0]) == ("deferred", "4.4.2", Phase.DOT, True)
    assert told.secs == pytest.approx(1800, abs=1)


def test_too_many_recipients_cost_one_more_round_trip() -> None:
    """Row 8."""
    server = SmtpServer(extensions=CHUNKING, recipient_limit=2)
    scene = Scene(server, latency_secs=0.5)

    told = scene.run(scene.told(None, A, B, C))

    assert told.states == dict.fromkeys((A, B, C), "delivered")
    assert [message.recipients for message in server.ledger.messages] == [(A, B), (C,)]
    assert told.report is not None
    assert told.report.duration_secs == pytest.approx(2.0)


# -- after the last octet ------------------------------------------------------------------

REPLIES = ("250 2.1.0 a", "250 2.1.5 b", "550 5.1.1 c", "250 2.0.0 d")
LINES = "".join(reply + "\r\n" for reply in REPLIES)


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("told_of", range(4))
@pytest.mark.parametrize("tls", [False, True])
def test_whoever_was_not_refused_is_uncertain_when_the_connection_is_lost(
    tls: bool, told_of: int, end: Callable[[], Step]
) -> None:
    """Row 4."""
    replies = [send(reply) for reply in REPLIES[:told_of]]
    # a reset takes with it what was not read yet
    server = scripted(*(in_tls() if tls else OPENING), ALL_OF_IT, *replies, pause(1.0), end())

    told = deliver_to(server, None, A, B)

    lost = ("deferred", "4.4.2", Phase.DOT, True)
    assert summary(told, A) == lost
    assert summary(told, B) == (("failed", "5.1.1", Phase.RCPT, False) if told_of == 3 else lost)
    assert not told.usable


@pytest.mark.parametrize("cut", range(len(LINES)))
def test_replies_that_are_cut_short_deliver_nothing(cut: int) -> None:
    """Row 22."""
    told = deliver_to(scripted(*OPENING, ALL_OF_IT, send(LINES[:cut].encode()), close()), None, A, B)

    refused = cut >= LINES.index("250 2.0.0")
    assert summary(told, A) == ("deferred", "4.4.2", Phase.DOT, True)
    assert summary(told, B)[0] == ("failed" if refused else "deferred")


@pytest.mark.parametrize("then", [hang(), drip("250 " + "x" * 1000, every_secs=7.0)], ids=["silence", "drip"])
@pytest.mark.parametrize("told_of", range(4))
def test_a_host_that_falls_silent_is_waited_for_ten_minutes(told_of: int, then: Step) -> None:
    """Rows 13, 14."""
    replies = [send(reply) for reply in REPLIES[:told_of]]

    told = deliver_to(scripted(*OPENING, ALL_OF_IT, *replies, then), None, A, B)

    assert summary(told, A) == ("deferred", "4.4.2", Phase.DOT, True)
    assert told.secs == pytest.approx(600, abs=1)


@pytest.mark.parametrize("surplus", ["250 what", "500 what", "garbage", "2"])
def test_nobody_is_believed_when_something_is_said_beyond_the_last_reply(surplus: str) -> None:
    """Row 20: which of them was the answer?"""
    told = deliver_to(scripted(*OPENING, ALL_OF_IT, send(LINES + surplus), hang()), None, A, B)

    assert {summary(told, r) for r in (A, B)} == {("deferred", "4.5.0", Phase.DOT, True)}
    assert not told.usable


def test_a_host_that_says_421_beyond_the_last_reply_is_believed() -> None:
    """Row 5."""
    told = deliver_to(scripted(*OPENING, ALL_OF_IT, send(LINES + "421 bye"), hang()), None, A, B)

    assert told.states == {A: "delivered", B: "failed"}


@pytest.mark.parametrize("order", sorted(set(permutations(("250 x", "550 x", "250 x", "354 x")))), ids=str)
def test_one_misfit_makes_all_uncertain(order: tuple[str, ...]) -> None:
    """Row 21."""
    told = deliver_to(scripted(*OPENING, ALL_OF_IT, send("\r\n".join(order)), hang()), None, A, B)

    assert {summary(told, r) for r in (A, B)} == {("deferred", "4.5.0", Phase.DOT, True)}


@pytest.mark.parametrize("order", sorted(set(permutations(("250 x", "250 x", "250 x", "550 x")))), ids=str)
def test_replies_are_taken_in_the_order_of_the_commands(order: tuple[str, ...]) -> None:
    """Row 21: a refusal of MAIL beside an accepted message fits nothing."""
    told = deliver_to(scripted(*OPENING, ALL_OF_IT, send("\r\n".join(order)), hang()), None, A, B)

    assert told.report is not None
    uncertain = [verdict.uncertain for verdict in told.report.verdicts.values()]
    expected = {
        0: ({A: "deferred", B: "deferred"}, [True, True]),
        1: ({A: "failed", B: "delivered"}, [False, False]),
        2: ({A: "delivered", B: "failed"}, [False, False]),
        3: ({A: "failed", B: "failed"}, [False, False]),
    }
    assert (told.states, uncertain) == expected[order.index("550 x")]


# -- before the last octet -----------------------------------------------------------------


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize(
    ("replies", "state"), [("", "deferred"), ("250 a\r\n250 b\r\n", "deferred"), ("550 no\r\n", "failed")]
)
def test_nothing_was_delivered_when_it_is_lost_before_the_last_octet(
    replies: str, state: str, end: Callable[[], Step]
) -> None:
    """Row 3: but what was answered stands."""
    server = scripted(*OPENING, read_octets(20_000), send(replies.encode()), pause(1.0), end())
    scene = Scene(server, pipe_capacity=10_000)

    told = scene.run(scene.told(an_email(content=BIG)))

    assert (summary(told)[0], summary(told)[3]) == (state, False)


@pytest.mark.parametrize(
    ("replies", "expected"),
    [
        ("", ("deferred", "4.4.2", Phase.BODY, False)),
        ("250 a\r\n", ("deferred", "4.4.2", Phase.BODY, False)),
        ("550 5.7.1 a\r\n", ("failed", "5.7.1", Phase.MAIL, False)),
    ],
)
def test_a_host_that_does_not_read_is_given_up_on(
    replies: str, expected: tuple[str, str, Phase, bool]
) -> None:
    """Row 15: after 180 s; nothing is uncertain."""
    steps = (expect("MAIL FROM:"), stop_reading(), send(replies.encode()), hang())
    scene = Scene(scripted(*OPENING, *steps), pipe_capacity=10_000)

    told = scene.run(scene.told(an_email(content=BIG)))

    assert summary(told) == expected
    assert told.secs == pytest.approx(180, abs=1)


@pytest.mark.parametrize(
    ("code", "state"), [(250, "deferred"), (451, "deferred"), (552, "failed"), (500, "deferred")]
)
def test_a_reply_to_content_that_was_not_read_is_no_acceptance(code: int, state: str) -> None:
    """Row 11."""
    early = send(f"250 a\r\n250 b\r\n{code} enough")
    scene = Scene(scripted(*OPENING, read_octets(20_000), early, hang()), pipe_capacity=10_000)

    told = scene.run(scene.told(an_email(content=BIG)))

    assert (summary(told)[0], summary(told)[2:]) == (state, (Phase.BODY, False))
    assert not told.usable


@pytest.mark.parametrize(
    ("delays", "phase"), [({"mail": 5.0}, Phase.DOT), ({"content": 5.0}, Phase.DOT)], ids=["MAIL", "BDAT"]
)
def test_a_cancelled_delivery_tells_that_the_end_was_sent(delays: dict[str, float], phase: Phase) -> None:
    """Row 54."""
    scene = Scene(SmtpServer(delays=delays, extensions=CHUNKING))

    async def cancel_it() -> Phase:
        session = await scene.session()
        task = asyncio.ensure_future(session.deliver(an_email(), [A], before_dot=always))
        await asyncio.sleep(1)
        seen = session.phase
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return seen

    assert scene.run(cancel_it()) is phase


# -- what comes after ----------------------------------------------------------------------


@pytest.mark.parametrize("to_rcpt", ["250 b", "550 5.1.1 no"])
def test_a_refused_chunk_is_followed_by_rset(to_rcpt: str) -> None:
    """RFC 3030 2: the state is indeterminate."""
    refused = (expect("MAIL+RCPT+<chunk>"), send(f"250 a\r\n{to_rcpt}\r\n554 no"))
    again = (expect("RSET"), send("250 ok"), expect("MAIL+RCPT+<chunk>"), send("250 a\r\n250 b\r\n250 c"))

    reports = over_one_session(Scene(scripted(*OPENING, *refused, *again, *QUIT)), an_email(), an_email())

    assert [report.verdicts[A].state for report in reports] == ["failed", "delivered"]


@pytest.mark.parametrize("code", [500, 502, 503, 504])
def test_a_host_that_does_not_know_bdat_gets_the_message_by_data_at_once(code: int) -> None:
    """And the next one too."""
    replies = send(f"250 a\r\n250 b\r\n{code} what")
    lie = (expect("MAIL+RCPT+<chunk>"), replies, expect("RSET"), send("250 ok"))
    server = scripted(*OPENING, *lie, *BY_DATA, *BY_DATA, *QUIT)

    reports = over_one_session(Scene(server), an_email(), an_email())

    assert [report.verdicts[A].state for report in reports] == ["delivered", "delivered"]
    assert server.transcripts[0].contents == [CONTENT] * 3


def test_a_host_that_takes_the_content_for_commands_gets_data_the_next_time() -> None:
    """Row 20: what it did with them nobody knows."""
    replies = send("250 a\r\n250 b\r\n500 what\r\n500 what\r\n500 what")
    habits = Habits()
    lying = scripted(*OPENING, expect("MAIL+RCPT+BDAT"), replies, hang())
    first = deliver_to(lying, habits=habits)

    second = deliver_to(scripted(*OPENING, *BY_DATA, *QUIT), habits=habits)

    assert summary(first) == ("deferred", "4.5.0", Phase.DOT, True)
    assert second.states == {A: "delivered"}


def test_a_host_that_swallows_chunks_gets_data_the_next_time() -> None:
    """Else each try would end in doubt."""
    habits = Habits()
    silent = scripted(*OPENING, expect("MAIL+RCPT+<chunk>"), close())
    first = deliver_to(silent, habits=habits)

    second = deliver_to(scripted(*OPENING, *BY_DATA, *QUIT), habits=habits)

    assert first.report is not None
    assert first.report.verdicts[A].uncertain
    assert second.states == {A: "delivered"}


def test_a_host_that_refuses_often_is_asked_before_the_content_is_sent() -> None:
    server = SmtpServer(extensions=CHUNKING, on_rcpt="450 4.2.1 later")

    over_one_session(Scene(server), *[an_email()] * 3)

    assert verbs(server) == [
        "EHLO", *["MAIL", "RCPT", "BDAT", "RSET"] * 2, "MAIL", "RCPT", "DATA", "QUIT",
    ]  # fmt: skip
    assert not server.ledger.violations


# -- a session that was idle ---------------------------------------------------------------


@pytest.mark.parametrize(("idle_secs", "verb"), [(0.5, "BDAT"), (1.5, "DATA")])
def test_a_session_that_was_idle_is_tried_by_data_first(idle_secs: float, verb: str) -> None:
    server = SmtpServer(extensions=CHUNKING)

    over_one_session(Scene(server), *[an_email()] * 2, idle_secs=idle_secs)

    assert [v for v in verbs(server) if v in ("BDAT", "DATA")] == ["BDAT", verb]


def first_then(*steps: Step, idle_secs: float) -> tuple[Session, DeliveryReport]:
    """A message is taken, the session idles, then the steps are played for the next."""
    taken = (expect("MAIL+RCPT+<chunk>"), send("250 a\r\n250 b\r\n250 c"))
    scene = Scene(scripted(*OPENING, *taken, *steps))

    async def deliver() -> tuple[Session, DeliveryReport]:
        session = await scene.session()
        await session.deliver(an_email(), [A], before_dot=always)
        await asyncio.sleep(idle_secs)
        report = await session.deliver(an_email(), [A], before_dot=always)
        session.abort()
        return session, report

    return scene.run(deliver())  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    "steps",
    [
        (close(),),
        (send("421 4.4.2 idle"), close()),
        (expect("MAIL+RCPT+<chunk>"), send("421 4.4.2 idle"), close()),
    ],
    ids=["FIN", "421", "421 to MAIL"],
)
def test_a_session_that_the_host_had_ended_is_stale(steps: tuple[Step, ...]) -> None:
    """mechanisms: it says nothing of the message."""
    _, report = first_then(*steps, idle_secs=0.5)

    assert report.stale
    assert not report.verdicts[A].uncertain


@pytest.mark.parametrize("end", ENDS)
def test_a_session_that_may_have_taken_the_message_is_not_stale(end: Callable[[], Step]) -> None:
    """Row 4."""
    _, report = first_then(expect("MAIL+RCPT+<chunk>"), end(), idle_secs=0.5)

    assert not report.stale
    assert report.verdicts[A].uncertain


def test_an_eof_at_mail_by_data_is_stale_as_ever() -> None:
    _, report = first_then(expect("MAIL"), close(), idle_secs=1.5)

    assert report.stale
    assert not report.verdicts[A].uncertain
