"""Processes of a simulated world: killed from anywhere, frozen, called when they are dead."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from mailstrom import Email, Event, RetryPolicy, StorageError
from mailstrom.testing.process import Process
from mailstrom.testing.pytest_plugin import simulation
from mailstrom.testing.simulation import Simulation, SimulationError
from mailstrom.testing.smtp_server import SmtpServer
from mailstrom.testing.timeline import SideLoop

__all__ = ["simulation"]

BY_ITSELF: dict[str, Callable[[Simulation, Process], object]] = {
    "kill": lambda _, process: process.kill(),
    "simulation.kill": lambda simulation, process: simulation.kill(process),
    "exit": lambda _, process: process.exit(),
}


def an_email(to: str = "you@example.com") -> Email:
    return Email(from_="no-reply@sender.example", to=to, subject="Hello", text="Hi.\n")


# --- killed


@pytest.mark.parametrize("dies", BY_ITSELF.values(), ids=BY_ITSELF)
@pytest.mark.parametrize("is_done", [False, True])
@pytest.mark.parametrize("call", ["store", "claim_many", "mark_dots_sent", "settle", "next_due"])
def test_a_process_that_dies_in_a_storage_call_is_gone_with_all_that_it_did(
    simulation: Simulation,
    tmp_path: Path,
    call: str,
    is_done: bool,
    dies: Callable[[Simulation, Process], object],
) -> None:
    simulation.host("mx.example.com", domain="example.com")
    url = f"sqlite:///{tmp_path / 'mail.db'}"

    def trouble(name: str, done: bool) -> None:
        if (name, done) == (call, is_done) and simulation.time() > 0:
            dies(simulation, process)

    process = simulation.process(storage=url, trouble=trouble)
    simulation.run(seconds=1)
    try:
        process.mailstrom.send_email(an_email())
    except StorageError:
        assert call == "store"
    simulation.run(seconds=30)

    assert not process.is_alive
    assert process.network.open_transports == ()
    simulation.run(hours=1)
    assert loops_of(process) == []
    again = simulation.mailstrom(storage=url)
    assert again.drain()


def loops_of(process: Process) -> list[SideLoop]:
    return [loop for loop in process._platform._loops if not loop.is_closed()]


@pytest.mark.parametrize("seed", range(8))
def test_a_simulation_may_end_at_the_instant_in_which_a_process_dies_in_a_call(seed: int) -> None:
    with Simulation(seed=seed) as simulation:
        simulation.host("mx.example.com", domain="example.com")
        process = simulation.process(
            trouble=lambda call, is_done: (call, is_done) == ("mark_dots_sent", True) and process.kill()
        )
        process.mailstrom.send_email(an_email())
        simulation.run_until(lambda: not process.is_alive, minutes=1)

    assert loops_of(process) == []


@pytest.mark.parametrize("dies", BY_ITSELF.values(), ids=BY_ITSELF)
def test_an_observer_may_end_its_own_process(
    simulation: Simulation, dies: Callable[[Simulation, Process], object]
) -> None:
    host = simulation.host("mx.example.com", domain="example.com")
    heard: list[str] = []

    def observe(event: Event) -> None:
        heard.append(event.kind)
        dies(simulation, process)

    process = simulation.process(observers=[observe], role="never")
    for number in range(3):
        process.mailstrom.send_email(an_email(to=f"you{number}@example.com"))

    simulation.run(hours=1)

    assert (process.is_alive, heard, host.messages) == (False, ["accepted"], ())


def test_a_process_is_killed_while_an_observer_of_it_waits(simulation: Simulation) -> None:
    simulation.host("mx.example.com", domain="example.com", server=SmtpServer(on_rcpt="450 4.2.0 later"))
    heard: list[object] = []

    def waits(event: Event) -> None:
        heard.append(event.kind)
        if event.kind == "deferred":
            heard.append(process.mailstrom.wait(event.message_id or ""))

    process = simulation.process(observers=[waits], retry=RetryPolicy.rfc5321())
    process.mailstrom.send_email(an_email())
    simulation.after(process.kill, minutes=1)

    simulation.run(days=6)

    assert not process.is_alive
    assert heard[-1] == "deferred"


@pytest.mark.parametrize("timeout", [None, 86_400.0])
def test_who_waits_in_a_process_that_is_killed_is_told_so(
    simulation: Simulation, timeout: float | None
) -> None:
    process = simulation.process(role="always", retry=RetryPolicy.rfc5321())
    simulation.zone.records["example.com"] = {"rcode": "SERVFAIL"}
    message_id = process.mailstrom.send_email(an_email())
    simulation.after(process.kill, minutes=1)

    with pytest.raises(SimulationError, match="process 1 was killed: who waits"):
        process.mailstrom.wait(message_id, timeout=timeout)

    assert simulation.time() == 60


def test_a_process_that_is_killed_in_asyncio_is_dead_at_once(simulation: Simulation) -> None:
    process = simulation.process()

    async def main() -> bool:
        simulation.kill(process)
        return process.is_alive

    assert asyncio.run(main()) is False


def test_a_dead_process_dies_no_second_time_and_begins_nothing(simulation: Simulation) -> None:
    process = simulation.process(role="never")

    process.kill()
    process.kill()
    process.exit()
    process.freeze()

    assert (process.is_alive, process.is_frozen) == (False, False)
    with pytest.raises(SimulationError, match=r"process 1 is dead: begin another with simulation\.process"):
        process.mailstrom.start("always")


def test_a_dead_process_is_closed_without_delay(simulation: Simulation) -> None:
    process = simulation.process()
    process.kill()

    process.mailstrom.close()

    assert simulation.time() == 0


# --- frozen


def test_what_a_frozen_process_begins_stands_still_until_it_thaws(simulation: Simulation) -> None:
    host = simulation.host("mx.example.com", domain="example.com")
    process = simulation.process(role="never")
    process.freeze()

    process.mailstrom.start("always")
    message_id = process.mailstrom.send_email(an_email())
    simulation.run(minutes=5)
    before = len(host.messages)
    process.thaw()

    assert (before, process.mailstrom.wait(message_id).succeeded) == (0, True)
