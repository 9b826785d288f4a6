"""The next envelope behind the final dot: learned with a RSET, and no reply out of place marks a message."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from mailstrom.message.prepared import PreparedEmail
from mailstrom.smtp.behind_dot import REPLIES_SECS
from mailstrom.smtp.session import DeliveryReport, Envelope, Habits, Session
from mailstrom.status import Phase
from mailstrom.testing.script import Step, close, expect, hang, pause, reset, send
from mailstrom.testing.smtp_server import SmtpServer

from .scene import B, Scene, always, an_email, scripted, server_context

OFFER = send("250-mx\r\n250 PIPELINING")
OPENING = (send("220 mx"), expect("EHLO "), OFFER)
ENVELOPE = expect("MAIL FROM:+RCPT TO:+DATA")
ACCEPTED = send("250 a\r\n250 b\r\n354 c")
FIRST = (*OPENING, ENVELOPE, ACCEPTED, expect("<content>+MAIL FROM:<second+RCPT TO:+DATA"))
AGAIN = (*OPENING, expect("MAIL FROM:<second+RCPT TO:+DATA"), ACCEPTED, expect("<content>"), send("250 d"))
ENDS: list[Callable[[], Step]] = [close, reset]

ONE = an_email(message_id="1@sender.example", reverse_path="first@sender.example")
TWO = an_email(message_id="2@sender.example", reverse_path="second@sender.example", recipients=(B,))
THREE = an_email(message_id="3@sender.example", reverse_path="third@sender.example")


def learned(takes: bool | None = True) -> Habits:
    habits = Habits()
    habits.takes_behind_dot = takes
    return habits


async def over(session: Session, emails: Sequence[PreparedEmail]) -> list[DeliveryReport]:
    """What became of each over one session; while one is under way the next is known."""
    reports = []
    for email, following in zip(emails, [*emails[1:], None], strict=True):
        envelope = following and Envelope(email=following, recipients=following.recipients)
        reports.append(
            await session.deliver(
                email, email.recipients, before_dot=always, next_envelope=lambda given=envelope: given
            )
        )
    return reports


def deliver(
    server: object, *emails: PreparedEmail, habits: Habits | None = None, **options: float
) -> tuple[list[DeliveryReport], bool]:
    """What became of each, and whether the session is of use afterwards."""
    scene = Scene(server, **options)  # type: ignore[arg-type]

    async def told() -> tuple[list[DeliveryReport], bool]:
        session = await scene.session(habits=habits or learned())
        reports = await over(session, emails)
        usable = session.usable
        await session.quit()
        return reports, usable

    result: tuple[list[DeliveryReport], bool] = scene.run(told())
    return result


def summary(report: DeliveryReport) -> tuple[str, Phase, bool] | str:
    if report.stale:
        return "stale"
    (verdict,) = report.verdicts.values()
    return verdict.state, verdict.phase, verdict.uncertain


DELIVERED = ("delivered", Phase.DOT, False)
UNCERTAIN = ("deferred", Phase.DOT, True)


# -- it goes well --------------------------------------------------------------------------


@pytest.mark.parametrize("tls", [False, True])
def test_each_further_message_takes_one_round_trip(tls: bool) -> None:
    """RFC 2920 3.1."""
    server = SmtpServer(tls_context=server_context() if tls else None)

    reports, usable = deliver(server, ONE, TWO, THREE, latency_secs=0.5)

    assert [summary(report) for report in reports] == [DELIVERED] * 3
    assert [round(report.duration_secs, 1) for report in reports] == [2.0, 1.0, 1.0]
    assert [message.reverse_path for message in server.ledger.messages] == [
        "first@sender.example",
        "second@sender.example",
        "third@sender.example",
    ]
    assert (usable, server.ledger.violations) == (True, ())


def test_a_host_is_asked_first_with_a_command_that_has_nothing_to_lose() -> None:
    server, habits = SmtpServer(), learned(None)

    reports, _ = deliver(server, ONE, TWO, THREE, habits=habits, latency_secs=0.5)

    assert habits.takes_behind_dot is True
    assert [round(report.duration_secs, 1) for report in reports] == [2.0, 2.0, 1.0]
    verbs = [command.partition(" ")[0] for command in server.ledger.sessions[0].commands]
    assert verbs == ["EHLO", *("MAIL", "RCPT", "DATA"), "RSET", *("MAIL", "RCPT", "DATA") * 2, "QUIT"]


def test_what_the_message_is_refused_with_says_nothing_of_the_next() -> None:
    replies = send("554 5.7.1 spam\r\n250 a\r\n250 b\r\n354 c")
    server = scripted(*FIRST, replies, expect("<content>"), send("250 d"), expect("QUIT"), send("221 e"))

    reports, usable = deliver(server, ONE, TWO)

    assert [summary(report) for report in reports] == [("failed", Phase.DOT, False), DELIVERED]
    assert usable


def test_recipients_of_the_next_are_answered_there() -> None:
    replies = send("250 d\r\n250 a\r\n550 5.1.1 nobody\r\n554 no valid recipients")
    server = scripted(*FIRST, replies, expect("RSET"), send("250 e"), expect("QUIT"), send("221 f"))
    scene = Scene(server)

    async def told() -> list[DeliveryReport]:
        session = await scene.session(habits=learned())
        reports = await over(session, [ONE, TWO])
        await session.deliver(TWO, (), before_dot=always)
        await session.quit()
        return reports

    assert [summary(report) for report in scene.run(told())] == [DELIVERED, ("failed", Phase.RCPT, False)]


# -- it is not for every host --------------------------------------------------------------


@pytest.mark.parametrize(
    ("habits", "extensions"),
    [(learned(False), frozenset({"PIPELINING"})), (learned(), frozenset()), (learned(), None)],
    ids=["not taken", "no PIPELINING", "LIMITS"],
)
def test_nothing_goes_behind_the_dot(habits: Habits, extensions: frozenset[str] | None) -> None:
    server = SmtpServer(extensions={"PIPELINING", "LIMITS MAILMAX=9"} if extensions is None else extensions)

    reports, _ = deliver(server, ONE, TWO, habits=habits, latency_secs=0.5)

    assert [summary(report) for report in reports] == [DELIVERED] * 2
    assert reports[1].duration_secs >= 2.0
    assert "RSET" not in server.ledger.sessions[0].commands


REFUSAL = "503 5.5.0 pipelined after end of DATA"


def test_a_host_that_refuses_the_rset_is_not_asked_again() -> None:
    """Haraka, since it could have been smuggled in: GHSA-rp4q-8m6x-c43c."""
    plain = (ENVELOPE, ACCEPTED, expect("<content>"), send("250 d"))
    learning = (ENVELOPE, ACCEPTED, expect("<content>+RSET"), send(f"250 d\r\n{REFUSAL}"))
    server, habits = scripted(*OPENING, *learning, *plain, expect("QUIT"), send("221 e")), learned(None)

    reports, usable = deliver(server, ONE, TWO, habits=habits)

    assert [summary(report) for report in reports] == [DELIVERED] * 2
    assert (usable, habits.takes_behind_dot) == (True, False)


def test_a_refused_envelope_goes_out_by_itself_and_none_behind_a_dot_any_more() -> None:
    """The refusal may be of the place, and is believed for nobody."""
    replies = send("250 d\r\n" + f"{REFUSAL}\r\n" * 3)
    alone = (expect("MAIL FROM:<second+RCPT TO:+DATA"), ACCEPTED, expect("<content>"), send("250 d"))
    server, habits = scripted(*FIRST, replies, *alone, expect("QUIT"), send("221 e")), learned()

    reports, usable = deliver(server, ONE, TWO, habits=habits)

    assert [summary(report) for report in reports] == [DELIVERED] * 2
    assert (usable, habits.takes_behind_dot) == (True, False)


def test_a_host_that_refuses_mail_and_asks_for_the_content_gets_none() -> None:
    server = scripted(*FIRST, send("250 d\r\n503 a\r\n503 b\r\n354 c"), hang())

    reports, usable = deliver(server, ONE, TWO)

    assert [summary(report) for report in reports] == [DELIVERED, "stale"]
    assert not usable


@pytest.mark.parametrize("habits", [learned(), learned(None)], ids=["envelope", "RSET"])
def test_a_host_that_drops_what_it_finds_there_is_found_out(habits: Habits) -> None:
    behind = "MAIL+RCPT+DATA" if habits.takes_behind_dot else "RSET"
    server = scripted(*OPENING, ENVELOPE, ACCEPTED, expect(f"<content>+{behind}"), send("250 d"), hang())

    reports, usable = deliver(server, ONE, TWO, habits=habits)

    assert [summary(report) for report in reports] == [DELIVERED, "stale"]
    assert reports[0].duration_secs == pytest.approx(REPLIES_SECS)
    assert (usable, habits.takes_behind_dot) == (False, False)


@pytest.mark.parametrize("end", [close(), reset(), send("421 4.3.2 closing")], ids=["FIN", "RST", "421"])
def test_a_host_that_ends_the_session_there_has_answered_the_message(end: Step) -> None:
    """Row 17: it had enough, and the next is delivered over another session."""
    server, habits = scripted(*FIRST, send("250 d"), pause(1.0), end), learned()

    reports, usable = deliver(server, ONE, TWO, habits=habits)

    assert [summary(report) for report in reports] == [DELIVERED, "stale"]
    assert (usable, habits.takes_behind_dot) == (False, True)


# -- no reply out of place marks a message -------------------------------------------------


@pytest.mark.parametrize(
    "replies",
    [
        "250 a\r\n250 b\r\n354 c",  # none to the dot
        "250 d\r\n250 a\r\n354 c",  # none to RCPT
        "250 d\r\n354 c",
        "354 c\r\n250 d\r\n250 a\r\n250 b",
        "250 d\r\n250 a\r\n250 b\r\n250 c",  # none to DATA
        "250 d\r\n250 d\r\n250 a\r\n250 b\r\n354 c",  # two to the dot
        "250 d\r\n250 a\r\n250 b\r\n354 c\r\n250 e",
        "garbage\r\n250 a\r\n250 b\r\n354 c",
        "250 d\r\ngarbage\r\n250 b\r\n354 c",
        "250 d\r\n503 a\r\n250 b\r\n354 c",  # a recipient of no transaction
    ],
)
def test_replies_that_do_not_fit_leave_the_message_uncertain(replies: str) -> None:
    """Window W3: the reply to another command, read as that to the dot, loses mail."""
    server, habits = scripted(*FIRST, send(replies), hang()), learned()

    reports, usable = deliver(server, ONE, TWO, habits=habits)

    assert [summary(report) for report in reports] == [UNCERTAIN, "stale"]
    assert not usable


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("told_of", range(4))
def test_the_message_is_as_certain_as_its_own_reply(told_of: int, end: Callable[[], Step]) -> None:
    replies = [send(reply) for reply in ("250 d", "250 a", "250 b", "354 c")[:told_of]]
    server = scripted(*FIRST, *replies, pause(1.0), end())

    reports, usable = deliver(server, ONE, TWO)

    assert [summary(report) for report in reports] == [DELIVERED if told_of else UNCERTAIN, "stale"]
    assert not usable


def test_nothing_follows_where_the_claim_of_the_next_is_lost() -> None:
    """Row 52: the host asked for the content, and gets none."""
    server = scripted(*FIRST, send("250 d\r\n250 a\r\n250 b\r\n354 c"), hang())
    scene = Scene(server)

    async def told() -> tuple[DeliveryReport, DeliveryReport]:
        session = await scene.session(habits=learned())
        envelope = Envelope(email=TWO, recipients=TWO.recipients)
        first = await session.deliver(ONE, ONE.recipients, before_dot=always, next_envelope=lambda: envelope)

        async def lost(_: tuple[str, ...]) -> bool:
            return False

        return first, await session.deliver(TWO, TWO.recipients, before_dot=lost)

    first, second = scene.run(told())

    assert (summary(first), summary(second)) == (DELIVERED, ("deferred", Phase.BODY, False))
    assert server.transcripts[0].contents == [ONE.content]


def test_another_message_than_the_one_that_was_begun_gets_a_session_of_its_own() -> None:
    server = scripted(*FIRST, send("250 d\r\n250 a\r\n250 b\r\n354 c"), hang())
    scene = Scene(server)

    async def told() -> tuple[bool, DeliveryReport]:
        session = await scene.session(habits=learned())
        envelope = Envelope(email=TWO, recipients=TWO.recipients)
        await session.deliver(ONE, ONE.recipients, before_dot=always, next_envelope=lambda: envelope)
        return session.is_begun, await session.deliver(THREE, THREE.recipients, before_dot=always)

    is_begun, report = scene.run(told())

    assert (is_begun, summary(report)) == (True, "stale")
