"""The clauses of `SharedStorage` on turns within a route key: those of priorities, and of streams."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from functools import partial

from ..abc import Claim, Order, Selection
from ..records import Priority
from ..status import Delivered
from .storage_kit import NOW, WHOLE_LEASE_SECS, Bench, Entry, an_entry, equal, holds, id_of, until_empty

_TEN = 10

# Streams


def a_stream_with_much_mail_hides_another_for_one_claim_at_most(bench: Bench) -> None:
    bench.store(*_mail("newsletter", 30), *_mail("sign-up", 2))

    streams = _streams(bench, *(bench.claim() for _ in range(4)))

    equal(Counter(streams), {"newsletter": 2, "sign-up": 2})
    equal(Counter(streams[:2]), {"newsletter": 1, "sign-up": 1})


def in_one_step_a_stream_with_much_mail_hides_another_for_one_claim_at_most(bench: Bench) -> None:
    bench.store(*_mail("newsletter", 30), *_mail("sign-up", 2))

    streams = _streams(bench, *bench.claim_many(12))

    equal((Counter(streams[:2]), Counter(streams[2:4])), (Counter(["newsletter", "sign-up"]),) * 2)
    equal(Counter(streams[4:]), {"newsletter": 8})


def from_step_to_step_each_stream_has_its_turn(bench: Bench) -> None:
    names = [f"s{number}" for number in range(20)]
    bench.store(*(each for name in names for each in _mail(name, 2)))

    steps = until_empty(partial(bench.claim_many, 7))
    turns = [name for claims in steps for name in _streams(bench, *claims)]

    equal([sorted(turns[:20]), sorted(turns[20:])], [sorted(names)] * 2)


def what_comes_later_has_its_turn_in_a_stream_of_its_own(bench: Bench) -> None:
    bench.store(*_mail("newsletter", 30))
    bench.claim_many(5)
    bench.store(*_mail("a", 1), *_mail("z", 1))

    streams = _streams(bench, *bench.claim_many(3))

    equal(sorted(streams), ["a", "newsletter", "z"])


def within_a_stream_what_fell_due_first_comes_first(bench: Bench) -> None:
    due_at = {name: NOW - timedelta(minutes=minutes) for name, minutes in (("b", 2), ("c", 1), ("a", 3))}
    bench.store(*(an_entry(name, due_at=due_at[name], stream="one") for name in due_at))
    bench.store(*_mail("two", 3))

    claims = bench.claim_many(_TEN)

    found = [claim.email.message_id for claim in claims if _streams(bench, claim) == ["one"]]
    equal(found, [*map(id_of, "abc")])


def a_route_key_has_no_more_turns_for_many_streams(bench: Bench) -> None:
    bench.store(*(each for number in range(10) for each in _mail(f"s{number}", 1, "busy.example")))
    bench.store(*_mail("one", 5, "quiet.example"))

    keys = [claim.route_key for claim in bench.claim_many(8)]

    equal(Counter(keys), {"busy.example": 4, "quiet.example": 4})


def each_route_key_has_the_turns_of_its_streams_to_itself(bench: Bench) -> None:
    """What another key was served last says nothing of this one."""
    for key in ("x.example", "y.example"):
        bench.store(*(each for name in "abc" for each in _mail(name, 2, key)))

    claims = [bench.claim() for _ in range(6)]

    served = zip([claim.route_key for claim in claims], _streams(bench, *claims), strict=True)
    equal(Counter(served), Counter((key, name) for key in ("x.example", "y.example") for name in "abc"))


def a_stream_that_waits_after_a_crash_hides_no_other(bench: Bench) -> None:
    bench.store(*(each for number in range(_TEN) for each in _mail(f"s{number}", 1)))
    bench.claim_many(_TEN, backoff=lambda: [timedelta(hours=1)])
    bench.advance_lease_clock(WHOLE_LEASE_SECS)
    bench.store(*_mail("t", 2))

    equal(_streams(bench, bench.claim(), bench.claim()), ["t", "t"])
    bench.nothing_to_claim()


def a_message_without_a_stream_has_its_turn(bench: Bench) -> None:
    bench.store(*_mail("", 3), *_mail("named", 3))

    equal(sorted(_streams(bench, *bench.claim_many(2))), ["", "named"])


def a_stream_of_any_characters_is_a_stream(bench: Bench) -> None:
    names = ["it's", 'a "b"', "ß\U0001f600", "{}", "%s:?", "\\"]
    bench.store(*(each for name in names for each in _mail(name, 2)))

    for _ in range(2):
        equal(sorted(_streams(bench, *bench.claim_many(len(names)))), sorted(names))


def a_whole_stream_is_cancelled(bench: Bench) -> None:
    bench.store(*_mail("newsletter", 3), *_mail("sign-up", 1))

    ordered = bench.storage.order(Order.CANCEL, Selection(stream="newsletter"), NOW)

    equal(len(ordered), 3)
    equal(_streams(bench, *bench.claim_many(_TEN)), ["sign-up"])


# Priorities


def of_ten_claims_seven_are_of_high_priority_two_normal_and_one_low(bench: Bench) -> None:
    bench.store(*_mail("s", 30, priority="low"), *_mail("s", 30), *_mail("s", 30, priority="high"))

    served = [each for limit in (1, 4, 15, 10) for each in _priorities(bench, *bench.claim_many(limit))]

    for start in range(len(served) - _TEN + 1):
        equal(Counter(served[start : start + _TEN]), {"high": 7, "normal": 2, "low": 1})


def the_first_claim_is_of_the_highest_priority(bench: Bench) -> None:
    bench.store(*_mail("s", 1, priority="low"), *_mail("s", 1), *_mail("s", 1, priority="high"))

    equal(_priorities(bench, *(bench.claim() for _ in range(3))), ["high", "normal", "low"])


def turns_of_a_priority_that_has_nothing_go_to_the_highest_that_has(bench: Bench) -> None:
    bench.store(*_mail("s", 30, priority="low"), *_mail("s", 30))

    served = _priorities(bench, *bench.claim_many(2 * _TEN))

    equal(Counter(served), {"normal": 18, "low": 2})


def low_priority_mail_comes_through_while_high_keeps_coming(bench: Bench) -> None:
    bench.store(*_mail("s", 2, priority="low"))
    served: list[Priority] = []
    for number in range(2 * _TEN):
        bench.store(*_mail(f"h{number}", 2, priority="high"))
        claim = bench.claim()
        served += _priorities(bench, claim)
        bench.settle_all(claim, Delivered(tries=1))

    equal(Counter(served), {"high": 18, "low": 2})


def within_a_priority_streams_take_turns(bench: Bench) -> None:
    bench.store(*_mail("newsletter", 30, priority="low"), *_mail("report", 2, priority="low"))

    equal(Counter(_streams(bench, *bench.claim_many(4))), {"newsletter": 2, "report": 2})


def a_stream_may_have_mail_of_each_priority(bench: Bench) -> None:
    bench.store(*_mail("s", 2, priority="low"), *_mail("s", 2, priority="high"), *_mail("t", 2))

    claims = bench.claim_many(_TEN)

    served = [*zip(_streams(bench, *claims), _priorities(bench, *claims), strict=True)]

    equal(Counter(served), {("s", "high"): 2, ("t", "normal"): 2, ("s", "low"): 2})
    holds(served[:2] == [("s", "high")] * 2, f"high priority first, not {served}")


def _mail(stream: str, count: int, key: str = "dest.example", priority: Priority = "normal") -> list[Entry]:
    """So many messages with a recipient each."""
    name = f"{stream.encode().hex()}-{priority}-{key}"
    return [an_entry(f"{name}-{n}", f"u@{key}", stream=stream, priority=priority) for n in range(count)]


def _streams(bench: Bench, *claims: Claim) -> list[str]:
    return [bench.storage.retrieve_status(claim.email.message_id).stream for claim in claims]


def _priorities(bench: Bench, *claims: Claim) -> list[Priority]:
    return [bench.storage.retrieve_status(claim.email.message_id).priority for claim in claims]


STREAM_CLAUSES: tuple[Callable[[Bench], None], ...] = (
    a_stream_with_much_mail_hides_another_for_one_claim_at_most,
    in_one_step_a_stream_with_much_mail_hides_another_for_one_claim_at_most,
    from_step_to_step_each_stream_has_its_turn,
    what_comes_later_has_its_turn_in_a_stream_of_its_own,
    within_a_stream_what_fell_due_first_comes_first,
    a_route_key_has_no_more_turns_for_many_streams,
    each_route_key_has_the_turns_of_its_streams_to_itself,
    a_stream_that_waits_after_a_crash_hides_no_other,
    a_message_without_a_stream_has_its_turn,
    a_stream_of_any_characters_is_a_stream,
    a_whole_stream_is_cancelled,
    of_ten_claims_seven_are_of_high_priority_two_normal_and_one_low,
    the_first_claim_is_of_the_highest_priority,
    turns_of_a_priority_that_has_nothing_go_to_the_highest_that_has,
    low_priority_mail_comes_through_while_high_keeps_coming,
    within_a_priority_streams_take_turns,
    a_stream_may_have_mail_of_each_priority,
)
