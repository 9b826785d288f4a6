"""Settings as an operator writes them: URLs, tables, the crate's spellings, and what is refused."""

from __future__ import annotations

import dataclasses
import traceback
from pathlib import Path
from typing import Any

import pytest

import mailstrom
from mailstrom import (
    Config,
    ConfigError,
    Mailstrom,
    RelayConfig,
    RemoteDeliveryConfig,
    ResolverSetup,
    SmtpAuth,
    SmtpTimeouts,
)

SECRET = "hush-hush-7"


@pytest.mark.parametrize(
    ("url", "relay"),
    [
        (
            f"smtp+starttls://me:{SECRET}@relay.example:2587",
            RelayConfig("relay.example", 2587, "starttls", SmtpAuth("me", SECRET)),
        ),
        ("smtp+starttls://relay.example", RelayConfig("relay.example", 587, "starttls")),
        ("smtps://relay.example", RelayConfig("relay.example", 465, "implicit")),
        ("smtp://relay.example", RelayConfig("relay.example", 25, "none")),
        ("smtp://[2001:db8::25]:2525", RelayConfig("2001:db8::25", 2525, "none")),
        (
            "smtps://me%40here:p%2Fw%3A@relay.example",
            RelayConfig("relay.example", 465, "implicit", SmtpAuth("me@here", "p/w:")),
        ),
    ],
)
def test_a_relay_url_says_the_same_as_its_parts(url: str, relay: RelayConfig) -> None:
    assert RelayConfig.from_url(url) == relay


@pytest.mark.parametrize(
    "url",
    [
        f"http://me:{SECRET}@relay.example",
        f"smtp://me:{SECRET}@relay.example",
        f"smtps://me:{SECRET}@",
        f"smtps://me:{SECRET}/x@relay.example",
        f"smtps://me:{SECRET}@relay.example:99999",
        f"smtps://me:{SECRET}@relay.example?verify=no",
        f"{SECRET}@relay.example",
    ],
)
def test_a_relay_url_that_is_refused_shows_its_password_nowhere(url: str) -> None:
    with pytest.raises(ConfigError) as caught:
        RelayConfig.from_url(url)

    shown = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
    package = Path(mailstrom.__file__).parent
    inside = [frame for frame in shown.stack if package in Path(frame.filename).parents]
    assert not any(SECRET in str(frame.locals) for frame in inside)
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(("tls", "port"), [("starttls", 587), ("implicit", 465), ("none", 25)])
def test_a_relays_port_follows_from_its_mode(tls: Any, port: int) -> None:
    assert RelayConfig("relay.example", tls=tls).port == port


def test_a_password_over_no_tls_has_to_be_asked_for() -> None:
    auth = SmtpAuth("me", SECRET)

    with pytest.raises(ConfigError, match="allow_cleartext_auth"):
        RelayConfig("relay.example", tls="none", auth=auth)
    assert RelayConfig("relay.example", tls="none", auth=auth, allow_cleartext_auth=True).auth == auth


def test_the_settings_of_the_crate_are_read_as_they_are_written_there() -> None:
    auth = {"mechanism": "Plain", "username": "me", "password": SECRET}
    written = {
        "helo_name": "my.host.example",
        "smtp_timeout_secs": 60,
        "base_resend_delay_secs": 60,
        "require_tls": True,
        "delivery": {"Relay": {"domain_name": "relay.example", "port": 587, "use_tls": True, "auth": auth}},
    }

    config = Config.from_dict(written)

    relay = RelayConfig("relay.example", 587, "starttls", SmtpAuth("me", SECRET, "PLAIN"))
    assert config == Config("my.host.example", 60, 60, True, relay)


@pytest.mark.parametrize(
    ("written", "setup"),
    [
        ("SystemConf", ResolverSetup.system()),
        ("Google", ResolverSetup.google()),
        ("Cloudflare", ResolverSetup.cloudflare()),
        ("Quad9", ResolverSetup.quad9()),
        ({"address": "192.0.2.53"}, ResolverSetup.specific("192.0.2.53")),
        (
            {"address": "192.0.2.53", "port": 5353, "protocol": "tcp"},
            ResolverSetup.specific("192.0.2.53", 5353, "tcp"),
        ),
    ],
)
def test_a_resolver_is_set_up_by_its_name_or_its_address(written: Any, setup: ResolverSetup) -> None:
    config = Config.from_dict({"delivery": {"Remote": {"resolver_setup": written}}})

    assert config.delivery == RemoteDeliveryConfig(setup)


def test_a_specific_resolver_takes_address_port_protocol_and_name_by_place() -> None:
    setup = ResolverSetup.specific("192.0.2.53", 853, "tls", "dns.example")

    assert dataclasses.astuple(setup) == (("192.0.2.53",), 853, "tls", "dns.example")
    assert ResolverSetup.specific("192.0.2.53").port == 53


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("smtp_timeout_secs", 0),
        ("smtp_timeout_secs", -1.0),
        ("base_resend_delay_secs", 0),
        ("base_resend_delay_secs", float("nan")),
        ("base_resend_delay_secs", float("inf")),
        ("mode", "test"),
        ("helo_name", "two words"),
        ("helo_name", "a\r\nMAIL FROM:<x@y.example>"),
        ("redirect_to", "nobody"),
        ("allow_domains", "one-text.example"),
        ("default_from", "nobody"),
        ("delivery", "relay.example"),
        ("require_tls", "yes"),
        ("timeouts", 60),
        ("retry", 3),
    ],
)
def test_a_setting_is_checked_when_it_is_made_and_named_when_it_is_wrong(name: str, value: Any) -> None:
    with pytest.raises(ConfigError, match=f"Config.{name}"):
        Config(**{name: value})


@pytest.mark.parametrize("name", [item.name for item in dataclasses.fields(SmtpTimeouts)])
@pytest.mark.parametrize("secs", [0, -1, float("inf"), True])
def test_a_timer_is_above_zero(name: str, secs: float) -> None:
    with pytest.raises(ConfigError, match=name):
        SmtpTimeouts(**{name: secs})


def test_one_timer_replaces_those_of_connect_greeting_and_commands_and_no_others() -> None:
    untouched = {"block_secs": 180, "dot_secs": 600}
    replaced = ("connect", "greeting", "ehlo", "mail", "rcpt", "data")

    used = Config(smtp_timeout_secs=7).smtp_timeouts

    assert {name: getattr(used, name) for name in untouched} == untouched
    assert {getattr(used, f"{name}_secs") for name in replaced} == {7}


def test_a_relay_url_will_do_for_the_whole_configuration() -> None:
    with Mailstrom("smtp+starttls://relay.example") as m:
        assert m.worker_status() == "not started"


@pytest.mark.parametrize("config", ["sqlite:///queue.db", "relay.example", 7, {"mode": "capture"}])
def test_what_is_no_configuration_is_refused_when_it_is_handed_in(config: Any) -> None:
    with pytest.raises(ConfigError):
        Mailstrom(config)


def test_a_secret_is_in_no_text_of_a_configuration(tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text(f"{SECRET}\n")
    auth = {"username": "me", "password_file": str(file)}

    config = Config.from_dict({"delivery": {"relay": {"domain_name": "relay.example", "auth": auth}}})

    assert isinstance(config.delivery, RelayConfig)
    assert config.delivery.auth == SmtpAuth("me", SECRET)
    assert SECRET not in f"{config!r} {config} {dataclasses.asdict(config)}"
