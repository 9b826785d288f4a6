"""What replies and faults mean, and how the verdicts of several hosts add up."""

from __future__ import annotations

from datetime import timedelta

import pytest

from mailstrom.schedule.verdict import (
    Fault,
    FaultKind,
    Meaning,
    Scope,
    Verdict,
    combine,
    judge_fault,
    judge_reply,
    read_reply,
)
from mailstrom.status import Cause, EnhancedCode, Phase, Reply

HOST = "mx.dest.example"


def a_reply(code: int, enhanced: EnhancedCode | None = None) -> Reply:
    return Reply(code=code, enhanced=enhanced, text="said so")


def judged(phase: Phase, code: int) -> Verdict:
    return judge_reply(phase, a_reply(code), HOST)


def faulted(kind: FaultKind, phase: Phase = Phase.MAIL) -> Verdict:
    return judge_fault(Fault(kind=kind, phase=phase), HOST)


@pytest.mark.parametrize(
    ("phase", "code", "state", "scope", "ends"),
    [
        (Phase.GREETING, 450, "deferred", Scope.HOST, False),
        (Phase.GREETING, 554, "failed", Scope.HOST, False),
        (Phase.EHLO, 451, "deferred", Scope.HOST, False),
        (Phase.EHLO, 550, "failed", Scope.HOST, False),
        (Phase.MAIL, 451, "deferred", Scope.MESSAGE, False),
        (Phase.MAIL, 550, "failed", Scope.HOST, False),
        (Phase.RCPT, 450, "deferred", Scope.RECIPIENT, False),
        (Phase.RCPT, 550, "failed", Scope.RECIPIENT, True),
        (Phase.DATA, 451, "deferred", Scope.MESSAGE, False),
        (Phase.DATA, 554, "failed", Scope.MESSAGE, True),
        (Phase.BODY, 452, "deferred", Scope.MESSAGE, False),
        (Phase.BODY, 552, "failed", Scope.MESSAGE, True),
        (Phase.DOT, 451, "deferred", Scope.MESSAGE, False),
        (Phase.DOT, 554, "failed", Scope.MESSAGE, True),
        (Phase.DOT, 250, "delivered", Scope.MESSAGE, True),
        (Phase.DOT, 200, "delivered", Scope.MESSAGE, True),
        (Phase.DOT, 299, "delivered", Scope.MESSAGE, True),
    ],
)
def test_the_first_digit_decides_and_the_phase_says_for_whom(
    phase: Phase, code: int, state: str, scope: Scope, ends: bool
) -> None:
    """Rows 6, 7, 11, 12; RFC 5321 4.2.1."""
    reply = a_reply(code, EnhancedCode(code // 100, 7, 1))

    verdict = judge_reply(phase, reply, HOST)

    assert (verdict.state, verdict.scope, verdict.ends_the_pass) == (state, scope, ends)
    assert (verdict.reply, verdict.enhanced_code, verdict.phase) == (reply, reply.enhanced, phase)
    assert verdict.cause is (Cause.REFUSED if state == "failed" else None)
    assert not verdict.uncertain


@pytest.mark.parametrize("phase", [phase for phase in Phase if phase is not Phase.QUIT])
def test_421_closes_at_any_place_and_is_never_uncertain(phase: Phase) -> None:
    """Row 5; RFC 5321 3.8."""
    verdict = judged(phase, 421)

    assert (verdict.state, verdict.scope, verdict.uncertain) == ("deferred", Scope.HOST, False)
    assert verdict.enhanced_code == EnhancedCode(4, 3, 2)
    assert verdict.ends_the_pass is (phase is Phase.DOT)


@pytest.mark.parametrize(
    ("phase", "code"),
    [
        (Phase.GREETING, 250),
        (Phase.EHLO, 354),
        (Phase.STARTTLS, 250),
        (Phase.MAIL, 354),
        (Phase.RCPT, 354),
        (Phase.DATA, 250),
        (Phase.BODY, 250),
        (Phase.BODY, 354),
        (Phase.DOT, 354),
    ],
)
def test_a_reply_that_does_not_fit_is_a_protocol_error(phase: Phase, code: int) -> None:
    """Rows 20, 21; RFC 5321 4.3.2."""
    verdict = judged(phase, code)

    assert read_reply(phase, code) is Meaning.UNEXPECTED
    assert (verdict.state, verdict.enhanced_code) == ("deferred", EnhancedCode(4, 5, 0))
    assert verdict.uncertain is (phase is Phase.DOT)


@pytest.mark.parametrize(
    ("code", "enhanced"),
    [(535, EnhancedCode(4, 7, 8)), (530, EnhancedCode(4, 7, 0)), (454, EnhancedCode(4, 7, 0))],
)
def test_refused_credentials_hold_the_relay_and_cost_no_try(code: int, enhanced: EnhancedCode) -> None:
    """Rows 32, 33."""
    verdict = judged(Phase.AUTH, code)

    assert (verdict.state, verdict.scope, verdict.enhanced_code) == ("deferred", Scope.HOST, enhanced)
    assert (verdict.counts_as_try, verdict.retry_after) == (False, timedelta(minutes=15))


@pytest.mark.parametrize("code", [454, 501])
def test_a_refused_starttls_is_deferred_where_tls_is_demanded(code: int) -> None:
    """Row 24; RFC 3207 4."""
    assert judged(Phase.STARTTLS, code).state == "deferred"
    assert judged(Phase.STARTTLS, code).enhanced_code == EnhancedCode(4, 7, 5)


@pytest.mark.parametrize(
    ("kind", "phase", "code"),
    [
        (FaultKind.REFUSED, Phase.CONNECT, "4.4.1"),
        (FaultKind.UNREACHABLE, Phase.CONNECT, "4.4.1"),
        (FaultKind.TIMEOUT, Phase.CONNECT, "4.4.1"),
        (FaultKind.TIMEOUT, Phase.RCPT, "4.4.2"),
        (FaultKind.CLOSED, Phase.CONNECT, "4.4.1"),
        (FaultKind.CLOSED, Phase.BODY, "4.4.2"),
        (FaultKind.PROTOCOL, Phase.EHLO, "4.5.0"),
        (FaultKind.INJECTED, Phase.STARTTLS, "4.7.0"),
        (FaultKind.TLS_FAILED, Phase.TLS, "4.7.5"),
        (FaultKind.TLS_MISSING, Phase.STARTTLS, "4.7.4"),
        (FaultKind.AUTH_MISSING, Phase.AUTH, "4.7.0"),
        (FaultKind.AUTH_UNSAFE, Phase.AUTH, "4.7.0"),
    ],
)
def test_a_fault_defers_and_the_next_host_is_asked(kind: FaultKind, phase: Phase, code: str) -> None:
    """Rows 1-3, 13-18, 25-28, 33."""
    verdict = faulted(kind, phase)

    assert (verdict.state, verdict.scope, str(verdict.enhanced_code)) == ("deferred", Scope.HOST, code)
    assert (verdict.uncertain, verdict.ends_the_pass, verdict.reply) == (False, False, None)


@pytest.mark.parametrize(
    "kind", [FaultKind.CLOSED, FaultKind.TIMEOUT, FaultKind.PROTOCOL, FaultKind.SHUTDOWN]
)
def test_after_the_final_dot_nobody_knows(kind: FaultKind) -> None:
    """Row 4; RFC 1047."""
    verdict = faulted(kind, Phase.DOT)

    assert (verdict.state, verdict.uncertain, verdict.ends_the_pass) == ("deferred", True, True)


@pytest.mark.parametrize(
    ("kind", "code", "cause"),
    [
        (FaultKind.TOO_BIG, "5.3.4", Cause.UNSUPPORTED),
        (FaultKind.NO_8BITMIME, "5.6.3", Cause.UNSUPPORTED),
        (FaultKind.NO_SMTPUTF8, "5.6.7", Cause.UNSUPPORTED),
        (FaultKind.LOOP, "5.4.6", Cause.LOOP),
    ],
)
def test_what_one_host_cannot_take_another_may(kind: FaultKind, code: str, cause: Cause) -> None:
    """Rows 29, 30, 31, 34."""
    verdict = faulted(kind)

    assert (verdict.state, verdict.cause, str(verdict.enhanced_code)) == ("failed", cause, code)
    assert not verdict.ends_the_pass


@pytest.mark.parametrize("kind", [FaultKind.LEASE_LOST, FaultKind.SHUTDOWN, FaultKind.CRASH])
def test_our_own_trouble_costs_no_try(kind: FaultKind) -> None:
    """Rows 52, 54, 56."""
    assert (faulted(kind).state, faulted(kind).counts_as_try) == ("deferred", False)


def test_every_fault_has_a_verdict_with_a_reason_that_names_the_host() -> None:
    """The glossary of faults is complete."""
    verdicts = [faulted(kind, phase) for kind in FaultKind for phase in Phase]

    assert all(HOST in (verdict.reason or "") for verdict in verdicts)


GREYLISTED = judged(Phase.RCPT, 450)
UNKNOWN = judged(Phase.RCPT, 550)
NO_SERVICE = judged(Phase.GREETING, 554)
DOWN = faulted(FaultKind.REFUSED, Phase.CONNECT)
SILENT = faulted(FaultKind.TIMEOUT, Phase.GREETING)
TAKEN = judged(Phase.DOT, 250)
LOST = faulted(FaultKind.CLOSED, Phase.DOT)
CLOSING = judged(Phase.MAIL, 421)
OURSELVES = faulted(FaultKind.LOOP, Phase.GREETING)


@pytest.mark.parametrize(
    ("earlier", "later", "stands"),
    [
        (None, GREYLISTED, GREYLISTED),
        (GREYLISTED, TAKEN, TAKEN),
        (NO_SERVICE, TAKEN, TAKEN),
        (TAKEN, GREYLISTED, TAKEN),
        (LOST, TAKEN, LOST),
        (DOWN, LOST, LOST),
        (UNKNOWN, GREYLISTED, UNKNOWN),
        (GREYLISTED, UNKNOWN, GREYLISTED),
        (CLOSING, UNKNOWN, CLOSING),
        (GREYLISTED, NO_SERVICE, GREYLISTED),
        (NO_SERVICE, GREYLISTED, GREYLISTED),
        (DOWN, UNKNOWN, UNKNOWN),
        (DOWN, NO_SERVICE, DOWN),
        (NO_SERVICE, DOWN, DOWN),
        (DOWN, OURSELVES, DOWN),
        (NO_SERVICE, UNKNOWN, UNKNOWN),
        (DOWN, SILENT, SILENT),
        (GREYLISTED, DOWN, GREYLISTED),
        (DOWN, GREYLISTED, GREYLISTED),
        (NO_SERVICE, OURSELVES, NO_SERVICE),
    ],
)
def test_the_hosts_of_a_pass_add_up(earlier: Verdict | None, later: Verdict, stands: Verdict) -> None:
    """Rows 1, 3-6: deferred at one MX beats failed at a backup."""
    assert combine(earlier, later) is stands
