"""Storages with a bug each: the contract must say so."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from mailstrom.abc import (
    Claim,
    Event,
    InternalMessageStatus,
    Note,
    Order,
    Ordered,
    Outcome,
    PreparedEmail,
    Selection,
    Settlement,
    Storage,
    Terms,
    Trying,
)
from mailstrom.records import START, Cursor
from mailstrom.storage.exclusive import ExclusiveStorage
from tests.contract.plain_storage import PlainStorage

# Six methods


class Overwrites(PlainStorage):
    """A known id replaces the message that waits."""

    def store(self, email: PreparedEmail, status: InternalMessageStatus) -> None:
        self.emails[status.message_id], self.statuses[status.message_id] = email, status


class LosesHeld(PlainStorage):
    """Lists only what is due."""

    def retrieve_all_incomplete(self) -> list[InternalMessageStatus]:
        found = super().retrieve_all_incomplete()
        return [each for each in found if any(recipient.due_at for recipient in each.recipients)]


class NewestFirst(PlainStorage):
    def retrieve_all_incomplete(self) -> list[InternalMessageStatus]:
        return super().retrieve_all_incomplete()[::-1]


class Mends(PlainStorage):
    """Makes line ends right that were right."""

    def retrieve(self, message_id: str) -> tuple[PreparedEmail, InternalMessageStatus]:
        email, status = super().retrieve(message_id)
        return replace(email, content=email.content.replace(b"\r", b"")), status


class StoresUnknown(PlainStorage):
    def update_status(self, status: InternalMessageStatus) -> None:
        self.statuses[status.message_id] = status


class AlwaysRecent(PlainStorage):
    def retrieve_all_recent(self) -> list[InternalMessageStatus]:
        return list(self.statuses.values())


class WritesTooLate(PlainStorage):
    """Writes what is new, and keeps its changes to itself."""

    def __init__(self) -> None:
        super().__init__(durable=True)
        self.disk: dict[str, InternalMessageStatus] = {}

    def store(self, email: PreparedEmail, status: InternalMessageStatus) -> None:
        super().store(email, status)
        self.disk[status.message_id] = status


class LastPlace:
    """Where the last storage of that kind is, and what a crash leaves of it."""

    def __init__(self) -> None:
        self.last = WritesTooLate()

    def new(self) -> Storage:
        self.last = WritesTooLate()
        return self.last

    def reopened(self) -> Storage:
        self.last.statuses = dict(self.last.disk)
        return self.last


# Behind the adapter


class Remembers(ExclusiveStorage):
    """What the bugs below have to know: the claims it gave, the route keys it was given."""

    def __init__(self, plain: Storage, *, lease_clock: Callable[[], float]) -> None:
        super().__init__(plain, lease_clock=lease_clock)
        self.given: list[Claim] = []
        self.keys: set[str] = set()

    def store(self, entries: Sequence[tuple[PreparedEmail, InternalMessageStatus]]) -> list[str]:
        self.keys |= {each.route_key for _, status in entries for each in status.recipients}
        return super().store(entries)

    def claim_many(self, now: datetime, terms: Terms) -> list[Claim]:
        claims = super().claim_many(now, terms)
        self.given += claims
        return claims


class NoToken(Remembers):
    """Settles for whoever comes."""

    def settle(self, settlements: Sequence[Settlement], now: datetime) -> list[bool]:
        last = self.given[-1]
        claims = [replace(each.claim, token=last.token, owner=last.owner) for each in settlements]
        return super().settle(
            [replace(each, claim=claim) for each, claim in zip(settlements, claims, strict=True)], now
        )


class Unfair(Remembers):
    """The route key that came first is served until it is empty."""

    def claim_many(self, now: datetime, terms: Terms) -> list[Claim]:
        others = self.keys - {self.given[-1].route_key} if self.given else set()
        claims = super().claim_many(now, replace(terms, skip={*terms.skip, *others}))
        return claims or super().claim_many(now, terms)


class CancelsClaimed(Remembers):
    """Takes a delivery that is under way for cancelled."""

    def order(
        self, order: Order, selection: Selection, now: datetime, *, after: Cursor = START, limit: int = 1000
    ) -> list[Ordered]:
        for claim in self.given:
            self.give_back(claim)
        return super().order(order, selection, now, after=after, limit=limit)


class NoLease(ExclusiveStorage):
    """Keeps what was claimed for ever."""

    def claim_many(self, now: datetime, terms: Terms) -> list[Claim]:
        return super().claim_many(now, replace(terms, lease=timedelta(days=365)))


class TellsNoMark(ExclusiveStorage):
    def being_tried(self, message_id: str) -> dict[str, Trying]:
        trying = super().being_tried(message_id)
        return {address: replace(each, mark=None) for address, each in trying.items()}


class ForgetsCrashes(ExclusiveStorage):
    def claim_many(self, now: datetime, terms: Terms) -> list[Claim]:
        return [_uncrashed(claim) for claim in super().claim_many(now, terms)]


def _uncrashed(claim: Claim) -> Claim:
    return replace(claim, recipients=tuple(replace(each, crashes=0) for each in claim.recipients))


class TriesCrashedAtOnce(ExclusiveStorage):
    """In a hot loop, should the process die of it."""

    def claim_many(self, now: datetime, terms: Terms) -> list[Claim]:
        return super().claim_many(now, replace(terms, backoff=tuple))


class IgnoresSkip(ExclusiveStorage):
    def claim_many(self, now: datetime, terms: Terms) -> list[Claim]:
        return super().claim_many(now, replace(terms, skip=()))


class SettlesAll(ExclusiveStorage):
    """A result for one recipient is taken for all of the claim."""

    def settle(self, settlements: Sequence[Settlement], now: datetime) -> list[bool]:
        return super().settle([_spread(each) for each in settlements], now)


def _spread(settlement: Settlement) -> Settlement:
    one = settlement.outcomes[0]
    addresses = [each.address for each in settlement.claim.recipients]
    return replace(settlement, outcomes=tuple(replace(one, address=each) for each in addresses))


class SettlesFirst(ExclusiveStorage):
    """The answer to the first settlement is given for the others as well."""

    def settle(self, settlements: Sequence[Settlement], now: datetime) -> list[bool]:
        taken = super().settle(settlements, now)
        return taken[:1] * len(taken)


class GiveBackCostsATry(ExclusiveStorage):
    def give_back(self, claim: Claim, not_before: datetime | None = None) -> None:
        outcomes = [
            Outcome(address=each.address, result=replace(each.result, tries=1, next_attempt_at=each.due_at))
            for each in claim.recipients
        ]
        self.settle([Settlement(claim=claim, outcomes=tuple(outcomes))], claim.submitted_at)


class ForgetsDot(ExclusiveStorage):
    def mark_dots_sent(self, dots: Sequence[tuple[Claim, Collection[str]]]) -> list[bool]:
        renewed = self.renew([claim for claim, _ in dots], timedelta(seconds=60))
        return [each is not None for each in renewed]


class StoresHalf(ExclusiveStorage):
    def store(self, entries: Sequence[tuple[PreparedEmail, InternalMessageStatus]]) -> list[str]:
        return [super(StoresHalf, self).store([entry])[0] for entry in entries]


class HoldsNothing(ExclusiveStorage):
    """Says that it held what it left as it was."""

    def order(
        self, order: Order, selection: Selection, now: datetime, *, after: Cursor = START, limit: int = 1000
    ) -> list[Ordered]:
        changed = super().order(order, selection, now, after=after, limit=limit)
        if order is Order.HOLD:
            super().order(Order.RELEASE, selection, now, after=after, limit=limit)
        return changed


class BeginsAnew(ExclusiveStorage):
    """Takes no notice of how far an order has come."""

    def order(
        self, order: Order, selection: Selection, now: datetime, *, after: Cursor = START, limit: int = 1000
    ) -> list[Ordered]:
        return super().order(order, selection, now, limit=limit)


class OrdersAll(ExclusiveStorage):
    """Takes no notice of the destination."""

    def order(
        self, order: Order, selection: Selection, now: datetime, *, after: Cursor = START, limit: int = 1000
    ) -> list[Ordered]:
        return super().order(order, replace(selection, destination=None), now, after=after, limit=limit)


class TellsAgain(ExclusiveStorage):
    """Takes the cursor for that of the first event asked for."""

    def events(self, after: int | None = None, *, limit: int = 1000) -> Sequence[Event]:
        return super().events(None if after is None else after - 1, limit=limit)


class LastWriterWins(ExclusiveStorage):
    """Sets without comparing."""

    def put_note(self, note: Note, now: datetime) -> Note | None:
        stands = self.note(note.namespace, note.key, now)
        return super().put_note(replace(note, version=stands.version if stands else 0), now)


class PullsInAll(ExclusiveStorage):
    """Pulls in what is held, too."""

    def pull_in(self, latest: datetime) -> int:
        held = self.order(Order.RELEASE, Selection(held=True), latest)
        return super().pull_in(latest) + len(held)


class ForgetsNobody(ExclusiveStorage):
    def forget(self, address: str, now: datetime) -> int:
        return 1
