"""How a lifted queue is worked off: claims with leases, and what becomes of them."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Container, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from ..abc import Claim, PreparedEmail, Settlement, Terms
from ..errors import MailstromError
from ..status import printable
from . import changes
from .index import Lease, Message
from .set_aside import Fault, SetAside
from .status_writer import Changed, StatusWriter

LEASE_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)  # the lease clock's 0 as a datetime

FAILURES_AT_ONCE = 3  # until the storage is taken to fail as a whole

_log = logging.getLogger("mailstrom.storage")

_Settled = tuple[int, frozenset[str]]  # a claim's token, and whom it settled


class _Passed:
    """The route keys that are passed over in a step which grants claims with these keys, one by one."""

    def __init__(self, terms: Terms, granted: Sequence[str]) -> None:
        self._terms = terms
        self._granted = granted
        self._refused: set[str] = set()

    def __contains__(self, route_key: object) -> bool:
        key = str(route_key)
        if key in self._terms.skip or key in self._refused:
            return True
        if self._terms.admits(key, self._granted):
            return False
        self._refused.add(key)
        return True


class Claims:
    """Grants claims and ends them. Any thread; the locks are those of `StatusWriter`."""

    def __init__(self, writer: StatusWriter, lease_clock: Callable[[], float]) -> None:
        self._writer = writer
        self._lock = writer.lock
        self._index = writer.index
        self._durable = writer.storage.durable
        self._lease_clock = lease_clock
        self._settled_before: set[_Settled] = set()  # in a call that failed
        self._set_aside = SetAside()

    def claim(self, now: datetime, terms: Terms) -> list[Claim]:
        """The next due work; raises where the storage fails for all that is tried."""
        claims: list[Claim] = []
        keys: list[str] = []
        passed = _Passed(terms, keys)
        trouble: list[MailstromError] = []
        while len(claims) < terms.limit and len(trouble) < FAILURES_AT_ONCE:
            taken = self._take(now, passed, again=not trouble)
            if taken is None:
                break
            try:
                claim = self._claim(*taken, now, terms)
            except MailstromError as error:
                if not self._is_its_own_fault(*taken, error):
                    trouble.append(error)
                continue
            if claim is not None:
                self._note_success(taken[0], claim.route_key)
                claims.append(claim)
                keys.append(claim.route_key)
        if trouble and not claims:
            raise trouble[0]
        return claims

    def renew(self, claims: Sequence[Claim], lease: timedelta) -> list[Claim | None]:
        """Each claim with a later `lease_until`, or None where it was lost."""
        ends = self._lease_clock() + lease.total_seconds()
        with self._lock:
            return [self._renew(claim, ends) for claim in claims]

    def mark_dot_sent(self, claim: Claim, addresses: Collection[str]) -> bool:
        """Notes that the final dot is about to be written for these; False when it must not be."""
        with self._writing(claim) as (message, lease):
            if message is None or lease is None:
                return False
            positions = _positions(lease, addresses)
            if positions is None or any(lease.mark(each) for each in positions):
                return False
            recipients = message.status.recipients
            changed = {each: changes.dot_sent(recipients[each]) for each in positions}
            return self._writer.replace(message, changed, write=self._durable)

    def settle(self, settlements: Sequence[Settlement], now: datetime) -> list[bool]:
        """Records the results of some claims' recipients and ends the claims for them."""
        settled: list[bool] = []
        trouble: MailstromError | None = None
        for settlement in settlements:
            try:
                settled.append(self._settle(settlement, now))
            except MailstromError as error:
                settled.append(False)
                trouble = trouble or error
        if trouble is not None:
            done = zip(settlements, settled, strict=True)
            self._settled_before.update(_name_of(each) for each, is_settled in done if is_settled)
            raise trouble
        return settled

    def give_back(self, claim: Claim, not_before: datetime | None) -> None:
        """Undoes a claim without a try or a crash; due again at once, or at `not_before`."""
        with self._writing(claim) as (message, lease):
            if message is None or lease is None:
                return
            expires_at = message.status.expires_at
            changed = {
                each: changes.given_back(before, not_before, mark=lease.mark(each), expires_at=expires_at)
                for each, before in lease.before.items()
            }
            now = max((mark.at for mark in lease.marks.values()), default=None)
            write = self._durable or bool(lease.marks)
            self._writer.replace(message, changed, now, ended=lease, write=write)

    def next_due(self, now: datetime, skip: Collection[str]) -> datetime | None:
        """When the next work that is not in `skip` falls due or its lease ends; None: no work waits."""
        instant = self._lease_clock()
        with self._lock:
            self._index.lapse(instant)
            due_at = self._index.next_due(now, skip)
            ends = self._index.next_lease_end(skip), self._set_aside.next_at(instant, skip)
        times = [now + timedelta(seconds=end - instant) for end in ends if end is not None]
        return min([*times, *([] if due_at is None else [due_at])], default=None)

    def _take(
        self, now: datetime, skip: Container[str], *, again: bool
    ) -> tuple[Message, str, list[int]] | None:
        """Who is to be claimed next; with `again` those come last that an earlier call failed for."""
        with self._lock:
            instant = self._lease_clock()
            self._index.lapse(instant)
            self._put_back(self._set_aside.take_over(instant))
            taken = self._index.take(now, skip)
            if taken is None:
                self._put_back(self._set_aside.take_suspect())
            return self._index.take(now, skip) if taken is None and again else taken

    def _put_back(self, waiting: Sequence[tuple[Message, Sequence[int]]]) -> None:
        for message, positions in waiting:
            self._index.enqueue(message, positions)

    def _is_its_own_fault(
        self, message: Message, route_key: str, positions: Sequence[int], error: MailstromError
    ) -> bool:
        with self._lock:
            why, instant = printable(str(error)), self._lease_clock()
            faults = self._set_aside.put(message, route_key, positions, why, instant)
        _log_faults(faults)
        return bool(faults)

    def _note_success(self, message: Message, route_key: str) -> None:
        with self._lock:
            faults = self._set_aside.another_succeeded(message, route_key, self._lease_clock())
        _log_faults(faults)

    def _claim(
        self, message: Message, route_key: str, positions: Sequence[int], now: datetime, terms: Terms
    ) -> Claim | None:
        """A claim for those of the recipients that may still be claimed."""
        with message.writing:
            with self._lock:
                positions = [position for position in positions if message.may_claim(position, now)]
            if not positions:
                return None
            try:
                granted = self._write_ahead(message, route_key, positions, now, terms)
            except MailstromError:
                raise  # whoever asked sets them aside
            except BaseException:
                with self._lock:
                    self._index.enqueue(message, positions)
                raise
        return None if granted is None else _as_claim(*granted)

    def _write_ahead(
        self, message: Message, route_key: str, positions: Sequence[int], now: datetime, terms: Terms
    ) -> tuple[Lease, PreparedEmail] | None:
        email = self._writer.email(message)
        if email is None:
            return None
        stopped = _stopped(message, positions)
        before = {each: message.status.recipients[each] for each in positions if each not in stopped}
        backoff = terms.backoff()
        changed = stopped | {
            each: changes.claimed(recipient, now, backoff) for each, recipient in before.items()
        }
        write = self._durable or bool(stopped)
        if not self._writer.replace(message, changed, now, write=write):
            return None
        with self._lock:
            self._index.enqueue(message, stopped)
            if not before:
                return None
            ends = self._lease_clock() + terms.lease.total_seconds()
            return self._index.grant(message, route_key, before, terms.owner, ends), email

    def _renew(self, claim: Claim, ends: float) -> Claim | None:
        held = self._index.lease(claim)
        if held is None:
            return None
        self._index.prolong(held, ends)
        return replace(claim, lease_until=LEASE_EPOCH + timedelta(seconds=ends))

    def _settle(self, settlement: Settlement, now: datetime) -> bool:
        name = _name_of(settlement)
        if name in self._settled_before:
            self._settled_before.discard(name)
            return True
        with self._writing(settlement.claim) as (message, lease):
            if message is None or lease is None:
                return False
            by_address = {outcome.address: outcome for outcome in settlement.outcomes}
            positions = _positions(lease, by_address)
            if positions is None:
                return False
            recipients, expires_at = message.status.recipients, message.status.expires_at
            changed = {
                each: changes.settled(
                    recipients[each],
                    by_address[recipients[each].address],
                    mark=lease.mark(each),
                    expires_at=expires_at,
                )
                for each in positions
            }
            return self._writer.replace(message, changed, now, ended=lease, settled=True)

    @contextmanager
    def _writing(self, claim: Claim) -> Iterator[tuple[Message | None, Lease | None]]:
        """The claim's message, ours to write, and its lease; None where the claim was lost."""
        with self._lock:
            message = self._index.messages.get(claim.email.message_id)
        if message is None:
            yield None, None
            return
        with message.writing:
            with self._lock:
                lease = self._index.lease(claim)
            yield message, lease


