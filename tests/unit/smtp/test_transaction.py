"""The transaction without I/O: each recipient gets the reply that is its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product

import pytest

from mailstrom.message.prepared import DsnOptions, PreparedEmail
from mailstrom.schedule.verdict import Fault, FaultKind, Verdict, judge_fault, judge_reply
from mailstrom.smtp.transaction import Step, Transaction
from mailstrom.status import Cause, EnhancedCode, Phase, Reply

HOST = "mx.dest.example"
ALL = dict.fromkeys(("PIPELINING", "8BITMIME", "SMTPUTF8", "DSN"), "") | {"SIZE": "0"}
A, B, C = "a@dest.example", "b@dest.example", "c@dest.example"


def an_email(**fields: object) -> PreparedEmail:
    given: dict[str, object] = {
        "message_id": "1@sender.example",
        "reverse_path": "me@sender.example",
        "recipients": (A,),
        "content": b"Subject: x\r\n\r\nx\r\n",
    }
    return PreparedEmail(**{**given, **fields})  # type: ignore[arg-type]


def a_transaction(
    *recipients: str, offered: Mapping[str, str] | None = None, is_relay: bool = False, **fields: object
) -> Transaction:
    return Transaction(an_email(**fields), recipients or (A,), offered or {}, HOST, is_relay=is_relay)


def converse(transaction: Transaction, *codes: int) -> list[bytes]:
    """Answers with these codes; returns each write."""
    written = []
    for code in codes:
        if transaction.step is Step.COMMANDS:
            written.append(transaction.take_commands())
        elif transaction.awaiting is None:
            written.append(str(transaction.step).encode())
            transaction.dot_written()
        transaction.receive(reply(code))
    return [write for write in written if write]


def reply(code: int) -> Reply:
    return Reply(code=code, text=f"said {code}")


def states(transaction: Transaction) -> dict[str, str]:
    return {address: verdict.state for address, verdict in transaction.verdicts.items()}


def judged(phase: Phase, code: int) -> Verdict:
    return judge_reply(phase, reply(code), HOST)


@pytest.mark.parametrize("offered", [{}, ALL], ids=["one by one", "pipelined"])
@pytest.mark.parametrize("codes", list(product((250, 251, 450, 550), repeat=3)), ids=str)
def test_each_recipient_keeps_its_own_reply(codes: tuple[int, ...], offered: Mapping[str, str]) -> None:
    """Rows 9, 12: all mixes of three replies to RCPT."""
    transaction = a_transaction(A, B, C, offered=offered)
    some = any(code < 300 for code in codes)

    converse(transaction, 250, *codes, *((354, 250) if some else (554,) if offered else ()))

    assert transaction.step is Step.DONE
    assert transaction.verdicts == {
        recipient: judged(Phase.DOT, 250) if code < 300 else judged(Phase.RCPT, code)
        for recipient, code in zip((A, B, C), codes, strict=True)
    }


def test_with_pipelining_everything_up_to_data_is_one_write() -> None:
    """RFC 2920 3.1: DATA may only be the last of a group, and nothing follows the dot."""
    transaction = a_transaction(A, B, offered={"PIPELINING": ""})

    assert transaction.take_commands() == (
        b"MAIL FROM:<me@sender.example>\r\nRCPT TO:<a@dest.example>\r\nRCPT TO:<b@dest.example>\r\nDATA\r\n"
    )
    assert transaction.take_commands() == b""


def test_without_pipelining_each_command_waits_for_its_reply() -> None:
    """RFC 5321 4.1.4."""
    transaction = a_transaction(A, B)

    assert converse(transaction, 250, 250, 250, 354) == [
        b"MAIL FROM:<me@sender.example>\r\n",
        b"RCPT TO:<a@dest.example>\r\n",
        b"RCPT TO:<b@dest.example>\r\n",
        b"DATA\r\n",
    ]
    assert transaction.step is Step.CONTENT


def test_without_an_accepted_recipient_there_is_no_data() -> None:
    """RFC 5321 3.3; one by one."""
    transaction = a_transaction(A, B)

    written = converse(transaction, 250, 550, 450)

    assert b"DATA\r\n" not in written
    assert (transaction.step, states(transaction)) == (Step.DONE, {A: "failed", B: "deferred"})
    assert transaction.needs_reset


def test_354_with_nobody_accepted_is_ended_by_a_lone_dot() -> None:
    """Row 10; RFC 2920 3.1."""
    transaction = a_transaction(A, offered=ALL)

    converse(transaction, 250, 550, 354)

    assert transaction.step is Step.LONE_DOT
    transaction.dot_written()
    transaction.receive(reply(250))
    assert transaction.verdicts == {A: judged(Phase.RCPT, 550)}
    assert transaction.needs_reset


@pytest.mark.parametrize("code", [452, 552])
def test_too_many_recipients_belong_into_another_transaction(code: int) -> None:
    """Row 8; RFC 5321 4.5.3.1.10, one by one: those not named yet wait as well."""
    transaction = a_transaction(A, B, C)

    converse(transaction, 250, 250, code, 354, 250)

    assert transaction.verdicts == {A: judged(Phase.DOT, 250)}
    assert transaction.left == [B, C]


def test_with_pipelining_one_accepted_after_too_many_is_delivered() -> None:
    """Row 8."""
    transaction = a_transaction(A, B, C, offered=ALL)

    converse(transaction, 250, 250, 452, 250, 354, 250)

    assert states(transaction) == {A: "delivered", C: "delivered"}
    assert transaction.left == [B]


@pytest.mark.parametrize(("code", "state"), [(452, "deferred"), (552, "failed")])
def test_the_first_recipient_refused_with_452_or_552_has_its_answer(code: int, state: str) -> None:
    """Row 8: a mailbox that is full, since no recipient was there before it."""
    transaction = a_transaction(A, B)

    converse(transaction, 250, code, 250, 354, 250)

    assert states(transaction) == {A: state, B: "delivered"}


@pytest.mark.parametrize("dot", [451, 554, 421])
def test_too_many_recipients_are_deferred_where_nothing_was_delivered(dot: int) -> None:
    """Row 8: and no fault of the others makes them uncertain or failed."""
    transaction = a_transaction(A, B)

    converse(transaction, 250, 250, 552, 354, dot)

    assert transaction.left == []
    assert (transaction.verdicts[B].state, transaction.verdicts[B].reply) == ("deferred", reply(552))


@pytest.mark.parametrize("phase", [Phase.DATA, Phase.DOT])
@pytest.mark.parametrize("code", [451, 554])
def test_a_refusal_after_rcpt_is_for_the_accepted_only(phase: Phase, code: int) -> None:
    """Rows 9, 11."""
    transaction = a_transaction(A, B)

    converse(transaction, 250, 250, 550, *((code,) if phase is Phase.DATA else (354, code)))

    assert transaction.verdicts == {A: judged(phase, code), B: judged(Phase.RCPT, 550)}


def test_a_refused_mail_is_for_all_whatever_follows_it() -> None:
    """RFC 2920 3.1: the later replies only say that there is no transaction."""
    transaction = a_transaction(A, B, offered=ALL)

    converse(transaction, 550, 503, 250, 503)

    assert transaction.verdicts == dict.fromkeys((A, B), judged(Phase.MAIL, 550))
    assert not transaction.needs_reset


def test_a_refused_mail_stands_when_the_connection_is_lost_then() -> None:
    """Row 3; RFC 5321 4.2: the refusal was read."""
    transaction = a_transaction(A, B, offered=ALL)
    converse(transaction, 550)

    transaction.fail(judge_fault(Fault(kind=FaultKind.CLOSED, phase=Phase.RCPT), HOST))

    assert transaction.verdicts == dict.fromkeys((A, B), judged(Phase.MAIL, 550))


@pytest.mark.parametrize("codes", [(), (250,), (250, 250), (250, 250, 550), (250, 250, 550, 354)])
def test_421_is_for_all_who_have_no_answer_yet(codes: tuple[int, ...]) -> None:
    """Row 5."""
    transaction = a_transaction(A, B)

    converse(transaction, *codes, 421)

    refused = {B: judged(Phase.RCPT, 550)} if 550 in codes else {}
    phase = (Phase.MAIL, Phase.RCPT, Phase.RCPT, Phase.DATA, Phase.DOT)[len(codes)]
    assert transaction.verdicts == {A: judged(phase, 421), B: judged(phase, 421)} | refused
    assert transaction.out_of_step


@pytest.mark.parametrize("codes", [(354,), (250, 354), (250, 250, 250), (250, 250, 354, 354)])
def test_a_reply_that_answers_something_else_ends_the_session(codes: tuple[int, ...]) -> None:
    """Row 21; RFC 5321 4.3.2."""
    transaction = a_transaction(A, offered=ALL)

    converse(transaction, *codes)

    verdict = transaction.verdicts[A]
    assert transaction.out_of_step
    assert (verdict.state, verdict.enhanced_code) == ("deferred", EnhancedCode(4, 5, 0))
    assert verdict.uncertain is (len(codes) == 4)


@pytest.mark.parametrize(
    ("fields", "offered", "fault"),
    [
        ({"content": b"x" * 11}, {"SIZE": "10"}, FaultKind.TOO_BIG),
        ({"needs_8bitmime": True}, {"SIZE": ""}, FaultKind.NO_8BITMIME),
        ({"content": b"\xff"}, {}, FaultKind.NO_8BITMIME),
        ({"needs_smtputf8": True}, {"8BITMIME": ""}, FaultKind.NO_SMTPUTF8),
        ({"reverse_path": "ü@sender.example"}, {"8BITMIME": ""}, FaultKind.NO_SMTPUTF8),
    ],
)
def test_what_the_host_cannot_take_is_not_offered_to_it(
    fields: dict[str, object], offered: Mapping[str, str], fault: FaultKind
) -> None:
    """Rows 29, 30, 31."""
    transaction = a_transaction(offered=offered, **fields)

    verdict = transaction.verdicts[A]

    assert (transaction.step, transaction.take_commands()) == (Step.DONE, b"")
    assert verdict.state == "failed"
    assert verdict.cause is Cause.UNSUPPORTED
    assert str(fault) in (verdict.reason or "")


@pytest.mark.parametrize("size", ["", "0", "junk", "-1", "9" * 400, "１"])
def test_a_size_that_says_nothing_limits_nothing(size: str) -> None:
    """Row 29; RFC 1870 4."""
    assert a_transaction(offered={"SIZE": size}).step is Step.COMMANDS


def test_an_address_beyond_ascii_takes_nobody_else_down() -> None:
    """Row 31; RFC 6531 3.4."""
    transaction = a_transaction("ü@dest.example", B, offered={"PIPELINING": ""})

    assert transaction.verdicts["ü@dest.example"].enhanced_code == EnhancedCode(5, 6, 7)
    assert transaction.take_commands() == (
        b"MAIL FROM:<me@sender.example>\r\nRCPT TO:<b@dest.example>\r\nDATA\r\n"
    )


@pytest.mark.parametrize(
    ("fields", "recipient", "mail", "rcpt"),
    [
        ({}, A, b" SIZE=17", b""),
        ({"reverse_path": ""}, A, b" SIZE=17", b""),
        ({"needs_8bitmime": True}, A, b" SIZE=17 BODY=8BITMIME", b""),
        ({}, "ü@dest.example", b" SIZE=17 SMTPUTF8", b""),
        (
            {"dsn": DsnOptions(ret="HDRS", envid="a+b c", notify=("SUCCESS", "FAILURE"))},
            "a+x=y@dest.example",
            b" SIZE=17 RET=HDRS ENVID=a+2Bb+20c",
            b" NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;a+2Bx+3Dy@dest.example",
        ),
        ({"dsn": DsnOptions(notify=("NEVER",))}, "ü@dest.example", b" SIZE=17 SMTPUTF8", b" NOTIFY=NEVER"),
    ],
)
def test_only_what_is_needed_is_asked_for(
    fields: dict[str, object], recipient: str, mail: bytes, rcpt: bytes
) -> None:
    """RFC 6531 3.4, RFC 3461 4, RFC 1870 5."""
    transaction = a_transaction(recipient, offered=ALL, **fields)

    sender = str(fields.get("reverse_path", "me@sender.example")).encode()
    assert transaction.take_commands().split(b"\r\n")[:2] == [
        b"MAIL FROM:<" + sender + b">" + mail,
        b"RCPT TO:<" + recipient.encode() + b">" + rcpt,
    ]


def test_what_is_not_offered_is_not_asked_for() -> None:
    """RFC 5321 4.1.1.11."""
    transaction = a_transaction(dsn=DsnOptions(ret="FULL", notify=("NEVER",)))

    assert converse(transaction, 250, 250) == [
        b"MAIL FROM:<me@sender.example>\r\n",
        b"RCPT TO:<a@dest.example>\r\n",
    ]


def test_an_address_that_cannot_be_written_is_refused_before_anything_is_sent() -> None:
    """Threat S4."""
    injection = "x@example.net>\r\nDATA\r\n"
    transaction = a_transaction(injection, B)

    verdict = transaction.verdicts[injection]

    assert (verdict.state, verdict.enhanced_code) == ("failed", EnhancedCode(5, 1, 3))
    assert converse(transaction, 250, 250)[1] == b"RCPT TO:<b@dest.example>\r\n"


def test_a_reverse_path_that_cannot_be_written_sends_nothing() -> None:
    """Threat S4."""
    transaction = a_transaction(reverse_path="me@sender.example> SIZE=1")

    assert transaction.step is Step.DONE
    assert transaction.verdicts[A].enhanced_code == EnhancedCode(5, 1, 7)


@pytest.mark.parametrize(("is_relay", "state"), [(True, "deferred"), (False, "failed")])
def test_530_means_our_credentials_at_a_relay_only(is_relay: bool, state: str) -> None:
    """Row 33; RFC 4954 6."""
    transaction = a_transaction(is_relay=is_relay)

    converse(transaction, 530)

    verdict = transaction.verdicts[A]
    assert (verdict.state, verdict.counts_as_try) == (state, not is_relay)
    assert verdict.phase is (Phase.AUTH if is_relay else Phase.MAIL)


def test_a_fault_after_the_dot_leaves_only_the_accepted_uncertain() -> None:
    """Row 4."""
    transaction = a_transaction(A, B)
    converse(transaction, 250, 250, 550, 354)
    transaction.dot_written()

    transaction.fail(judge_fault(Fault(kind=FaultKind.CLOSED, phase=Phase.DOT), HOST))

    assert [(a, v.state, v.uncertain) for a, v in sorted(transaction.verdicts.items())] == [
        (A, "deferred", True),
        (B, "failed", False),
    ]


def test_a_hundred_recipients_make_a_hundred_commands() -> None:
    """RFC 5321 4.5.3.1.8."""
    recipients: Sequence[str] = [f"u{number}@dest.example" for number in range(100)]
    transaction = a_transaction(*recipients, offered=ALL)

    written = converse(transaction, 250, *[250] * 100, 354, 250)

    assert written[0].count(b"RCPT TO:") == 100
    assert set(states(transaction).values()) == {"delivered"}
