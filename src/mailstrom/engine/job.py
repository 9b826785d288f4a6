"""One claim being worked on, its lease, and what of it is settled; and who carries it to its host."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from ..abc import Claim, InternalRecipientStatus, Outcome
from ..config import Config
from ..schedule.verdict import Verdict
from ..status import Attempt
from .gates import Visit
from .slot import Slot
from .world import World

if TYPE_CHECKING:
    from ..smtp.session import Hop, Session
    from .contacts import Contacts

LEASE_MARGIN = 1 / 6  # of a lease: that long before its end no final dot is sent any more

Passed = Mapping[str, tuple[Verdict, Sequence[Attempt]]]  # address -> how this pass ended for it


@dataclass(frozen=True, slots=True, kw_only=True)
class Granted:
    """A claim, and when it was asked for (monotonic): its lease did not begin before."""

    claim: Claim
    asked_at: float


class Stopped(Exception):
    """The job was told to stop before its next final dot."""


class Job:
    """A claim in the hands of a delivery task. Used in the worker's loop only."""

    def __init__(
        self,
        granted: Granted,
        *,
        lease_secs: float,
        chance: float,
        now: Callable[[], float],
        read_content: Callable[[Claim, int], Awaitable[bytes | None]],
        mark_dot_sent: Callable[[Claim, Collection[str]], Awaitable[bool]],
        settle: Callable[[Job, Passed], Awaitable[None]],
        delivered: Callable[[Slot], None],
    ) -> None:
        self.claim = claim = granted.claim
        self.begun = False
        self.stopped = False
        self.goes_last = False  # where it is given back: behind what else is due in its lane
        self.leaves_more = False  # than was settled as completed: something is due again
        self.slot: Slot | None = None  # while it is tried
        self.handed: tuple[str, Session] | None = None  # of this lane, with its envelope sent already
        self.chance = chance  # one for all its recipients: deferred together, they stay together
        self.open: dict[str, InternalRecipientStatus] = {r.address: r for r in claim.recipients}
        self.awaiting_dot: frozenset[str] = frozenset()
        self.cut_off: Passed = {}  # whose reply to the final dot will never come
        self.settling: Sequence[Outcome] = ()  # on their way into the storage
        self.kept: asyncio.Future[bool] | None = None  # whether they arrived there
        self._hop: Hop | None = None
        self._session: Session | None = None
        self._lease_secs = lease_secs
        self._held_until = granted.asked_at + lease_secs
        self._now = now
        self._read_content = read_content
        self._mark_dot_sent = mark_dot_sent
        self._settle = settle
        self._delivered = delivered

    def comes_to(self, hop: Hop, session: Session | None = None) -> None:
        """Notes where it is being tried from now on; without a session one is opened there."""
        self._hop, self._session = hop, session

    def visit(self) -> Visit:
        """Where it is being tried."""
        hop, session = self._hop, self._session
        if hop is None:
            return Visit(is_waiting=not self.begun, is_settling=bool(self.settling))
        phase = None if session is None else session.phase
        return Visit(host=hop.host, ip=hop.ip, phase=phase, is_settling=bool(self.settling))

    async def read_content(self, start: int) -> bytes | None:
        """Octets of a content that was left in the storage, from `start` on; None: the claim was lost."""
        return await self._read_content(self.claim, start)

    async def settle(self, passed: Passed) -> None:
        """Records how the pass ended for these recipients; they are no longer this job's."""
        await self._settle(self, {a: v for a, v in passed.items() if a in self.open})

    def begin_settling(self, outcomes: Sequence[Outcome], kept: asyncio.Future[bool]) -> None:
        """Notes that these are on their way; after the last of them another delivery may begin in the lane.

        Not so where the lease may be over: what is sent would be claimed again before it is recorded.
        """
        self.settling, self.kept = outcomes, kept
        self.leaves_more |= not all(outcome.result.completed for outcome in outcomes)
        if len(outcomes) == len(self.open):
            self.leave_lane_early()

    def settled(self) -> list[InternalRecipientStatus]:
        """Notes that what was settling has arrived; those recipients, as they stood before."""
        before = [self.open.pop(outcome.address) for outcome in self.settling]
        self.settling, self.kept = (), None
        return before

    def leave_lane_early(self) -> None:
        """Gives the slot back before all is recorded, as long as nobody else can claim it again."""
        if self._holds_lease():
            self.leave_lane()

    def leave_lane(self) -> None:
        """Gives the slot back, unless that was done."""
        slot, self.slot = self.slot, None
        if slot is not None:
            self._delivered(slot)

    def take_handed(self, lane: str) -> Session | None:
        """The session that was handed to it; one of another lane ends."""
        handed, self.handed = self.handed, None
        if handed is not None and handed[0] != lane:
            handed[1].abort()
            return None
        return None if handed is None else handed[1]

    def drop_handed(self) -> None:
        """Ends the session that was handed to it, unless it was taken."""
        if self.handed is not None:
            self.handed[1].abort()
            self.handed = None

    @property
    def may_be_cut_off(self) -> bool:
        """No reply to a final dot is awaited, and no result is on its way into the storage."""
        return not self.awaiting_dot and not self.settling

    def stop(self) -> None:
        """Begins nothing more: no host, no transaction, no final dot."""
        self.stopped = True

    def check_not_stopped(self) -> None:
        """Raises `Stopped` where nothing more is to be begun."""
        if self.stopped:
            raise Stopped

    async def may_send_dot(self, addresses: Collection[str]) -> bool:
        """Asked immediately before the final dot: whether the right to send it is still ours.

        Raises `Stopped` where it is, but no dot is to be sent any more.
        """
        if not self._holds_lease():
            return False
        self.awaiting_dot = frozenset(addresses)
        marked = await self._mark_dot_sent(self.claim, addresses)
        self.check_not_stopped()
        return marked and self._holds_lease()  # the storage may have taken longer than the lease lasts

    def dot_answered(self) -> None:
        """The reply to the final dot was read, or no dot was sent."""
        self.awaiting_dot = frozenset()

    def renewed(self, claim: Claim, renewed_at: float) -> None:
        """The lease goes on. One that had ended is good for results only: orders did not wait for it."""
        self.claim = claim
        if renewed_at <= self._held_until:
            self._held_until = renewed_at + self._lease_secs

    def lost(self) -> None:
        """The lease is gone: no dot will be sent any more."""
        self._held_until = float("-inf")

    def _holds_lease(self) -> bool:
        return self._now() <= self._held_until - self._lease_secs * LEASE_MARGIN


class Carrier(Protocol):
    """Takes a claim's recipients to their host: over SMTP, or into a file or list."""

    async def carry(self, job: Job, recipients: Sequence[InternalRecipientStatus]) -> bool:
        """Settles every recipient through `job.settle`; False: those that are open are to be given back.

        So it is where the lane has no room, and where the job was stopped before they were tried.
        """

    async def close(self) -> None:
        """Ends what it holds open, politely."""

    async def abort(self) -> None:
        """Ends what it holds open, at once."""


MakeCarrier = Callable[[Config, World, "Contacts"], Awaitable[Carrier]]
