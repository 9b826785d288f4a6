"""Which hop the configuration asks for."""

from __future__ import annotations

import pytest

from mailstrom import Config, RelayConfig, RemoteDeliveryConfig
from mailstrom.engine.hops import TlsDemand, demanded_tls, falls_back_to_clear, hop_to
from mailstrom.smtp.session import Hop

RELAY = "relay.example"


@pytest.mark.parametrize(
    ("config", "demand"),
    [
        (Config(), TlsDemand(mode="opportunistic", setting="Config.require_tls=False")),
        (Config(require_tls=True), TlsDemand(mode="encrypted", setting="Config.require_tls=True")),
        (
            Config(delivery=RelayConfig(RELAY)),
            TlsDemand(mode="verified", setting="RelayConfig.tls='starttls'"),
        ),
        (
            Config(delivery=RelayConfig(RELAY, tls="implicit")),
            TlsDemand(mode="verified", is_implicit=True, setting="RelayConfig.tls='implicit'"),
        ),
        (
            Config(delivery=RelayConfig(RELAY, tls="none")),
            TlsDemand(mode="none", setting="RelayConfig.tls='none'"),
        ),
    ],
)
def test_the_demand_for_tls_is_that_of_one_setting_which_is_named(config: Config, demand: TlsDemand) -> None:
    assert demanded_tls(config) == demand


def test_only_a_mail_host_whose_tls_fails_is_tried_in_clear_and_only_as_the_setting_says() -> None:
    strict = Config(delivery=RemoteDeliveryConfig(plain_fallback=False))
    relay = Config(delivery=RelayConfig(RELAY))

    assert [falls_back_to_clear(config) for config in (Config(), strict, relay)] == [True, False, False]


def test_a_hop_has_the_source_address_of_its_family() -> None:
    config = Config(delivery=RemoteDeliveryConfig(source_ipv4="192.0.2.1", source_ipv6="2001:db8::1"))

    sources = [hop_to(config, "mx.example", ip, "none").source_address for ip in ("192.0.2.9", "2001:db8::9")]

    assert sources == ["192.0.2.1", "2001:db8::1"]


def test_a_hop_to_a_relay_says_that_it_is_one() -> None:
    config = Config(delivery=RelayConfig(RELAY, tls="implicit"))

    hop = hop_to(config, RELAY, "192.0.2.9", "verified")

    assert hop == Hop(
        host=RELAY, ip="192.0.2.9", port=465, tls="verified", implicit_tls=True, is_relay=True
    )
