"""A storage that fails for a while is a status and a new try, and no mail is stuck, lost or doubled."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from mailstrom import StorageError, WorkerStatus
from mailstrom.storage.exclusive import ExclusiveStorage
from mailstrom.testing.smtp_server import Action, SmtpServer
from tests.builders import a_config, an_email, with_mx
from tests.contract.plain_storage import PlainStorage
from tests.lone_engine import LoneEngine, simulate


class Faulty(ExclusiveStorage):
    """A storage some of whose calls fail as often as is said: `Faulty(settle=2)`."""

    def __init__(self, *, durable: bool = False, **failures: int) -> None:
        super().__init__(PlainStorage(durable=durable), lease_clock=lambda: asyncio.get_running_loop().time())
        self.failures = failures

    def claim_many(self, *args: Any, **kwargs: Any) -> Any:
        return self._or_fail("claim_many", super().claim_many, args, kwargs)

    def settle(self, *args: Any, **kwargs: Any) -> Any:
        return self._or_fail("settle", super().settle, args, kwargs)

    def mark_dots_sent(self, *args: Any, **kwargs: Any) -> Any:
        return self._or_fail("mark_dots_sent", super().mark_dots_sent, args, kwargs)

    def _or_fail(self, name: str, call: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        if self.failures.get(name, 0) > 0:
            self.failures[name] -= 1
            raise StorageError(f"{name} failed")
        return call(*args, **kwargs)


def statuses(sim: LoneEngine) -> list[WorkerStatus]:
    """What the worker's status was, one after the other."""
    return [event.worker_status for event in sim.events if event.worker_status is not None]


def test_results_that_cannot_be_written_are_kept_and_the_mail_is_sent_once() -> None:
    """Row 46: results kept, claiming stops, resumes alone."""
    server = SmtpServer()

    async def story(sim: LoneEngine) -> None:
        with_mx(sim, server)
        first = sim.send_email(an_email())
        await asyncio.sleep(0.5)
        second = sim.send_email(an_email())
        await asyncio.sleep(0.1)
        assert len(server.ledger.messages) == 1
        assert sim.engine.status is WorkerStatus.STORAGE_WRITE_FAILED
        for message_id in (first, second):
            assert (await sim.wait(message_id)).succeeded
        assert statuses(sim) == [WorkerStatus.OK, WorkerStatus.STORAGE_WRITE_FAILED, WorkerStatus.OK]

    simulate(story, config=a_config(), storage=Faulty(settle=3))

    assert len(server.ledger.messages) == 2


def test_mail_waits_for_a_result_to_be_written_and_not_for_the_rest_of_that_delivery() -> None:
    """One slow host delays nobody else's mail."""
    first = SmtpServer(on_rcpt=lambda a, _: "450 4.2.0 later" if a.startswith("slow") else None)
    hangs = SmtpServer(on_greeting=Action.HANG)

    async def story(sim: LoneEngine) -> None:
        with_mx(sim, first, hangs)
        with_mx(sim, SmtpServer(), domain="other.example")
        sim.send_email(an_email(to="you@dest.example, slow@dest.example"))
        await asyncio.sleep(0.5)
        status = await sim.deliver(an_email(to="you@other.example"))
        assert status.succeeded
        assert sim.loop.time() < 2

    simulate(story, config=a_config(), storage=Faulty(settle=1))


def test_a_storage_that_cannot_note_the_final_dot_costs_no_try_and_no_crash() -> None:
    """Row 46: the dot is not sent, and the message tried again."""
    server = SmtpServer()

    async def story(sim: LoneEngine) -> None:
        with_mx(sim, server)
        message_id = sim.send_email(an_email())
        status = await sim.until(message_id, lambda status: status.state == "deferred")
        (recipient,) = sim.storage.retrieve_status(message_id).recipients
        assert server.ledger.messages == ()
        assert (recipient.result.tries, recipient.crashes, recipient.result.uncertain) == (0, 0, False)
        assert WorkerStatus.STORAGE_WRITE_FAILED in statuses(sim)
        status = await sim.wait(message_id)
        assert status.succeeded
        assert sim.loop.time() < 10  # not when the schedule would have it: the host had no part in it

    simulate(story, config=a_config(), storage=Faulty(durable=True, mark_dots_sent=1))

    assert len(server.ledger.messages) == 1


def test_a_storage_that_cannot_be_read_delays_mail_and_says_so() -> None:
    """Row 47."""

    async def story(sim: LoneEngine) -> None:
        with_mx(sim, SmtpServer())
        assert (await sim.deliver(an_email())).succeeded
        assert statuses(sim) == [WorkerStatus.OK, WorkerStatus.STORAGE_READ_FAILED, WorkerStatus.OK]

    simulate(story, config=a_config(), storage=Faulty(claim_many=5))
