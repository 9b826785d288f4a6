"""Mail hosts of a simulated world: their names, when they go down, and who is cut off from them."""

from __future__ import annotations

from datetime import timedelta

import pytest

from mailstrom import Config, ConfigError, Email, MemoryStorage
from mailstrom.testing.mail_host import Down
from mailstrom.testing.pytest_plugin import simulation
from mailstrom.testing.simulation import Simulation, SimulationError
from mailstrom.testing.smtp_server import SmtpServer

__all__ = ["simulation"]


def an_email(to: str = "you@example.com") -> Email:
    return Email(from_="no-reply@sender.example", to=to, subject="Hello", text="Hi.\n")


# --- names


@pytest.mark.parametrize(
    ("name", "domain"),
    [
        ("MX.Example.com", "example.com"),
        ("mx.example.com.", "Example.COM."),
        ("mx.example.com", "bücher.example"),
    ],
)
def test_a_host_is_found_however_its_name_and_its_domain_are_spelt(
    simulation: Simulation, name: str, domain: str
) -> None:
    host = simulation.host(name, domain=domain)
    mailstrom = simulation.mailstrom()

    mailstrom.wait(mailstrom.send_email(an_email(to=f"you@{domain.rstrip('.').lower()}")))

    assert len(host.messages) == 1


def test_a_relay_is_looked_up_by_its_name_without_the_dot(simulation: Simulation) -> None:
    relay = simulation.host("Relay.Example.net.", port=2525)
    mailstrom = simulation.mailstrom("smtp://relay.example.net:2525")

    mailstrom.wait(mailstrom.send_email(an_email()))

    assert len(relay.messages) == 1


def test_what_is_no_domain_is_refused(simulation: Simulation) -> None:
    with pytest.raises(SimulationError, match="exa mple"):
        simulation.host("mx.example.com", domain="exa mple.com")


def test_what_is_neither_a_config_nor_the_url_of_a_relay_is_refused(simulation: Simulation) -> None:
    with pytest.raises(ConfigError, match="expected a Config, a relay URL or None, got dict"):
        simulation.mailstrom({"helo_name": "sender.example"})  # type: ignore[arg-type]


# --- being down, being cut off


@pytest.mark.parametrize("how", ["refuse", "unreachable", "black_hole"])
def test_a_host_that_goes_down_is_not_reached_by_who_is_connecting(how: Down) -> None:
    with Simulation(latency_secs=1.0) as simulation:
        host = simulation.host("mx.example.com", domain="example.com")
        simulation.mailstrom().send_email(an_email())
        simulation.run_until(lambda: simulation.network.connects, minutes=1)

        simulation.run(seconds=0.5)
        host.go_down(how)
        simulation.run(seconds=50)

        assert host.messages == ()


def test_a_host_goes_down_in_a_way_that_there_is(simulation: Simulation) -> None:
    host = simulation.host("mx.example.com")

    with pytest.raises(SimulationError, match="expected one of refuse, unreachable, black_hole, never_reads"):
        host.go_down("unplugged")  # type: ignore[arg-type]


def test_who_is_cut_off_while_connecting_does_not_come_through() -> None:
    with Simulation(latency_secs=1.0) as simulation:
        host = simulation.host("mx.example.com", domain="example.com")
        process = simulation.process()
        process.mailstrom.send_email(an_email())
        simulation.run_until(lambda: simulation.network.connects, minutes=1)

        simulation.run(seconds=0.5)
        simulation.partition(process, host)
        simulation.run(seconds=50)

        assert host.messages == ()


@pytest.mark.parametrize("says_host", [True, False])
def test_in_a_partition_a_connection_falls_silent_as_in_real_life(
    simulation: Simulation, says_host: bool
) -> None:
    host = simulation.host(
        "mx.example.com", domain="example.com", server=SmtpServer(delays={"content": 60.0})
    )
    process = simulation.process()
    message_id = process.mailstrom.send_email(an_email())
    simulation.run(seconds=10)

    simulation.partition(process, *[host] * says_host)
    simulation.run(minutes=9)  # RFC 5321 4.5.3.2.6: the reply to the final dot is waited for ten minutes

    waiting = process.mailstrom.query_status(message_id).recipients[0]
    simulation.run(minutes=2)
    given_up = process.mailstrom.query_status(message_id).recipients[0]
    assert (waiting.result.state, given_up.result.state) == ("queued", "deferred")
    assert given_up.result.uncertain


def test_who_is_cut_off_from_all_hosts_reaches_them_again_when_that_heals(simulation: Simulation) -> None:
    host = simulation.host("mx.example.com", domain="example.com")
    process = simulation.process()
    simulation.partition(process)
    message_id = process.mailstrom.send_email(an_email())

    simulation.run(minutes=10)
    before = len(host.messages)
    simulation.heal(process)

    assert (before, process.mailstrom.wait(message_id).succeeded) == (0, True)


@pytest.mark.parametrize("method", ["partition", "heal", "kill"])
def test_a_mailstrom_is_not_the_process_that_it_is_in(simulation: Simulation, method: str) -> None:
    mailstrom = simulation.mailstrom()

    with pytest.raises(SimulationError, match=rf"{method}: expected a process"):
        getattr(simulation, method)(mailstrom)


def test_a_process_is_cut_off_from_hosts_not_from_their_names(simulation: Simulation) -> None:
    process = simulation.process()

    with pytest.raises(SimulationError, match="partition: expected mail hosts"):
        simulation.partition(process, "mx.example.com")  # type: ignore[arg-type]


# --- to whom a storage belongs


def test_two_living_processes_over_one_storage_object_are_refused(simulation: Simulation) -> None:
    storage = MemoryStorage()
    simulation.process("web", storage=storage)

    with pytest.raises(SimulationError, match=r"MemoryStorage object belongs to web.*SQLite"):
        simulation.process(storage=storage)
    with pytest.raises(SimulationError, match="belongs to web"):
        simulation.mailstrom(Config(helo_name="sender.example"), storage)


@pytest.mark.parametrize("end", ["kill", "exit", "close"])
def test_a_storage_object_is_free_again_when_its_process_has_ended(simulation: Simulation, end: str) -> None:
    storage = MemoryStorage()
    first = simulation.process(storage=storage)

    getattr(first.mailstrom if end == "close" else first, end)()

    assert simulation.process(storage=storage).is_alive


def test_a_wall_clock_jumps_by_a_timedelta(simulation: Simulation) -> None:
    process = simulation.process()
    before = process.clock.now()

    with pytest.raises(SimulationError, match="expected a timedelta"):
        process.jump(3600)  # type: ignore[arg-type]
    process.jump(timedelta(hours=1))

    assert process.clock.now() - before == timedelta(hours=1)
