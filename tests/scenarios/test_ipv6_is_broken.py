"""A sending host without a route for IPv6."""

from __future__ import annotations

from datetime import timedelta

from mailstrom.testing.smtp_server import SmtpServer
from tests.builders import a_config, an_email, mx
from tests.lone_engine import LoneEngine, simulate
from tests.scenarios.stages import YOU

V6, V4 = "2001:db8::25", "198.51.100.25"
MINUTE = timedelta(minutes=1)


def with_two_families(sim: LoneEngine, domain: str, server: SmtpServer, v6: str, v4: str) -> None:
    sim.zone.records[domain] = mx(f"mx.{domain}")
    sim.host(f"mx.{domain}", v6, server)
    sim.host(f"mx.{domain}", v4, server)
    sim.network.unreachable(v6)
    sim.network.unreachable(v6, 25)


def test_mail_goes_out_by_ipv4_in_the_same_try() -> None:
    """Row 44."""

    async def story(sim: LoneEngine) -> None:
        with_two_families(sim, "dest.example", SmtpServer(), V6, V4)
        status = await sim.deliver(an_email())
        assert [(attempt.ip, attempt.state) for attempt in status[YOU].attempts] == [
            (V6, "deferred"),
            (V4, "delivered"),
        ]
        assert status[YOU].result.tries == 1

    simulate(story, config=a_config())


def test_for_ten_minutes_ipv6_is_not_tried_again_at_any_host() -> None:
    """Row 44: ENETUNREACH skips the family for 10 minutes."""

    async def story(sim: LoneEngine) -> None:
        for number in range(3):
            v6, v4 = f"2001:db8:1::{number + 1}", f"198.51.100.{number + 1}"
            with_two_families(sim, f"d{number}.example", SmtpServer(), v6, v4)
        await sim.deliver(an_email(to="you@d0.example"))
        status = await sim.deliver(an_email(to="you@d1.example"))
        assert [attempt.ip for attempt in status.recipients[0].attempts] == ["198.51.100.2"]

        status = await sim.deliver(an_email(to="you@d2.example"), send_at=sim.clock.now() + 11 * MINUTE)
        assert [attempt.ip for attempt in status.recipients[0].attempts] == ["2001:db8:1::3", "198.51.100.3"]

    simulate(story, config=a_config())


def test_a_host_with_ipv6_alone_is_still_tried() -> None:
    """Row 44: a family is skipped where another is there."""

    async def story(sim: LoneEngine) -> None:
        with_two_families(sim, "dest.example", SmtpServer(), V6, V4)
        await sim.deliver(an_email())
        sim.zone.records["six.example"] = mx("mx.six.example")
        sim.host("mx.six.example", "2001:db8::6", SmtpServer())
        assert (await sim.deliver(an_email(to="you@six.example"))).succeeded

    simulate(story, config=a_config())
