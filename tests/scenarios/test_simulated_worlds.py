"""What users tell in a simulated world: their storage, their policy, their faults."""

from __future__ import annotations

import os
import threading
import traceback
from itertools import pairwise
from pathlib import Path

import pytest

from mailstrom import Cause, Config, Email, Mailstrom, RelayConfig, RetryPolicy, SqliteStorage, StorageError
from mailstrom.abc import InternalMessageStatus, PreparedEmail
from mailstrom.storage.exclusive import ExclusiveStorage
from mailstrom.storage.fork import hooks
from mailstrom.testing.pytest_plugin import simulation
from mailstrom.testing.simulation import MailHost, Simulation, SimulationError
from mailstrom.testing.smtp_server import SmtpServer
from tests.contract.plain_storage import PlainStorage

__all__ = ["simulation"]

EVERY_TEN_MINUTES = RetryPolicy(tries=6, base_delay_secs=600.0, factor=1.0, jitter=0)


def an_email(to: str = "you@example.com") -> Email:
    return Email(from_="no-reply@sender.example", to=to, subject="Hello", text="Hi.\n")


def a_host(simulation: Simulation, **settings: object) -> MailHost:
    return simulation.host("mx.example.com", domain="example.com", **settings)  # type: ignore[arg-type]


# --- one's own storage, one's own policy


def test_mail_in_a_storage_of_ones_own_survives_greylisting(simulation: Simulation) -> None:
    host = a_host(simulation, greylists=True)
    mailstrom = simulation.mailstrom(storage=PlainStorage())

    message_id = mailstrom.send_email(an_email())
    simulation.run(days=5)

    status = mailstrom.query_status(message_id)
    assert (status.succeeded, status.recipients[0].result.tries) == (True, 2)
    assert [message["Subject"] for message in host.parsed] == ["Hello"]


@pytest.mark.parametrize("is_lifted", [False, True])
def test_a_storage_that_may_block_is_called_on_a_thread_of_its_own(
    simulation: Simulation, is_lifted: bool
) -> None:
    class Noting(PlainStorage):
        def store(self, email: PreparedEmail, status: InternalMessageStatus) -> None:
            called_on.append(threading.current_thread().name)
            super().store(email, status)

    called_on: list[str] = []
    given = ExclusiveStorage(Noting(), lease_clock=simulation.time) if is_lifted else Noting()
    simulation.mailstrom(storage=given).send_email(an_email())

    assert called_on == ["simulated-storage"]


def test_a_policy_of_ones_own_says_when_it_is_tried_again(simulation: Simulation) -> None:
    a_host(simulation, server=SmtpServer(on_rcpt="450 4.2.0 later"))
    mailstrom = simulation.mailstrom(retry=EVERY_TEN_MINUTES)

    status = mailstrom.wait(mailstrom.send_email(an_email()))

    tried_at = [attempt.at for attempt in status.recipients[0].attempts]
    waits = [(later - at).total_seconds() for at, later in pairwise(tried_at)]
    assert status.recipients[0].result.cause is Cause.TRIES_EXHAUSTED
    assert waits == pytest.approx([600.0] * 5, abs=2.0)


def test_a_storage_of_ones_own_is_read_again_by_the_next_process(simulation: Simulation) -> None:
    a_host(simulation, greylists=True)
    disk = PlainStorage(durable=True)
    first = simulation.process(storage=disk)
    message_id = first.mailstrom.send_email(an_email())
    simulation.run(seconds=30)

    simulation.kill(first)
    simulation.run(days=1)
    again = simulation.mailstrom(storage=disk)

    assert again.wait(message_id).succeeded


def test_a_sqlite_file_is_opened_again_after_a_kill_in_the_middle_of_a_result(
    simulation: Simulation, tmp_path: Path
) -> None:
    host = a_host(simulation)
    url = f"sqlite:///{tmp_path / 'mail.db'}"
    first = simulation.process(
        storage=url, trouble=lambda call, is_done: call == "settle" and simulation.kill(first)
    )
    message_id = first.mailstrom.send_email(an_email())
    simulation.run_until(lambda: not first.is_alive, minutes=1)

    again = simulation.mailstrom(storage=url)
    status = again.wait(message_id)

    assert (status.succeeded, len(host.messages)) == (True, 2)  # the one window that nobody can close


def test_the_queue_of_a_config_is_used(simulation: Simulation, tmp_path: Path) -> None:
    a_host(simulation, greylists=True)
    config = Config(helo_name="sender.example", storage=f"sqlite:///{tmp_path / 'mail.db'}")
    first = simulation.process(config=config)
    message_id = first.mailstrom.send_email(an_email())

    simulation.kill(first)

    assert simulation.mailstrom(config).wait(message_id).succeeded


def test_nothing_is_told_of_a_process_after_its_death(simulation: Simulation) -> None:
    a_host(simulation)
    process = simulation.process(
        storage=PlainStorage(), trouble=lambda call, _: call == "claim_many" and simulation.kill(process)
    )
    process.mailstrom.send_email(an_email())

    simulation.run(days=1)

    assert not process.is_alive
    assert not any("storage" in line for line in simulation.log)


