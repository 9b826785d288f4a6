"""What a simulation refuses, and what it says of errors in the story itself."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from mailstrom import ConfigError, Email, MemoryStorage, StorageError
from mailstrom.testing.pytest_plugin import simulation
from mailstrom.testing.simulation import Simulation, SimulationError
from tests.contract.plain_storage import PlainStorage

__all__ = ["simulation"]


def an_email() -> Email:
    return Email(from_="no-reply@sender.example", to="you@example.com", subject="Hello", text="Hi.\n")


def typo() -> object:
    raise NameError("name 'simulatoin' is not defined")


# --- errors in the story


def test_an_error_in_trouble_fails_the_story(simulation: Simulation) -> None:
    simulation.host("mx.example.com", domain="example.com")
    process = simulation.process(trouble=lambda call, is_done: typo() if call == "settle" else None)
    process.mailstrom.send_email(an_email())

    with pytest.raises(SimulationError, match=r"trouble\('settle', False\).*simulatoin") as raised:
        simulation.run(minutes=1)

    assert isinstance(raised.value.__cause__, NameError)


def test_trouble_may_fail_as_a_storage_does(simulation: Simulation) -> None:
    def no_disk(call: str, is_done: bool) -> None:
        raise StorageError("no disk")

    process = simulation.process(trouble=no_disk)

    with pytest.raises(StorageError, match="no disk"):
        process.mailstrom.send_email(an_email())


@pytest.mark.expects_loop_errors
def test_an_error_of_the_test_itself_comes_first_and_what_broke_is_its_note() -> None:
    with pytest.raises(AssertionError, match="the test's own") as raised, Simulation() as simulation:
        simulation.after(typo, seconds=1)
        let_time_pass(simulation, secs=2.0)
        raise AssertionError("the test's own")

    assert ["simulatoin" in note for note in raised.value.__notes__] == [True]


def test_an_error_that_ends_the_story_is_told_once() -> None:
    with pytest.raises(SimulationError, match="trouble") as raised, Simulation() as simulation:
        simulation.process(trouble=lambda call, is_done: typo()).mailstrom.send_email(an_email())

    assert not hasattr(raised.value, "__notes__")


@pytest.mark.expects_loop_errors
def test_all_that_broke_is_told(simulation: Simulation) -> None:
    simulation.mailstrom()
    simulation.after(typo, seconds=1)
    simulation.after(lambda: 1 / 0, seconds=1)

    with pytest.raises(SimulationError, match="simulatoin") as raised:
        simulation.run(seconds=2)

    assert ["ZeroDivisionError" in note for note in raised.value.__notes__] == [True]


@pytest.mark.expects_loop_errors
def test_what_nobody_was_told_is_told_at_the_end_with_all_that_broke_beside() -> None:
    simulation = Simulation()
    process = simulation.process(trouble=lambda call, is_done: typo() if call == "store" else None)
    simulation.after(lambda: 1 / 0, seconds=1)
    let_time_pass(simulation, secs=2.0)
    with pytest.raises(SimulationError, match="trouble"):
        process.mailstrom.send_email(an_email())

    with pytest.raises(SimulationError, match="trouble") as raised:
        simulation.end()
    simulation.end()

    assert ["ZeroDivisionError" in note for note in raised.value.__notes__] == [True]


def let_time_pass(simulation: Simulation, *, secs: float) -> None:
    """As `run`, where nobody is told what broke meanwhile."""
    mailstrom = simulation.mailstrom()
    held = mailstrom.send_email(an_email())
    mailstrom.hold(held)
    mailstrom.wait(held, timeout=secs)


# --- after the end, on another thread

CALLS: dict[str, Callable[[Simulation], object]] = {
    "host": lambda simulation: simulation.host("mx.example.org"),
    "partition": lambda simulation: simulation.partition(an_old_process(simulation)),
    "heal": lambda simulation: simulation.heal(an_old_process(simulation)),
    "mailstrom": lambda simulation: simulation.mailstrom(),
    "process": lambda simulation: simulation.process(),
    "kill": lambda simulation: simulation.kill(an_old_process(simulation)),
    "run": lambda simulation: simulation.run(seconds=1),
    "run_until": lambda simulation: simulation.run_until(lambda: True, seconds=1),
    "after": lambda simulation: simulation.after(lambda: None, seconds=1),
}


def an_old_process(simulation: Simulation) -> Any:
    return simulation._world.processes[0]


@pytest.mark.parametrize("name", CALLS)
def test_nothing_can_be_done_in_a_world_that_has_ended(name: str) -> None:
    with Simulation() as simulation:
        simulation.process()

    with pytest.raises(SimulationError, match="this simulation has ended"):
        CALLS[name](simulation)


@pytest.mark.parametrize("name", [*CALLS, "end"])
def test_every_method_is_refused_on_another_thread(simulation: Simulation, name: str) -> None:
    simulation.process()
    call = CALLS.get(name, Simulation.end)
    refused: list[bool] = []

    def story() -> None:
        with pytest.raises(SimulationError, match="used on the thread 'of a server'"):
            call(simulation)
        refused.append(True)

    thread = threading.Thread(target=story, name="of a server")
    thread.start()
    thread.join()

    assert refused == [True]


# --- arguments


@pytest.mark.parametrize("days", [math.nan, math.inf, 1e12, "5"])
@pytest.mark.parametrize("method", ["run", "run_until", "after"])
def test_a_duration_is_a_number_of_days_that_comes_to_an_end(
    simulation: Simulation, method: str, days: float
) -> None:
    simulation.mailstrom()
    call = getattr(simulation, method)

    with pytest.raises(SimulationError, match=rf"^{method}: expected .*got days={days!r}"):
        call(*([] if method == "run" else [bool]), days=days)


def test_a_duration_has_the_units_that_are_said(simulation: Simulation) -> None:
    simulation.mailstrom()

    with pytest.raises(SimulationError, match=r"run: expected .*got years=5"):
        simulation.run(years=5)  # type: ignore[call-arg]


@pytest.mark.parametrize("seed", ["abc", None, 1.5, True])
def test_a_seed_is_a_whole_number(seed: Any) -> None:
    with pytest.raises(SimulationError, match=rf"seed: expected a whole number, got {seed!r}"):
        Simulation(seed=seed)


@pytest.mark.parametrize("secs", [-1.0, math.nan, math.inf, "0.1"])
def test_a_latency_is_a_time_that_can_pass(secs: Any) -> None:
    with pytest.raises(SimulationError, match="latency_secs: expected"):
        Simulation(latency_secs=secs)


@pytest.mark.parametrize("method", ["run_until", "after"])
def test_what_is_to_be_called_can_be_called(simulation: Simulation, method: str) -> None:
    with pytest.raises(SimulationError, match=rf"^{method}: expected a function.*got \(\)"):
        getattr(simulation, method)((), seconds=1)


def test_trouble_can_be_called(simulation: Simulation) -> None:
    with pytest.raises(SimulationError, match=r"trouble: expected a function.*got 5"):
        simulation.process(trouble=5)  # type: ignore[arg-type]


def test_a_mailstrom_is_not_killed_but_its_process(simulation: Simulation) -> None:
    with pytest.raises(SimulationError, match=r"kill: expected a process.*simulation\.process\("):
        simulation.kill(simulation.mailstrom())  # type: ignore[arg-type]


def test_a_role_that_is_none_makes_no_process(simulation: Simulation) -> None:
    with pytest.raises(ConfigError, match="expected role"):
        simulation.process(role="sometimes")  # type: ignore[arg-type]

    with pytest.raises(SimulationError, match="there is no process"):
        simulation.run(days=1)


def test_two_processes_that_live_have_two_names(simulation: Simulation) -> None:
    first = simulation.process("web")

    with pytest.raises(SimulationError, match="process: there is one named 'web'"):
        simulation.process("web")
    simulation.kill(first)
    simulation.process("web")


@pytest.mark.parametrize("name", ["", 5])
def test_a_process_has_a_name_that_can_be_read(simulation: Simulation, name: Any) -> None:
    with pytest.raises(SimulationError, match="process: expected a name"):
        simulation.process(name)


def test_nobody_is_given_a_name_that_somebody_chose(simulation: Simulation) -> None:
    simulation.process("process 2")

    assert simulation.process().name != "process 2"


@pytest.mark.parametrize("storage", [object(), MemoryStorage, PlainStorage])
def test_a_storage_is_one_and_not_its_class(simulation: Simulation, storage: Any) -> None:
    with pytest.raises(SimulationError, match=r"storage: expected .*MemoryStorage\(\)"):
        simulation.mailstrom(storage=storage)


@pytest.mark.parametrize("server", ["450 4.2.0 later", partial(print)])
def test_the_server_of_a_host_is_a_server(simulation: Simulation, server: Any) -> None:
    with pytest.raises(SimulationError, match="host: expected a SmtpServer"):
        simulation.host("mx.example.com", domain="example.com", server=server)


def test_two_hosts_do_not_answer_at_one_place(simulation: Simulation) -> None:
    simulation.host("mx.example.com", domain="example.com", ip="192.0.2.25")
    simulation.host("submission.example.com", ip="192.0.2.25", port=587)

    with pytest.raises(SimulationError, match=r"mx\.example\.com.*at 192\.0\.2\.25 port 25"):
        simulation.host("mx.example.org", domain="example.org", ip="192.0.2.25")


@pytest.mark.parametrize("name", ["not a host name!", "", "two..dots.example"])
def test_a_host_has_the_name_of_a_host(simulation: Simulation, name: str) -> None:
    with pytest.raises(SimulationError, match="host: "):
        simulation.host(name)
