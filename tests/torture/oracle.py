"""Whether any mail was lost or doubled, judged by what was promised and what arrived."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from mailstrom import EventKind
from mailstrom.abc import Event
from mailstrom.message import Email
from mailstrom.testing.smtp_server import ReceivedMessage


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What came of one run."""

    promised: int  # ids that send_email returned
    arrived: int  # copies the server took
    lost: frozenset[str]  # promised, and never arrived
    doubled: frozenset[str]  # arrived more than once
    unflagged: frozenset[str]  # ... and no result of theirs was ever uncertain
    untold: frozenset[str]  # arrived, and the queue does not say "delivered"
    twice_ended: frozenset[str]  # more than one final event

    @property
    def is_all_there(self) -> bool:
        """Nothing was lost, and the queue tells of each message what became of it, once."""
        return not (self.lost or self.untold or self.twice_ended)

    @property
    def holds(self) -> bool:
        """All is there, and every double stands in the one window, and is flagged."""
        return self.is_all_there and not self.unflagged

    def __str__(self) -> str:
        flagged = len(self.doubled - self.unflagged)
        wrong = {
            "lost": self.lost,
            "twice and not flagged": self.unflagged,
            "untold": self.untold,
            "ended twice": self.twice_ended,
        }
        told = [f"{name}: {', '.join(sorted(ids))}" for name, ids in wrong.items() if ids]
        counts = f"{self.promised} promised, {self.arrived} arrived, {flagged} twice and flagged"
        return "; ".join([counts, *told])


def judge(
    promised: Collection[str], received: Iterable[ReceivedMessage], events: Iterable[Event]
) -> Verdict:
    """The verdict over one queue's life."""
    copies = Counter(message_id_of(message.content) for message in received)
    told = _by_message(events)
    final = {EventKind.DELIVERED, EventKind.FAILED}
    doubled = frozenset(message_id for message_id, count in copies.items() if count > 1)
    uncertain = {each for each, its in told.items() if any(e.result and e.result.uncertain for e in its)}
    delivered = {each for each, its in told.items() if any(e.kind is EventKind.DELIVERED for e in its)}
    ended = {each: sum(event.kind in final for event in its) for each, its in told.items()}
    return Verdict(
        promised=len(promised),
        arrived=sum(copies.values()),
        lost=frozenset(promised) - copies.keys(),
        doubled=doubled,
        unflagged=doubled - uncertain,
        untold=frozenset(copies) - delivered,
        twice_ended=frozenset(each for each, count in ended.items() if count > 1),
    )


def message_id_of(content: bytes) -> str:
    """The Message-ID, without <>."""
    return str(Email.parse(content).message_id)


def _by_message(events: Iterable[Event]) -> Mapping[str, list[Event]]:
    told: dict[str, list[Event]] = {}
    for event in events:
        told.setdefault(str(event.message_id), []).append(event)
    return told
