"""One recipient of a story that has ended: what was planned for it, told of it, and taken for it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from mailstrom.event import Event
from mailstrom.status import Attempt, DeliveryResult, RecipientStatus
from mailstrom.testing.clock import START

from .orders import Orders
from .plan import Act, DomainPlan, MailPlan, Plan
from .taken import Taken

INSTANT_SECS = 0.01
WRITTEN_SECS = 1e-6  # what is written down loses what is less
ATTEMPTS_KEPT = 50  # at least, of one recipient

NOT_ASKED = "not asked again; "  # so begins the reason where the answer to another one was enough

Pass = tuple[Attempt, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """What each rule judges; times are seconds of the story."""

    plan: Plan
    mail: MailPlan
    sent_at: float
    message_id: str
    recipient: RecipientStatus
    events: tuple[Event, ...]
    taken: tuple[Taken, ...]
    orders: Orders
    cancelled_at: float | None  # when `cancel` said of it that it is cancelled
    seen_at: float  # when a caller saw this status

    def __str__(self) -> str:
        return f"mail {self.mail.number} ({self.message_id}): {self.recipient}"

    @property
    def result(self) -> DeliveryResult:
        """Its last result."""
        return self.recipient.result

    @property
    def domain(self) -> DomainPlan:
        """Where it goes."""
        name = self.recipient.address.rpartition("@")[2]
        return next(domain for domain in self.plan.domains if domain.name == name)

    @property
    def due(self) -> float:
        """When it was to be tried first."""
        return self.sent_at + (self.mail.send_in_secs or 0.0)

    @property
    def gives_up_at(self) -> float | None:
        """When it is over whatever is left to try."""
        ends = [] if self.mail.expires_in_secs is None else [self.sent_at + self.mail.expires_in_secs]
        if self.plan.retry.max_age is not None:
            ends.append(self.due + self.plan.retry.max_age.total_seconds())
        return min(ends, default=None)

    @property
    def has_true_times(self) -> bool:
        """No clock was set, so that what processes wrote down is the time of the story."""
        return not self.acts("jump")

    @property
    def is_hastened(self) -> bool:
        """Somebody may have had it tried before its time, or a clock that was set."""
        return bool(self.acts("retry", "release", "jump"))

    @property
    def all_attempts_are_there(self) -> bool:
        """None was left out for its age."""
        return len(self.recipient.attempts) < ATTEMPTS_KEPT

    @property
    def course(self) -> tuple[tuple[Event, Pass], ...]:
        """Each event, and the attempts that came to it. Only where `has_true_times`."""
        left, found = [*self.recipient.attempts], []
        for event in self.events:
            found.append((event, tuple(_come_to(event, left))))
            left = left[len(found[-1][1]) :]
        return tuple(found)

    @property
    def passes(self) -> tuple[Pass, ...]:
        """Its attempts, those together that came to one result. Only where `has_true_times`."""
        return tuple(each for _, each in self.course if each)

    def acts(self, *kinds: str) -> list[Act]:
        """What happened of these kinds, each at its time."""
        return [act for act in self.orders.acts if act.what in kinds]

    def is_disturbed(self, kinds: tuple[str, ...], since: float, until: float) -> bool:
        """Something of these kinds goes on at that time, in any process."""
        return any(act.at <= until and act.at + act.secs >= since for act in self.acts(*kinds))


def _come_to(event: Event, attempts: Sequence[Attempt]) -> Iterator[Attempt]:
    """Those that were over by then. Whom a pass has asked before is asked again by the next one, maybe
    at the same instant."""
    at, asked = secs(event.at), set()
    for attempt in attempts:
        stop = attempt.host, attempt.ip
        if ended_at(attempt) >= at + INSTANT_SECS or (stop in asked and secs(attempt.at) >= at):
            return
        asked.add(stop)
        yield attempt


def is_visit(attempt: Attempt) -> bool:
    """Somebody was asked, a host or the DNS; else the answer that another delivery had was enough."""
    return not (attempt.reason or "").startswith(NOT_ASKED)


def secs(instant: datetime) -> float:
    """When that is in the story."""
    return (instant - START).total_seconds()


def ended_at(attempt: Attempt) -> float:
    """When the visit was over."""
    return secs(attempt.at) + attempt.duration_secs
