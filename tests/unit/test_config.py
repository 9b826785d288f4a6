"""Settings: checked once, when made; read from mappings, TOML, the environment, and URLs."""

from __future__ import annotations

import contextlib
import copy
import dataclasses
import json
import pickle
import sys
import traceback
from collections.abc import Callable, Mapping
from datetime import timedelta
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailstrom.config import (
    Config,
    RelayConfig,
    RemoteDeliveryConfig,
    ResolverSetup,
    SmtpAuth,
    SmtpTimeouts,
)
from mailstrom.config_limits import LaneLimits
from mailstrom.errors import ConfigError
from mailstrom.schedule.rate import Rate
from mailstrom.schedule.retry import RetryPolicy
from mailstrom.secret import Secret

CANARY = "c4nary-pa55"


def a_relay(**settings: Any) -> RelayConfig:
    return RelayConfig(**{"domain_name": "relay.example", **settings})


# What is checked when a setting is made

WRONG: list[tuple[type, dict[str, object]]] = [
    (Config, {"helo_name": 5}),
    (Config, {"helo_name": "mail example"}),
    (Config, {"helo_name": "mail.example\r\nMAIL FROM:<>"}),
    (Config, {"smtp_timeout_secs": "60"}),
    (Config, {"smtp_timeout_secs": float("nan")}),
    (Config, {"smtp_timeout_secs": True}),
    (Config, {"smtp_timeout_secs": 0}),
    (Config, {"base_resend_delay_secs": None}),
    (Config, {"base_resend_delay_secs": -1.0}),
    (Config, {"base_resend_delay_secs": float("inf")}),
    (Config, {"require_tls": "yes"}),
    (Config, {"require_tls": 1}),
    (Config, {"delivery": None}),
    (Config, {"delivery": {"relay": {}}}),
    (Config, {"retry": 3}),
    (Config, {"timeouts": 60}),
    (Config, {"mode": "dry"}),
    (Config, {"mode": ["live"]}),
    (Config, {"redirect_to": 7}),
    (Config, {"redirect_to": "nobody"}),
    (Config, {"default_from": "a@b@c"}),
    (Config, {"allow_domains": "dest.example"}),
    (Config, {"allow_domains": (5,)}),
    (Config, {"allow_domains": ("no domain",)}),
    (Config, {"mail_dir": 5}),
    (Config, {"max_sessions": 0}),
    (Config, {"max_sessions": 2.5}),
    (Config, {"max_sessions_per_lane": "20"}),
    (Config, {"max_messages_per_session": True}),
    (Config, {"queue_full_wait_secs": -1}),
    (Config, {"provider_limits": "off"}),
    (Config, {"limits": None}),
    (Config, {"limits": "100/min"}),
    (Config, {"limits": ["gmail.com"]}),
    (Config, {"limits": {"gmail.com": "100/min"}}),
    (Config, {"limits": {5: LaneLimits()}}),
    (Config, {"limits": {"goggle": LaneLimits()}}),
    (Config, {"limits": {"you@dest.example": LaneLimits()}}),
    (Config, {"limits": {".": LaneLimits()}}),
    (Config, {"limits": {"dest.example": LaneLimits(), "Dest.Example.": LaneLimits()}}),
    (LaneLimits, {"max_sessions": 0}),
    (LaneLimits, {"max_messages_per_session": 2.5}),
    (LaneLimits, {"rate": 100}),
    (LaneLimits, {"rate": "often"}),
    (Config, {"queue_full_wait_secs": float("nan")}),
    (RetryPolicy, {"tries": "3"}),
    (RetryPolicy, {"tries": 0}),
    (RetryPolicy, {"tries": True}),
    (RetryPolicy, {"tries": 2.5}),
    (RetryPolicy, {"tries": None}),
    (RetryPolicy, {"factor": "3"}),
    (RetryPolicy, {"factor": float("nan")}),
    (RetryPolicy, {"factor": float("inf")}),
    (RetryPolicy, {"factor": 0.5}),
    (RetryPolicy, {"jitter": None}),
    (RetryPolicy, {"jitter": 1.5}),
    (RetryPolicy, {"base_delay_secs": "60"}),
    (RetryPolicy, {"base_delay_secs": 0}),
    (RetryPolicy, {"max_age": 5}),
    (RetryPolicy, {"max_age": timedelta(0)}),
    (RetryPolicy, {"uncertain_delay_secs": None}),
    (RetryPolicy, {"max_delay_secs": float("nan")}),
    (RetryPolicy, {"on_uncertain": "drop"}),
    (RetryPolicy, {"on_uncertain": ["retry"]}),
    (SmtpTimeouts, {"dot_secs": 0}),
    (SmtpTimeouts, {"dot_secs": "600"}),
    (SmtpTimeouts, {"min_rate": float("nan")}),
    (RelayConfig, {"domain_name": None}),
    (RelayConfig, {"domain_name": "relay example"}),
    (RelayConfig, {"domain_name": "relay.example", "port": "25"}),
    (RelayConfig, {"domain_name": "relay.example", "port": 65536}),
    (RelayConfig, {"domain_name": "relay.example", "tls": "ssl"}),
    (RelayConfig, {"domain_name": "relay.example", "tls": []}),
    (RelayConfig, {"domain_name": "relay.example", "auth": "me:pw"}),
    (RelayConfig, {"domain_name": "relay.example", "ca_file": 5}),
    (RelayConfig, {"domain_name": "relay.example", "ca_file": "/no/such/file.pem"}),
    (RelayConfig, {"domain_name": "relay.example", "allow_cleartext_auth": "no"}),
    (SmtpAuth, {"password": "pw", "username": ""}),
    (SmtpAuth, {"password": "pw", "username": 5}),
    (SmtpAuth, {"username": "me", "password": 5}),
    (SmtpAuth, {"username": "me", "password": ""}),
    (SmtpAuth, {"password": "pw", "username": "me\0you"}),
    (SmtpAuth, {"username": "me", "password": "p\0w"}),
    (SmtpAuth, {"username": "me", "password": "pw", "mechanism": "NTLM"}),
    (SmtpAuth, {"username": "me", "password": "pw", "mechanism": 5}),
    (ResolverSetup, {"nameservers": "192.0.2.53"}),
    (ResolverSetup, {"nameservers": (1,)}),
    (ResolverSetup, {"nameservers": ("ns.example",)}),
    (ResolverSetup, {"port": 0}),
    (ResolverSetup, {"protocol": "quic"}),
    (ResolverSetup, {"protocol": ["udp"]}),
    (ResolverSetup, {"tls_dns_name": 5}),
    (RemoteDeliveryConfig, {"resolver_setup": "system"}),
    (RemoteDeliveryConfig, {"port": None}),
    (RemoteDeliveryConfig, {"allow_private_addresses": "yes"}),
    (RemoteDeliveryConfig, {"own_names": "mail.example"}),
    (RemoteDeliveryConfig, {"own_names": (1,)}),
    (RemoteDeliveryConfig, {"ip_families": ()}),
    (RemoteDeliveryConfig, {"ip_families": ("ipv5",)}),
    (RemoteDeliveryConfig, {"ip_families": 4}),
    (RemoteDeliveryConfig, {"source_ipv4": "2001:db8::1"}),
    (RemoteDeliveryConfig, {"source_ipv6": "192.0.2.1"}),
    (RemoteDeliveryConfig, {"source_ipv4": 3221225985}),
    (RemoteDeliveryConfig, {"dns_timeout_secs": "30"}),
    (RemoteDeliveryConfig, {"plain_fallback": None}),
]


