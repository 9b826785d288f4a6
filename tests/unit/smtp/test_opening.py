"""From an address to a session: each step, its timer, and what a failure means."""

from __future__ import annotations

import asyncio
import logging
import ssl
import traceback
import warnings
from collections.abc import Callable
from typing import Any

import pytest
import trustme

from mailstrom.config import SmtpAuth, SmtpTimeouts
from mailstrom.net.tls import TlsContexts
from mailstrom.schedule.verdict import FaultKind, Verdict
from mailstrom.smtp.session import OpenFailure, Session
from mailstrom.status import Phase, TlsUsed
from mailstrom.testing.network import Handler
from mailstrom.testing.script import (
    ScriptedServer,
    close,
    drip,
    expect,
    hang,
    pause,
    reset,
    send,
    send_for_ever,
    start_tls,
)
from mailstrom.testing.smtp_server import SmtpServer

from .scene import HELO, HOST, IP, Scene, scripted, server_context

GREET = send("220 mx.dest.example ESMTP")
EHLO = expect("EHLO sender.example\r\n")
PLAIN = send("250 mx.dest.example")
TLS_OFFERED = send("250-mx.dest.example\r\n250 STARTTLS")
QUIT = (expect("QUIT"), send("221 bye"))


def opened(server: Handler | None, **options: Any) -> tuple[Session | OpenFailure, float]:
    """What came of opening a session, and after how long."""
    scene = Scene(server)

    async def open_and_quit() -> tuple[Session | OpenFailure, float]:
        outcome = await scene.open(**options)
        secs = scene.loop.time()
        if isinstance(outcome, Session):
            await outcome.quit()
        return outcome, secs

    result: tuple[Session | OpenFailure, float] = scene.run(open_and_quit())
    return result


def failure_of(server: Handler | None, **options: Any) -> OpenFailure:
    outcome, _ = opened(server, **options)
    assert isinstance(outcome, OpenFailure), outcome
    return outcome


def told(verdict: Verdict) -> tuple[str, str, Phase]:
    return verdict.state, str(verdict.enhanced_code), verdict.phase


# -- connecting ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arrange", "kind", "secs"),
    [
        (lambda network: network.refuse(IP), FaultKind.REFUSED, 0),
        (lambda network: network.unreachable(IP), FaultKind.UNREACHABLE, 0),
        (lambda network: network.black_hole(IP), FaultKind.TIMEOUT, 30),
    ],
)
def test_a_host_that_cannot_be_connected_to_is_deferred(
    arrange: Callable[[Any], None], kind: FaultKind, secs: float
) -> None:
    """Rows 1, 2."""
    scene = Scene()
    arrange(scene.network)

    failure = scene.run(scene.open())

    assert failure.fault.kind is kind
    assert told(failure.verdict) == ("deferred", "4.4.1", Phase.CONNECT)
    assert failure.duration_secs == scene.loop.time() == secs


def test_the_source_address_is_used() -> None:
    """The address that SPF and reverse DNS speak of."""
    scene = Scene(SmtpServer())

    async def open_and_quit() -> None:
        await (await scene.session(source_address="192.0.2.77")).quit()

    scene.run(open_and_quit())

    assert [connect.source_ip for connect in scene.network.connects] == ["192.0.2.77"]


# -- greeting and EHLO ---------------------------------------------------------------------


@pytest.mark.parametrize("end", [close, reset])
@pytest.mark.parametrize(
    ("steps", "phase"),
    [
        ((), Phase.GREETING),
        ((GREET, EHLO), Phase.EHLO),
        ((GREET, EHLO, TLS_OFFERED, expect("STARTTLS")), Phase.STARTTLS),
    ],
)
def test_a_connection_that_is_lost_while_opening_is_deferred(
    steps: tuple[Any, ...], phase: Phase, end: Callable[[], Any]
) -> None:
    """Row 3: FIN and RST; no retry in clear, the next MX is asked."""
    failure = failure_of(scripted(*steps, end()))

    assert told(failure.verdict) == ("deferred", "4.4.2", phase)
    assert not failure.plain_retry


