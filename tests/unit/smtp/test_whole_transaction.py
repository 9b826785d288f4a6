"""The transaction that goes out in one write: whose reply is believed, and who is uncertain."""

from __future__ import annotations

from itertools import product

import pytest

from mailstrom.message.prepared import PreparedEmail
from mailstrom.schedule.verdict import Fault, FaultKind, Verdict, judge_fault, judge_reply
from mailstrom.smtp.transaction import Step, Transaction
from mailstrom.status import Phase, Reply

from .scene import HOST, A, B, C, an_email

OFFERED = {"PIPELINING": "", "CHUNKING": "", "8BITMIME": ""}
LOST = judge_fault(Fault(kind=FaultKind.CLOSED, phase=Phase.DOT), HOST)
LOST_IN_BODY = judge_fault(Fault(kind=FaultKind.CLOSED, phase=Phase.BODY), HOST)


def written(*recipients: str, email: PreparedEmail | None = None) -> Transaction:
    """A whole transaction whose octets are on their way."""
    transaction = Transaction(email or an_email(), recipients or (A, B, C), OFFERED, HOST, whole=True)
    assert transaction.step is Step.WHOLE
    transaction.take_commands()
    return transaction


def answered(transaction: Transaction, *codes: int) -> Transaction:
    """The same, after these replies."""
    for code in codes:
        transaction.receive(reply(code))
    return transaction


def reply(code: int) -> Reply:
    return Reply(code=code, text=f"said {code}")


def judged(phase: Phase, code: int) -> Verdict:
    return judge_reply(phase, reply(code), HOST)


def uncertain(transaction: Transaction) -> set[str]:
    return {address for address, verdict in transaction.verdicts.items() if verdict.uncertain}


# -- what is written -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "chunk"),
    [
        (b"Subject: x\r\n\r\nx\r\n", b"BDAT 17 LAST\r\nSubject: x\r\n\r\nx\r\n"),
        (b"Subject: x\r\n\r\nx", b"BDAT 17 LAST\r\nSubject: x\r\n\r\nx\r\n"),
        (b".\r\n..\r\n.\r\n", b"BDAT 10 LAST\r\n.\r\n..\r\n.\r\n"),
        (b"BDAT 5 LAST\r\nQUIT\r\n", b"BDAT 19 LAST\r\nBDAT 5 LAST\r\nQUIT\r\n"),
        (b"", b"BDAT 0 LAST\r\n"),
    ],
)
def test_all_of_it_is_one_write_and_the_content_goes_as_it_is(content: bytes, chunk: bytes) -> None:
    """RFC 3030 2: counted, not stuffed."""
    transaction = Transaction(an_email(content=content), (A, B), OFFERED, HOST, whole=True)

    assert transaction.named == (A, B)
    assert transaction.take_commands() == (
        b"MAIL FROM:<me@sender.example>\r\nRCPT TO:<a@dest.example>\r\nRCPT TO:<b@dest.example>\r\n" + chunk
    )
    assert (transaction.outstanding, transaction.take_commands()) == (4, b"")


def test_who_cannot_be_written_is_not_named() -> None:
    """Threat S4."""
    transaction = Transaction(an_email(), ("x> y@dest.example", B), OFFERED, HOST, whole=True)

    assert transaction.named == (B,)
    assert set(transaction.verdicts) == {"x> y@dest.example"}


# -- every reply in its place --------------------------------------------------------------


@pytest.mark.parametrize("to_chunk", [250, 251, 451, 554, 421])
@pytest.mark.parametrize("codes", list(product((250, 251, 450, 550), repeat=3)), ids=str)
def test_each_recipient_keeps_its_own_reply(codes: tuple[int, ...], to_chunk: int) -> None:
    """Rows 9, 11, 12: all mixes of three replies to RCPT."""
    transaction = answered(written(), 250, *codes, to_chunk)

    assert transaction.step is Step.DONE
    assert transaction.verdicts == {
        recipient: judged(Phase.DOT, to_chunk) if code < 300 else judged(Phase.RCPT, code)
        for recipient, code in zip((A, B, C), codes, strict=True)
    }
    assert transaction.needs_reset is (to_chunk > 300 or min(codes) > 300)
    assert transaction.out_of_step is (to_chunk == 421)


@pytest.mark.parametrize("codes", [(503, 503, 503, 503), (250, 503, 550, 554)])
@pytest.mark.parametrize("to_mail", [451, 550, 552])
def test_a_refused_mail_is_for_all(to_mail: int, codes: tuple[int, ...]) -> None:
    """RFC 2920 3.1; and RFC 3030 2 wants RSET."""
    transaction = answered(written(), to_mail, *codes)

    assert transaction.verdicts == dict.fromkeys((A, B, C), judged(Phase.MAIL, to_mail))
    assert (transaction.needs_reset, transaction.out_of_step) == (True, False)


def test_too_many_recipients_belong_into_another_transaction() -> None:
    """Row 8."""
    transaction = answered(written(), 250, 250, 452, 552, 250)

    assert transaction.verdicts == {A: judged(Phase.DOT, 250)}
    assert transaction.left == [B, C]


@pytest.mark.parametrize("to_chunk", [500, 501, 502, 503, 504, 555])
def test_a_host_that_does_not_know_bdat_has_refused_nobody(to_chunk: int) -> None:
    transaction = answered(written(), 250, 250, 550, 452, to_chunk)

    assert transaction.verdicts == {B: judged(Phase.RCPT, 550)}
    assert (transaction.lacks_chunking, transaction.needs_reset) == (True, True)
    assert not transaction.out_of_step


