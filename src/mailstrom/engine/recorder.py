"""What came of a job: judged, recorded in the storage, and told."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Sequence
from dataclasses import replace

from ..abc import Claim, Clock, InternalRecipientStatus, Outcome, SharedStorage
from ..schedule.retry import RetryPolicy, gives_up_at, judge_pass
from ..status import Cause, printable
from .announce import Announcer
from .committer import Committer, arrival
from .job import Job, Passed
from .patience import PatientCalls
from .triage import after_crash

READ_BACK_LIMIT = 1000  # recipients of a message; of larger ones events tell what the pass came to

_log = logging.getLogger("mailstrom")


class Recorder:
    """Settles what jobs come to. Used in the worker's loop only."""

    def __init__(
        self,
        policy: RetryPolicy,
        storage: SharedStorage,
        clock: Clock,
        calls: PatientCalls,
        committer: Committer,
        announcer: Announcer,
    ) -> None:
        self._policy = policy
        self._storage = storage
        self._clock = clock
        self._calls = calls
        self._committer = committer
        self._announcer = announcer

    def passed(self, job: Job, passed: Passed) -> Awaitable[None]:
        """How a pass ended for some of the job's recipients."""
        return self.settle(job, self._outcomes(job, passed))

    async def crashed(self, job: Job) -> None:
        """An exception of ours ended the pass of all that are still open."""
        await self.settle(job, self._after_crash(job))

    async def settle(self, job: Job, outcomes: Sequence[Outcome]) -> None:
        """Records the outcomes, if any, however long the storage fails before, and tells them."""
        if not outcomes:
            return
        arriving = self._begin_settling(job, outcomes)
        kept = arriving.result() if arriving.done() else await arrival(arriving)
        before = job.settled()
        if kept:
            await self._tell(job.claim, before, outcomes)
        elif len(outcomes) == 1 or not await self._settle_each(job.claim, before, outcomes):
            _log_refused(job.claim)

    def cut_off(self, job: Job) -> None:
        """What is known of a job that is cut off goes on its way; what may have been delivered is said so."""
        if not job.settling and (outcomes := self._outcomes(job, job.cut_off)):
            self._begin_settling(job, outcomes)

    async def arrived(self, job: Job, kept: bool) -> None:
        """What a job that was cut off had on its way has arrived."""
        outcomes = job.settling
        before = job.settled()
        if kept:
            await self._tell(job.claim, before, outcomes)
        else:
            _log_refused(job.claim)

    async def _settle_each(
        self, claim: Claim, before: Sequence[InternalRecipientStatus], outcomes: Sequence[Outcome]
    ) -> bool:
        """Those that are refused together may have lost but one to an order: now each by itself.

        All are on their way before one is waited for, and none is the job's any more: where the
        worker ends meanwhile, what it delivered is not given back as if it had not been tried.
        """
        coming = [self._committer.settle(claim, [outcome]) for outcome in outcomes]
        kept = [await arrival(each) for each in coming]
        for recipient, outcome, is_kept in zip(before, outcomes, kept, strict=True):
            if is_kept:
                await self._tell(claim, [recipient], [outcome])
        return all(kept)

    async def _tell(
        self, claim: Claim, before: Sequence[InternalRecipientStatus], outcomes: Sequence[Outcome]
    ) -> None:
        recorded = outcomes
        try:
            for outcome in outcomes:
                if not outcome.result.completed:
                    recorded = await self._as_recorded(claim, outcomes)
                    break
        finally:
            self._announcer.settled(claim, before, recorded)

    def _begin_settling(self, job: Job, outcomes: Sequence[Outcome]) -> asyncio.Future[bool]:
        arriving = self._committer.settle(job.claim, outcomes)
        job.begin_settling(outcomes, arriving)
        return arriving

    def _outcomes(self, job: Job, passed: Passed) -> list[Outcome]:
        now = self._clock.now()  # one for all of them: deferred together, they fall due together
        gives_up = gives_up_at(self._policy, job.claim.waits_since, job.claim.expires_at)
        outcomes = []
        for address, (verdict, attempts) in passed.items():
            if (recipient := job.open.get(address)) is not None:
                result = judge_pass(
                    self._policy,
                    verdict,
                    tries=recipient.result.tries,
                    now=now,
                    gives_up=gives_up,
                    chance=job.chance,
                    uncertain=recipient.result.uncertain,
                )
                outcomes.append(Outcome(address=address, result=result, attempts=tuple(attempts)))
        return outcomes

    def _after_crash(self, job: Job) -> list[Outcome]:
        now, dots = self._clock.now(), job.awaiting_dot
        gives_up = gives_up_at(self._policy, job.claim.waits_since, job.claim.expires_at)
        outcomes = [
            after_crash(recipient, self._policy, now, gives_up=gives_up, dot_sent=address in dots)
            for address, recipient in job.open.items()
        ]
        attempts = {address: attempts for address, (_, attempts) in job.cut_off.items()}
        return [replace(each, attempts=tuple(attempts.get(each.address, ()))) for each in outcomes]

    async def _as_recorded(self, claim: Claim, outcomes: Sequence[Outcome]) -> Sequence[Outcome]:
        """The outcomes as they stand now: where `cancel` came in between, a deferral is a failure."""
        if len(claim.email.recipients) > READ_BACK_LIMIT:
            return outcomes
        deferred = {outcome.address for outcome in outcomes if not outcome.result.completed}
        try:
            status = await self._calls.once(self._storage.retrieve_status, claim.email.message_id)
        except Exception as error:
            _log.warning("events tell results that could not be read back: %s", printable(str(error)))
            return outcomes
        there = (recipient for recipient in status.recipients if recipient.address in deferred)
        ended = {each.address: each.result for each in there if each.result.cause is Cause.CANCELLED}
        return [replace(each, result=ended.get(each.address, each.result)) for each in outcomes]


def _log_refused(claim: Claim) -> None:
    _log.warning("results of message %s came after its claim was lost", printable(claim.email.message_id))
