"""How long one waits in a simulated world, and when one is told that it is in vain."""

from __future__ import annotations

from datetime import timedelta

import pytest

from mailstrom import Email, Event, EventKind, RetryPolicy
from mailstrom.testing.pytest_plugin import simulation
from mailstrom.testing.simulation import Simulation, SimulationError

__all__ = ["simulation"]

EVERY_EIGHT_DAYS = RetryPolicy(tries=3, base_delay_secs=8 * 86_400.0, factor=1.0, jitter=0)


def an_email() -> Email:
    return Email(from_="no-reply@sender.example", to="you@example.com", subject="Hello", text="Hi.\n")


@pytest.mark.parametrize("timeout", [None, 11 * 86_400.0])
def test_who_waits_for_mail_of_next_week_waits_until_it_is_due(
    simulation: Simulation, timeout: float | None
) -> None:
    simulation.host("mx.example.com", domain="example.com")
    mailstrom = simulation.mailstrom()
    message_id = mailstrom.send_email(an_email(), send_at=simulation.now + timedelta(days=10))

    assert mailstrom.wait(message_id, timeout=timeout).succeeded
    assert timedelta(days=10) <= timedelta(seconds=simulation.time()) < timedelta(days=10, minutes=1)


def test_a_policy_may_let_more_than_a_week_pass_between_two_tries(simulation: Simulation) -> None:
    simulation.host("mx.example.com", domain="example.com", greylists=True)
    mailstrom = simulation.mailstrom(retry=EVERY_EIGHT_DAYS)

    assert mailstrom.wait(mailstrom.send_email(an_email())).succeeded


def test_what_another_process_is_to_try_next_week_is_waited_for(simulation: Simulation) -> None:
    simulation.host("mx.example.com", domain="example.com")
    busy, idle = simulation.mailstrom(), simulation.mailstrom()
    busy.send_email(an_email(), send_at=simulation.now + timedelta(days=10))
    held = idle.send_email(an_email())
    idle.hold(held)

    with pytest.raises(SimulationError, match="Is the mail held"):
        idle.wait(held)

    assert busy.query_recent()[0].succeeded


@pytest.mark.parametrize("timeout", [60.0, 10 * 86_400.0])
def test_who_waits_for_held_mail_with_a_limit_gets_its_status_then(
    simulation: Simulation, timeout: float
) -> None:
    mailstrom = simulation.mailstrom()
    message_id = mailstrom.send_email(an_email())
    mailstrom.hold(message_id)

    assert not mailstrom.wait(message_id, timeout=timeout).completed
    assert simulation.time() == pytest.approx(timeout)
    mailstrom.close()


def test_an_observer_that_waits_in_vain_does_not_hang_the_story(simulation: Simulation) -> None:
    def waits(event: Event) -> None:
        if event.kind is EventKind.ACCEPTED and event.message_id is not None:
            mailstrom.hold(event.message_id)
            with pytest.raises(SimulationError, match="Is the mail held"):
                mailstrom.wait(event.message_id)
            told.append(simulation.time())

    told: list[float] = []
    mailstrom = simulation.mailstrom(observers=[waits])
    mailstrom.send_email(an_email(), send_at=simulation.now + timedelta(days=1))
    simulation.run(days=1)

    assert len(told) == 1


def test_what_is_planned_for_next_week_is_waited_for(simulation: Simulation) -> None:
    simulation.host("mx.example.com", domain="example.com")
    mailstrom = simulation.mailstrom()
    message_id = mailstrom.send_email(an_email())
    mailstrom.hold(message_id)
    simulation.after(lambda: mailstrom.release(message_id), days=10)

    assert mailstrom.wait(message_id).succeeded


def test_who_was_told_that_he_waits_in_vain_can_wait_for_other_mail(simulation: Simulation) -> None:
    simulation.host("mx.example.com", domain="example.com")
    mailstrom = simulation.mailstrom()
    held = mailstrom.send_email(an_email())
    mailstrom.hold(held)
    with pytest.raises(SimulationError, match="nothing has happened to any email for 7 days"):
        mailstrom.wait(held)

    assert mailstrom.wait(mailstrom.send_email(an_email())).succeeded


def test_what_stands_due_in_a_frozen_process_is_no_news(simulation: Simulation) -> None:
    simulation.host("mx.example.com", domain="example.com")
    frozen, mailstrom = simulation.process(), simulation.mailstrom()
    frozen.mailstrom.send_email(an_email(), send_at=simulation.now + timedelta(days=2))
    frozen.freeze()
    held = mailstrom.send_email(an_email())
    mailstrom.hold(held)

    with pytest.raises(SimulationError, match="the process frozen"):
        mailstrom.wait(held)

    assert mailstrom.wait(mailstrom.send_email(an_email())).succeeded


def test_a_mailstrom_that_is_closed_keeps_nobody_from_being_told(simulation: Simulation) -> None:
    simulation.mailstrom().close()
    mailstrom = simulation.mailstrom()
    held = mailstrom.send_email(an_email())
    mailstrom.hold(held)

    with pytest.raises(SimulationError, match="Is the mail held"):
        mailstrom.wait(held)