def test_503_with_nobody_accepted_says_nothing_of_chunking() -> None:
    """RFC 3030 2: so a host answers that has it."""
    transaction = answered(written(), 250, 550, 550, 550, 503)

    assert not transaction.lacks_chunking
    assert transaction.verdicts == dict.fromkeys((A, B, C), judged(Phase.RCPT, 550))


def test_without_chunking_451_is_an_answer() -> None:
    assert not answered(written(), 250, 250, 250, 250, 451).lacks_chunking


# -- the end comes before all replies ------------------------------------------------------

REPLIES = (250, 250, 550, 250)  # to MAIL, A, B and C; then the chunk's


@pytest.mark.parametrize("told", range(5))
def test_whoever_was_not_refused_is_uncertain_when_the_connection_is_lost(told: int) -> None:
    """Row 4."""
    transaction = answered(written(), *REPLIES[:told])

    transaction.fail(LOST)

    refused = {B: judged(Phase.RCPT, 550)} if told > 2 else {}
    assert transaction.verdicts == dict.fromkeys((A, B, C), LOST) | refused


@pytest.mark.parametrize("told", range(5))
def test_nobody_is_uncertain_when_it_is_lost_before_the_last_octet_left(told: int) -> None:
    """Row 3."""
    transaction = answered(written(), *REPLIES[:told])

    transaction.fail(LOST_IN_BODY)

    refused = {B: judged(Phase.RCPT, 550)} if told > 2 else {}
    assert transaction.verdicts == dict.fromkeys((A, B, C), LOST_IN_BODY) | refused


@pytest.mark.parametrize("told", range(5))
def test_a_refused_mail_stands_when_the_connection_is_lost_then(told: int) -> None:
    """Row 3: the refusal was read."""
    transaction = answered(written(), 550, *(503,) * min(told, 3))

    transaction.fail(LOST)

    assert transaction.verdicts == dict.fromkeys((A, B, C), judged(Phase.MAIL, 550))


def test_who_was_too_many_has_its_answer_when_the_connection_is_lost() -> None:
    """Row 8: refused by name, if not for good."""
    transaction = answered(written(), 250, 250, 452)

    transaction.fail(LOST)

    assert uncertain(transaction) == {A, C}
    assert (transaction.verdicts[B].state, transaction.verdicts[B].reply) == ("deferred", reply(452))


def test_421_to_mail_is_a_clear_no_for_all() -> None:
    """Row 5."""
    transaction = answered(written(), 421)

    assert transaction.verdicts == dict.fromkeys((A, B, C), judged(Phase.MAIL, 421))
    assert (transaction.step, transaction.out_of_step) == (Step.DONE, True)


def test_421_to_rcpt_is_a_clear_no_where_nobody_was_accepted_before() -> None:
    """Row 5: the host reads no further."""
    transaction = answered(written(), 250, 550, 421)

    assert transaction.verdicts == {A: judged(Phase.RCPT, 550)} | dict.fromkeys(
        (B, C), judged(Phase.RCPT, 421)
    )


def test_421_to_rcpt_says_nothing_of_one_accepted_before() -> None:
    """Row 4: its content is with the host."""
    transaction = answered(written(), 250, 250, 421)

    assert transaction.step is Step.WHOLE
    transaction.fail(LOST)

    assert transaction.verdicts == {A: LOST, B: judged(Phase.RCPT, 421), C: LOST}


def test_a_host_that_goes_on_after_421_has_its_other_answers_believed() -> None:
    transaction = answered(written(), 250, 250, 421, 550, 250)

    assert transaction.verdicts == {
        A: judged(Phase.DOT, 250),
        B: judged(Phase.RCPT, 421),
        C: judged(Phase.RCPT, 550),
    }
    assert transaction.out_of_step


# -- replies in disorder -------------------------------------------------------------------


@pytest.mark.parametrize(
    "codes",
    [
        (354,),
        (250, 354),
        (250, 250, 334),
        (250, 550, 450, 354),
        (250, 250, 550, 452, 354),
        (550, 503, 250, 503, 250),
        (550, 250, 250, 250, 250),
    ],
)
def test_nobody_is_believed_when_a_reply_does_not_fit(codes: tuple[int, ...]) -> None:
    """Rows 20, 21: and the message may have been taken."""
    transaction = answered(written(), *codes)

    assert (transaction.step, transaction.out_of_step) == (Step.DONE, True)
    assert uncertain(transaction) == {A, B, C}
    assert (transaction.left, transaction.in_disorder) == ([], True)


@pytest.mark.parametrize("told", range(5))
def test_nobody_is_believed_when_the_connection_is_out_of_step(told: int) -> None:
    """Rows 18, 20."""
    transaction = answered(written(), *REPLIES[:told])

    transaction.fail(judge_fault(Fault(kind=FaultKind.PROTOCOL, phase=Phase.DOT), HOST), misfit=True)

    assert uncertain(transaction) == {A, B, C}


# -- a reply that came too early -----------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "state"),
    [(250, "deferred"), (354, "deferred"), (451, "deferred"), (554, "failed"), (500, "deferred")],
)
def test_a_reply_before_the_last_octet_is_no_acceptance(code: int, state: str) -> None:
    """Row 11: and 500 is no word on the message."""
    transaction = answered(written(), 250, 250, 550, 250)

    transaction.receive_early(reply(code))

    assert {r: v.state for r, v in transaction.verdicts.items()} == {A: state, B: "failed", C: state}
    assert uncertain(transaction) == set()
    assert transaction.out_of_step
    assert transaction.lacks_chunking is (code not in (451, 554))
