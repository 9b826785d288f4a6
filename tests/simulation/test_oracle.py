"""The oracle knows what is no fault: stories made for it, each with a rare chain of events."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mailstrom.status import Cause, Phase

from .case import is_visit
from .plan import Act, DomainPlan, During, HostPlan, MailPlan
from .planning import plan_for
from .story import Story, run
from .witness import began_at, over_at

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
FIRST = replace(SLOW, latency_secs=0.02, ttl_secs=60)
SECOND = HostPlan(name="mx1.hosts.example", ip="198.51.100.2", ttl_secs=86_400)
LANE = replace(
    QUIET,
    max_sessions=5,
    max_sessions_per_lane=5,
    hosts=(FIRST, SECOND),
    domains=(DomainPlan(name="d0.example", mx=(FIRST.name, SECOND.name), ttl_secs=3600),),
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


def test_a_host_whose_address_is_not_known_is_left_out_from_the_instant_the_dns_fails() -> None:
    since = 200.3000001  # what is written down of times ends before
    story = run(replace(LANE, mails=_mails(10.0, since), lost=_lost(since, 900.0, "resolver's uplink")))

    assert [at < since for at in _taken_by(story, FIRST)] == [True]
    assert [at < since for at in _taken_by(story, SECOND)] == [False]


def test_who_is_due_when_the_network_is_lost_may_hear_at_that_instant_what_others_heard() -> None:
    story = run(replace(LANE, mails=_mails(*[10.0] * 12), lost=_lost(10.0, 40.0, "port 25 closed")))

    first = [next(iter(status)).attempts[0] for status in story.oracle.statuses]
    assert not all(is_visit(attempt) for attempt in first)


def test_who_asks_the_dns_again_hears_how_the_look_up_ends_that_is_under_way() -> None:
    """That one was begun while nobody answered; the DNS is well again since two seconds."""
    story = run(replace(LANE, mails=_mails(15.0, 42.0), lost=_lost(10.0, 40.0, "resolver")))

    first = [next(iter(status)).attempts[0] for status in story.oracle.statuses]
    assert [attempt.phase for attempt in first] == [Phase.DNS, Phase.DNS]


def test_a_session_that_took_long_to_open_makes_room_when_it_is_open() -> None:
    """Another was refused meanwhile; the third begins beside the first."""
    slow = replace(FIRST, slow=(("ehlo", 20.0), ("mail", 5.0)))
    plan = replace(LANE, hosts=(slow,), domains=(DomainPlan(name="d0.example", mx=(slow.name,)),))

    lost = _lost(20.0, 25.0, "port 25 closed")
    story = run(replace(plan, lost=lost, max_sessions_per_lane=2, mails=_mails(10.0, 22.0, 31.5)))

    first, _, third = [next(iter(status)).attempts[0] for status in story.oracle.statuses]
    assert began_at(third) < over_at(first)


@pytest.mark.parametrize("seed", [1169, 3983, 5418, 8756])
def test_a_lane_takes_one_alone_where_a_failure_took_the_room_or_the_session_is_another_lanes(
    seed: int,
) -> None:
    run(plan_for(seed))


def test_a_loss_that_is_told_again_behind_a_pause_may_end_at_that_instant() -> None:
    """One that never reads is connected with at once."""
    hosts = [HostPlan(name=f"mx{n}.hosts.example", ip=f"198.51.100.{n + 1}") for n in range(4)]
    hosts[0] = replace(hosts[0], down=(During(since=4000.0, until=6000.0, what="never_reads"),))
    plan = replace(
        LANE,
        hosts=tuple(hosts),
        domains=tuple(DomainPlan(name=f"d{n}.example", mx=(hosts[n].name,), ttl_secs=60) for n in range(4)),
        mails=tuple(
            MailPlan(number=n, at=10.0 if n < 4 else 200.0, process=0, to=(f"m{n}r0@d{n % 4}.example",))
            for n in range(8)
        ),
        lost=_lost(100.0, 2000.0, "resolver"),
        acts=(Act(at=900.0, what="pause", secs=4000.0),),
    )

    at_4900 = [line.split() for line in run(plan).log.lines if line.startswith("4900.000")]
    assert [line[-1] for line in at_4900 if "status" in line] == ["failed", "ok"]


def _mails(*times: float) -> tuple[MailPlan, ...]:
    return tuple(
        MailPlan(number=number, at=at, process=0, to=(f"m{number}r0@d0.example",))
        for number, at in enumerate(times)
    )


def _lost(since: float, until: float, what: str) -> tuple[During, ...]:
    return (During(since=since, until=until, what=what),)


def _taken_at(story: Story) -> list[float]:
    return _taken_by(story, SLOW)


def _taken_by(story: Story, host: HostPlan) -> list[float]:
    return [message.at for message in story.cast.servers[host.name].ledger.messages]
