"""A mail host that cannot be connected to."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import timedelta

import pytest

from mailstrom import Cause, Config, Mailstrom, RelayConfig, RetryPolicy, SmtpTimeouts
from mailstrom.testing.smtp_server import SmtpServer
from tests.builders import a_config, an_email, mx, with_mx
from tests.lone_engine import LoneEngine, simulate
from tests.scenarios.stages import YOU, a_message, outcome, visits

MINUTE = timedelta(minutes=1)


def connects(sim: LoneEngine) -> list[tuple[str, float]]:
    """The last number of each address connected to, and when."""
    return [(connect.ip.rpartition(".")[2], connect.at) for connect in sim.network.connects]


def test_a_refused_connection_leads_to_the_next_mx_without_a_wait() -> None:
    """Row 1: connection refused. The crate counted each MX host as a try."""
    second = SmtpServer()

    async def story(sim: LoneEngine) -> None:
        with_mx(sim, SmtpServer(), second)
        sim.network.refuse("198.51.100.1", 25)
        status = await sim.deliver(a_message())
        assert outcome(status) == ("delivered", "2.0.0", False, 1)
        assert visits(status) == [("1", "connect", "deferred"), ("2", "dot", "delivered")]
        assert connects(sim) == [("1", 0.0), ("2", 0.0)]

    simulate(story, config=a_config())

    assert [message.content for message in second.ledger.messages] == [a_message()]


@pytest.mark.parametrize("how", ["refuse", "unreachable"])
def test_when_every_mx_refuses_connections_the_mail_is_deferred(how: str) -> None:
    """Row 1: connection refused, 4.4.1. A moment without the host is no permanent failure."""

    async def story(sim: LoneEngine) -> None:
        with_mx(sim, SmtpServer(), SmtpServer())
        for ip in ("198.51.100.1", "198.51.100.2"):
            getattr(sim.network, how)(ip, 25)
        began = sim.clock.now()
        status = await sim.first_try(an_email())
        assert outcome(status) == ("deferred", "4.4.1", False, 1)
        assert visits(status) == [("1", "connect", "deferred"), ("2", "connect", "deferred")]
        assert status[YOU].result.next_attempt_at == began + 3 * MINUTE
        assert status[YOU].result.reply is None

    simulate(story, config=a_config())


def test_a_host_that_stays_down_fails_the_mail_after_the_last_try_with_the_last_reason() -> None:
    """Row 1. The crate left such mail deferred for ever."""

    async def story(sim: LoneEngine) -> None:
        with_mx(sim, SmtpServer())
        sim.network.refuse("198.51.100.1", 25)
        result = (await sim.deliver(an_email()))[YOU].result
        assert (result.state, result.cause, result.tries) == ("failed", Cause.TRIES_EXHAUSTED, 3)
        assert str(result.enhanced_code) == "4.4.1"
        assert "connection refused" in str(result)

    simulate(story, config=a_config())


def test_a_second_address_of_a_host_is_tried_before_the_next_mx() -> None:
    """Row 1. The crate tried only the first address of a host."""
    server, backup = SmtpServer(), SmtpServer()

    async def story(sim: LoneEngine) -> None:
        sim.zone.records["dest.example"] = mx("mx1.dest.example", "mx2.dest.example")
        for ip in ("198.51.100.1", "198.51.100.2"):
            sim.host("mx1.dest.example", ip, server)
        sim.host("mx2.dest.example", "198.51.100.3", backup)
        sim.network.refuse("198.51.100.1", 25)
        assert (await sim.deliver(an_email())).succeeded

    simulate(story, config=a_config())

    assert len(server.ledger.messages) == 1
    assert not backup.ledger.sessions


def test_each_address_that_does_not_answer_gets_thirty_seconds_of_its_own() -> None:
    """Row 2: SYN black hole, a deadline per address. The crate's connect had none."""

    async def story(sim: LoneEngine) -> None:
        with_mx(sim, SmtpServer(), SmtpServer(), SmtpServer())
        for ip in ("198.51.100.1", "198.51.100.2"):
            sim.network.black_hole(ip, 25)
        status = await sim.deliver(an_email())
        assert status.succeeded
        assert connects(sim) == [("1", 0.0), ("2", 30.0), ("3", 60.0)]
        assert [a.duration_secs for a in status[YOU].attempts] == [30.0, 30.0, 0.0]

    simulate(story, config=a_config())


