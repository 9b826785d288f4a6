"""Rules of limits: connections, messages over one connection, and work that comes to nothing."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from mailstrom.testing.smtp_server import SmtpServer

from .plan import Plan

if TYPE_CHECKING:
    from mailstrom.testing.process import Process

QUITTING_SECS = 6.0  # a second more than QUIT is answered in, or given up
CALLS_PER_RECIPIENT = 10  # of one process to its storage, within a second
CALLS_AT_LEAST = 200

Connected = Sequence[asyncio.Transport]


def sessions_carry_no_more_messages_than_allowed(plan: Plan, servers: Mapping[str, SmtpServer]) -> None:
    """No session carries more than `max_messages_per_session` messages."""
    for name, server in servers.items():
        # where a host takes few recipients at once, one message is many transactions
        carried = {(message.session, message.content) for message in server.ledger.messages}
        for session, count in Counter(session for session, _ in carried).items():
            most = plan.max_messages_per_session
            assert count <= most, f"session {session} with {name} carried {count} messages"


class Connections:
    """Sees how many connections each process has, in all and to each host.

    Those that only await the reply to QUIT are no sessions, but look the same. They are gone after
    a while: so it counts what was there before that while, and is there still.
    """

    def __init__(self, plan: Plan) -> None:
        self._most = plan.max_sessions
        names = {host.ip: host.name for host in plan.hosts}
        lanes = {frozenset(domain.mx) for domain in plan.domains}
        self._most_to = {
            ip: plan.max_sessions_per_lane * sum(name in lane for lane in lanes) for ip, name in names.items()
        }
        self._is_watching = not any(act.what == "freeze" for act in plan.acts)  # QUIT would last longer
        self._seen: dict[str, tuple[float, Connected]] = {}

    def check(self, process: Process, at: float) -> None:
        """Neither in all nor to a host has a process more sessions than are allowed."""
        if not self._is_watching:
            return
        now = process.network.open_transports
        seen_at, before = self._seen.get(process.name, (at, ()))
        if before and at > seen_at + QUITTING_SECS:
            self._check(process.name, [each for each in before if each in now])
            before = ()
        if not before:
            self._seen[process.name] = at, self._if_too_many(now)

    def _check(self, name: str, sessions: Connected) -> None:
        assert len(sessions) <= self._most, f"{name} has {len(sessions)} sessions, not {self._most}"
        for ip, count in _by_ip(sessions).items():
            most = self._most_to[ip]
            assert count <= most, f"{name} has {count} sessions with {ip}, not {most}"

    def _if_too_many(self, now: Connected) -> Connected:
        too_many = len(now) > self._most
        return now if too_many or any(n > self._most_to[ip] for ip, n in _by_ip(now).items()) else ()


def _by_ip(connected: Connected) -> Counter[str]:
    return Counter(each.get_extra_info("peername")[0] for each in connected)


class Effort:
    """Counts what processes ask of their storage, second by second."""

    def __init__(self, plan: Plan) -> None:
        recipients = sum(len(mail.to) * mail.times for mail in plan.mails)
        self._most = CALLS_AT_LEAST + CALLS_PER_RECIPIENT * recipients
        self._second = -1
        self._calls: Counter[str] = Counter()

    def note(self, name: str, at: float) -> None:
        """No process works on and on while time stands still."""
        if int(at) != self._second:
            self._second = int(at)
            self._calls.clear()
        self._calls[name] += 1
        assert self._calls[name] <= self._most, f"{name} goes round and round at {at:g}"
