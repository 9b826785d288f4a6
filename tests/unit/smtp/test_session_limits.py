"""LIMITS in a session (RFC 9422): no more is asked of a host than it says it takes."""

from __future__ import annotations

from mailstrom.status import Phase
from mailstrom.testing.smtp_server import DEFAULT_EXTENSIONS, SmtpServer

from .scene import A, B, C, deliver_to

TEN = [f"u{number}@dest.example" for number in range(10)]


def test_no_transaction_names_more_recipients_than_the_host_takes() -> None:
    """RFC 9422."""
    server = SmtpServer(limits={"RCPTMAX": 4})

    told = deliver_to(server, None, *TEN)

    assert told.states == dict.fromkeys(TEN, "delivered")
    assert [len(message.recipients) for message in server.ledger.messages] == [4, 4, 2]
    assert (len(server.ledger.sessions), server.ledger.violations) == (1, ())


def test_each_transaction_has_answers_of_its_own() -> None:
    """RFC 9422: a group that is refused says nothing of the next."""
    server = SmtpServer(limits={"RCPTMAX": 1}, on_content=[None, "554 5.6.0 no", None])

    told = deliver_to(server, None, A, B, C)

    assert told.states == {A: "delivered", B: "failed", C: "delivered"}


def test_those_not_named_yet_are_deferred_when_the_session_ends() -> None:
    """Row 3: they were not in the transaction that ended it."""
    chunking = DEFAULT_EXTENSIONS | {"CHUNKING"}
    server = SmtpServer(limits={"RCPTMAX": 1}, extensions=chunking, on_content=[None, "421 4.3.2 bye"])

    told = deliver_to(server, None, A, B, C)

    assert told.states == {A: "delivered", B: "deferred", C: "deferred"}
    assert told.report is not None
    verdict = told.report.verdicts[C]
    assert (str(verdict.enhanced_code), verdict.phase, verdict.uncertain) == ("4.4.2", Phase.MAIL, False)


def test_those_beyond_the_last_transaction_are_left_for_another_session() -> None:
    """RFC 9422."""
    server = SmtpServer(limits={"RCPTMAX": 4, "MAILMAX": 2})

    told = deliver_to(server, None, *TEN)

    assert told.report is not None
    assert told.states == dict.fromkeys(TEN[:8], "delivered")
    assert told.report.left == tuple(TEN[8:])
    assert told.session is not None
    assert told.session.is_used_up
    assert not server.ledger.violations


def test_those_of_more_domains_than_the_host_takes_are_left_for_another_session() -> None:
    """RFC 9422: RCPTDOMAINMAX is for the session."""
    server = SmtpServer(limits={"RCPTDOMAINMAX": 1})
    elsewhere = "x@other.example"

    told = deliver_to(server, None, A, elsewhere, B)

    assert told.report is not None
    assert (told.states, told.report.left) == ({A: "delivered", B: "delivered"}, (elsewhere,))
    assert not server.ledger.violations