@pytest.mark.parametrize(
    ("steps", "phase", "timer"),
    [
        ((hang(),), Phase.GREETING, 300),
        ((GREET, EHLO, hang()), Phase.EHLO, 300),
        ((GREET, EHLO, TLS_OFFERED, expect("STARTTLS"), hang()), Phase.STARTTLS, 120),
        ((drip("220 " + "x" * 400, every_secs=10),), Phase.GREETING, 300),
        ((GREET, EHLO, send_for_ever("250-x", every_secs=20)), Phase.EHLO, 300),
    ],
    ids=["greeting", "EHLO", "STARTTLS", "dripping greeting", "dripping EHLO"],
)
def test_each_reply_has_its_own_time_which_octets_do_not_prolong(
    steps: tuple[Any, ...], phase: Phase, timer: float
) -> None:
    """Rows 13, 14; RFC 5321 4.5.3.2."""
    outcome, secs = opened(scripted(*steps))

    assert isinstance(outcome, OpenFailure)
    assert outcome.fault is not None
    assert (outcome.fault.kind, outcome.fault.phase, secs) == (FaultKind.TIMEOUT, phase, timer)


@pytest.mark.parametrize(
    ("greeting", "state", "code"),
    [
        ("554 5.3.2 no SMTP here", "failed", "5.3.2"),
        ("421 4.3.2 not now", "deferred", "4.3.2"),
        ("450 4.7.1 slow down", "deferred", "4.7.1"),
        ("250 hi", "deferred", "4.5.0"),
        ("SSH-2.0-OpenSSH_9.6", "deferred", "4.5.0"),
    ],
)
def test_a_greeting_that_does_not_let_us_in(greeting: str, state: str, code: str) -> None:
    """Rows 5, 6, 18; RFC 5321 3.1."""
    failure = failure_of(scripted(send(greeting), *QUIT))

    assert told(failure.verdict) == (state, code, Phase.GREETING)


@pytest.mark.parametrize("code", [500, 502, 504, 550])
def test_helo_follows_any_5yz_to_ehlo(code: int) -> None:
    """Row 6; RFC 5321 3.2."""
    server = scripted(GREET, EHLO, send(f"{code} no"), expect("HELO sender.example\r\n"), PLAIN, *QUIT)

    outcome, _ = opened(server)

    assert isinstance(outcome, Session)
    assert outcome.extensions == {}


@pytest.mark.parametrize(
    ("steps", "state", "code"),
    [
        ((send("550 5.7.1 no"), expect("HELO "), send("550 5.7.2 no"), *QUIT), "failed", "5.7.2"),
        ((send("550 5.7.1 no"), close()), "failed", "5.7.1"),
        ((send("451 4.3.0 later"), *QUIT), "deferred", "4.3.0"),
        ((send("421 bye"),), "deferred", "4.3.2"),
        ((send("334 what"),), "deferred", "4.5.0"),
    ],
)
def test_a_refused_ehlo(steps: tuple[Any, ...], state: str, code: str) -> None:
    """Rows 5, 6."""
    failure = failure_of(scripted(GREET, EHLO, *steps))

    assert told(failure.verdict) == (state, code, Phase.EHLO)


@pytest.mark.parametrize("code", [250, 251, 299])
def test_any_2yz_to_ehlo_is_a_yes(code: int) -> None:
    """Row 12; RFC 5321 4.2.1."""
    outcome, _ = opened(scripted(GREET, EHLO, send(f"{code}-mx\r\n{code} SIZE 5"), *QUIT))

    assert isinstance(outcome, Session)
    assert outcome.extensions == {"SIZE": "5"}


@pytest.mark.parametrize("at", range(1, 60, 7))
def test_a_reply_split_anywhere_is_the_same(at: int) -> None:
    """Row 22."""
    whole = "250-mx.dest.example\r\n250-SIZE 10\n250 PIPELINING\r\n"
    steps = (GREET, EHLO, drip(whole, size=at), *QUIT)

    outcome, _ = opened(scripted(*steps))

    assert isinstance(outcome, Session)
    assert outcome.extensions == {"SIZE": "10", "PIPELINING": ""}