@pytest.mark.parametrize(("kind", "settings"), WRONG, ids=lambda value: str(value)[:50])
def test_a_wrong_setting_is_a_config_error_that_names_it(kind: type, settings: dict[str, object]) -> None:
    *_, name = settings

    with pytest.raises(ConfigError) as caught:
        kind(**settings)

    assert name in str(caught.value).replace(" address", ".nameservers")


@given(
    st.sampled_from([item.name for item in dataclasses.fields(Config)]),
    st.one_of(
        st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5), st.binary(max_size=5)
    )
    | st.lists(st.integers(), max_size=2)
    | st.dictionaries(st.text(max_size=2), st.none(), max_size=2),
)
def test_whatever_is_given_config_raises_no_other_error(name: str, value: object) -> None:
    """No TypeError for a wrong type."""
    with contextlib.suppress(ConfigError):
        Config(**{name: value})  # type: ignore[arg-type]


def test_the_defaults_are_the_crates_where_it_has_them() -> None:
    assert (Config().retry_policy.base_delay_secs, Config().retry.tries, Config().retry.factor) == (
        60.0,
        3,
        3.0,
    )


@pytest.mark.parametrize(("tls", "port"), [("starttls", 587), ("implicit", 465), ("none", 25)])
def test_a_relays_port_follows_its_tls_mode(tls: str, port: int) -> None:
    assert a_relay(tls=tls).port == port


