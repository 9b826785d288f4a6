"""A duration is one that the clock can add to an instant; what is longer is refused when it is set."""

from __future__ import annotations

from dataclasses import fields

import pytest

from mailstrom import Config, ConfigError, RemoteDeliveryConfig
from mailstrom.abc import Order
from mailstrom.config import SmtpTimeouts
from mailstrom.config_checks import LONGEST_SECS
from mailstrom.testing.smtp_server import SmtpServer
from tests.builders import a_config, an_email, with_mx
from tests.lone_engine import LoneEngine, simulate

KINDS = (Config, RemoteDeliveryConfig, SmtpTimeouts)
DURATIONS = [(kind, item.name) for kind in KINDS for item in fields(kind) if item.name.endswith("_secs")]


@pytest.mark.parametrize(("kind", "name"), DURATIONS, ids=str)
@pytest.mark.parametrize("secs", [1e300, LONGEST_SECS + 1, 10**400])
def test_what_no_instant_can_be_moved_by_is_refused_with_its_bound(
    kind: type, name: str, secs: float
) -> None:
    with pytest.raises(ConfigError, match=rf"{kind.__name__}\.{name}: .* at most {LONGEST_SECS}, got "):
        kind(**{name: secs})


@pytest.mark.parametrize("secs", [0.001, 0.999, 0, -1, True, "60", float("nan"), None])
def test_a_lease_lasts_a_second_at_least(secs: float) -> None:
    """One that is over before the claim comes back delivers nothing."""
    with pytest.raises(ConfigError, match=r"Config\.lease_secs: .* 1 or more"):
        Config(lease_secs=secs)


def test_the_least_that_is_allowed_is_taken() -> None:
    assert Config(lease_secs=1, queue_full_wait_secs=0, session_idle_secs=1e-9).lease_secs == 1


def test_a_rate_is_no_duration() -> None:
    assert SmtpTimeouts(min_rate=1e12).min_rate == 1e12


def test_with_each_duration_as_long_as_may_be_mail_is_deferred_and_delivered() -> None:
    longest = {name: LONGEST_SECS for kind, name in DURATIONS if kind is Config}

    async def story(sim: LoneEngine) -> None:
        with_mx(sim, SmtpServer(on_rcpt=["450 4.2.0 later"]))
        deferred = await sim.first_try(an_email())
        sim.order(Order.RETRY, deferred.message_id)
        assert (deferred.state, (await sim.wait(deferred.message_id)).succeeded) == ("deferred", True)

    simulate(story, config=a_config(**longest))