@pytest.mark.parametrize(
    "octets",
    [
        b"250-x\r\n" * 200,
        b"250 " + b"x" * 70_000,
        b"\x1b[31m\x00\xff\r\n",
        b"250-a\r\n550 b\r\n",
        b"250 mx\r\n250 again\r\n",
    ],
    ids=["endless", "long", "junk", "two codes", "too many"],
)
def test_what_is_no_reply_ends_the_session_at_once(octets: bytes) -> None:
    """Rows 16, 17, 18, 20."""
    failure = failure_of(scripted(GREET, EHLO, send(octets), hang()))

    assert told(failure.verdict) == ("deferred", "4.5.0", Phase.EHLO)


def test_a_host_that_greets_with_our_name_is_ourselves() -> None:
    """Row 34; RFC 5321 6.3."""
    failure = failure_of(scripted(send("220 Sender.Example. ESMTP"), *QUIT))

    assert told(failure.verdict) == ("failed", "5.4.6", Phase.GREETING)


def test_a_relay_may_have_our_name() -> None:
    """Row 34 is about MX hosts: a relay may run on this very machine."""
    outcome, _ = opened(SmtpServer(name=HELO), is_relay=True)

    assert isinstance(outcome, Session)


# -- TLS -----------------------------------------------------------------------------------


def test_starttls_is_used_wherever_it_is_offered() -> None:
    """Row 25: an MX may have any certificate; what was found is recorded."""
    other = server_context("other.example", ca=trustme.CA())

    outcome, _ = opened(SmtpServer(tls_context=other))

    assert isinstance(outcome, Session)
    assert outcome.tls is not None
    assert (outcome.tls.version, outcome.tls.verified) == ("TLSv1.3", "unverified")


def test_without_starttls_an_opportunistic_session_is_in_clear() -> None:
    """Row 27."""
    outcome, _ = opened(SmtpServer())

    assert isinstance(outcome, Session)
    assert outcome.tls is None


@pytest.mark.parametrize("tls", ["encrypted", "verified"])
def test_without_starttls_nothing_is_sent_where_tls_is_demanded(tls: str) -> None:
    """Row 27."""
    server = scripted(GREET, EHLO, PLAIN, *QUIT)

    failure = failure_of(server, tls=tls, auth=SmtpAuth("user", "canary"))

    assert told(failure.verdict) == ("deferred", "4.7.4", Phase.STARTTLS)
    assert not failure.plain_retry
    assert server.transcripts[0].received == b"EHLO sender.example\r\nQUIT\r\n"


def test_a_relay_is_verified_chain_and_name() -> None:
    """Row 25."""
    outcome, _ = opened(SmtpServer(tls_context=server_context()), tls="verified", host=HOST + ".")

    assert isinstance(outcome, Session)
    assert outcome.tls is not None
    assert outcome.tls.verified == "pkix"


@pytest.mark.parametrize("implicit_tls", [False, True])
@pytest.mark.parametrize(
    "context",
    [lambda: server_context("other.example"), lambda: server_context(HOST, ca=trustme.CA())],
    ids=["wrong name", "unknown authority"],
)
def test_a_relay_with_a_bad_certificate_gets_nothing(context: Callable[[], Any], implicit_tls: bool) -> None:
    """Row 25; threat S15."""
    server = SmtpServer(tls_context=context(), implicit_tls=implicit_tls)

    failure = failure_of(server, tls="verified", implicit_tls=implicit_tls)

    assert told(failure.verdict) == ("deferred", "4.7.5", Phase.TLS)
    assert not failure.plain_retry


@pytest.mark.parametrize("mode", ["encrypted", "opportunistic"])
def test_a_certificate_is_not_looked_at_where_it_need_not_be_right(mode: str) -> None:
    """Row 25: require_tls on an MX means encrypted, not verified."""
    outcome, _ = opened(SmtpServer(tls_context=server_context("x.example", ca=trustme.CA())), tls=mode)

    assert isinstance(outcome, Session)


def test_implicit_tls_begins_with_the_handshake() -> None:
    """RFC 8314 3."""
    server = SmtpServer(tls_context=server_context(), implicit_tls=True)

    outcome, _ = opened(server, tls="verified", implicit_tls=True)

    assert isinstance(outcome, Session)
    assert isinstance(outcome.tls, TlsUsed)
    assert str(outcome.tls) == "TLSv1.3 pkix"


