"""A message that makes our own code raise: it is put aside, and the others go on."""

from __future__ import annotations

import asyncio
import errno
import logging
from datetime import timedelta
from typing import Any

import pytest

from mailstrom import Cause, RetryPolicy, StorageError, WorkerStatus
from mailstrom.abc import InternalMessageStatus, PreparedEmail
from mailstrom.engine.events import EventKind
from mailstrom.route.mx import MxAnswer
from mailstrom.testing.dns import FakeResolver
from mailstrom.testing.network import MemoryNetwork
from mailstrom.testing.smtp_server import SmtpServer
from tests.builders import a_config, an_email, with_mx
from tests.contract.plain_storage import PlainStorage
from tests.lone_engine import LoneEngine, simulate
from tests.scenarios.stages import YOU

POISON = "you@poison.example"


class Poisoned(FakeResolver):
    """Raises what no resolver may raise, for one domain, the first `times`."""

    times = 10**9

    async def mx(self, domain: str) -> MxAnswer:
        if domain == "poison.example" and self.times:
            self.times -= 1
            raise RuntimeError("a defect of ours")
        return await super().mx(domain)


def with_poison(sim: LoneEngine, times: int = 10**9) -> None:
    """poison.example works, but for our own code."""
    with_mx(sim, SmtpServer(), domain="poison.example")
    poisoned = Poisoned(sim.zone)
    poisoned.times = times
    sim.resolver = poisoned
    sim.start()


def crashed_at(sim: LoneEngine) -> list[float]:
    found = [event for event in sim.events if event.kind is EventKind.DEFERRED]
    return [(event.at - found[0].at).total_seconds() for event in found]


def test_it_is_tried_again_later_and_later_and_held_after_five_crashes() -> None:
    """Row 56: due again after min(base, 60) * 2**(crashes-1) s, five in a row = held, with an event."""

    async def story(sim: LoneEngine) -> None:
        with_poison(sim)
        message_id = sim.send_email(an_email(to=POISON))
        await asyncio.sleep(100_000)
        result = sim.status(message_id)[POISON].result
        assert crashed_at(sim) == [0, 60, 180, 420, 900]
        assert (result.state, result.next_attempt_at, result.tries) == ("deferred", None, 0)
        assert "held" in str(result)
        assert sim.events[-1].result == result
        assert sim.storage.is_idle()

    simulate(story, config=a_config(), start=False)


def test_other_mail_goes_on_meanwhile() -> None:
    """Row 56."""
    server = SmtpServer()

    async def story(sim: LoneEngine) -> None:
        with_poison(sim)
        with_mx(sim, server)
        ids = [sim.send_email(an_email(to=to)) for to in (POISON, YOU, POISON, YOU)]
        for message_id in (ids[1], ids[3]):
            status = await sim.wait(message_id)
            assert status.completed_at == status.submitted_at

    simulate(story, config=a_config(), start=False)

    assert len(server.ledger.messages) == 2


def test_the_other_recipients_of_the_same_message_get_it_once() -> None:
    """Row 56."""
    server = SmtpServer()

    async def story(sim: LoneEngine) -> None:
        with_poison(sim)
        with_mx(sim, server)
        message_id = sim.send_email(an_email(to=[POISON, YOU]))
        await asyncio.sleep(100_000)
        states = [recipient.result.state for recipient in sim.status(message_id)]
        assert states == ["deferred", "delivered"]

    simulate(story, config=a_config(), start=False)

    assert len(server.ledger.messages) == 1


def test_a_crash_is_no_try_and_one_good_pass_forgets_the_crashes() -> None:
    """Row 56: counted apart from the tries."""

    async def story(sim: LoneEngine) -> None:
        with_poison(sim, times=4)
        status = await sim.deliver(an_email(to=POISON))
        assert (status.succeeded, status[POISON].result.tries) == (True, 1)
        assert status.completed_at == status.submitted_at + timedelta(seconds=900)

    simulate(story, config=a_config(), start=False)


def test_the_log_has_the_traceback(caplog: pytest.LogCaptureFixture) -> None:
    """Row 56: a defect must be found."""

    async def story(sim: LoneEngine) -> None:
        with_poison(sim, times=1)
        await sim.deliver(an_email(to=POISON))

    with caplog.at_level(logging.ERROR, logger="mailstrom"):
        simulate(story, config=a_config(), start=False)

    (record,) = caplog.records
    assert record.exc_info is not None
    assert str(record.exc_info[1]) == "a defect of ours"


def test_held_mail_can_be_cancelled() -> None:
    """Row 56: it waits for a person."""

    async def story(sim: LoneEngine) -> None:
        with_poison(sim)
        message_id = sim.send_email(an_email(to=POISON))
        await asyncio.sleep(100_000)
        sim.cancel(message_id)
        assert sim.status(message_id)[POISON].result.cause is Cause.CANCELLED

    simulate(story, config=a_config(), start=False)


class Breaking(MemoryNetwork):
    """The first of its connections that has carried a final dot raises something odd in our own code."""

    breaks = True

    async def connect(self, *args: Any, **kwargs: Any) -> asyncio.Transport:
        transport = await super().connect(*args, **kwargs)
        write, unsent = transport.write, transport.get_write_buffer_size
        written: list[bytes] = [b""]

        def noting(octets: bytes) -> None:
            written[0] = bytes(octets)
            write(octets)

        def breaking() -> int:
            if self.breaks and written[0].endswith(b"\r\n.\r\n"):
                self.breaks = False
                raise RuntimeError("a defect of ours")
            return unsent()

        transport.write, transport.get_write_buffer_size = noting, breaking  # type: ignore[assignment,method-assign]
        return transport


