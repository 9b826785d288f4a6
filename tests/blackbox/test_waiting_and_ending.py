"""Nothing makes the caller wait but the calls that say so; everything ends when it is told to."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from mailstrom import (
    ClosedError,
    Config,
    Email,
    Mailstrom,
    MailstromError,
    NotRunningError,
    RelayConfig,
    RemoteDeliveryConfig,
    ResolverSetup,
    RetryPolicy,
    Submission,
    WorkerStatus,
)
from tests.blackbox.sink import Names, Sink

CAPTURE = Config("h.example", mode="capture")
SOON_SECS = 2.0  # generous: each of these takes milliseconds, or would take half a minute and more


def an_email(**fields: Any) -> Email:
    return Email(**{"from_": "me@s.example", "to": "you@dest.example", "text": "Hi.\n", **fields})


@contextmanager
def soon() -> Iterator[None]:
    """The block ends soon."""
    began_at = time.monotonic()
    yield
    assert time.monotonic() - began_at < SOON_SECS


@contextmanager
def dead_end(kind: str) -> Iterator[Config]:
    """A configuration with which nothing ever gets anywhere."""
    if kind == "silent relay":
        with Sink(silent=True) as sink:
            yield Config("h.example", delivery=RelayConfig("127.0.0.1", sink.port, tls="none"))
    else:
        with Names({}, silent=True) as names:
            setup = ResolverSetup.specific("127.0.0.1", names.port)
            yield Config("h.example", delivery=RemoteDeliveryConfig(setup))


DEAD_ENDS = ["silent relay", "silent name server"]


@pytest.mark.parametrize("kind", DEAD_ENDS)
def test_sending_and_asking_never_wait_for_the_network(kind: str) -> None:
    with dead_end(kind) as config, soon():
        m = Mailstrom(config).start()
        ids = [m.send_email(an_email()) for _ in range(50)]
        states = {m.query_status(message_id).state for message_id in ids}
        m.die()

    assert states == {"queued"}


@pytest.mark.parametrize("kind", DEAD_ENDS)
def test_wait_and_drain_return_at_their_time_limit_with_what_is_known(kind: str) -> None:
    with dead_end(kind) as config, soon():
        m = Mailstrom(config).start()
        message_id = m.send_email(an_email())
        assert m.wait(message_id, timeout=0.05).state == "queued"
        assert m.wait(message_id, timeout=0).state == "queued"
        assert m.drain(timeout=0.05) is False
        m.die()


@pytest.mark.parametrize("kind", DEAD_ENDS)
@pytest.mark.parametrize("end", [Mailstrom.die, lambda m: m.close(timeout=0)], ids=["die", "close"])
def test_it_ends_in_the_middle_of_a_delivery_and_wakes_who_waits(
    kind: str, end: Callable[[Mailstrom], Any]
) -> None:
    with dead_end(kind) as config, soon():
        m = Mailstrom(config).start()
        message_id = m.send_email(an_email())
        woken: list[str] = []
        waiting = threading.Thread(target=lambda: woken.append(m.wait(message_id).state))
        waiting.start()
        end(m)
        waiting.join()

    assert woken == ["queued"]
    assert m.worker_status() is WorkerStatus.TERMINATED
    assert [status.message_id for status in m.close()] == [message_id]


def test_die_cuts_a_patient_close_short() -> None:
    with dead_end("silent relay") as config, soon():
        m = Mailstrom(config).start()
        message_id = m.send_email(an_email())
        left: list[str] = []
        closing = threading.Thread(target=lambda: left.extend(s.message_id for s in m.close(timeout=60)))
        closing.start()
        while m.worker_status() is not WorkerStatus.STOPPING:
            time.sleep(0)
        with pytest.raises(ClosedError):
            m.send_email(an_email())
        with pytest.raises(ClosedError):
            m.start()
        m.die()
        closing.join()

    assert left == [message_id]


@pytest.mark.parametrize("timeout", ["soon", None])
def test_a_close_that_was_called_wrongly_closes_nothing(timeout: Any) -> None:
    with Mailstrom(CAPTURE) as m:
        with pytest.raises((TypeError, ValueError)):
            m.close(timeout)

        assert m.start().wait(m.send_email(an_email()), timeout=10).succeeded


def test_close_does_not_wait_for_what_is_to_be_sent_later() -> None:
    with soon():
        m = Mailstrom(CAPTURE).start()
        message_id = m.send_email(an_email(), send_at=datetime.now(UTC) + timedelta(hours=1))
        left = m.close()

    assert [(status.message_id, status.state) for status in left] == [(message_id, "queued")]


def test_close_logs_how_many_are_left_and_which(caplog: pytest.LogCaptureFixture) -> None:
    m = Mailstrom(CAPTURE)
    ids = m.send_emails([an_email(), an_email()])

    m.close()

    [line] = [record.getMessage() for record in caplog.records]
    assert line.startswith("2 messages are lost")
    assert all(message_id in line for message_id in ids)


def test_a_wait_without_end_can_be_said_in_numbers() -> None:
    with Mailstrom(CAPTURE) as m:
        message_id = m.start().send_email(an_email())

        assert m.wait(message_id, timeout=float("inf")).succeeded
        assert m.drain(timeout=1e12)


def test_who_waits_without_a_worker_is_told_what_to_call_unless_there_is_nothing_to_wait_for() -> None:
    with Mailstrom(CAPTURE) as m:
        assert m.drain() is True
        message_id = m.send_email(an_email())
        with pytest.raises(NotRunningError, match=r"call start\(\)"):
            m.wait(message_id)
        m.cancel(message_id)

        assert m.wait(message_id).state == "failed"


def test_the_tries_have_the_waits_of_the_policy_and_the_last_reason_is_kept() -> None:
    config = Config(
        "h.example",
        base_resend_delay_secs=0.02,
        retry=RetryPolicy(jitter=0),
        delivery=RelayConfig("127.0.0.1", 1, tls="none"),
    )

    with Mailstrom(config) as m:
        [recipient] = m.start().wait(m.send_email(an_email()), timeout=10).recipients

    began = [attempt.at for attempt in recipient.attempts]
    waits = [(later - earlier).total_seconds() for earlier, later in itertools.pairwise(began)]
    assert recipient.result.tries == len(began) == 3
    assert waits[0] >= 0.06
    assert waits[1] >= 0.18
    assert str(recipient.result) == (
        "failed (tries exhausted): 127.0.0.1: connection refused (on connecting)"
    )


def test_the_worker_tells_its_state_through_its_whole_life() -> None:
    m = Mailstrom(CAPTURE)
    seen = [m.worker_status()]

    m.start()
    seen.append(m.worker_status())
    m.close()
    seen.append(m.worker_status())

    assert seen == [WorkerStatus.NOT_STARTED, WorkerStatus.OK, WorkerStatus.TERMINATED]


def test_every_method_of_a_closed_mailstrom_says_that_it_is_closed() -> None:
    m = Mailstrom(CAPTURE).start()
    message_id = m.send_email(an_email())
    assert m.wait(message_id, timeout=10).succeeded
    m.close()
    calls: list[Callable[[], Any]] = [
        m.start,
        m.pause,
        lambda: m.send_email(an_email()),
        lambda: m.send_emails([an_email()]),
        lambda: m.query_status(message_id),
        m.query_recent,
        lambda: m.wait(message_id),
        m.drain,
        lambda: m.cancel(message_id),
        m.die,
        m.__enter__,
    ]

    for call in calls:
        with pytest.raises(ClosedError):
            call()
    assert m.close() == ()
    assert len(m.outbox) == 1


@pytest.mark.parametrize(
    ("emails", "text"),
    [
        (an_email(), "one alone: send_email"),
        (b"From: a@s.example\r\n\r\n", "one alone: send_email"),
        ([an_email(), 7], r"emails\[1\]"),
        ([an_email(message_id="a@s.example"), an_email(message_id="a@s.example")], r"emails\[1\]"),
        ([Submission(an_email(), metadata={"a": 1})], r"emails\[0\]"),  # type: ignore[dict-item]
    ],
)
def test_a_batch_that_cannot_be_taken_is_not_taken_in_part(emails: Any, text: str) -> None:
    with Mailstrom(CAPTURE) as m:
        with pytest.raises(MailstromError, match=text):
            m.send_emails(emails)

        assert m.query_recent() == []


def test_the_metadata_of_a_status_is_the_askers_own() -> None:
    with Mailstrom(CAPTURE) as m:
        message_id = m.send_email(an_email(), metadata={"order": "7"})

        m.query_status(message_id).metadata.update(order="8")  # type: ignore[attr-defined]

        assert m.query_status(f"<{message_id}>").metadata == {"order": "7"}
        m.cancel(message_id)


def test_eight_threads_send_at_once_and_nothing_is_lost_or_doubled() -> None:
    with Mailstrom(CAPTURE) as m:
        m.start()
        ids: list[str] = []
        threads = [
            threading.Thread(target=lambda: ids.extend(m.send_email(an_email()) for _ in range(50)))
            for _ in range(8)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert m.drain(timeout=30)

        assert len(ids) == 400
        assert sorted(email.message_id for email in m.outbox) == sorted(set(ids))