def test_old_tls_is_no_tls() -> None:
    """Row 26; RFC 8996."""
    context = server_context()
    context.set_ciphers("DEFAULT:@SECLEVEL=0")
    with warnings.catch_warnings(action="ignore"):  # it warns of what is done here on purpose
        context.minimum_version = ssl.TLSVersion.TLSv1
        context.maximum_version = ssl.TLSVersion.TLSv1_1

    failure = failure_of(SmtpServer(tls_context=context))

    assert told(failure.verdict) == ("deferred", "4.7.5", Phase.TLS)
    assert failure.plain_retry


GO_AHEAD = (GREET, EHLO, TLS_OFFERED, expect("STARTTLS"), send("220 go ahead"))


@pytest.mark.parametrize(
    ("steps", "phase"),
    [
        ((*GO_AHEAD, close()), Phase.TLS),
        ((*GO_AHEAD, pause(0.01), reset()), Phase.TLS),
        ((*GO_AHEAD, pause(0.01), send("this is no TLS"), hang()), Phase.TLS),
        ((*GO_AHEAD, hang()), Phase.TLS),
        ((GREET, EHLO, TLS_OFFERED, expect("STARTTLS"), send("454 4.7.0 no"), *QUIT), Phase.STARTTLS),
        ((GREET, EHLO, TLS_OFFERED, expect("STARTTLS"), send("502 no"), *QUIT), Phase.STARTTLS),
    ],
    ids=["FIN", "RST", "garbage", "silence", "454", "502"],
)
@pytest.mark.parametrize("tls", ["opportunistic", "encrypted"])
def test_failed_tls_may_be_retried_in_clear_where_nothing_demands_it(
    tls: str, steps: tuple[Any, ...], phase: Phase
) -> None:
    """Rows 23, 24."""
    failure = failure_of(scripted(*steps), tls=tls)

    assert told(failure.verdict) == ("deferred", "4.7.5", phase)
    assert failure.plain_retry is (tls == "opportunistic")


def test_421_to_starttls_is_a_closing_host() -> None:
    """Row 5."""
    failure = failure_of(scripted(GREET, EHLO, TLS_OFFERED, expect("STARTTLS"), send("421 bye"), hang()))

    assert told(failure.verdict) == ("deferred", "4.3.2", Phase.STARTTLS)
    assert not failure.plain_retry


@pytest.mark.parametrize(
    "behind", [send(b"250-mx\r\n250 STARTTLS\r\n421 idle\r\n"), send(b"250-mx\r\n250 STARTTLS\r\n")]
)
def test_who_hangs_up_behind_the_ehlo_has_refused_no_tls(behind: Any) -> None:
    """Row 5: such a host is not tried again in clear."""
    failure = failure_of(scripted(GREET, EHLO, behind, close()))

    assert failure.fault is not None
    assert (failure.fault.kind, failure.verdict.reply) == (FaultKind.CLOSED, None)
    assert not failure.plain_retry


@pytest.mark.parametrize("injected", [b"250 mx.evil.example\r\n", b"250-mx.evil.exam", b"\n", b"421 x\r\n"])
def test_octets_behind_the_220_to_starttls_end_the_session(injected: bytes) -> None:
    """Row 28; threat S16: CVE-2011-0411."""
    script = (*GO_AHEAD[:-1], send(b"220 go ahead\r\n" + injected), hang())

    failure = failure_of(ScriptedServer(script))

    assert told(failure.verdict) == ("deferred", "4.7.0", Phase.STARTTLS)
    assert not failure.plain_retry


def test_what_was_offered_before_tls_is_forgotten() -> None:
    """Row 28; RFC 3207 4.2."""
    server = scripted(
        GREET, EHLO, send("250-mx\r\n250-SIZE 10\r\n250 STARTTLS"), expect("STARTTLS"), send("220 go"),
        start_tls(server_context()), EHLO, send("250-mx\r\n250 PIPELINING"), *QUIT,
    )  # fmt: skip

    outcome, _ = opened(server)

    assert isinstance(outcome, Session)
    assert outcome.extensions == {"PIPELINING": ""}


