"""Whoever may choose a recipient's domain chooses where we connect to: never into our own network."""

from __future__ import annotations

import pytest

from mailstrom import Cause, RemoteDeliveryConfig
from mailstrom.testing.dns import InTurn
from mailstrom.testing.smtp_server import SmtpServer
from tests.builders import a_config, an_email, mx
from tests.lone_engine import LoneEngine, simulate
from tests.scenarios.stages import YOU

NOT_PUBLIC = (
    "0.0.0.0",
    "10.0.0.25",
    "100.64.0.25",
    "127.0.0.1",
    "127.8.9.10",
    "169.254.169.254",
    "172.16.0.25",
    "172.31.255.255",
    "192.0.0.8",
    "192.88.99.1",
    "192.168.1.25",
    "198.18.0.25",
    "224.0.0.1",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::127.0.0.1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.25",
    "64:ff9b::7f00:1",
    "2002:7f00:1::1",
    "fd00::25",
    "fe80::25",
    "fec0::25",
    "ff02::1",
)


@pytest.mark.parametrize("ip", NOT_PUBLIC)
def test_an_mx_at_an_address_that_is_not_public_is_not_connected_to(ip: str) -> None:
    """Row 36; Threat S13."""
    server = SmtpServer()

    async def story(sim: LoneEngine) -> None:
        sim.zone.records["dest.example"] = mx("mx.dest.example")
        sim.host("mx.dest.example", ip, server)
        status = await sim.deliver(an_email())
        result = status[YOU].result
        assert (result.state, str(result.enhanced_code), result.cause) == ("failed", "5.4.4", Cause.POLICY)
        assert sim.network.connects == []

    simulate(story, config=a_config())


@pytest.mark.parametrize("ip", NOT_PUBLIC)
def test_an_address_literal_that_is_not_public_is_not_connected_to(ip: str) -> None:
    """Row 36; Threat S13."""
    literal = f"[IPv6:{ip}]" if ":" in ip else f"[{ip}]"

    async def story(sim: LoneEngine) -> None:
        sim.network.listen(ip, 25, SmtpServer())
        status = await sim.deliver(an_email(to=f"you@{literal}"))
        result = status.recipients[0].result
        assert (result.state, str(result.enhanced_code), result.cause) == ("failed", "5.4.4", Cause.POLICY)
        assert sim.network.connects == []

    simulate(story, config=a_config())


def test_a_domain_without_mx_at_a_private_address_is_not_connected_to() -> None:
    """Row 36: the implicit MX."""

    async def story(sim: LoneEngine) -> None:
        sim.host("dest.example", "10.0.0.25", SmtpServer())
        status = await sim.deliver(an_email())
        assert str(status[YOU].result.enhanced_code) == "5.4.4"
        assert sim.network.connects == []

    simulate(story, config=a_config())


def test_of_mixed_addresses_the_public_ones_are_used() -> None:
    """Row 36: drop such addresses."""
    inside, outside = SmtpServer(), SmtpServer()

    async def story(sim: LoneEngine) -> None:
        sim.zone.records["dest.example"] = mx("mx.dest.example")
        sim.host("mx.dest.example", "10.0.0.25", inside)
        sim.host("mx.dest.example", "198.51.100.7", outside)
        assert (await sim.deliver(an_email())).succeeded
        assert [connect.ip for connect in sim.network.connects] == ["198.51.100.7"]

    simulate(story, config=a_config())


def test_private_addresses_may_be_allowed() -> None:
    """Row 36: for tests and closed networks."""

    async def story(sim: LoneEngine) -> None:
        sim.zone.records["dest.example"] = mx("mx.dest.example")
        sim.host("mx.dest.example", "127.0.0.1", SmtpServer())
        assert (await sim.deliver(an_email())).succeeded

    simulate(story, config=a_config(delivery=RemoteDeliveryConfig(allow_private_addresses=True)))


def test_the_port_is_ours_whatever_the_dns_holds() -> None:
    """Threat S13: no SRV record, no port in a name leads anywhere else."""

    async def story(sim: LoneEngine) -> None:
        sim.zone.records["dest.example"] = {**mx("mx.dest.example"), "SRV": ["0 0 22 mx.dest.example."]}
        sim.host("mx.dest.example", "198.51.100.7", SmtpServer())
        await sim.deliver(an_email())
        assert [connect.port for connect in sim.network.connects] == [25]

    simulate(story, config=a_config())


def test_a_name_that_turns_private_between_two_tries_is_checked_at_each() -> None:
    """Threat S14: DNS rebinding; what is dialled is the address that was checked."""
    answers = InTurn(["198.51.100.7"], ["127.0.0.1"])
    inside = SmtpServer()

    async def story(sim: LoneEngine) -> None:
        sim.zone.ttl_secs = 1
        sim.zone.records |= {"dest.example": mx("mx.dest.example"), "mx.dest.example": {"A": answers}}
        sim.network.listen("198.51.100.7", 25, SmtpServer(on_rcpt="450 4.2.1 later"))
        sim.network.listen("127.0.0.1", 25, inside)
        status = await sim.deliver(an_email())
        assert [connect.ip for connect in sim.network.connects] == ["198.51.100.7"]
        assert (status[YOU].result.cause, str(status[YOU].result.enhanced_code)) == (Cause.POLICY, "5.4.4")

    simulate(story, config=a_config())

    assert inside.ledger.sessions == ()
