"""Somebody takes STARTTLS out of the reply to EHLO, or the host never had it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from mailstrom import Config, RelayConfig
from mailstrom.errors import ConfigError
from mailstrom.testing.script import Step, expect, send, start_tls
from mailstrom.testing.smtp_server import ScriptedServer, SmtpServer
from tests.builders import a_config, an_email, with_mx
from tests.lone_engine import LoneEngine, simulate
from tests.scenarios.stages import RELAY, YOU, outcome, visits
from tests.scenarios.tls_hosts import (
    AUTH,
    CREDENTIALS,
    QUIT,
    a_relay_config,
    at_mx_or_relay,
    at_relay,
    ca_file,
    server_context,
    tls_used,
    without_tls,
)

LOGIN = {"username": "user", "password": "secret"}
STRIPPED = {
    "left out": [*without_tls("AUTH PLAIN LOGIN"), *QUIT],
    "overwritten": [*without_tls("XXXXXXXA", "AUTH PLAIN LOGIN"), *QUIT],
    "EHLO refused": [
        send("220 mx ESMTP"), expect("EHLO"), send("502 no"), expect("HELO"), send("250 mx"), *QUIT,
    ],
}  # fmt: skip


def test_an_mx_without_starttls_gets_the_mail_in_clear_and_that_is_recorded() -> None:
    """Row 27: opportunistic."""
    server = SmtpServer()

    async def story(sim: LoneEngine) -> None:
        with_mx(sim, server)
        status = await sim.deliver(an_email())
        assert outcome(status) == ("delivered", "2.0.0", False, 1)
        assert status[YOU].attempts[0].tls is None
        (recipient,) = status.to_dict()["recipients"]
        assert recipient["attempts"][0]["tls"] is None

    simulate(story, config=a_config())


@pytest.mark.parametrize("steps", STRIPPED.values(), ids=STRIPPED)
@pytest.mark.parametrize("demand", ["require_tls", "relay", "relay with password", "may be in clear"])
def test_where_tls_is_demanded_the_session_ends_before_mail_and_before_auth(
    demand: str, steps: list[Step]
) -> None:
    """Row 27, threats S11 and S16; the crate sent the password in clear then."""
    hosts = [ScriptedServer(steps), ScriptedServer(steps)]

    async def story(sim: LoneEngine) -> None:
        at_mx_or_relay(sim, *hosts)
        status = await sim.first_try(an_email())
        assert outcome(status) == ("deferred", "4.7.4", False, 1)
        assert visits(status) == [("1", "starttls", "deferred"), ("2", "starttls", "deferred")]
        assert tls_used(status) == [None, None]
        assert "TLS not offered" in str(status[YOU].result)

    with ca_file() as ca:
        configs = {
            "require_tls": a_config(require_tls=True),
            "relay": a_relay_config(ca, auth=None),
            "relay with password": a_relay_config(ca),
            "may be in clear": a_relay_config(ca, allow_cleartext_auth=True),
        }
        simulate(story, config=configs[demand])

    for host in hosts:
        said = [line.split()[0] for line in host.transcripts[0].received.upper().splitlines()]
        assert not {b"MAIL", b"AUTH", b"RCPT"} & set(said)
        assert host.transcripts[0].ended


def test_where_tls_is_demanded_an_mx_that_has_it_is_found() -> None:
    """Row 27: the next MX."""
    second = SmtpServer(tls_context=server_context())

    async def story(sim: LoneEngine) -> None:
        with_mx(sim, SmtpServer(), second)
        status = await sim.deliver(an_email())
        assert visits(status) == [("1", "starttls", "deferred"), ("2", "dot", "delivered")]
        assert tls_used(status) == [None, "unverified"]

    simulate(story, config=a_config(require_tls=True))


def test_a_relay_wants_tls_unless_it_is_told_otherwise() -> None:
    """Threat S16: the default of every way to name a relay."""
    assert RelayConfig(RELAY).tls == "starttls"
    assert Config.from_dict({"delivery": {"relay": {"domain_name": RELAY}}}).delivery.tls == "starttls"
    assert RelayConfig.from_url(f"smtp+starttls://{RELAY}").tls == "starttls"
    assert RelayConfig.from_url(f"smtps://{RELAY}").tls == "implicit"


@pytest.mark.parametrize(
    "make",
    [
        lambda: RelayConfig(RELAY, tls="none", auth=AUTH),
        lambda: RelayConfig.from_url(f"smtp://user:secret@{RELAY}"),
        lambda: Config.from_dict(
            {"delivery": {"relay": {"domain_name": RELAY, "use_tls": False, "auth": LOGIN}}}
        ),
    ],
)
def test_a_password_for_a_relay_in_clear_has_to_be_allowed_in_so_many_words(
    make: Callable[[], object],
) -> None:
    """Threat S11."""
    with pytest.raises(ConfigError, match="allow_cleartext_auth"):
        make()


def test_a_password_that_may_go_in_clear_goes_in_clear() -> None:
    """Threat S11: the exception, said in so many words."""
    server = SmtpServer(credentials=CREDENTIALS)

    async def story(sim: LoneEngine) -> None:
        at_relay(sim, server)
        status = await sim.deliver(an_email())
        assert tls_used(status) == [None]

    simulate(story, config=a_relay_config(tls="none", allow_cleartext_auth=True))

    assert [message.user for message in server.ledger.messages] == ["user"]


def test_a_relay_in_clear_and_mail_that_may_not_go_in_clear_do_not_fit() -> None:
    """Row 27: the crate forgot `require_tls` where the relay was set to use no TLS."""
    with pytest.raises(ConfigError, match="require_tls"):
        a_config(delivery=RelayConfig(RELAY, tls="none"), require_tls=True)


def test_auth_offered_before_tls_only_is_not_used() -> None:
    """Threat S16: what was offered in clear is forgotten inside TLS (RFC 3207 4.2)."""
    offer = send("250-mx\r\n250-AUTH PLAIN LOGIN\r\n250 STARTTLS")
    clear = [send("220 mx ESMTP"), expect("EHLO "), offer, expect("STARTTLS"), send("220 go ahead")]
    server = ScriptedServer([*clear, start_tls(server_context()), expect("EHLO "), send("250 mx"), *QUIT])

    async def story(sim: LoneEngine) -> None:
        at_relay(sim, server)
        status = await sim.first_try(an_email())
        assert outcome(status) == ("deferred", "4.7.0", False, 0)
        assert visits(status) == [("1", "auth", "deferred")]

    with ca_file() as ca:
        simulate(story, config=a_relay_config(ca))

    assert b"AUTH" not in server.transcripts[0].received


def test_ehlo_is_said_again_inside_tls_and_only_that_counts() -> None:
    """Row 28, threat S16: SIZE in clear said 10, inside TLS nothing of the kind."""
    good = [expect("EHLO "), send("250-mx\r\n250 8BITMIME"), expect("MAIL FROM:"), send("250 ok")]
    rest = [
        expect("RCPT"),
        send("250 ok"),
        expect("DATA"),
        send("354 go"),
        expect("<content>"),
        send("250 ok"),
    ]
    clear = [send("220 mx ESMTP"), expect("EHLO "), send("250-mx\r\n250-SIZE 10\r\n250 STARTTLS")]
    server = ScriptedServer(
        [*clear, expect("STARTTLS"), send("220 go"), start_tls(server_context()), *good, *rest, *QUIT]
    )

    async def story(sim: LoneEngine) -> None:
        with_mx(sim, server)
        assert (await sim.deliver(an_email())).succeeded

    simulate(story, config=a_config())

    assert b"SIZE=" not in server.transcripts[0].received
