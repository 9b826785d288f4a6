"""Small stories, each made for a bug: it shows there, and the same story without it ends well."""

from __future__ import annotations

from dataclasses import replace

import pytest

from .made_for_lanes import MADE_FOR_LANES
from .plan import HOUR, MOVED, Act, DomainPlan, During, HostPlan, MailPlan, Plan
from .planning import plan_for
from .planted_bugs import KNOWN_MISSED, MADE, fails
from .story import run

FIRST = HostPlan(name="mx0.hosts.example", ip="198.51.100.1")
SECOND = HostPlan(name="mx1.hosts.example", ip="198.51.100.2")
DOMAIN = DomainPlan(name="d0.example", mx=(FIRST.name, SECOND.name), ttl_secs=300)


def _mail(number: int, at: float, **more: float) -> MailPlan:
    return MailPlan(number=number, at=at, process=0, to=(f"m{number}r0@d0.example",), **more)  # type: ignore[arg-type]


LATER = _mail(0, 10.0, send_in_secs=HOUR)
QUIET = replace(
    plan_for(0),
    queue="shared",
    processes=1,
    tries=3,
    hosts=(FIRST, SECOND),
    domains=(DOMAIN,),
    mails=(LATER,),
    acts=(),
)


def _during(since: float, until: float, what: str) -> tuple[DomainPlan]:
    return (replace(DOMAIN, faults=(During(since=since, until=until, what=what),)),)


GREYLISTED = replace(QUIET, hosts=(replace(FIRST, greylists=True), replace(SECOND, greylists=True)))
HELD = replace(QUIET, acts=(Act(at=20.0, what="hold"),))
RELEASED = replace(HELD, acts=(*HELD.acts, Act(at=60.0, what="release")))
SLOW = replace(
    QUIET, hosts=(replace(FIRST, slow=(("content", 700.0),)),), domains=(replace(DOMAIN, mx=(FIRST.name,)),)
)
# three results arrive while the storage is away
RECORDED_LATE = replace(
    QUIET,
    max_sessions=5,
    max_sessions_per_lane=5,
    hosts=(replace(FIRST, slow=(("content", 5.0),)),),
    domains=(replace(DOMAIN, mx=(FIRST.name,)),),
    mails=tuple(_mail(number, 10.0) for number in range(3)),
    acts=(Act(at=14.6, what="outage", secs=1.5),),
)
OTHER = DomainPlan(name="d1.example", mx=(SECOND.name,))

STORIES: dict[str, Plan] = {
    "what_is_deferred_is_due_an_hour_late": GREYLISTED,
    "what_is_released_is_due_an_hour_late": RELEASED,
    "what_is_retried_is_due_an_hour_late": replace(QUIET, acts=(Act(at=60.0, what="retry"),)),
    "what_is_held_never_expires": replace(HELD, mails=(replace(LATER, expires_in_secs=2 * HOUR),)),
    "what_has_expired_is_sent": replace(
        QUIET,
        mails=(replace(LATER, expires_in_secs=2 * HOUR),),
        acts=(Act(at=3000.0, what="pause", secs=2 * HOUR),),
    ),
    "every_lane_is_the_same": replace(
        SLOW,
        hosts=(*SLOW.hosts, SECOND),
        domains=(*SLOW.domains, OTHER),
        mails=(_mail(0, 10.0), replace(_mail(1, 20.0), to=("m1r0@d1.example",))),
    ),
    "the_mark_of_a_row_is_never_taken_away": replace(
        SLOW,
        queue="sqlite",
        on_uncertain="hold",
        mails=(_mail(0, 10.0),),
        acts=(Act(at=2000.0, what="release"),),
    ),
    # it dies between the yes of the host and the arrival of that
    "only_the_first_recipient_is_marked": replace(
        QUIET,
        hosts=(replace(FIRST, latency_secs=0.3, slow=(("content", 5.0),)),),
        domains=(replace(DOMAIN, mx=(FIRST.name,)),),
        mails=(replace(_mail(0, 10.0), to=("m0r0@d0.example", "m0r1@d0.example")),),
        acts=(Act(at=17.5, what="kill"),),
    ),
    "only_the_first_of_a_batch_is_recorded": RECORDED_LATE,
    "a_batch_is_dropped_after_an_error": RECORDED_LATE,
    "a_jump_of_the_clock_is_followed_at_once": replace(
        QUIET, mails=(_mail(0, 10.0), _mail(1, 40.0)), acts=(Act(at=30.0, what="jump", secs=500.0),)
    ),
    "who_is_deferred_is_not_told_the_reply": GREYLISTED,
    "the_reply_is_put_in_other_words": GREYLISTED,
    "answers_of_the_dns_are_kept_for_ever": replace(
        QUIET, mails=(_mail(0, 10.0), _mail(1, 5000.0)), domains=_during(1000.0, 9000.0, MOVED)
    ),
    "a_domain_that_was_missing_once_is_missing_for_ever": replace(
        QUIET, mails=(_mail(0, 10.0), _mail(1, 5000.0)), domains=_during(0.0, 1000.0, "NXDOMAIN")
    ),
    "a_failed_look_up_is_kept": replace(
        QUIET, mails=(_mail(0, 10.0), _mail(1, 50.0)), lost=(During(since=5.0, until=35.0, what="resolver"),)
    ),
    "a_dns_that_fails_denies_the_domain": replace(QUIET, domains=_during(0.0, 9000.0, "SERVFAIL")),
    **MADE_FOR_LANES,
}


@pytest.mark.parametrize("name", STORIES)
def test_a_story_made_for_a_bug_fails_with_it(name: str) -> None:
    assert fails(name, STORIES[name]) is not None


@pytest.mark.parametrize("name", STORIES)
def test_a_story_made_for_a_bug_ends_well_without_it(name: str) -> None:
    run(STORIES[name])


def test_bugs_that_are_said_to_have_a_story_made_for_them_have_one() -> None:
    assert {name for name, why in KNOWN_MISSED.items() if why is MADE} <= STORIES.keys()
