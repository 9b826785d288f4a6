"""Settled without a visit: those for whom the answer of another delivery holds."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from ..abc import InternalRecipientStatus
from ..status import Attempt
from .job import Job
from .slot import Answer


async def settle_unvisited(
    job: Job, recipients: Sequence[InternalRecipientStatus], answer: Answer, now: datetime
) -> bool:
    """Settles every recipient as the probe's were, and says that nobody asked for them. True: all."""
    attempt = unvisited(answer, now)
    await job.settle({recipient.address: (answer.verdict, (attempt,)) for recipient in recipients})
    return True


def unvisited(answer: Answer, now: datetime) -> Attempt:
    """An attempt that visited nobody: no address, no time taken."""
    since = answer.told_at.astimezone(UTC)
    reason = f"not asked again; at {since:%Y-%m-%d %H:%M:%S} UTC it was: {answer.verdict.reason}"
    return Attempt(
        at=now, host=answer.host, phase=answer.verdict.phase, state=answer.verdict.state, reason=reason
    )