def test_a_password_in_clear_must_be_allowed() -> None:
    """The relay's credentials never travel unencrypted by accident."""
    auth = SmtpAuth("me", "pw")

    with pytest.raises(ConfigError, match="allow_cleartext_auth"):
        a_relay(tls="none", auth=auth)

    assert a_relay(tls="none", auth=auth, allow_cleartext_auth=True).auth == auth


def test_one_timeout_leaves_the_content_and_the_final_dot_alone() -> None:
    """RFC 5321 4.5.3.2.6: a short timer after the final dot makes duplicates."""
    timeouts = Config(smtp_timeout_secs=7).smtp_timeouts

    changed = {item.name for item in dataclasses.fields(timeouts) if getattr(timeouts, item.name) == 7}
    assert changed == {
        f"{name}_secs" for name in ("connect", "greeting", "ehlo", "starttls", "auth", "mail", "rcpt", "data")
    }
    assert (timeouts.block_secs, timeouts.dot_secs) == (180.0, 600.0)


def test_allowed_domains_are_kept_as_they_stand_in_an_envelope() -> None:
    config = Config(allow_domains=["Dest.Example", "bücher.example", "dot.example."])  # type: ignore[arg-type]

    assert config.allow_domains == ("dest.example", "xn--bcher-kva.example", "dot.example")


def test_limits_are_kept_by_destination_as_it_stands_in_an_envelope() -> None:
    few, slow = LaneLimits(max_sessions=2), LaneLimits(rate="5/min, burst 3")

    config = Config(
        delivery=RelayConfig("mailhog"),
        limits={".MX.example": few, "bücher.example.": slow, "google": few, "[192.0.2.1]": few,
                "mailhog": few, "*": slow},
    )  # fmt: skip

    assert config.limits_by_destination == {
        "*": slow,
        ".mx.example": few,
        "[192.0.2.1]": few,
        "google": few,
        "mailhog": few,
        "xn--bcher-kva.example": slow,
    }
    assert slow.rate == Rate(5, 60, 3)
    assert (dataclasses.replace(config), hash(config)) == (config, hash(dataclasses.replace(config)))


@pytest.mark.parametrize(
    ("given", "mechanism"),
    [("CramMd5", "CRAM-MD5"), ("cram_md5", "CRAM-MD5"), ("CRAM-MD5", "CRAM-MD5"), ("Plain", "PLAIN"),
     ("Login", "LOGIN"), ("Xoauth2", "XOAUTH2")],
)  # fmt: skip
def test_mechanisms_are_understood_in_the_crates_spelling(given: str, mechanism: str) -> None:
    assert SmtpAuth("me", "pw", given).mechanism == mechanism


def test_the_port_of_a_name_server_follows_its_protocol() -> None:
    found = [ResolverSetup.specific("192.0.2.53", protocol=each).port for each in ("udp", "tcp", "tls")]

    assert found == [53, 53, 853]


def test_https_without_the_extra_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    for client in ("httpx", "httpx2"):
        monkeypatch.setitem(sys.modules, client, None)  # as if it were not installed

    with pytest.raises(ConfigError, match=r"mailstrom\[doh\]"):
        ResolverSetup.specific("192.0.2.53", protocol="https")


def test_https_with_the_extra_has_a_port_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "httpx2", ModuleType("httpx2"))
    sys.modules["httpx2"].__spec__ = ModuleSpec("httpx2", None)

    assert ResolverSetup.specific("192.0.2.53", protocol="https").port == 443


# Relay URLs


@pytest.mark.parametrize(
    ("url", "relay"),
    [
        ("smtp+starttls://relay.example", a_relay()),
        ("smtps://relay.example", a_relay(tls="implicit")),
        ("smtp://relay.example:2525/", a_relay(tls="none", port=2525)),
        ("smtp+starttls://[2001:db8::1]:2587", a_relay(domain_name="2001:db8::1", port=2587)),
        ("smtp+starttls://me:pw@relay.example:587", a_relay(auth=SmtpAuth("me", "pw"))),
        ("smtps://me%40x.example:p%2Fw%3A%40@relay.example",
         a_relay(tls="implicit", auth=SmtpAuth("me@x.example", "p/w:@"))),
    ],
)  # fmt: skip
def test_a_relay_url_says_all_that_a_relay_needs(url: str, relay: RelayConfig) -> None:
    assert RelayConfig.from_url(url) == relay


