"""What holds a message now, asked of a Mailstrom while that very thing holds it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from mailstrom import (
    ClosedError,
    Config,
    Event,
    EventKind,
    Mailstrom,
    MemoryStorage,
    MessageNotFound,
    RelayConfig,
    RetryPolicy,
    SmtpAuth,
    StorageError,
    WorkerStatus,
)
from mailstrom.explanation import Gate
from mailstrom.storage.exclusive import ExclusiveStorage
from mailstrom.testing.simulation import Simulation
from mailstrom.testing.smtp_server import Action, LoopbackServer, SmtpServer
from tests.builders import a_config, an_email

Maker = Callable[..., Any]

YOU = "you@dest.example"
CAPTURE = a_config(mode="capture")
HOUR = timedelta(hours=1)


def through(port: int, **settings: Any) -> Config:
    return a_config(delivery=RelayConfig("127.0.0.1", port=port, tls="none"), **settings)


def gates(m: Any, message_id: str) -> list[Gate]:
    return [hold.gate for hold in m.explain(message_id)[YOU].holds]


class Hanging(SmtpServer):
    """Never answers the final dot; `reached` is set when one has come."""

    def __init__(self) -> None:
        self.reached = threading.Event()
        super().__init__(on_content=self._hang)

    def _hang(self, *_: object) -> Action:
        self.reached.set()
        return Action.HANG


class Heard:
    """An observer that lets a test wait for an event or a status of the worker."""

    def __init__(self, what: EventKind | WorkerStatus) -> None:
        self._what = what
        self._came = threading.Event()

    def __call__(self, event: Event) -> None:
        if self._what in (event.kind, event.worker_status):
            self._came.set()

    def wait(self) -> None:
        assert self._came.wait(30)


@pytest.fixture(params=["memory", "sqlite"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str | None:
    return None if request.param == "memory" else f"sqlite:///{tmp_path / 'mail.db'}"


def test_without_a_worker_of_this_process_it_says_so(made: Maker, place: str | None) -> None:
    with made(CAPTURE, place) as m:
        message_id = m.send_email(an_email())

        [hold] = m.explain(f"<{message_id}>")[YOU].holds

    assert hold.gate is Gate.WORKER_OFF
    assert ("another process may deliver it" in hold.text) is (place is not None)


def test_a_paused_worker_holds_what_is_due(made: Maker) -> None:
    paused = Heard(WorkerStatus.PAUSED)
    with made(CAPTURE, observers=[paused]) as m:
        m.start().pause()
        paused.wait()  # a claim that it asked for before may still be granted to it
        message_id = m.send_email(an_email())

        assert gates(m, message_id) == [Gate.PAUSED]


def test_what_is_to_be_sent_later_waits_for_that(made: Maker, place: str | None) -> None:
    at = datetime.now(UTC) + HOUR
    with made(CAPTURE, place) as m:
        message_id = m.start().send_email(an_email(), send_at=at)

        found = m.explain(message_id)[YOU]

    assert [hold.gate for hold in found.holds] == [Gate.SCHEDULED]
    assert found.until is not None
    assert abs(found.until - at) < timedelta(minutes=1)


def test_what_is_held_waits_for_its_release_and_what_is_done_for_nothing(
    made: Maker, place: str | None
) -> None:
    with made(CAPTURE, place) as m:
        message_id = m.send_email(an_email())
        m.hold(message_id)
        held = gates(m.start(), message_id)
        m.release(message_id)
        m.wait(message_id, timeout=30)

        assert (held, gates(m, message_id)) == ([Gate.HELD], [Gate.DONE])


def test_what_was_deferred_says_what_the_host_said(made: Maker, place: str | None) -> None:
    deferred = Heard(EventKind.DEFERRED)
    with (
        LoopbackServer(SmtpServer(on_rcpt="450 4.2.0 busy")) as running,
        made(through(running.port), place, observers=[deferred]) as m,
    ):
        message_id = m.start().send_email(an_email())
        deferred.wait()
        found, status = m.explain(message_id)[YOU], m.query_status(message_id)
        m.cancel(message_id)

    assert found.gate is Gate.BACKOFF
    assert found.until == status[YOU].result.next_attempt_at
    assert "450 4.2.0 busy" in found.holds[0].text


def test_what_is_being_tried_says_how_far_it_has_come_and_which_order_waits(
    made: Maker, place: str | None
) -> None:
    with LoopbackServer(Hanging()) as running, made(through(running.port), place) as m:
        message_id = m.start().send_email(an_email())
        assert running.server.reached.wait(30)
        m.cancel(message_id)

        [hold] = m.explain(message_id)[YOU].holds
        m.die()

    assert hold.gate is Gate.CLAIMED
    assert hold.until is not None
    assert hold.until > datetime.now(UTC)
    assert hold.text == "being tried now: at dot with 127.0.0.1 [127.0.0.1]; cancelled when that ends"


def test_what_another_worker_is_trying_is_seen_as_that(tmp_path: Path) -> None:
    queue = f"sqlite:///{tmp_path / 'mail.db'}"
    with LoopbackServer(Hanging()) as running, Mailstrom(CAPTURE, queue) as other:
        m = Mailstrom(through(running.port), queue)
        message_id = m.start().send_email(an_email())
        assert running.server.reached.wait(30)

        [hold] = other.explain(message_id)[YOU].holds
        m.die()

    assert hold.gate is Gate.CLAIMED
    assert "by another worker" in hold.text


@pytest.mark.parametrize(
    ("setting", "gate"), [("max_sessions_per_lane", Gate.LANE_FULL), ("max_sessions", Gate.WORKER_FULL)]
)
def test_what_is_due_waits_for_its_turn_where_there_is_no_room(
    made: Maker, place: str | None, setting: str, gate: Gate
) -> None:
    with LoopbackServer(Hanging()) as running, made(through(running.port, **{setting: 1}), place) as m:
        m.start().send_email(an_email())
        assert running.server.reached.wait(30)
        second = m.send_email(an_email())

        [hold] = m.explain(second)[YOU].holds
        m.die()

    assert hold.gate is gate
    assert hold.text.startswith("1 of 1 deliveries are under way")
    assert setting in hold.text


def test_a_relay_that_refused_our_credentials_holds_what_is_due(made: Maker, place: str | None) -> None:
    deferred = Heard(EventKind.DEFERRED)
    server = SmtpServer(credentials={"user": "secret"}, on_auth="535 5.7.8 no")
    with LoopbackServer(server) as running:
        auth = SmtpAuth("user", "secret")
        relay = RelayConfig(
            "127.0.0.1", port=running.port, tls="none", auth=auth, allow_cleartext_auth=True
        )
        with made(a_config(delivery=relay), place, observers=[deferred]) as m:
            first = m.start().send_email(an_email())
            deferred.wait()
            second = m.send_email(an_email())

            found, probe = m.explain(second)[YOU], m.explain(first)[YOU]
            m.die()

    assert [hold.gate for hold in found.holds] == [Gate.LANE_HELD]
    assert [hold.gate for hold in probe.holds] == [Gate.BACKOFF, Gate.LANE_HELD]
    assert found.until is not None
    assert timedelta(minutes=14) < found.until - datetime.now(UTC) <= timedelta(minutes=15)


class Unreadable(ExclusiveStorage):
    """Nothing can be claimed."""

    def claim_many(self, *args: Any, **kwargs: Any) -> Any:
        raise StorageError("the disk is gone")


def test_a_storage_that_fails_holds_everything() -> None:
    failed = Heard(WorkerStatus.STORAGE_READ_FAILED)
    with Mailstrom(CAPTURE, Unreadable(MemoryStorage()), observers=[failed]) as m:
        message_id = m.start().send_email(an_email())
        failed.wait()

        found = gates(m, message_id)
        m.die()

    assert found == [Gate.STORAGE_TROUBLE]


def test_in_a_simulated_world_the_time_that_is_told_is_the_time_of_the_try() -> None:
    with Simulation() as simulation:
        simulation.host("mx.dest.example", domain="dest.example", greylists=True)
        m = simulation.mailstrom(retry=RetryPolicy(jitter=0))
        message_id = m.send_email(an_email())
        simulation.run(seconds=30)

        waits = m.explain(message_id)[YOU]
        assert waits.until is not None
        m.drain()
        tried_at = m.query_status(message_id)[YOU].attempts[-1].at

    assert waits.gate is Gate.BACKOFF
    assert abs(tried_at - waits.until) < timedelta(seconds=2)


def test_each_recipient_has_an_explanation_of_its_own(made: Maker, place: str | None) -> None:
    with made(CAPTURE, place) as m:
        message_id = m.send_email(an_email(to="a@one.example, b@two.example"))
        m.hold(message_id, address="b@two.example")

        explanation = m.explain(message_id)

    found = {each.address: each.gate for each in explanation}
    assert found == {"a@one.example": Gate.WORKER_OFF, "b@two.example": Gate.HELD}


def test_a_message_that_is_not_known_has_no_explanation(made: Maker, place: str | None) -> None:
    with made(CAPTURE, place) as m:
        with pytest.raises(MessageNotFound):
            m.explain("nobody@x.example")
        m.close()
        with pytest.raises(ClosedError):
            m.explain("nobody@x.example")
