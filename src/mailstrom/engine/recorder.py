"""What came of a job: judged, recorded in the storage, and told."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from ..abc import Claim, Clock, Outcome, Settlement, SharedStorage
from ..schedule.retry import RetryPolicy, gives_up_at, judge_pass
from ..schedule.verdict import Verdict
from ..status import Attempt, Cause, printable
from .announce import Announcer
from .committer import Committer
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

    async def passed(self, job: Job, passed: Passed) -> None:
        """How a pass ended for some of the job's recipients."""
        if outcomes := self._outcomes(job, passed):
            await self.settle(job, outcomes)

    async def crashed(self, job: Job) -> None:
        """An exception of ours ended the pass of all that are still open."""
        await self.settle(job, self._after_crash(job))

    async def settle(self, job: Job, outcomes: Sequence[Outcome]) -> None:
        """Records the outcomes, however long the storage fails before, and tells them."""
        job.settling = outcomes
        kept = await self._committer.settle(job.claim, outcomes)
        recipients = job.settled()
        if not kept:
            _log.warning("results of message %s came after its claim was lost", job.claim.email.message_id)
            return
        recorded = outcomes
        try:
            recorded = await self._as_recorded(job.claim, outcomes)
        finally:
            self._announcer.settled(job.claim, recipients, recorded)

    def abandon(self, job: Job) -> None:
        """A job that is cut off: what is known is recorded, what may have been delivered said so."""
        outcomes = job.settling = job.settling or self._outcomes(job, job.cut_off)
        try:
            if outcomes and (self._settle_now(job.claim, outcomes) or self._stand(job.claim, outcomes)):
                self._announcer.settled(job.claim, job.settled(), outcomes)
        except Exception:
            _log.exception("results of message %s could not be recorded", job.claim.email.message_id)
        else:
            if job.open:
                self.hand_back(job.claim)
        self._announcer.given_back(job.claim)

    def hand_back(self, claim: Claim) -> None:
        """Gives the claim back while the worker ends: what fails now lasts until the lease is over."""
        try:
            self._storage.give_back(claim)
        except Exception:
            _log.exception("message %s could not be given back", claim.email.message_id)

    def _settle_now(self, claim: Claim, outcomes: Sequence[Outcome]) -> bool:
        settlement = Settlement(claim=claim, outcomes=tuple(outcomes))
        return self._storage.settle([settlement], self._clock.now())[0]

    def _stand(self, claim: Claim, outcomes: Sequence[Outcome]) -> bool:
        """Whether they are recorded: the commit was under way when the job was cut off."""
        status = self._storage.retrieve_status(claim.email.message_id)
        there = {recipient.address: recipient for recipient in status.recipients}
        return all(
            (found := there.get(outcome.address)) is not None
            and found.result == outcome.result
            and found.attempts[len(found.attempts) - len(outcome.attempts) :] == outcome.attempts
            for outcome in outcomes
        )

    def _outcomes(self, job: Job, passed: Passed) -> list[Outcome]:
        now = self._clock.now()  # one for all of them: deferred together, they fall due together
        still_open = [address for address in passed if address in job.open]
        return [self._outcome(job, address, *passed[address], now) for address in still_open]

    def _outcome(
        self, job: Job, address: str, verdict: Verdict, attempts: Sequence[Attempt], now: datetime
    ) -> Outcome:
        claim, recipient = job.claim, job.open[address]
        result = judge_pass(
            self._policy,
            verdict,
            tries=recipient.result.tries,
            now=now,
            gives_up=gives_up_at(self._policy, claim.waits_since, claim.expires_at),
            chance=job.chance,
            uncertain=recipient.result.uncertain,
        )
        return Outcome(address=address, result=result, attempts=tuple(attempts))

    def _after_crash(self, job: Job) -> list[Outcome]:
        now, dots = self._clock.now(), job.awaiting_dot
        outcomes = [after_crash(r, self._policy, now, dot_sent=r.address in dots) for r in job.open.values()]
        attempts = {address: attempts for address, (_, attempts) in job.cut_off.items()}
        return [replace(each, attempts=tuple(attempts.get(each.address, ()))) for each in outcomes]

    async def _as_recorded(self, claim: Claim, outcomes: Sequence[Outcome]) -> Sequence[Outcome]:
        """The outcomes as they stand now: where `cancel` came in between, a deferral is a failure."""
        deferred = {outcome.address for outcome in outcomes if not outcome.result.completed}
        if not deferred or len(claim.email.recipients) > READ_BACK_LIMIT:
            return outcomes
        try:
            status = await self._calls.once(self._storage.retrieve_status, claim.email.message_id)
        except Exception as error:
            _log.warning("events tell results that could not be read back: %s", printable(str(error)))
            return outcomes
        there = (recipient for recipient in status.recipients if recipient.address in deferred)
        ended = {each.address: each.result for each in there if each.result.cause is Cause.CANCELLED}
        return [replace(each, result=ended.get(each.address, each.result)) for each in outcomes]
