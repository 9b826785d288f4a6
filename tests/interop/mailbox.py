"""What a real mail server hands over, and the waiting for it."""

from __future__ import annotations

import re
import socket
import subprocess
import threading
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

STARTUP_SECS = 20.0
_PAUSE_SECS = 0.02

# RFC 5321 4.4: Received and Return-Path; RFC 8601 4: Authentication-Results stands among them;
# the other two are a delivery agent's own
_TRACE_FIELD = re.compile(
    rb"(?:Received|Return-Path|Authentication-Results|X-Original-To|Delivered-To):"
    rb"[^\r\n]*\r\n(?:[ \t][^\r\n]*\r\n)*",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class MailServer:
    """A mail server of other people's making on this machine's loopback address.

    It accepts mail for everybody but `refused@...` (550) and keeps it in `folder`, one file
    for one message. `relay_port` wants STARTTLS and a login first.
    """

    host: str  # the name in its certificate, which the system resolves to loopback
    address: str
    port: int
    relay_port: int
    ca_file: Path
    username: str
    password: str
    folder: Path

    def received(self, *message_ids: str) -> list[bytes]:
        """The messages with these ids that arrived, oldest first, as on the wire: with CRLF.

        Others may still be coming in: a server says yes before it has put a message away.
        """
        files = [entry for entry in self.folder.iterdir() if entry.is_file()]
        files.sort(key=lambda entry: entry.stat().st_mtime_ns)
        wanted = [f"Message-ID: <{each}>\r\n".lower().encode() for each in message_ids]
        contents = [_with_crlf(entry.read_bytes()) for entry in files]
        return [content for content in contents if any(line in content.lower() for line in wanted)]

    def wait_for(self, *message_ids: str, timeout: float = 20.0) -> list[bytes]:
        """The messages with these ids once they are there; fails when they are not in time."""
        found: list[bytes] = []

        def all_there() -> bool:
            found[:] = self.received(*message_ids)
            return len(found) >= len(message_ids)

        until(all_there, timeout, f"{len(message_ids)} messages in {self.folder}")
        return found

    def forget(self) -> None:
        """Empties the folder."""
        for entry in self.folder.iterdir():
            entry.unlink()


def without_trace(content: bytes) -> bytes:
    """The message as it was before the receiving server put its fields on top."""
    while found := _TRACE_FIELD.match(content):
        content = content[found.end() :]
    return content


def until(reached: Callable[[], bool], timeout: float, what: str) -> None:
    """Returns when `reached` is true: another process has no event to wait for."""
    deadline = time.monotonic() + timeout
    pause = threading.Event()
    while not reached():
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {timeout} s in vain for {what}")
        pause.wait(_PAUSE_SECS)


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on at this moment."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports: list[int] = [listener.getsockname()[1] for listener in sockets]
    for listener in sockets:
        listener.close()
    return ports


def greets(port: int) -> bool:
    """A server on this port says 220."""
    try:
        with closing(socket.create_connection(("127.0.0.1", port), timeout=2)) as connection:
            return connection.recv(4) == b"220 "
    except OSError:
        return False


def ended(server: subprocess.Popen[bytes]) -> None:
    """Stops the server that was started here, and waits for its end."""
    server.terminate()
    try:
        server.wait(10)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait()


def _with_crlf(stored: bytes) -> bytes:
    return stored.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