def test_several_processes_share_one_queue(simulation: Simulation, tmp_path: Path) -> None:
    host = a_host(simulation)
    url = f"sqlite:///{tmp_path / 'mail.db'}"
    web = simulation.process("web", storage=url, role="never")
    for number in range(2):
        simulation.process(f"worker {number}", storage=url, role="always")

    for number in range(10):
        web.mailstrom.send_email(an_email(to=f"you{number}@example.com"))
    simulation.run(minutes=5)

    assert sorted(message.recipients[0] for message in host.messages) == [
        f"you{number}@example.com" for number in range(10)
    ]


def test_the_next_process_of_a_host_takes_over_when_the_first_is_killed(
    simulation: Simulation, tmp_path: Path
) -> None:
    host = a_host(simulation)
    url = f"sqlite:///{tmp_path / 'mail.db'}"
    first, second = simulation.process(storage=url), simulation.process(storage=url)

    simulation.kill(first)
    second.mailstrom.send_email(an_email())
    simulation.run(minutes=2)

    assert len(host.messages) == 1


def test_a_moment_after_a_wait_the_log_tells_of_the_delivery(simulation: Simulation) -> None:
    a_host(simulation)
    mailstrom = simulation.mailstrom()

    mailstrom.wait(mailstrom.send_email(an_email()))
    simulation.run(seconds=1)

    assert "delivered" in simulation.log[-1]


# --- faults


def test_mail_goes_out_when_a_partition_ends(simulation: Simulation) -> None:
    host = a_host(simulation)
    process = simulation.process(retry=RetryPolicy.rfc5321())
    simulation.partition(process, host)
    message_id = process.mailstrom.send_email(an_email())

    simulation.run(hours=12)
    assert process.mailstrom.query_status(message_id).recipients[0].result.state == "deferred"
    simulation.heal(process, host)

    assert process.mailstrom.wait(message_id).succeeded


@pytest.mark.parametrize("how", ["refuse", "unreachable", "black_hole", "never_reads"])
def test_the_second_host_of_a_domain_takes_over_while_the_first_is_down(
    simulation: Simulation, how: str
) -> None:
    first = a_host(simulation)
    second = simulation.host("mx2.example.com", domain="example.com")
    mailstrom = simulation.mailstrom()

    first.go_down(how)  # type: ignore[arg-type]
    mailstrom.send_email(an_email())
    mailstrom.drain()
    first.come_up()
    simulation.run(hours=1)
    mailstrom.send_email(an_email(to="another@example.com"))
    mailstrom.drain()

    assert [message.recipients for message in second.messages] == [("you@example.com",)]
    assert [message.recipients for message in first.messages] == [("another@example.com",)]


@pytest.mark.parametrize("how", ["refuse", "black_hole"])
def test_a_host_that_goes_down_takes_its_connections_along(simulation: Simulation, how: str) -> None:
    host = a_host(simulation, server=SmtpServer(delays={"content": 60.0}))
    mailstrom = simulation.mailstrom()
    message_id = mailstrom.send_email(an_email())

    simulation.run(seconds=10)
    host.go_down(how)  # type: ignore[arg-type]
    simulation.run(minutes=11)

    result = mailstrom.query_status(message_id).recipients[0].result
    assert (result.state, result.uncertain) == ("deferred", True)


def test_what_is_planned_happens_while_the_story_waits(simulation: Simulation) -> None:
    host = a_host(simulation)
    host.go_down()
    simulation.after(host.come_up, minutes=2)
    mailstrom = simulation.mailstrom()

    status = mailstrom.wait(mailstrom.send_email(an_email()))

    assert status.succeeded
    assert simulation.time() > 120


def test_a_domain_whose_name_servers_fail_is_tried_again(simulation: Simulation) -> None:
    a_host(simulation)
    good = simulation.zone.records["example.com"]
    simulation.zone.records["example.com"] = {"rcode": "SERVFAIL"}
    mailstrom = simulation.mailstrom()
    message_id = mailstrom.send_email(an_email())

    simulation.run(minutes=1)
    simulation.zone.records["example.com"] = good

    assert mailstrom.wait(message_id).recipients[0].result.tries == 2


def test_a_storage_that_is_away_for_a_while_loses_no_mail(simulation: Simulation) -> None:
    host = a_host(simulation)

    def away_for_an_hour(call: str, is_done: bool) -> None:
        if call in ("claim_many", "settle") and simulation.time() < 3600:
            raise StorageError("the disk is away")

    process = simulation.process(storage=PlainStorage(), trouble=away_for_an_hour)

    status = process.mailstrom.wait(process.mailstrom.send_email(an_email()))

    assert (status.succeeded, len(host.messages)) == (True, 1)