@pytest.mark.parametrize(
    "url",
    [
        "", "relay.example", "http://relay.example", "smtp+starttls://", "smtp://relay.example:0",
        "smtp://relay.example:port", "smtp://relay.example:99999", "smtp://relay.example/path",
        "smtp://relay.example?x=1", "smtp://relay.example#x", "smtp://[2001:db8::1", "smtps://me@relay.example",
        "smtp://me:pw@relay.example", 5, None,
    ],
)  # fmt: skip
def test_any_other_url_is_a_config_error(url: Any) -> None:
    with pytest.raises(ConfigError):
        RelayConfig.from_url(url)


# Secrets

LEAKS: dict[str, Callable[[], object]] = {
    "no scheme": lambda: RelayConfig.from_url(f"me:{CANARY}@relay.example"),
    "wrong scheme": lambda: RelayConfig.from_url(f"http://me:{CANARY}@relay.example"),
    "slash in password": lambda: RelayConfig.from_url(f"smtps://me:a/{CANARY}@relay.example"),
    "slash after digits": lambda: RelayConfig.from_url(f"smtps://me:12/{CANARY}@relay.example"),
    "question mark": lambda: RelayConfig.from_url(f"smtps://me:{CANARY}?x@relay.example"),
    "password as port": lambda: RelayConfig.from_url(f"smtps://me:{CANARY}"),
    "bracket": lambda: RelayConfig.from_url(f"smtps://me:{CANARY}@[relay.example"),
    "normalised netloc": lambda: RelayConfig.from_url(f"smtps://me:{CANARY}@relay℀.example"),
    "clear text": lambda: RelayConfig.from_url(f"smtp://me:{CANARY}@relay.example"),
    "bad host": lambda: RelayConfig.from_url(f"smtps://me:{CANARY}@relay example"),
    "wrong order": lambda: SmtpAuth("PLAIN", "me", CANARY),
    "bytes": lambda: SmtpAuth("me", CANARY.encode()),  # type: ignore[arg-type]
    "bad mechanism": lambda: SmtpAuth("me", CANARY, "NTLM"),
    "unknown key": lambda: Config.from_dict({"helo": 1, "delivery": f"smtps://me:{CANARY}@relay.example"}),
    "unknown auth key": lambda: Config.from_dict(
        {"delivery": {"relay": {"domain_name": "relay.example", "auth": {"user": "me", "pasword": CANARY}}}}
    ),
    "auth as text": lambda: Config.from_dict(
        {"delivery": {"relay": {"domain_name": "relay.example", "auth": f"me:{CANARY}"}}}
    ),
    "two passwords": lambda: Config.from_dict(
        {"delivery": {"relay": {"url": f"smtps://me:{CANARY}@relay.example", "auth": {"password": CANARY}}}}
    ),
    "port as text": lambda: Config.from_dict(
        {"delivery": {"relay": {"domain_name": "relay.example", "port": "587",
                                "auth": {"username": "me", "password": CANARY}}}}
    ),
    "environment": lambda: Config.from_env(
        {"MAILSTROM_RELAY_URL": f"smtps://me:{CANARY}@relay.example", "MAILSTROM_REQUIRE_TLS": "maybe"}
    ),
    "environment URL": lambda: Config.from_env({"MAILSTROM_RELAY_URL": f"me:{CANARY}@relay.example"}),
}  # fmt: skip


@pytest.mark.parametrize("case", LEAKS)
def test_a_password_is_in_no_exception_and_no_traceback_with_locals(case: str) -> None:
    """S10: only the frames of the caller, who has the password anyway, may show it."""
    with pytest.raises(ConfigError) as caught:
        LEAKS[case]()

    told = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
    frames = [frame for frame in told.stack if frame.filename != __file__]
    told.stack[:] = [frame for frame in frames if "_pytest" not in frame.filename]
    assert CANARY not in "".join(told.format())
    assert CANARY not in repr(caught.value)


@pytest.mark.parametrize(
    "misuse",
    [
        RelayConfig,
        lambda url: Config(delivery=url),
        lambda url: Config(helo_name=url),
        lambda url: a_relay(ca_file=url),
        lambda url: a_relay(tls=url),
        lambda url: Config(redirect_to=url),
    ],
)
def test_a_url_in_the_wrong_place_is_not_repeated(misuse: Callable[[str], object]) -> None:
    """S10."""
    with pytest.raises(ConfigError) as caught:
        misuse(f"smtps://me:{CANARY}@relay.example")

    assert CANARY not in "".join(traceback.format_exception_only(caught.value))