@pytest.mark.parametrize(
    ("on_uncertain", "state", "cause"),
    [("retry", "deferred", None), ("hold", "deferred", None), ("fail", "failed", Cause.UNCERTAIN)],
)
def test_a_crash_after_the_final_dot_is_uncertain(on_uncertain: str, state: str, cause: Cause | None) -> None:
    """Rows 4 and 56: it may have been delivered; not again before 15 minutes, or as on_uncertain says."""
    policy = RetryPolicy(jitter=0, on_uncertain=on_uncertain)  # type: ignore[arg-type]

    async def story(sim: LoneEngine) -> None:
        sim.network = Breaking()
        with_mx(sim, SmtpServer())
        sim.start()
        status = await sim.first_try(an_email())
        result = status[YOU].result
        assert (result.state, result.uncertain, result.cause) == (state, True, cause)
        if on_uncertain == "retry":
            assert result.next_attempt_at == status.submitted_at + timedelta(minutes=15)
        else:
            assert result.next_attempt_at is None

    simulate(story, config=a_config(retry=policy), start=False)


def test_an_uncertain_recipient_stays_uncertain_when_a_later_try_crashes() -> None:
    """Row 56: what may have been delivered is never forgotten."""
    server = SmtpServer()

    async def story(sim: LoneEngine) -> None:
        sim.network = Breaking()
        with_mx(sim, server)
        sim.start()
        message_id = sim.send_email(an_email())
        await sim.until(message_id, lambda status: status[YOU].result.uncertain)
        sim.network.breaks = True
        await asyncio.sleep(1000)
        assert sim.status(message_id)[YOU].result.uncertain

    simulate(story, config=a_config(), start=False)


def test_what_a_dead_process_had_sent_its_dot_for_is_uncertain_after_the_restart() -> None:
    """Row 50: with `dot_sent`: uncertain, and not again before 15 minutes."""
    storage = PlainStorage(durable=True)
    server = SmtpServer(delays={"content": 300.0})

    async def killed(sim: LoneEngine) -> None:
        with_mx(sim, server)
        sim.send_email(an_email(message_id="one@sender.example"))
        await asyncio.sleep(10)
        crashed = dict(storage.statuses)
        await sim.die()
        storage.statuses = crashed  # as kill -9 leaves it

    async def restarted(sim: LoneEngine) -> None:
        with_mx(sim, SmtpServer())
        status = await sim.until("one@sender.example", lambda status: status[YOU].result.uncertain)
        assert status[YOU].result.state == "deferred"
        status = await sim.wait("one@sender.example")
        assert status.succeeded
        assert sim.clock.monotonic() == pytest.approx(900)

    simulate(killed, config=a_config(), storage=storage)
    simulate(restarted, config=a_config(), storage=storage)


def test_an_error_of_the_system_is_no_crash() -> None:
    """Row 56: what the network raises is judged, whatever its errno."""

    class Odd(MemoryNetwork):
        async def connect(self, *_: object, **__: object) -> asyncio.Transport:
            raise OSError(errno.EMFILE, "too many open files")

    async def story(sim: LoneEngine) -> None:
        sim.network = Odd()
        with_mx(sim, SmtpServer())
        sim.start()
        status = await sim.first_try(an_email())
        assert (status[YOU].result.state, status[YOU].result.tries) == ("deferred", 1)

    simulate(story, config=a_config(), start=False)


class Spoiled(PlainStorage):
    """Fails for one message: its email cannot be read, or its last result not be written."""

    def __init__(self, spoiled: str) -> None:
        super().__init__(durable=True)
        self.spoiled = spoiled
        self.bad: str | None = None
        self.times = 0

    def retrieve(self, message_id: str) -> tuple[PreparedEmail, InternalMessageStatus]:
        if self.spoiled == "email":
            self._fail_for(message_id)
        return super().retrieve(message_id)

    def update_status(self, status: InternalMessageStatus) -> None:
        if self.spoiled == "result" and status.completed_at is not None:
            self._fail_for(status.message_id)
        super().update_status(status)

    def _fail_for(self, message_id: str) -> None:
        if message_id == self.bad:
            self.times += 1
            raise StorageError("input/output error")


@pytest.mark.parametrize(("spoiled", "secs"), [("email", 1), ("result", 60)])
def test_one_message_that_the_storage_fails_for_does_not_hold_up_the_others(spoiled: str, secs: int) -> None:
    """Row 56: all have one route key. One that is alone with its fault is found out later."""
    storage = Spoiled(spoiled)
    server = SmtpServer()

    async def story(sim: LoneEngine) -> None:
        with_mx(sim, server)
        storage.bad = sim.send_email(an_email())
        if spoiled == "result":
            await asyncio.sleep(1)
        others = [sim.send_email(an_email()) for _ in range(5)]
        await asyncio.sleep(secs)
        assert all(sim.status(message_id).succeeded for message_id in others)
        assert sim.engine.status is WorkerStatus.OK

        await asyncio.sleep(3600)
        assert storage.times < 80
        assert sim.status(the_bad_one(storage)).state == "queued"
        storage.spoiled = "nothing"
        assert (await sim.wait(the_bad_one(storage))).succeeded

    simulate(story, config=a_config(), storage=storage)

    assert len(server.ledger.messages) == 6


def the_bad_one(storage: Spoiled) -> str:
    """The one that is spoiled."""
    assert storage.bad is not None
    return storage.bad
