"""The oracle knows what is no fault: stories made for it, each with a rare chain of events."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mailstrom.status import Cause

from .plan import Act, DomainPlan, HostPlan, MailPlan
from .planning import plan_for
from .story import Story, run

SLOW = HostPlan(name="mx.hosts.example", ip="198.51.100.1", latency_secs=0.3)
QUIET = replace(
    plan_for(0),
    queue="shared",
    processes=1,
    tries=3,
    on_uncertain="retry",
    hosts=(SLOW,),
    domains=(DomainPlan(name="d0.example", mx=(SLOW.name,)),),
    mails=(MailPlan(number=0, at=10.0, process=0, to=("m0r0@d0.example",)),),
    acts=(),
)


@pytest.mark.parametrize(("what", "cause"), [("cancel", Cause.CANCELLED), ("hold", None)])
def test_who_is_stopped_after_a_crash_at_the_dot_may_have_been_delivered(
    what: str, cause: Cause | None
) -> None:
    """The lease has ended, nobody has claimed it again, and no event tells of the crash."""
    says_yes_at = _taken_at(run(QUIET))[0]
    acts = (
        Act(at=says_yes_at + 0.1, what="kill"),
        Act(at=says_yes_at + 1.0, what="pause", secs=700.0),
        Act(at=says_yes_at + 100.0, what=what),
    )

    story = run(replace(QUIET, acts=acts))

    ((recipient,),) = story.oracle.statuses
    result = recipient.result
    assert (result.cause, result.uncertain) == (cause, True)
    assert len(_taken_at(story)) == 1


def _taken_at(story: Story) -> list[float]:
    return [message.at for message in story.cast.servers[SLOW.name].ledger.messages]