def test_a_password_is_in_no_repr_and_no_dump() -> None:
    """S10."""
    config = Config(delivery=a_relay(auth=SmtpAuth("me", CANARY)))

    shown = [repr(config), str(config), f"{config}", json.dumps(dataclasses.asdict(config), default=str)]
    shown += [repr(copy.copy(config)), repr(copy.deepcopy(config)), repr(dataclasses.astuple(config))]
    assert [CANARY in each for each in shown] == [False] * len(shown)
    assert isinstance(config.delivery, RelayConfig)
    assert config.delivery.auth is not None
    assert config.delivery.auth.password.reveal() == CANARY


def test_a_secret_is_never_pickled() -> None:
    """S10: a stored configuration holds no password."""
    with pytest.raises(TypeError):
        pickle.dumps(Config(delivery=a_relay(auth=SmtpAuth("me", CANARY))))


def test_equal_secrets_are_equal() -> None:
    assert {Secret("a"), Secret(Secret("a"))} == {Secret("a")}
    assert Secret("a") != Secret("b")
    assert Secret("a") != "a"


# Mappings

FROM_DICT: list[tuple[Mapping[str, object], Config]] = [
    ({}, Config()),
    ({"helo_name": "mail.example", "require_tls": True}, Config(helo_name="mail.example", require_tls=True)),
    (
        {"limits": {"google": {"max_sessions": 3, "rate": "5/s"}, "*": LaneLimits(rate="1/s")}},
        Config(limits={"*": LaneLimits(rate="1/s"), "google": LaneLimits(max_sessions=3, rate="5/s")}),
    ),
    ({"delivery": "smtps://relay.example"}, Config(delivery=a_relay(tls="implicit"))),
    ({"delivery": {"relay": "smtps://relay.example"}}, Config(delivery=a_relay(tls="implicit"))),
    ({"delivery": {"relay": {"domain_name": "relay.example"}}}, Config(delivery=a_relay())),
    (
        {"delivery": {"relay": {"url": "smtps://me@relay.example", "auth": {"password": "pw"}}}},
        Config(delivery=a_relay(tls="implicit", auth=SmtpAuth("me", "pw"))),
    ),
    ({"delivery": "remote"}, Config()),
    ({"delivery": {"remote": {"port": 2525}}}, Config(delivery=RemoteDeliveryConfig(port=2525))),
    (
        {"delivery": {"remote": {"resolver_setup": "quad9", "own_names": ["Mx.Example"]}}},
        Config(delivery=RemoteDeliveryConfig(ResolverSetup.quad9(), own_names=("mx.example",))),
    ),
    (
        {"delivery": {"remote": {"resolver_setup": {"address": "192.0.2.53", "protocol": "tls"}}}},
        Config(delivery=RemoteDeliveryConfig(ResolverSetup.specific("192.0.2.53", 853, "tls"))),
    ),
    (
        {"delivery": {"remote": {"resolver_setup": {"nameservers": ["192.0.2.53", "192.0.2.54"]}}}},
        Config(delivery=RemoteDeliveryConfig(ResolverSetup(("192.0.2.53", "192.0.2.54")))),
    ),
    ({"retry": {"tries": 5, "max_age": 3600}}, Config(retry=RetryPolicy(5, max_age=timedelta(hours=1)))),
    ({"retry": "rfc5321"}, Config(retry=RetryPolicy.rfc5321())),
    (
        {"retry": {"tries": "none", "max_age": 60.0}},
        Config(retry=RetryPolicy(None, max_age=timedelta(minutes=1))),
    ),
    ({"timeouts": {"dot_secs": 700}}, Config(timeouts=SmtpTimeouts(dot_secs=700))),
    ({"retry": RetryPolicy(7), "delivery": a_relay()}, Config(retry=RetryPolicy(7), delivery=a_relay())),
    # as the crate's serde writes it
    (
        {
            "helo_name": "localhost",
            "smtp_timeout_secs": 60,
            "base_resend_delay_secs": 60,
            "require_tls": False,
            "delivery": {
                "Relay": {
                    "domain_name": "relay.example",
                    "port": None,
                    "use_tls": True,
                    "auth": {"mechanism": "Plain", "username": "me", "password": "pw"},
                }
            },
        },
        Config("localhost", 60, 60, delivery=a_relay(auth=SmtpAuth("me", "pw", "PLAIN"))),
    ),
    (
        {"delivery": {"Relay": {"domain_name": "relay.example", "port": 25, "use_tls": False}}},
        Config(delivery=a_relay(tls="none")),
    ),
    ({"delivery": {"Remote": {"resolver_setup": "SystemConf"}}}, Config()),
    (
        {
            "delivery": {
                "Remote": {
                    "resolver_setup": {
                        "Specific": {
                            "socket": "[2001:db8::53]:853",
                            "protocol": "Tls",
                            "tls_dns_name": "ns.example",
                        }
                    }
                }
            }
        },
        Config(
            delivery=RemoteDeliveryConfig(ResolverSetup(("2001:db8::53",), 853, "tls", "ns.example")),
        ),
    ),
]


