"""Which of a domain's many hosts one try visits."""

from __future__ import annotations

from collections import Counter

import pytest

from mailstrom.testing.smtp_server import SmtpServer
from tests.builders import a_config, an_email, mx, with_mx
from tests.lone_engine import LoneEngine, simulate
from tests.scenarios.stages import YOU

HOSTS = 40


def ips(sim: LoneEngine) -> list[str]:
    """Where connections were made to, in order."""
    return [connect.ip for connect in sim.network.connects]


def test_one_try_speaks_with_two_hosts_at_most() -> None:
    """Row 43: at most 2 full sessions in an attempt."""
    busy = [SmtpServer(on_rcpt="450 4.2.1 busy") for _ in range(5)]

    async def story(sim: LoneEngine) -> None:
        with_mx(sim, *busy)
        status = await sim.first_try(an_email())
        assert ips(sim) == ["198.51.100.1", "198.51.100.2"]
        assert status[YOU].result.tries == 1

    simulate(story, config=a_config())


def test_one_try_knocks_at_five_addresses_at_most() -> None:
    """Row 43: at most 5 addresses in an attempt."""

    async def story(sim: LoneEngine) -> None:
        with_mx(sim, *[SmtpServer() for _ in range(9)])
        for place in range(9):
            sim.network.refuse(f"198.51.100.{place + 1}", 25)
        await sim.first_try(an_email())
        assert ips(sim) == [f"198.51.100.{place}" for place in range(1, 6)]

    simulate(story, config=a_config())


def test_a_domain_with_a_thousand_hosts_costs_a_bounded_time() -> None:
    """Row 43: 1000 MX with 100 addresses each; later tries go to others."""
    zone = {f"mx{host}.example": {"A": [f"198.51.100.{i}" for i in range(1, 101)]} for host in range(1000)}
    zone["dest.example"] = {"MX": [[host, f"mx{host}.example"] for host in range(1000)]}

    async def story(sim: LoneEngine) -> None:
        for i in range(1, 101):
            sim.network.black_hole(f"198.51.100.{i}")
        message_id = sim.send_email(an_email())
        status = await sim.until(message_id, lambda status: status.state == "deferred")
        assert sim.clock.monotonic() == 5 * 30
        assert len(ips(sim)) == 5
        status = await sim.wait(message_id)
        assert (status[YOU].result.tries, len(ips(sim))) == (3, 15)
        assert len(set(ips(sim))) > 5

    simulate(story, config=a_config(), zone=zone)


def test_hosts_of_equal_preference_share_the_load() -> None:
    """RFC 5321 5.1: equal preferences are tried in random order."""
    servers = {f"198.51.100.{place}": SmtpServer() for place in range(1, 4)}

    async def story(sim: LoneEngine) -> None:
        for number in range(HOSTS):
            # a domain each: the connection of one is not used for another
            for place, (ip, server) in enumerate(servers.items()):
                sim.host(f"mx{place}.d{number}.example", ip, server)
            sim.zone.records[f"d{number}.example"] = {
                "MX": [[10, f"mx{place}.d{number}.example"] for place in range(3)]
            }
        for number in range(HOSTS):
            await sim.deliver(an_email(to=f"you@d{number}.example"))
        share = Counter(ips(sim))
        assert share.keys() == servers.keys()
        assert min(share.values()) > HOSTS // 10

    simulate(story, config=a_config())


def test_a_worse_preference_is_never_asked_before_a_better_one() -> None:
    """RFC 5321 5.1, whatever the order in the answer."""

    async def story(sim: LoneEngine) -> None:
        for name, ip in (("last", "198.51.100.3"), ("first", "198.51.100.1"), ("second", "198.51.100.2")):
            sim.host(f"{name}.example", ip, SmtpServer(on_rcpt="450 4.2.1 later"))
        sim.zone.records["dest.example"] = {
            "MX": [[300, "last.example"], [0, "first.example"], [20, "second.example"]]
        }
        status = await sim.first_try(an_email())
        assert [attempt.host for attempt in status[YOU].attempts] == ["first.example", "second.example"]

    simulate(story, config=a_config())


def test_a_backup_takes_the_mail_when_the_preferred_host_is_down() -> None:
    """RFC 5321 5.1."""
    backup = SmtpServer()

    async def story(sim: LoneEngine) -> None:
        with_mx(sim, SmtpServer(), backup)
        sim.network.refuse("198.51.100.1", 25)
        status = await sim.deliver(an_email())
        assert (status.succeeded, status[YOU].result.tries) == (True, 1)

    simulate(story, config=a_config())

    assert len(backup.ledger.messages) == 1


@pytest.mark.parametrize(
    "refusal", [{"on_greeting": "554 5.7.1 no"}, {"on_mail": "550 5.7.1 no"}, {"on_ehlo": "550 5.7.1 no"}]
)
def test_deferred_at_one_mx_beats_failed_at_a_backup(refusal: dict[str, str]) -> None:
    """The host that knows the mailbox said "later"; a backup that wants nothing of us knows less."""

    async def story(sim: LoneEngine) -> None:
        with_mx(sim, SmtpServer(on_rcpt="450 4.2.1 later"), SmtpServer(**refusal))  # type: ignore[arg-type]
        status = await sim.first_try(an_email())
        result = status[YOU].result
        assert (result.state, str(result.enhanced_code)) == ("deferred", "4.2.1")
        assert len(status[YOU].attempts) == 2

    simulate(story, config=a_config())


def test_a_recipient_deferred_by_the_preferred_host_may_be_accepted_by_the_backup() -> None:
    async def story(sim: LoneEngine) -> None:
        with_mx(sim, SmtpServer(on_rcpt="450 4.2.1 later"), SmtpServer())
        status = await sim.first_try(an_email())
        assert [attempt.state for attempt in status[YOU].attempts] == ["deferred", "delivered"]

    simulate(story, config=a_config())


def test_domains_with_one_set_of_hosts_share_a_connection() -> None:
    server = SmtpServer()

    async def story(sim: LoneEngine) -> None:
        sim.host("mx.host.example", "198.51.100.1", server)
        sim.zone.records |= {"one.example": mx("mx.host.example"), "two.example": mx("mx.host.example")}
        await sim.deliver(an_email(to="you@one.example"))
        await sim.deliver(an_email(to="you@two.example"))

    simulate(story, config=a_config())

    assert (len(server.ledger.messages), len(server.ledger.sessions)) == (2, 1)
