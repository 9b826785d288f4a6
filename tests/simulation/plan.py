"""What happens in a simulated world, as a value: all of it follows from one seed: see `planning.py`.

A plan can be printed, run again, and made smaller by leaving things out: see `shrink.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from mailstrom import Config, RetryPolicy

MINUTE, HOUR, DAY = 60.0, 3600.0, 86_400.0
STAGES = ("greeting", "ehlo", "starttls", "mail", "rcpt", "data", "content", "rset", "quit")
#: How a network may be lost: what becomes of those who connect, and what the DNS says. None: all is well.
LOSSES: dict[str, tuple[str | None, str | None]] = {
    "cable": ("unreachable", "UNREACHABLE"),
    "uplink": ("black hole", "TIMEOUT"),
    "port 25 closed": ("refused", None),
    "port 25 filtered": ("black hole", None),
    "resolver": (None, "TIMEOUT"),
    "resolver's uplink": (None, "SERVFAIL"),
}
MOVED = "MOVED"  # no fault: the hosts have their order reversed
CALLS = ("claim_many", "mark_dots_sent", "settle", "renew", "give_back", "store", "order", "next_due")


@dataclass(frozen=True, slots=True, kw_only=True)
class During:
    """What is so from one second of the story to another."""

    since: float
    until: float
    what: str

    def overlaps(self, since: float, until: float) -> bool:
        """It is so at some time between these."""
        return self.since < until and self.until > since


@dataclass(frozen=True, slots=True, kw_only=True)
class HostPlan:
    """A mail host. `trouble` is how often a command is answered otherwise than it should be.

    `loss` is how many of the segments of a connection come a second late, being sent once more.
    """

    name: str
    ip: str
    trouble: float = 0.0
    greylists: bool = False
    latency_secs: float = 0.02
    loss: float = 0.0
    has_tls: bool = False
    ttl_secs: int = 300
    lacks: tuple[str, ...] = ()
    has_chunking: bool = False
    refuses_behind_dot: bool = False
    limits: tuple[tuple[str, int], ...] = ()  # what it says of them by LIMITS (RFC 9422)
    recipient_limit: int | None = None
    idle_secs: float | None = None
    turns_away: bool = False  # every second connection, with 421
    slow: tuple[tuple[str, float], ...] = ()
    down: tuple[During, ...] = ()

    @property
    def is_healthy(self) -> bool:
        """Mail for it never waits for anything."""
        return not (self.trouble or self.greylists or self.turns_away or self.slow or self.down)


@dataclass(frozen=True, slots=True, kw_only=True)
class DomainPlan:
    """A domain, the names of its MX hosts in order of preference, and when its DNS says otherwise."""

    name: str
    mx: tuple[str, ...]
    ttl_secs: int = 300
    faults: tuple[During, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class MailPlan:
    """One email that an application sends at `at`, from the process of this number."""

    number: int
    at: float
    process: int
    to: tuple[str, ...]
    octets: int = 100
    send_in_secs: float | None = None
    expires_in_secs: float | None = None
    times: int = 1  # how often it is sent, with one idempotency key if more than once


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    """Something that befalls a process, or that its operator does, at `at`.

    `number` is that of a mail, or which storage call is meant: 2 * its place in CALLS, and one more
    where it is to be done before.
    """

    at: float
    what: str
    process: int = 0
    number: int = 0
    secs: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The whole story."""

    seed: int
    queue: str  # "memory", "shared" (a memory that outlives processes), "sqlite"
    processes: int
    tries: int | None
    on_uncertain: str
    max_sessions: int
    max_sessions_per_lane: int
    max_messages_per_session: int
    session_idle_secs: float
    poll_secs: float
    hosts: tuple[HostPlan, ...]
    domains: tuple[DomainPlan, ...]
    mails: tuple[MailPlan, ...]
    acts: tuple[Act, ...]
    lost: tuple[During, ...] = ()  # the network, of all processes
    envelope_behind_dot: bool = False

    @property
    def config(self) -> Config:
        """What every process is configured with."""
        return Config(
            helo_name="sender.example",
            retry=self.retry,
            max_sessions=self.max_sessions,
            max_sessions_per_lane=self.max_sessions_per_lane,
            max_messages_per_session=self.max_messages_per_session,
            session_idle_secs=self.session_idle_secs,
            envelope_behind_dot=self.envelope_behind_dot,
        )

    def losses(self, since: float, until: float) -> tuple[During, ...]:
        """How the network is lost at some time between these."""
        return tuple(each for each in self.lost if each.overlaps(since, until))

    @property
    def retry(self) -> RetryPolicy:
        """Without tries it goes by age."""
        if self.tries is None:
            return RetryPolicy.rfc5321()
        return RetryPolicy(
            tries=self.tries,
            on_uncertain=self.on_uncertain,  # type: ignore[arg-type]
            max_age=timedelta(days=2),
        )
