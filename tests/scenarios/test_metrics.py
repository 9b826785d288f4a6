"""What is counted of a whole Mailstrom agrees with what became of its mail."""

from __future__ import annotations

from mailstrom import Config, Mailstrom, RelayConfig, RetryPolicy
from mailstrom.metrics import Distribution, Family, Metrics, QueueGauges
from mailstrom.testing.simulation import Simulation
from mailstrom.testing.smtp_server import LoopbackServer, SmtpServer
from tests.builders import HELO, an_email


def sum_of(family: Family) -> float:
    """The sum of all that a histogram has seen."""
    return sum(sample.value.total for sample in family.samples if isinstance(sample.value, Distribution))


def test_a_message_that_is_greylisted_has_two_attempts_and_two_results() -> None:
    metrics = Metrics()
    with Simulation(seed=1) as simulation:
        simulation.host("mx.dest.example", domain="dest.example", greylists=True)
        mailstrom = simulation.mailstrom(retry=RetryPolicy(jitter=0), observers=[metrics])
        assert mailstrom.wait(mailstrom.send_email(an_email())).succeeded
        simulation.run(minutes=5)
        counted = metrics.snapshot()

    assert counted["messages.accepted"].total() == 1
    assert counted["attempts"].total(outcome="deferred", phase="rcpt") == 1
    assert counted["attempts"].total(outcome="delivered", phase="dot") == 1
    assert [sample.labels[0] for sample in counted["results"].samples] == ["deferred", "delivered"]
    assert (counted["sessions.open"].total(), counted["session.messages"].total()) == (0, 2)
    assert counted["worker.status"].total(status="ok") == 1


def test_what_waits_is_as_old_as_the_simulated_time_says() -> None:
    with Simulation(seed=1) as simulation:
        simulation.host("mx.dest.example", domain="dest.example").go_down()
        process = simulation.process(retry=RetryPolicy.rfc5321())
        queue = QueueGauges(process.mailstrom.overview, clock=process.clock)
        process.mailstrom.send_email(an_email())
        simulation.run(hours=2)
        found = {family.instrument.name: family for family in queue.families()}

    assert found["queue.recipients"].total(state="deferred") == 1
    assert found["queue.oldest.age"].total(state="deferred") == 7200
    assert found["queue.overdue"].total() == 0


def test_counts_of_sessions_transactions_and_commits_agree_with_what_was_delivered() -> None:
    metrics, server = Metrics(), SmtpServer()
    with LoopbackServer(server) as running:
        config = Config(helo_name=HELO, delivery=RelayConfig("127.0.0.1", running.port, tls="none"))
        with Mailstrom(config, observers=[metrics]) as m:
            m.send_emails([an_email(to=[f"{n}@dest.example", "you@dest.example"]) for n in range(30)])
            assert m.start().drain(timeout=30)
    counted = metrics.snapshot()

    opened, transactions = counted["sessions.opened"].total(tls="none"), counted["transactions"]
    assert transactions.total(outcome="delivered") == transactions.total() == 30
    assert transactions.total(session="new") == opened == len(server.ledger.sessions)
    assert counted["attempts"].total() == counted["results"].total(state="delivered") == 60
    assert sum_of(counted["commit.results"]) == sum_of(counted["transaction.recipients"]) == 60
    assert sum_of(counted["session.messages"]) == 30
    assert counted["sessions.open"].total() == 0
    assert sum_of(counted["transaction.size"]) == sum(len(each.content) for each in server.ledger.messages)
