"""A process that delivers is killed: the next one goes on with its queue, and says what it cannot know."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from mailstrom import Config, Mailstrom, RelayConfig, RetryPolicy, SqliteStorage
from mailstrom.testing.smtp_server import Action, LoopbackServer, SmtpServer
from tests.builders import an_email

DELIVERS = """
import sys
from mailstrom import *
relay = RelayConfig("127.0.0.1", int(sys.argv[2]), tls="none")
m = Mailstrom(Config(helo_name="sender.example", delivery=relay), "sqlite:///" + sys.argv[1])
m.start("always")
sys.stdin.readline()
"""


def once(then: Callable[[], object]) -> Callable[[str, int], Any]:
    """A hook that does `then` the first time, and leaves the client without a reply."""
    seen: list[str] = []

    def hook(argument: str, _count: int) -> Action | None:
        seen.append(argument)
        if len(seen) > 1:
            return None
        then()
        return Action.HANG

    return hook


@contextmanager
def killed_at(stage: str, folder: Path, **policy: Any) -> Iterator[tuple[Mailstrom, str, SmtpServer]]:
    """A second worker, the id of an email that the first was killed with, and the server of both."""
    program: list[subprocess.Popen[str]] = []

    def kill() -> None:
        program[0].kill()
        program[0].wait(30)

    server = SmtpServer(**{f"on_{stage}": once(kill)})
    with LoopbackServer(server) as running:
        relay = RelayConfig("127.0.0.1", running.port, tls="none")
        config = Config(helo_name="sender.example", delivery=relay, retry=RetryPolicy(**policy))
        with Mailstrom(config, SqliteStorage(folder / "mail.db")) as m:
            message_id = m.send_email(an_email())
            program.append(delivering(folder / "mail.db", running.port))
            with program[0]:
                program[0].wait(30)
                m.start("always")
                yield m, message_id, server


def delivering(file: Path, port: int) -> subprocess.Popen[str]:
    """A process that works on the same queue."""
    arguments = [sys.executable, "-c", DELIVERS, str(file), str(port)]
    return subprocess.Popen(arguments, stdin=subprocess.PIPE, text=True)


@pytest.mark.parametrize("stage", ["ehlo", "rcpt", "data"])
def test_before_the_final_dot_the_next_sends_it_as_if_it_had_not_been_tried(
    stage: str, tmp_path: Path
) -> None:
    """Row 50: stale claims are queued again."""
    with killed_at(stage, tmp_path) as (m, message_id, server):
        status = m.wait(message_id, timeout=30)

        (recipient,) = status.recipients
        assert (status.succeeded, recipient.result.tries, recipient.result.uncertain) == (True, 1, False)
    assert len(server.ledger.messages) == 1


@pytest.mark.parametrize(
    ("on_uncertain", "state", "waits"),
    [("retry", "deferred", True), ("hold", "deferred", False), ("fail", "failed", False)],
)
def test_after_the_final_dot_it_is_perhaps_delivered(
    on_uncertain: str, state: str, waits: bool, tmp_path: Path
) -> None:
    """Row 50: what had its final dot is uncertain, and the policy decides."""
    with killed_at("content", tmp_path, on_uncertain=on_uncertain) as (m, message_id, _):
        while (status := m.wait(message_id, timeout=0.05)).state == "queued":
            continue

        (recipient,) = status.recipients
        next_try = recipient.result.next_attempt_at
        assert (recipient.result.state, recipient.result.uncertain) == (state, True)
        assert (next_try is not None) is waits
        assert next_try is None or next_try > datetime.now(UTC) + timedelta(minutes=14)