def test_tls_contexts_are_made_once_and_take_nothing_old() -> None:
    """Threat S15."""
    contexts = TlsContexts()
    verifying, accepting = contexts(True), contexts(False)

    assert (contexts(True), contexts(False)) == (verifying, accepting)
    assert (verifying.verify_mode, verifying.check_hostname) == (ssl.CERT_REQUIRED, True)
    assert (accepting.verify_mode, accepting.check_hostname) == (ssl.CERT_NONE, False)
    for context in (verifying, accepting):
        assert context.minimum_version is ssl.TLSVersion.TLSv1_2
        assert context.options & ssl.OP_NO_COMPRESSION
        assert context.options & ssl.OP_NO_RENEGOTIATION


# -- AUTH ----------------------------------------------------------------------------------

CANARY = "canary-password"
CREDENTIALS = {"user": CANARY}


def relay(server: Handler, *, auth: SmtpAuth | None = None, **options: Any) -> Session | OpenFailure:
    auth = auth or SmtpAuth("user", CANARY)
    return opened(server, **{"tls": "verified", "is_relay": True, "auth": auth, **options})[0]


@pytest.mark.parametrize("mechanism", [None, "CRAM-MD5", "PLAIN", "LOGIN"])
@pytest.mark.parametrize("implicit_tls", [False, True])
def test_a_relay_lets_us_in(mechanism: str | None, implicit_tls: bool) -> None:
    """RFC 4954."""
    server = SmtpServer(tls_context=server_context(), implicit_tls=implicit_tls, credentials=CREDENTIALS)

    outcome = relay(server, auth=SmtpAuth("user", CANARY, mechanism), implicit_tls=implicit_tls)

    assert isinstance(outcome, Session)


@pytest.mark.parametrize(
    ("offered", "used"),
    [
        ("LOGIN PLAIN CRAM-MD5", b"AUTH CRAM-MD5\r\n"),
        ("XOAUTH2 LOGIN PLAIN", b"AUTH PLAIN "),
        ("login", b"AUTH LOGIN "),
    ],
)
def test_one_mechanism_is_tried_the_strongest_and_no_weaker_one(offered: str, used: bytes) -> None:
    """Threat S12."""
    server = scripted(
        *GO_AHEAD, start_tls(server_context()), EHLO, send(f"250-mx\r\n250 AUTH {offered}"),
        expect("AUTH "), send("535 5.7.8 no"), *QUIT,
    )  # fmt: skip

    outcome = relay(server)

    assert isinstance(outcome, OpenFailure)
    assert used in server.transcripts[0].received
    assert server.transcripts[0].received.count(b"AUTH") == 1


@pytest.mark.parametrize(
    ("reply", "code"),
    [
        ("535 5.7.8 bad", "4.7.8"),
        ("454 4.7.0 later", "4.7.0"),
        ("530 5.7.0 what", "4.7.0"),
        ("504 no", "4.7.0"),
    ],
)
def test_a_relay_that_refuses_us_holds_the_queue(reply: str, code: str) -> None:
    """Rows 32, 33."""
    server = SmtpServer(tls_context=server_context(), credentials=CREDENTIALS, on_auth=lambda *_: reply)

    outcome = relay(server)

    assert isinstance(outcome, OpenFailure)
    assert told(outcome.verdict) == ("deferred", code, Phase.AUTH)
    assert not outcome.verdict.counts_as_try
    assert outcome.verdict.retry_after is not None


@pytest.mark.parametrize(
    ("offered", "mechanism"), [("", None), ("AUTH GSSAPI", None), ("AUTH PLAIN", "CRAM-MD5")]
)
def test_a_relay_that_does_not_offer_auth_holds_the_queue(offered: str, mechanism: str | None) -> None:
    """Row 33."""
    server = scripted(*GO_AHEAD, start_tls(server_context()), EHLO, send(f"250-mx\r\n250 {offered}"), *QUIT)

    outcome = relay(server, auth=SmtpAuth("user", CANARY, mechanism))

    assert isinstance(outcome, OpenFailure)
    assert told(outcome.verdict) == ("deferred", "4.7.0", Phase.AUTH)
    assert not outcome.verdict.counts_as_try


