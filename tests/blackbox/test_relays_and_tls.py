"""A relay with and without TLS and credentials, and STARTTLS between mail hosts, on real sockets."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import trustme

from mailstrom import (
    Config,
    Email,
    Mailstrom,
    MessageStatus,
    RelayConfig,
    RemoteDeliveryConfig,
    ResolverSetup,
    SmtpAuth,
)
from tests.blackbox.sink import Names, Sink

EMAIL = Email(from_="me@s.example", to="you@dest.example, them@other.example", text="Hi.\n")
USERS = {"me": "pass-word-7"}


@pytest.fixture
def ca() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def ca_file(ca: trustme.CA, tmp_path: Path) -> str:
    file = tmp_path / "ca.pem"
    ca.cert_pem.write_to_path(str(file))
    return str(file)


def certified(ca: trustme.CA, *names: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert(*names).configure_cert(context)
    return context


def sent(config: Config) -> MessageStatus:
    """The status of EMAIL after its first pass, which did not complete it."""
    with Mailstrom(config) as m:
        m.start().send_email(EMAIL)
        [left] = m.close(timeout=30)
    return left


def through(sink: Sink, **settings: Any) -> Config:
    return Config(helo_name="h.example", delivery=RelayConfig("127.0.0.1", sink.port, **settings))


def delivered(config: Config) -> MessageStatus:
    with Mailstrom(config) as m:
        return m.start().wait(m.send_email(EMAIL), timeout=30)


@pytest.mark.parametrize("mechanism", [None, "PLAIN", "LOGIN"])
def test_a_relay_takes_all_mail_after_starttls_and_credentials(
    ca: trustme.CA, ca_file: str, mechanism: str | None
) -> None:
    auth = SmtpAuth("me", USERS["me"], mechanism)

    with Sink(tls=certified(ca, "127.0.0.1"), users=USERS) as relay:
        status = delivered(through(relay, auth=auth, ca_file=ca_file))

    [mail] = relay.mails
    assert (mail.encrypted, mail.user) == (True, "me")
    assert mail.recipients == ["<you@dest.example>", "<them@other.example>"]
    assert {r.attempts[0].tls.verified for r in status if r.attempts[0].tls} == {"pkix"}


def test_a_relay_speaks_tls_from_the_first_octet_where_it_is_implicit(ca: trustme.CA, ca_file: str) -> None:
    auth = SmtpAuth("me", USERS["me"])

    with Sink(tls=certified(ca, "127.0.0.1"), implicit=True, users=USERS) as relay:
        status = delivered(through(relay, tls="implicit", auth=auth, ca_file=ca_file))

    assert status.succeeded
    assert relay.mails[0].user == "me"
    assert "STARTTLS" not in relay.lines


def test_a_relay_may_be_spoken_to_in_clear_where_that_is_said() -> None:
    with Sink() as relay:
        status = delivered(through(relay, tls="none"))

    assert status.succeeded
    assert [r.attempts[0].tls for r in status] == [None, None]


def test_credentials_go_in_clear_only_where_that_is_said() -> None:
    auth = SmtpAuth("me", USERS["me"])

    with Sink(users=USERS) as relay:
        status = delivered(through(relay, tls="none", auth=auth, allow_cleartext_auth=True))

    assert status.succeeded
    assert relay.mails[0].user == "me"


@contextmanager
def untrusted(ca: trustme.CA, ca_file: str, fault: str) -> Iterator[tuple[Sink, dict[str, Any]]]:
    """A relay that must not see a password, and the settings for it."""
    match fault:
        case "no STARTTLS":
            sink, settings = Sink(users=USERS), {"ca_file": ca_file}
        case "unknown CA":
            sink, settings = Sink(tls=certified(ca, "127.0.0.1"), users=USERS), {}
        case _:
            sink = Sink(tls=certified(ca, "elsewhere.example"), users=USERS)
            settings = {"ca_file": ca_file}
    with sink:
        yield sink, settings


@pytest.mark.parametrize("fault", ["no STARTTLS", "unknown CA", "another name"])
def test_a_relay_that_cannot_be_verified_gets_no_credentials_and_no_mail(
    ca: trustme.CA, ca_file: str, fault: str
) -> None:
    with untrusted(ca, ca_file, fault) as (relay, settings):
        status = sent(through(relay, auth=SmtpAuth("me", USERS["me"]), **settings))

    assert [r.result.state for r in status] == ["deferred", "deferred"]
    assert not any(line.startswith(("AUTH", "MAIL")) for line in relay.lines)
    assert relay.mails == []


def test_a_relay_that_refuses_the_credentials_holds_the_queue_and_fails_no_mail(
    ca: trustme.CA, ca_file: str
) -> None:
    with Sink(tls=certified(ca, "127.0.0.1"), users=USERS) as relay:
        status = sent(through(relay, auth=SmtpAuth("me", "wrong"), ca_file=ca_file))

    assert [r.result.state for r in status] in (["deferred"] * 2, ["queued"] * 2)
    assert {r.result.tries for r in status} == {0}
    assert sum(line.startswith("AUTH") for line in relay.lines) == 1
    assert "wrong" not in repr(status)


@contextmanager
def mail_hosts(sink: Sink) -> Iterator[RemoteDeliveryConfig]:
    """Both domains of EMAIL have the sink for their MX."""
    records = {(f"{name}.example", "A"): ["127.0.0.1"] for name in ("dest", "other")}
    with sink, Names(records) as names:
        setup = ResolverSetup.specific("127.0.0.1", names.port)
        yield RemoteDeliveryConfig(setup, port=sink.port, allow_private_addresses=True)


def test_an_unverified_certificate_of_a_mail_host_is_accepted_and_recorded(ca: trustme.CA) -> None:
    with mail_hosts(sink := Sink(tls=certified(ca, "elsewhere.example"))) as delivery:
        status = delivered(Config("h.example", delivery=delivery, require_tls=True))

    assert status.succeeded
    assert all(mail.encrypted for mail in sink.mails)
    assert {r.attempts[0].tls.verified for r in status if r.attempts[0].tls} == {"unverified"}


def test_a_mail_host_without_tls_gets_the_mail_in_clear_unless_tls_is_required() -> None:
    with mail_hosts(sink := Sink()) as delivery:
        in_clear = delivered(Config("h.example", delivery=delivery))
        refused = sent(Config("h.example", delivery=delivery, require_tls=True))

    assert in_clear.succeeded
    assert [r.result.completed for r in refused] == [False, False]
    assert len(sink.mails) == 2


def test_a_handshake_that_fails_is_followed_by_one_connection_in_clear() -> None:
    old = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)  # it has no certificate: no handshake can succeed
    with mail_hosts(sink := Sink(tls=old)) as delivery:
        status = delivered(Config("h.example", delivery=delivery))

    assert status.succeeded
    assert not any(mail.encrypted for mail in sink.mails)
    assert [attempt.state for attempt in status["you@dest.example"].attempts][-1] == "delivered"
