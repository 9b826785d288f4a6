"""The storage fails for a while: nothing is lost, nothing is sent twice, and work goes on by itself.

Each story has a whole Mailstrom, a real server that takes its mail, and a real storage.

    MAILSTROM_OUTAGE_SECS=30       how long each outage lasts; by default 0.5 s
"""

from __future__ import annotations

import os
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from mailstrom import Config, EventKind, Mailstrom, RelayConfig, WorkerStatus
from mailstrom.testing.smtp_server import LoopbackServer, SmtpServer
from tests.builders import a_config, an_email
from tests.interop.mailbox import until
from tests.interop.outages import FileFull, Locked, Outage, ReplyLost, ServerFull, ServerGone
from tests.pg_proxy import running_proxy
from tests.torture.oracle import message_id_of

OUTAGE_SECS = float(os.environ.get("MAILSTROM_OUTAGE_SECS", "0.5"))
REACHED_SECS = 10.0  # the host has the first message by then
TROUBLE_SECS = 15.0  # the worker's status says so by then
RESUME_SECS = 10.0  # after the end of an outage all mail is on its way again

pytestmark = pytest.mark.timeout(60 + 2 * OUTAGE_SECS)

FAILING = (WorkerStatus.STORAGE_READ_FAILED, WorkerStatus.STORAGE_WRITE_FAILED)
MANY = ", ".join(f"reader-{number}@dest.example" for number in range(100))  # their results take room
LARGE = "So it goes.\n" * 20_000


class Host:
    """A receiving server. At `stage` of its first transaction it waits for `go_on`."""

    def __init__(self, stage: str) -> None:
        self.reached = threading.Event()
        self.go_on = threading.Event()
        self.server = SmtpServer(**{f"on_{stage}": self._wait})  # type: ignore[arg-type]

    @property
    def copies(self) -> dict[str, int]:
        """How often each message was taken."""
        return Counter(message_id_of(message.content) for message in self.server.ledger.messages)

    def _wait(self, _argument: str, _count: int) -> None:
        self.reached.set()
        assert self.go_on.wait(60.0)


def a_relay_at(port: int) -> Config:
    """One message at a time, so that the second waits for the result of the first."""
    return a_config(delivery=RelayConfig("127.0.0.1", port, tls="none"), max_sessions=1)


def endure(m: Mailstrom, outage: Outage) -> None:
    """What a caller sees of an outage that has begun."""
    until(lambda: m.worker_status() in FAILING, TROUBLE_SECS, "the worker's status")
    began = time.monotonic()
    with pytest.raises(outage.error):
        m.send_email(an_email(text=LARGE))
    assert time.monotonic() - began < outage.answer_secs
    time.sleep(OUTAGE_SECS)
    assert m.worker_status() in FAILING


def all_goes_on(m: Mailstrom, *message_ids: str) -> None:
    """The outage is over: everything is delivered soon, and is told to be so once."""
    until_all = time.monotonic() + RESUME_SECS
    for message_id in message_ids:
        assert m.wait(message_id, until_all - time.monotonic()).succeeded
    until(lambda: m.worker_status() is WorkerStatus.OK, RESUME_SECS, "the worker's status")
    ends = [(event.message_id, event.address) for event in m.events() if event.kind is EventKind.DELIVERED]
    assert len(ends) == len(set(ends))
    assert not [event for event in m.events() if event.result is not None and event.result.uncertain]


@contextmanager
def delivering(outage: Outage, host: Host) -> Iterator[Mailstrom]:
    """A worker that delivers to the host, and its queue on this storage."""
    with LoopbackServer(host.server) as running, Mailstrom(a_relay_at(running.port), outage.storage()) as m:
        m.start()
        yield m


def two_waiting(m: Mailstrom, host: Host) -> tuple[str, str]:
    """Two messages: the host has the first, and waits; the second waits for the result of the first."""
    first, second = m.send_email(an_email(to=MANY)), m.send_email(an_email())
    assert host.reached.wait(REACHED_SECS)
    return first, second


@pytest.mark.parametrize(
    "outage", ["locked", "file full", "server gone", "server full", "reply lost"], indirect=True
)
def test_a_result_that_cannot_be_recorded_is_kept_and_its_mail_not_sent_again(outage: Outage) -> None:
    """Rows 46 to 49."""
    host = Host("content")
    with delivering(outage, host) as m:
        first, second = two_waiting(m, host)

        with outage.going_on():
            host.go_on.set()
            endure(m, outage)
            assert host.copies[first] == 1
            assert host.copies[second] <= outage.takes_claims

        third = m.send_email(an_email())
        all_goes_on(m, first, second, third)
        assert host.copies == {first: 1, second: 1, third: 1}


@pytest.mark.parametrize("outage", ["locked", "server gone", "server full"], indirect=True)
def test_mail_whose_final_dot_cannot_be_noted_is_not_sent_before_it_can(outage: Outage) -> None:
    """Rows 46 to 48."""
    host = Host("rcpt")
    with delivering(outage, host) as m:
        first, second = two_waiting(m, host)

        with outage.going_on():
            host.go_on.set()
            endure(m, outage)
            assert host.copies == {}

        all_goes_on(m, first, second)
        assert host.copies == {first: 1, second: 1}


@pytest.mark.parametrize("outage", ["locked", "server gone", "server full"], indirect=True)
def test_mail_that_falls_due_in_the_meantime_goes_out_afterwards(outage: Outage) -> None:
    """Rows 46 to 48: the worker was idle, and notices by itself that the storage is back."""
    host = Host("content")
    host.go_on.set()
    with delivering(outage, host) as m:
        later = m.send_email(an_email(), send_at=datetime.now(UTC) + timedelta(seconds=1))

        with outage.going_on():
            endure(m, outage)
            assert host.copies == {}

        all_goes_on(m, later)
        assert host.copies == {later: 1}


@pytest.fixture
def outage(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Outage]:
    """The kind that the test names."""
    path, fixture = tmp_path / "mail.db", request.getfixturevalue
    match request.param:
        case "locked":
            yield Locked(path, busy_timeout_secs=min(5.0, OUTAGE_SECS / 5))
        case "file full":
            yield FileFull(path)
        case "server gone":
            yield ServerGone(fixture("postgres_server"), fixture("database"))
        case "server full":
            yield ServerFull(fixture("database"))
        case "reply lost":
            with running_proxy(fixture("database")) as proxy:
                yield ReplyLost(proxy)
