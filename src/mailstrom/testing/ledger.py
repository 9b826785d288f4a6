"""What a test server has seen: its sessions and the messages it took.

A server writes its ledger in its own thread; any other thread may read it and wait for it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceivedMessage:
    """A message the server has said yes to."""

    ordinal: int  # 1 for the first this server took
    reverse_path: str
    recipients: tuple[str, ...]  # the accepted ones, in the order of RCPT
    parameters: Mapping[str, str]  # of MAIL: {"BODY": "8BITMIME", "SMTPUTF8": ""}
    content: bytes  # as it was before dots were doubled
    helo: str
    tls: str | None  # "TLSv1.3"; None: in clear
    user: str | None  # who authenticated
    ip: str
    session: int  # the ordinal of the session
    at: float  # the event loop's time


@dataclass(slots=True, kw_only=True)
class Session:
    """One connection and what was said in it; grows while the connection lasts."""

    ordinal: int
    ip: str
    began_at: float  # the event loop's time
    ended_at: float | None = None
    helo: str | None = None
    tls: str | None = None
    user: str | None = None
    commands: list[str] = field(default_factory=list)  # lines without CRLF, AUTH responses too
    replies: list[str] = field(default_factory=list)
    violations: list[str] = field(default_factory=list)  # what no correct client would have sent


class Ledger:
    """The messages and sessions of one server, oldest first."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._messages: list[ReceivedMessage] = []
        self._sessions: list[Session] = []

    @property
    def messages(self) -> tuple[ReceivedMessage, ...]:
        """What was taken."""
        return tuple(self._messages)

    @property
    def sessions(self) -> tuple[Session, ...]:
        """Every connection, also those that have ended."""
        return tuple(self._sessions)

    @property
    def violations(self) -> tuple[str, ...]:
        """Everything in all sessions that no correct client would have sent."""
        return tuple(violation for session in self._sessions for violation in session.violations)

    def wait_for(self, there: Callable[[Ledger], bool], timeout: float = 10.0) -> bool:
        """True as soon as `there(ledger)` is; False when it is not within `timeout` seconds.

        For threads other than the server's: `ledger.wait_for(lambda seen: len(seen.messages) == 3)`.
        """
        with self._changed:
            return self._changed.wait_for(lambda: there(self), timeout)

    def begin(self, ip: str, at: float) -> Session:
        """A new session."""
        with self._changed:
            session = Session(ordinal=len(self._sessions) + 1, ip=ip, began_at=at)
            self._sessions.append(session)
            self._changed.notify_all()
            return session

    def end(self, session: Session, at: float) -> None:
        """The session is over."""
        with self._changed:
            session.ended_at = at
            self._changed.notify_all()

    def take(self, message: Callable[[int], ReceivedMessage]) -> None:
        """Keeps the message made with the next ordinal."""
        with self._changed:
            self._messages.append(message(len(self._messages) + 1))
            self._changed.notify_all()
