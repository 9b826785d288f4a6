"""One process of the torture, from its start to its violent end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections import deque
from contextlib import suppress

START_SECS = 60.0


class Life:
    """A running `tests.torture.program`: is given numbers, tells ids, and may die at any instant.

    `told` is filled with the ids it told, by number; `given` with the numbers it was given.
    """

    def __init__(self, storage: str, port: int, lease_secs: float, sender: str) -> None:
        self.sender = sender
        self.told: dict[str, str] = {}
        self.complaints: deque[str] = deque(maxlen=40)
        self._ready = threading.Event()
        arguments = [storage, str(port), str(lease_secs), sender]
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.torture.program", *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._readers = [threading.Thread(target=read) for read in (self._listen, self._hear_complaints)]
        for reader in self._readers:
            reader.start()

    def wait_until_ready(self) -> None:
        """Returns when it has opened its queue."""
        if not self._ready.wait(START_SECS):
            raise AssertionError("\n".join(["the program did not start:", *self.complaints]))

    def give(self, numbers: list[str]) -> None:
        """Hands it numbers to send; what it does not take before it dies is lost with the pipe."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write("".join(f"{number}\n" for number in numbers))
            self._process.stdin.flush()
        except BrokenPipeError:
            return

    def stop(self) -> None:
        """SIGSTOP: it stands still, wherever it is."""
        os.kill(self._process.pid, signal.SIGSTOP)

    def go_on(self) -> None:
        """SIGCONT."""
        os.kill(self._process.pid, signal.SIGCONT)

    def wait_for_death(self, secs: float) -> None:
        """Lets it live that long, then SIGKILL; what it told before is in `told`."""
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(secs)
        self._process.kill()
        self._end()

    def finish(self, timeout: float) -> int:
        """Ends its input, lets it deliver all that is left; its exit code."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            self._process.kill()
        self._end()
        return self._process.returncode

    def _end(self) -> None:
        self._process.wait()
        for reader in self._readers:
            reader.join()
        for pipe in (self._process.stdin, self._process.stdout, self._process.stderr):
            assert pipe is not None
            try:
                pipe.close()
            except BrokenPipeError:
                continue

    def _listen(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line == "ready\n":
                self._ready.set()
            elif line.endswith("\n"):  # a line cut off by the kill was not told
                number, message_id = line.split()
                self.told[number] = message_id

    def _hear_complaints(self) -> None:
        assert self._process.stderr is not None
        for line in self._process.stderr:
            self.complaints.append(line.rstrip())
        self._ready.set()  # it ended: nobody waits for nothing