def _log_faults(faults: Sequence[Fault]) -> None:
    for each in faults:
        again = "message %s cannot be claimed: %s; tried again in %.0f s"
        _log.error(again, printable(each.message_id), each.why, each.wait_secs)


def _name_of(settlement: Settlement) -> _Settled:
    return settlement.claim.token, frozenset(outcome.address for outcome in settlement.outcomes)


def _positions(lease: Lease, addresses: Collection[str]) -> list[int] | None:
    """Where the addresses stand in the message; None when the lease lacks one of them."""
    if not {recipient.address for recipient in lease.before.values()}.issuperset(addresses):
        return None
    return [position for position, recipient in lease.before.items() if recipient.address in addresses]


def _stopped(message: Message, positions: Sequence[int]) -> Changed:
    """What becomes of those that an order met while an earlier claim had them, which is over."""
    status = message.status
    after = {
        each: changes.lapsed(status.recipients[each], mark=message.mark(each), expires_at=status.expires_at)
        for each in positions
    }
    return {each: recipient for each, recipient in after.items() if recipient is not status.recipients[each]}


def _as_claim(lease: Lease, email: PreparedEmail) -> Claim:
    status = lease.message.status
    return Claim(
        email=email,
        route_key=lease.route_key,
        recipients=tuple(lease.before.values()),
        submitted_at=status.submitted_at,
        send_at=status.send_at,
        expires_at=status.expires_at,
        owner=lease.owner,
        token=lease.token,
        lease_until=LEASE_EPOCH + timedelta(seconds=lease.ends),
    )
