"""A queue in a file, and the command line over it."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

from mailstrom import Deferred
from mailstrom.abc import Claim, Outcome, Settlement
from mailstrom.cli.main import run_command_line
from mailstrom.cli.terminal import Streams
from mailstrom.storage.sqlite import SqliteStorage

LEASE = timedelta(seconds=60)
HOUR = timedelta(hours=1)


class Keyboard(io.BytesIO):
    """Standard input where somebody sits."""

    def isatty(self) -> bool:
        return True


@contextmanager
def storage_of(url: str) -> Iterator[SqliteStorage]:
    storage = SqliteStorage(url.removeprefix("sqlite:///"))
    try:
        yield storage
    finally:
        storage.close()


def defer_one(storage: SqliteStorage) -> None:
    """The first message to dest.example is tried, and has to wait."""
    now = datetime.now(UTC)
    claim = storage.claim(now, owner="me", lease=LEASE, skip=("other.example",))
    assert claim is not None
    result = Deferred(tries=1, reason="450 4.2.0 busy", next_attempt_at=now + HOUR)
    outcome = Outcome(address="you1@dest.example", result=result)
    assert storage.settle([Settlement(claim=claim, outcomes=(outcome,))], now) == [True]


@contextmanager
def claimed(url: str) -> Iterator[tuple[SqliteStorage, Claim]]:
    """The second message to dest.example is being tried."""
    with storage_of(url) as storage:
        claim = storage.claim(datetime.now(UTC), owner="me", lease=LEASE, skip=("other.example",))
        assert claim is not None
        yield storage, claim


def ended(
    url: str, *arguments: str, stdin: io.BytesIO | None = None, command: str = "queue"
) -> tuple[int, str, str]:
    out, err = io.StringIO(), io.StringIO()
    streams = Streams(stdin=stdin or io.BytesIO(), stdout=out, stderr=err)
    code = run_command_line((command, *arguments, "--storage", url), streams)
    return code, out.getvalue(), err.getvalue()


def states(url: str) -> dict[str, str]:
    """Each recipient with the state of its result; "held" where it has no next try."""
    with storage_of(url) as storage:
        found = [storage.retrieve_status(f"{number}@sender.example") for number in (1, 2, 3)]
    results = {each.address: each.result for status in found for each in status.recipients}
    return {
        address: "held" if result.state == "deferred" and result.next_attempt_at is None else result.state
        for address, result in results.items()
    }