@pytest.mark.parametrize(("given", "config"), FROM_DICT, ids=lambda value: str(value)[:60])
def test_a_mapping_makes_the_config_it_describes(given: Mapping[str, object], config: Config) -> None:
    assert Config.from_dict(given) == config


WRONG_DICTS: list[tuple[object, str]] = [
    ([], "Config: expected a table"),
    ({"helo": "mail.example"}, "'helo'; did you mean 'helo_name'?"),
    ({"frobnicate": 1}, "'frobnicate'; expected one of helo_name"),
    ({5: 1}, "there is no setting 5"),
    ({"timeouts": {"dot": 1}}, "'dot'"),
    ({"timeouts": {"dot_sec": 1}}, "did you mean 'dot_secs'?"),
    ({"timeouts": 5}, "Config.timeouts: expected a table"),
    ({"limits": 5}, "Config.limits: expected LaneLimits(...) by destination"),
    ({"limits": {"*": {"max_session": 1}}}, "Config.limits['*']: there is no setting 'max_session'; did you"),
    ({"limits": {"*": {"rate": "often"}}}, "LaneLimits.rate: expected a rate such as '100/min'"),
    ({"limits": {"goggle": {}}}, "a provider (google, yahoo,"),
    ({"retry": {"trys": 1}}, "did you mean 'tries'?"),
    ({"retry": {"max_age": "1d"}}, "max_age"),
    ({"retry": {"max_age": -1}}, "max_age"),
    ({"retry": "often"}, "Config.retry: expected a table"),
    ({"delivery": "carrier pigeon"}, "Config.delivery"),
    ({"delivery": {}}, "expected one of relay and remote"),
    ({"delivery": {"relay": {}, "remote": {}}}, "expected one of relay and remote"),
    ({"delivery": {"relays": {}}}, "did you mean 'relay'?"),
    ({"delivery": {"relay": {}}}, "domain_name"),
    (
        {"delivery": {"relay": {"domain_name": "a.example", "url": "smtps://b.example"}}},
        "domain_name and url",
    ),
    (
        {"delivery": {"relay": {"domain_name": "a.example", "use_tls": True, "tls": "none"}}},
        "use_tls and tls",
    ),
    ({"delivery": {"relay": {"domain_name": "a.example", "use_tls": "yes"}}}, "use_tls"),
    ({"delivery": {"relay": {"domain_name": "a.example", "auth": {"username": "me"}}}}, "none of them"),
    ({"delivery": {"relay": {"domain_name": "a.example", "auth": {"password": "pw"}}}}, "username"),
    (
        {"delivery": {"relay": {"domain_name": "a.example", "auth": {"username": "me", "password": 5}}}},
        "SmtpAuth.password",
    ),
    ({"delivery": {"remote": {"resolver_setup": "opendns"}}}, "resolver_setup"),
    ({"delivery": {"remote": {"resolver_setup": 5}}}, "resolver_setup: expected a table"),
    ({"delivery": {"remote": {"resolver_setup": {}}}}, "IP address"),
    ({"delivery": {"remote": {"resolver_setup": {"nameservers": []}}}}, "IP address"),
    ({"delivery": {"remote": {"resolver_setup": {"socket": "192.0.2.53"}}}}, "socket"),
    ({"delivery": {"remote": {"resolver_setup": {"address": "192.0.2.53", "port": 0}}}}, "port"),
]


