"""Small stories, each made for bugs in lanes and networks: see `test_made_stories.py`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from .plan import DAY, HOUR, DomainPlan, During, HostPlan, MailPlan, Plan
from .planning import plan_for

HOSTS = tuple(HostPlan(name=f"mx{n}.hosts.example", ip=f"198.51.100.{n + 1}") for n in range(6))
DOMAINS = tuple(DomainPlan(name=f"d{n}.example", mx=(host.name,)) for n, host in enumerate(HOSTS))


def _mails(times: Sequence[tuple[float, int]]) -> tuple[MailPlan, ...]:
    """At each time one for that domain."""
    return tuple(
        MailPlan(number=number, at=at, process=0, to=(f"m{number}r0@d{domain}.example",))
        for number, (at, domain) in enumerate(times)
    )


def _down(since: float, until: float, what: str = "black_hole") -> tuple[During, ...]:
    return (During(since=since, until=until, what=what),)


def _first(**changes: object) -> tuple[HostPlan, ...]:
    return (replace(HOSTS[0], **changes), *HOSTS[1:])  # type: ignore[arg-type]


AT_ONCE = [(10.0 + n / 100, 0) for n in range(30)]
LATER = [(60.0 * n, 0) for n in range(4, 40)]
QUIET = replace(
    plan_for(0),
    queue="shared",
    processes=1,
    tries=3,
    max_sessions=50,
    max_sessions_per_lane=20,
    hosts=HOSTS,
    domains=DOMAINS,
    mails=_mails(AT_ONCE),
    acts=(),
)
SLOW = replace(QUIET, hosts=_first(latency_secs=0.3))
NOBODY = replace(QUIET, hosts=_first(down=_down(0.0, 2 * HOUR)), mails=_mails(AT_ONCE + LATER))
STAGGERED = replace(NOBODY, mails=_mails([(10.0 + 2.0 * n, 0) for n in range(20)]))
TWO_AFTER_ONE = replace(NOBODY, mails=_mails([(10.0, 0), (100.0, 0), (100.0, 0)]))
ONE_DOWN = replace(  # whoever asks there takes two minutes
    QUIET,
    hosts=tuple(host if host is HOSTS[1] else replace(host, down=_down(0.0, DAY)) for host in HOSTS),
    domains=(DomainPlan(name="d0.example", mx=tuple(HOSTS[n].name for n in (0, 2, 3, 4))), *DOMAINS[1:]),
    mails=_mails([*AT_ONCE, *((130.0 + 3.0 * n, n % 2) for n in range(200))]),
)
GREYLISTED = replace(QUIET, hosts=_first(greylists=True), mails=_mails([*AT_ONCE, *LATER]))
BACK = replace(
    QUIET,
    hosts=_first(down=_down(0.0, 100.0), slow=(("content", 300.0),)),
)
EACH = [(float(n), n) for n in range(6)]
LOST = replace(
    QUIET,
    mails=_mails([*EACH, *((at + 100.0 * (n + 10), domain) for n in range(30) for at, domain in EACH)]),
    lost=_down(900.0, 2.0 * HOUR, "port 25 filtered"),
)
LOST_LONG = replace(
    QUIET,
    mails=_mails([*EACH, *((at + 1000.0, domain) for at, domain in EACH)]),
    lost=_down(900.0, 3 * DAY, "port 25 closed"),
)
LOST_AT_ONCE = replace(
    LOST,
    mails=_mails([(at + secs, domain) for secs in (880.0, 901.0) for at, domain in EACH]),
    lost=_down(900.0, HOUR, "port 25 closed"),
)
DEAD = replace(
    QUIET,
    hosts=(*(replace(host, down=_down(0.0, DAY, "refuse")) for host in HOSTS[:3]), *HOSTS[3:]),
    mails=_mails([(10.0, 3), *((at + 200.0 * n, domain) for n in range(2, 5) for at, domain in EACH[:3])]),
)

MADE_FOR_LANES: dict[str, Plan] = {
    "the_room_of_a_lane_never_shrinks": STAGGERED,
    "a_lane_has_all_its_room_after_one_success": SLOW,
    "a_lane_begins_with_all_its_room": SLOW,
    "one_failure_brings_a_lane_down": TWO_AFTER_ONE,
    "what_a_host_says_of_a_message_is_taken_for_trouble_of_the_host": GREYLISTED,
    "all_ask_a_host_that_is_down_at_once": NOBODY,
    "nobody_asks_a_host_that_is_down": NOBODY,
    "an_answer_holds_for_what_falls_due_later": NOBODY,
    "a_probe_never_ends": NOBODY,
    "one_lane_that_is_down_stands_for_all": ONE_DOWN,
    "a_lane_that_was_down_never_opens": BACK,
    "an_answer_without_a_visit_is_no_try": NOBODY,
    "the_answer_of_another_pass_is_believed": NOBODY,
    "one_destination_is_the_whole_network": NOBODY,
    "a_network_is_lost_at_once": LOST_AT_ONCE,
    "dead_destinations_are_a_lost_network": DEAD,
    "a_lost_network_spends_tries": LOST,
    "a_lost_network_never_ends": LOST,
    "a_destination_is_spared_for_ever": LOST_LONG,
    "what_rests_is_asked_again_once_a_day": LOST,
    "what_rests_is_never_asked_again": LOST,
}
