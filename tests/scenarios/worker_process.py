"""`mailstrom worker` as a process of its own, beside the test, over a queue in a file."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import mailstrom
from mailstrom import Config, Mailstrom, MessageStatus, RelayConfig
from mailstrom.storage.sqlite import SqliteStorage
from tests.builders import HELO, an_email

WAIT_SECS = 30.0


@dataclass(frozen=True, slots=True)
class Queue:
    """A queue on SQLite in a directory, its mail delivered to a relay on this machine."""

    directory: Path
    relay_port: int = 25

    @property
    def path(self) -> Path:
        return self.directory / "mail.db"

    @property
    def url(self) -> str:
        return f"sqlite:///{self.path}"

    @property
    def config_file(self) -> Path:
        file = self.directory / "mailstrom.toml"
        file.write_text(
            f'helo_name = "{HELO}"\nstorage = "{self.url}"\n'
            f'delivery = {{ relay = "smtp://127.0.0.1:{self.relay_port}" }}\n'
        )
        return file

    def store(self, *addresses: str) -> list[str]:
        """One message to each; as a program does that leaves delivery to others."""
        relay = RelayConfig("127.0.0.1", self.relay_port, tls="none")
        with Mailstrom(Config(helo_name=HELO, delivery=relay), self.url) as m:
            return [m.send_email(an_email(to=address)) for address in addresses]

    def status(self, message_id: str) -> MessageStatus:
        with Mailstrom(storage=self.url) as m:
            return m.query_status(message_id)

    def wait(self, message_id: str) -> MessageStatus:
        """The status when all is completed, by whoever delivers."""
        with Mailstrom(storage=self.url) as m:
            return m.wait(message_id, WAIT_SECS)

    def storage(self) -> SqliteStorage:
        return SqliteStorage(self.path)


def command(*arguments: str) -> list[str]:
    """The command line of a process."""
    return [sys.executable, "-X", "dev", "-W", "error", "-m", "mailstrom", *arguments]


def environ(**more: str) -> dict[str, str]:
    """The environment of a process that has the mailstrom under test, and no settings but these."""
    kept = {name: text for name, text in os.environ.items() if not name.startswith(("MAILSTROM_", "NOTIFY_"))}
    return {**kept, "PYTHONPATH": str(Path(mailstrom.__file__).parents[1]), **more}


@contextmanager
def working(
    queue: Queue, *arguments: str, prefix: tuple[str, ...] = (), **variables: str
) -> Iterator[subprocess.Popen[str]]:
    """A worker that is ready; killed at the end, if it still runs."""
    line = [*prefix, *command("worker", "--config", str(queue.config_file), *arguments)]
    pipe = subprocess.PIPE
    with subprocess.Popen(line, stdout=pipe, stderr=pipe, text=True, env=environ(**variables)) as worker:
        try:
            assert worker.stdout is not None
            assert worker.stderr is not None
            ready = worker.stdout.readline()
            assert ready.startswith("mailstrom worker "), worker.stderr.read()
            yield worker
        finally:
            worker.kill()
