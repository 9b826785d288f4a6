"""The processes beside ours: who receives, and workers, measured from outside."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from queue import SimpleQueue

from .queue_mail import HELO

__all__ = ["Receiver", "Worker", "config_file", "receiving", "working"]

PATIENCE_SECS = 60.0  # for what should come at once
GRACE_SECS = 2.0


class Receiver:
    """A running `benchmarks.queue_receiver`."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        self._lines = process.stdout
        self._told: dict[str, SimpleQueue[float]] = {"ehlo": SimpleQueue(), "content": SimpleQueue()}
        self._smtp_port, self._dns_port = map(int, self._lines.readline().split())
        self._listener = threading.Thread(target=self._listen)
        self._listener.start()

    def next(self, kind: str) -> float:
        """When the next "ehlo" or "content" came, by `time.monotonic`; waits for it."""
        return self._told[kind].get(timeout=PATIENCE_SECS)

    def config_file(self, folder: Path, **settings: object) -> Path:
        """The settings with which mail comes here, and these."""
        return config_file(folder, self._smtp_port, self._dns_port, **settings)

    def join(self) -> None:
        """Waits until it has told its last."""
        self._listener.join()

    def _listen(self) -> None:
        for line in self._lines:
            kind, instant = line.split()
            self._told[kind].put(float(instant))


def config_file(folder: Path, smtp_port: int, dns_port: int, **settings: object) -> Path:
    """The settings with which hosts are on this port, and the DNS on that one; and these."""
    lines = [
        f'helo_name = "{HELO}"',
        *(f"{name} = {value}" for name, value in settings.items()),
        "[delivery.remote]",
        f"port = {smtp_port}",
        "allow_private_addresses = true",
        f'resolver_setup = {{ address = "127.0.0.1", port = {dns_port} }}',
    ]
    file = folder / "mailstrom.toml"
    file.write_text("\n".join(lines), encoding="utf-8")
    return file


@contextmanager
def receiving(*, due: int = 0, content_delay_secs: float = 0.0) -> Iterator[Receiver]:
    """A receiver of mail for the domains of a queue with so many messages due."""
    command = [sys.executable, "-m", "benchmarks.queue_receiver", str(due), str(content_delay_secs)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as process:
        assert process.stdin is not None
        receiver = Receiver(process)
        try:
            yield receiver
        finally:
            process.stdin.close()
            receiver.join()


class Worker:
    """A running `mailstrom worker`; `began_at` by `time.monotonic`, before its process was made."""

    def __init__(self, process: subprocess.Popen[str], began_at: float) -> None:
        self.began_at = began_at
        self._process = process

    def wait_until_ready(self) -> None:
        """Returns when it has opened its queue."""
        assert self._process.stdout is not None
        assert "is ready" in self._process.stdout.readline()

    @property
    def peak_octets(self) -> int:
        """The most of it that was in memory at once, until now."""
        status = Path(f"/proc/{self._process.pid}/status").read_text(encoding="utf-8")
        found = re.search(r"VmHWM:\s*(\d+) kB", status)
        assert found is not None
        return int(found[1]) * 1024

    @property
    def cpu_secs(self) -> float:
        """The processor's time that it has used until now, user and system."""
        return time.clock_gettime(~self._process.pid << 3 | 2)  # as clock_getcpuclockid(3) has it on Linux


@contextmanager
def working(url: str, config_file: Path) -> Iterator[Worker]:
    """A worker on this queue; drained at the end."""
    command = [sys.executable, "-m", "mailstrom", "worker", "--config", str(config_file), "--storage", url]
    command += ["--log-level", "error", "--grace", str(GRACE_SECS)]
    began_at = time.monotonic()
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield Worker(process, began_at)
        finally:
            process.send_signal(signal.SIGTERM)
            process.communicate()