def test_mail_goes_through_a_relay(simulation: Simulation) -> None:
    relay = simulation.host("relay.example.net", port=2525)
    mailstrom = simulation.mailstrom(
        Config(helo_name="sender.example", delivery=RelayConfig("relay.example.net", port=2525, tls="none"))
    )

    assert mailstrom.wait(mailstrom.send_email(an_email())).succeeded
    assert len(relay.messages) == 1


# --- the same again


def a_course(seed: int) -> list[str]:
    with Simulation(seed=seed) as simulation:
        a_host(simulation, greylists=True)
        mailstrom = simulation.mailstrom(storage=PlainStorage(), retry=RetryPolicy())
        for number in range(5):
            simulation.run(seconds=simulation.chance.uniform(0.1, 100.0))
            mailstrom.send_email(an_email(to=f"you{number}@example.com"))
        mailstrom.drain()
        return simulation.log


def test_a_seed_tells_the_same_story_again_and_another_another() -> None:
    assert a_course(1) == a_course(1)
    assert a_course(1) != a_course(2)


@pytest.mark.simulation(seed=7)
def test_the_mark_says_the_seed(simulation: Simulation) -> None:
    assert simulation.seed == 7


@pytest.mark.simulation(seeds=[3, 9])
def test_the_mark_says_several_seeds(simulation: Simulation) -> None:
    assert simulation.seed in (3, 9)


# --- what cannot go on says what to write instead


def test_time_does_not_pass_for_nobody(simulation: Simulation) -> None:
    with pytest.raises(SimulationError, match=r"nothing can happen.*simulation\.mailstrom\(\)"):
        simulation.run(days=5)


@pytest.mark.parametrize("duration", [{}, {"days": 0}, {"hours": -1}])
def test_time_passes_forwards_and_for_so_long(simulation: Simulation, duration: dict[str, float]) -> None:
    with pytest.raises(SimulationError, match="run: "):
        simulation.run(**duration)  # type: ignore[arg-type]


def test_who_waits_for_mail_that_is_held_is_told_so(simulation: Simulation) -> None:
    mailstrom = simulation.mailstrom()
    message_id = mailstrom.send_email(an_email())
    mailstrom.hold(message_id)

    with pytest.raises(SimulationError, match="Is the mail held"):
        mailstrom.wait(message_id)


def test_what_does_not_come_in_time_is_an_error(simulation: Simulation) -> None:
    simulation.mailstrom()

    with pytest.raises(SimulationError, match="not so within 1:00:00"):
        simulation.run_until(lambda: False, hours=1)


def test_a_call_on_another_thread_is_refused(simulation: Simulation) -> None:
    mailstrom = simulation.mailstrom()
    refused: list[str] = []

    def send() -> None:
        try:
            mailstrom.send_email(an_email())
        except SimulationError as error:
            refused.append(str(error))

    thread = threading.Thread(target=send, name="of a server")
    thread.start()
    thread.join()

    assert ["the thread 'of a server'" in text for text in refused] == [True]


@pytest.mark.parametrize("url", ["postgresql://app@db.example/mail", "postgres://app@db.example/mail"])
def test_a_queue_on_postgresql_is_refused(simulation: Simulation, url: str) -> None:
    with pytest.raises(SimulationError, match="PostgreSQL cannot be simulated"):
        simulation.mailstrom(storage=url)


def test_a_storage_whose_leases_end_in_real_time_is_refused(simulation: Simulation, tmp_path: Path) -> None:
    storage = SqliteStorage(tmp_path / "mail.db")

    with pytest.raises(SimulationError, match=r"lease_clock=simulation\.time"):
        simulation.mailstrom(storage=storage)
    storage.close()


@pytest.mark.expects_loop_errors
def test_a_hook_that_raises_fails_the_story(simulation: Simulation) -> None:
    def broken(address: str, count: int) -> str:
        raise ZeroDivisionError(address)

    a_host(simulation, server=SmtpServer(on_rcpt=broken))
    simulation.mailstrom().send_email(an_email())

    with pytest.raises(SimulationError, match="ZeroDivisionError"):
        simulation.run(minutes=1)


def test_nobody_can_have_greylisting_and_a_server_of_his_own(simulation: Simulation) -> None:
    with pytest.raises(SimulationError, match="on_rcpt=greylist"):
        a_host(simulation, greylists=True, server=SmtpServer())



def test_it_is_the_real_mailstrom_and_its_config(simulation: Simulation) -> None:
    mailstrom = simulation.mailstrom(Config(helo_name="mail.sender.example"))
    host = a_host(simulation)

    mailstrom.wait(mailstrom.send_email(an_email()))

    assert isinstance(mailstrom, Mailstrom)
    assert host.messages[0].helo == "mail.sender.example"


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_test_may_fork_while_a_world_is_there(simulation: Simulation, tmp_path: Path) -> None:
    simulation.mailstrom(storage=f"sqlite:///{tmp_path / 'mail.db'}")

    child = os.fork()
    if child == 0:
        try:
            for hook in list(hooks("after_in_child").values()):  # one may be collected meanwhile
                hook()
            os._exit(0)
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(1)

    assert os.waitpid(child, 0)[1] == 0