def test_mail_for_a_black_hole_is_deferred_and_holds_up_nobody() -> None:
    """Row 2: 4.4.1. The crate's only worker hung on a host that did not answer."""
    alive = SmtpServer()

    async def story(sim: LoneEngine) -> None:
        with_mx(sim, SmtpServer(), domain="hole.example")
        sim.network.black_hole("198.51.100.1", 25)
        with_mx(sim, alive)
        lost = sim.send_email(an_email(to="you@hole.example"))
        await sim.deliver(an_email())
        assert sim.loop.time() == 0.0
        status = await sim.until(lost, lambda seen: seen.state != "queued")
        assert outcome(status, "you@hole.example") == ("deferred", "4.4.1", False, 1)
        assert sim.loop.time() == 30.0

    simulate(story, config=a_config())


def test_a_later_mx_that_answers_worse_does_not_turn_a_dead_one_into_a_failure() -> None:
    """Row 1. The crate made a bounce of a 4yz when the backup MX was broken."""

    async def story(sim: LoneEngine) -> None:
        with_mx(sim, SmtpServer(), SmtpServer(on_greeting="554 5.3.2 no service here"))
        sim.network.refuse("198.51.100.1", 25)
        status = await sim.first_try(an_email())
        assert status[YOU].result.state == "deferred"

    simulate(story, config=a_config())


def test_a_host_that_deferred_is_not_asked_again_once_the_next_one_took_the_mail() -> None:
    """Row 1. In the crate a delivery at the second MX still cost a try and stayed incomplete."""
    first, second = SmtpServer(on_rcpt="450 4.2.1 busy"), SmtpServer()

    async def story(sim: LoneEngine) -> None:
        with_mx(sim, first, second)
        status = await sim.deliver(an_email())
        assert outcome(status) == ("delivered", "2.0.0", False, 1)
        assert (status.completed, status.succeeded) == (True, True)
        assert await sim.deliver(an_email(to="b@dest.example"))

    simulate(story, config=a_config())

    assert [message.recipients for message in second.ledger.messages] == [(YOU,), ("b@dest.example",)]


@contextmanager
def a_black_hole() -> Iterator[int]:
    """A port of this machine that answers no SYN: its queue of connections is full."""
    with ExitStack() as stack:
        listening = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        port: int = listening.getsockname()[1]
        for _ in range(8):
            filling = stack.enter_context(socket.socket())
            filling.settimeout(0.05)
            if filling.connect_ex(("127.0.0.1", port)) != 0:
                break
        yield port


def test_a_real_host_that_answers_no_syn_is_given_up_after_the_connect_timer() -> None:
    """Row 2: SYN black hole, on a real socket."""
    timeouts = SmtpTimeouts(connect_secs=0.2)
    with a_black_hole() as port:
        config = Config(
            helo_name="sender.example",
            delivery=RelayConfig("127.0.0.1", port, tls="none"),
            timeouts=timeouts,
            retry=RetryPolicy(tries=1),
        )
        with Mailstrom(config) as m:
            status = m.start().wait(m.send_email(an_email()), timeout=10)

    assert outcome(status) == ("failed", "4.4.1", False, 1)
    assert visits(status) == [("1", "connect", "deferred")]
    assert "within 0.2 s" in str(status[YOU].result)


def test_a_closed_port_of_this_machine_is_refused_at_once() -> None:
    """Row 1: connection refused, on a real socket."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
    relay = RelayConfig("127.0.0.1", port, tls="none")
    config = Config(helo_name="sender.example", delivery=relay, retry=RetryPolicy(tries=1))

    with Mailstrom(config) as m:
        status = m.start().wait(m.send_email(an_email()), timeout=10)

    assert outcome(status) == ("failed", "4.4.1", False, 1)
    assert "connection refused" in str(status[YOU].result)
