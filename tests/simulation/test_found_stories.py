"""Stories in which something was amiss once, made small: they end well now."""

from __future__ import annotations

from dataclasses import replace

from mailstrom.event import EventKind

from .plan import HOUR, Act, MailPlan
from .story import run
from .test_oracle import QUIET, SLOW


def test_who_may_have_been_delivered_is_not_said_to_wait_beyond_the_end_of_its_message() -> None:
    """Its process dies after the final dot, and the message expires before another has its claim."""
    story = run(
        replace(
            QUIET,
            hosts=(replace(SLOW, slow=(("content", 20.0),)),),
            mails=(
                MailPlan(
                    number=0,
                    at=10.0,
                    process=0,
                    to=("m0r0@d0.example",),
                    send_in_secs=2 * HOUR - 20.0,
                    expires_in_secs=2 * HOUR,
                ),
            ),
            acts=(Act(at=2 * HOUR - 5.0, what="kill"),),
        )
    )

    kinds = [event.kind for event in story.oracle.events if event.address is not None]
    assert kinds == [EventKind.DEFERRED, EventKind.FAILED]