@pytest.mark.parametrize(("given", "text"), WRONG_DICTS, ids=lambda value: str(value)[:60])
def test_a_wrong_mapping_is_a_config_error_that_says_where(given: Any, text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Config.from_dict(given)

    assert text in str(caught.value)


def test_a_password_may_stand_in_a_file(tmp_path: Path) -> None:
    """S10: the file that names the relay need not hold its password."""
    (tmp_path / "pw").write_text("  p w \n")
    auth = {"username": "me", "password_file": str(tmp_path / "pw")}

    config = Config.from_dict({"delivery": {"relay": {"domain_name": "relay.example", "auth": auth}}})

    assert config.delivery == a_relay(auth=SmtpAuth("me", "  p w "))


def test_a_password_may_stand_in_an_environment_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A_RELAYS_PASSWORD", "pw")
    auth = {"username": "me", "password_env": "A_RELAYS_PASSWORD"}

    config = Config.from_dict({"delivery": {"relay": {"domain_name": "relay.example", "auth": auth}}})

    assert config.delivery == a_relay(auth=SmtpAuth("me", "pw"))


@pytest.mark.parametrize("source", ["password_file", "password_env"])
@pytest.mark.parametrize("place", ["/no/such/place", "", 5])
def test_a_password_that_is_not_where_it_should_be_is_a_config_error(source: str, place: object) -> None:
    auth = {"username": "me", source: place}

    with pytest.raises(ConfigError, match=source):
        Config.from_dict({"delivery": {"relay": {"domain_name": "relay.example", "auth": auth}}})


@pytest.mark.parametrize("content", [b"", b"\n", b"\xff\xfe"])
def test_an_empty_password_file_is_a_config_error(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "pw").write_bytes(content)
    auth = {"username": "me", "password_file": str(tmp_path / "pw")}

    with pytest.raises(ConfigError, match="password_file"):
        Config.from_dict({"delivery": {"relay": {"domain_name": "relay.example", "auth": auth}}})


# TOML


def test_a_toml_file_makes_the_config_it_describes(tmp_path: Path) -> None:
    path = tmp_path / "mailstrom.toml"
    path.write_text(
        """
        helo_name = "mail.example"
        allow_domains = ["dest.example"]
        [delivery.relay]
        domain_name = "relay.example"
        auth = { username = "me", password = "pw" }
        [retry]
        tries = 5
        max_age = 86400
        """
    )

    assert Config.from_toml(path) == Config(
        helo_name="mail.example",
        allow_domains=("dest.example",),
        delivery=a_relay(auth=SmtpAuth("me", "pw")),
        retry=RetryPolicy(5, max_age=timedelta(days=1)),
    )


@pytest.mark.parametrize(
    "content",
    [
        f'delivery = "smtps://me:{CANARY}@relay.example'.encode(),
        f"[delivery.relay.auth]\npassword = {CANARY}".encode(),
        f'[delivery.relay.auth]\npassword = "{CANARY}"\npassword = "{CANARY}"'.encode(),
        f'helo = 1\ndelivery = "smtps://me:{CANARY}@relay.example"'.encode(),
        b"helo_name = '\xff" + CANARY.encode(),
    ],
)
def test_a_wrong_toml_file_is_a_config_error_without_what_is_in_it(tmp_path: Path, content: bytes) -> None:
    """S10."""
    path = tmp_path / "mailstrom.toml"
    path.write_bytes(content)

    with pytest.raises(ConfigError) as caught:
        Config.from_toml(path)

    told = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
    told.stack[:] = [frame for frame in told.stack if frame.filename != __file__]
    assert CANARY not in "".join(told.format())


@pytest.mark.parametrize("path", ["/no/such/file.toml", 5])
def test_a_toml_file_that_cannot_be_read_is_a_config_error(path: Any) -> None:
    with pytest.raises(ConfigError, match="TOML file"):
        Config.from_toml(path)


# The environment

FROM_ENV: list[tuple[dict[str, str], Config]] = [
    ({}, Config()),
    ({"HOME": "/root", "MAILSTROM_NO_SKIP": "1", "MAILSTROM_PORT_25_TCP": "tcp://192.0.2.1:25"}, Config()),
    ({"MAILSTROM_HELO_NAME": "mail.example", "MAILSTROM_MODE": ""}, Config(helo_name="mail.example")),
    (
        {"MAILSTROM_REQUIRE_TLS": "true", "MAILSTROM_MODE": "capture"},
        Config(require_tls=True, mode="capture"),
    ),
    ({"MAILSTROM_REQUIRE_TLS": "0", "MAILSTROM_SMTP_TIMEOUT_SECS": "7.5"}, Config(smtp_timeout_secs=7.5)),
    ({"MAILSTROM_MAX_SESSIONS": "9"}, Config(max_sessions=9)),
    ({"MAILSTROM_EVENT_LOOP": "asyncio"}, Config(event_loop="asyncio")),
    ({"MAILSTROM_ALLOW_DOMAINS": "a.example, b.example,"}, Config(allow_domains=("a.example", "b.example"))),
    ({"MAILSTROM_RELAY_URL": "smtps://relay.example"}, Config(delivery=a_relay(tls="implicit"))),
    (
        {"MAILSTROM_RELAY_URL": "smtps://me@relay.example", "MAILSTROM_RELAY_PASSWORD": "pw"},
        Config(delivery=a_relay(tls="implicit", auth=SmtpAuth("me", "pw"))),
    ),
    (
        {
            "MAILSTROM_RELAY_DOMAIN_NAME": "relay.example",
            "MAILSTROM_RELAY_TLS": "none",
            "MAILSTROM_RELAY_PORT": "2525",
            "MAILSTROM_RELAY_ALLOW_CLEARTEXT_AUTH": "yes",
            "MAILSTROM_RELAY_USERNAME": "me",
            "MAILSTROM_RELAY_PASSWORD": "pw",
            "MAILSTROM_RELAY_MECHANISM": "plain",
        },
        Config(
            delivery=a_relay(
                tls="none", port=2525, allow_cleartext_auth=True, auth=SmtpAuth("me", "pw", "PLAIN")
            )
        ),
    ),
    ({"MAILSTROM_REMOTE_PORT": "2525"}, Config(delivery=RemoteDeliveryConfig(port=2525))),
    (
        {"MAILSTROM_REMOTE_RESOLVER_SETUP": "google", "MAILSTROM_REMOTE_IP_FAMILIES": "ipv4"},
        Config(delivery=RemoteDeliveryConfig(ResolverSetup.google(), ip_families=("ipv4",))),
    ),
    (
        {"MAILSTROM_RETRY_TRIES": "5", "MAILSTROM_RETRY_MAX_AGE": "3600"},
        Config(retry=RetryPolicy(5, max_age=timedelta(hours=1))),
    ),
    ({"MAILSTROM_RETRY": "rfc5321"}, Config(retry=RetryPolicy.rfc5321())),
    ({"MAILSTROM_TIMEOUTS_DOT_SECS": "700"}, Config(timeouts=SmtpTimeouts(dot_secs=700.0))),
    (
        {"MAILSTROM_LIMITS": '{"*": {"rate": "100/min"}}', "MAILSTROM_PROVIDER_LIMITS": "off"},
        Config(limits={"*": LaneLimits(rate="100/min")}, provider_limits=False),
    ),
]


@pytest.mark.parametrize(("environ", "config"), FROM_ENV, ids=lambda value: str(value)[:60])
def test_the_environment_makes_the_config_it_describes(environ: dict[str, str], config: Config) -> None:
    assert Config.from_env(environ) == config


def test_the_prefix_may_be_another() -> None:
    assert Config.from_env({"APP_MAIL_MODE": "file", "MAILSTROM_MODE": "x"}, "APP_MAIL_") == Config(
        mode="file"
    )


def test_without_a_mapping_the_process_environment_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A_TESTS_MODE", "console")

    assert Config.from_env(prefix="A_TESTS_") == Config(mode="console")


def test_a_relays_password_may_stand_in_a_file_that_the_environment_names(tmp_path: Path) -> None:
    (tmp_path / "pw").write_text("pw\n")
    environ = {
        "MAILSTROM_RELAY_URL": "smtp+starttls://me@relay.example",
        "MAILSTROM_RELAY_PASSWORD_FILE": str(tmp_path / "pw"),
    }

    assert Config.from_env(environ) == Config(delivery=a_relay(auth=SmtpAuth("me", "pw")))


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("MAILSTROM_REQUIRE_TLS", "maybe"),
        ("MAILSTROM_MAX_SESSIONS", "many"),
        ("MAILSTROM_MAX_SESSIONS", "2.5"),
        ("MAILSTROM_SMTP_TIMEOUT_SECS", "1m"),
        ("MAILSTROM_SMTP_TIMEOUT_SECS", "nan"),
        ("MAILSTROM_RETRY", "often"),
        ("MAILSTROM_LIMITS", "100/min"),
        ("MAILSTROM_LIMITS", '{"*": {"rat": "100/min"}}'),
        ("MAILSTROM_RELAY_PORT", "587"),
        ("MAILSTROM_REQUIRE_TSL", "true"),
        ("MAILSTROM_HELLO_NAME", "mail.example"),
    ],
)
def test_a_wrong_or_misspelt_variable_is_a_config_error(name: str, text: str) -> None:
    with pytest.raises(ConfigError):
        Config.from_env({name: text})
