"""How a lifted queue is worked off: claims with leases, and what becomes of them."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Container, Sequence
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

ALL_TOLD_AT = 32  # keys that are passed over in a call

FAILURES_AT_ONCE = 3  # until the storage is taken to fail as a whole

_log = logging.getLogger("mailstrom.storage")

_Settled = tuple[int, frozenset[str]]  # a claim's token, and whom it settled


class _Passed:
    """The route keys that are passed over in one call, which is told of each of them once.

    With `admits` those also that it refuses beside the keys granted by then. Where they are many they
    are told all at once: they may be of one lane, and that knows its keys.
    """

    def __init__(
        self,
        skip: Collection[str],
        admits: Callable[[str, Sequence[str]], bool] | None = None,
        granted: Sequence[str] = (),
    ) -> None:
        self._skip = skip
        self._admits = admits
        self._granted = granted
        self._open: set[str] = set()  # not in `skip`
        self._passed: set[object] = set()

    def __contains__(self, route_key: object) -> bool:
        if route_key in self._passed:
            return True
        key = str(route_key)
        if key in self._open or key not in self._skip:
            self._open.add(key)
            if self._admits is None or self._admits(key, self._granted):
                return False
        self._passed.add(key)
        if len(self._passed) == ALL_TOLD_AT:
            self._passed.update(self._skip)
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
        passed = _Passed(terms.skip, terms.admits, keys)
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
                if self._set_aside:
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
        message = self._message_of(claim)
        if message is None:
            return False
        with message.writing:
            lease = self._lease_of(claim)
            positions = None if lease is None else _positions(lease, addresses)
            if lease is None or positions is None:
                return False
            if lease.marks and any(lease.mark(each) for each in positions):
                return False
            recipients = message.recipients
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
        message = self._message_of(claim)
        if message is None:
            return
        with message.writing:
            lease = self._lease_of(claim)
            if lease is None:
                return
            expires_at = message.kept.expires_at
            changed = {
                each: changes.given_back(before, not_before, mark=lease.mark(each), expires_at=expires_at)
                for each, before in lease.before.items()
            }
            now = max((mark.at for mark in lease.marks.values()), default=None)
            write = self._durable or bool(lease.marks)
            self._writer.replace(message, changed, now, ended=lease, write=write)

    def next_due(self, now: datetime, skip: Collection[str]) -> datetime | None:
        """When the next work that is not in `skip` falls due or its lease ends; None: no work waits."""
        instant, passed = self._lease_clock(), _Passed(skip)
        with self._lock:
            self._index.lapse(instant)
            due_at = self._index.next_due(now, passed)
            ends = self._index.next_lease_end(passed)
            put_back_at = self._set_aside.next_at(instant, passed) if self._set_aside else None
        times = [] if due_at is None else [due_at]
        times += [now + timedelta(seconds=end - instant) for end in (ends, put_back_at) if end is not None]
        return min(times, default=None)

    def _take(
        self, now: datetime, skip: Container[str], *, again: bool
    ) -> tuple[Message, str, list[int]] | None:
        """Who is to be claimed next; with `again` those come last that an earlier call failed for."""
        with self._lock:
            instant = self._lease_clock()
            self._index.lapse(instant)
            if not self._set_aside:
                return self._index.take(now, skip)
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
        recipients = message.recipients
        stopped = _stopped(message, positions) if message.holders else {}
        backoff = terms.backoff()
        before, changed = {}, dict(stopped)
        for each in positions:
            if each not in stopped:
                before[each] = recipient = recipients[each]
                changed[each] = changes.claimed(recipient, now, backoff)
        write = self._durable or bool(stopped)
        if not self._writer.replace(message, changed, now, write=write):
            return None
        with self._lock:
            if stopped:
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
        if self._settled_before and (name := _name_of(settlement)) in self._settled_before:
            self._settled_before.discard(name)
            return True
        message = self._message_of(settlement.claim)
        if message is None:
            return False
        with message.writing:
            lease = self._lease_of(settlement.claim)
            by_address = {outcome.address: outcome for outcome in settlement.outcomes}
            positions = None if lease is None else _positions(lease, by_address)
            if lease is None or positions is None:
                return False
            recipients, expires_at = message.recipients, message.kept.expires_at
            changed = {
                each: changes.settled(
                    recipients[each],
                    by_address[recipients[each].address],
                    mark=lease.mark(each) if lease.marks else None,
                    expires_at=expires_at,
                )
                for each in positions
            }
            return self._writer.replace(message, changed, now, ended=lease, settled=True)

    def _message_of(self, claim: Claim) -> Message | None:
        with self._lock:
            return self._index.messages.get(claim.email.message_id)

    def _lease_of(self, claim: Claim) -> Lease | None:
        """What the claim has still a right to, told with the message's `writing` held."""
        with self._lock:
            return self._index.lease(claim)


def _log_faults(faults: Sequence[Fault]) -> None:
    for each in faults:
        again = "message %s cannot be claimed: %s; tried again in %.0f s"
        _log.error(again, printable(each.message_id), each.why, each.wait_secs)


def _name_of(settlement: Settlement) -> _Settled:
    return settlement.claim.token, frozenset(outcome.address for outcome in settlement.outcomes)


def _positions(lease: Lease, addresses: Collection[str]) -> list[int] | None:
    """Where the addresses stand in the message; None when the lease lacks one of them."""
    missing = set(addresses)
    positions = []
    for position, recipient in lease.before.items():
        if recipient.address in addresses:
            positions.append(position)
            missing.discard(recipient.address)
    return None if missing else positions


def _stopped(message: Message, positions: Sequence[int]) -> Changed:
    """What becomes of those that an order met while an earlier claim had them, which is over."""
    recipients, expires_at = message.recipients, message.kept.expires_at
    after = {
        each: changes.lapsed(recipients[each], mark=message.mark(each), expires_at=expires_at)
        for each in positions
    }
    return {each: recipient for each, recipient in after.items() if recipient is not recipients[each]}


def _as_claim(lease: Lease, email: PreparedEmail) -> Claim:
    status = lease.message.kept
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