@pytest.mark.parametrize("tls", ["none", "opportunistic", "encrypted"])
def test_no_credentials_without_verified_tls(tls: str) -> None:
    """Threat S11; rows 25, 27."""
    context = None if tls == "none" else server_context()
    server = ScriptedServer((GREET, EHLO, send("250-mx\r\n250 AUTH PLAIN LOGIN"), *QUIT))
    if context is not None:
        in_tls = (start_tls(context), EHLO, send("250-mx\r\n250 AUTH PLAIN LOGIN"), *QUIT)
        server = ScriptedServer((*GO_AHEAD, *in_tls))

    outcome = relay(server, tls=tls)

    assert isinstance(outcome, OpenFailure)
    assert outcome.fault is not None
    assert outcome.fault.kind is FaultKind.AUTH_UNSAFE
    assert b"AUTH" not in server.transcripts[0].received


def test_clear_text_credentials_need_to_be_allowed_in_so_many_words() -> None:
    """Threat S11."""
    server = SmtpServer(credentials=CREDENTIALS)

    outcome = relay(server, tls="none", allow_cleartext_auth=True)

    assert isinstance(outcome, Session)


@pytest.mark.parametrize("mechanism", ["CRAM-MD5", "PLAIN", "LOGIN", "XOAUTH2"])
def test_who_hangs_up_behind_the_ehlo_has_refused_no_credentials(mechanism: str) -> None:
    """The queue is not held for it."""
    server = scripted(
        *GO_AHEAD, start_tls(server_context()), EHLO,
        send(f"250-mx\r\n250 AUTH {mechanism}\r\n421 idle"), close(),
    )  # fmt: skip

    outcome = relay(server, auth=SmtpAuth("user", CANARY, mechanism))

    assert isinstance(outcome, OpenFailure)
    assert outcome.fault is not None
    assert (outcome.fault.kind, outcome.verdict.retry_after) == (FaultKind.CLOSED, None)


@pytest.mark.parametrize("step", [hang(), close(), send("334 %%%not base64"), send("garbage")])
@pytest.mark.parametrize("mechanism", ["CRAM-MD5", "PLAIN", "LOGIN", "XOAUTH2"])
def test_no_secret_is_shown_whatever_goes_wrong(
    mechanism: str, step: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """Threat S10."""
    caplog.set_level(logging.DEBUG)
    server = scripted(
        *GO_AHEAD, start_tls(server_context()), EHLO, send(f"250-mx\r\n250 AUTH {mechanism}"),
        expect("AUTH "), step, hang(),
    )  # fmt: skip
    auth = SmtpAuth("user", CANARY, mechanism)

    outcome = relay(server, auth=auth, timeouts=SmtpTimeouts(auth_secs=5))

    assert isinstance(outcome, OpenFailure)
    shown = f"{outcome!r} {outcome.verdict!r} {caplog.text} {auth!r}"
    assert CANARY not in shown
    assert "Y2FuYXJ5" not in shown  # its base64


@pytest.mark.parametrize("phase_secs", [0.0, 0.5, 1.5, 2.5, 3.5])
def test_a_cancelled_opening_leaves_no_socket(phase_secs: float) -> None:
    """Row 54: `Scene.run` checks that none is open."""
    server = SmtpServer(tls_context=server_context(), delays={"greeting": 1, "ehlo": 1, "starttls": 1})
    scene = Scene(server)

    async def cancel_it() -> None:
        task = asyncio.ensure_future(scene.open())
        await asyncio.sleep(phase_secs)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    scene.run(cancel_it())


def test_a_programming_error_leaves_no_socket_either() -> None:
    """What is no trouble of delivery is raised."""
    scene = Scene(SmtpServer(tls_context=server_context()))
    scene.contexts = None  # type: ignore[assignment]

    async def open_it() -> str:
        try:
            await scene.open()
        except TypeError as error:
            return "".join(traceback.format_exception(error))
        return ""

    assert "not callable" in scene.run(open_it())
