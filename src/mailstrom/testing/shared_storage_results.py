"""The clauses of `SharedStorage` on results, due times and cancel: each name is a sentence that it checks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

from ..abc import Outcome
from ..errors import MessageNotFound
from ..status import Cause, Deferred, Delivered, Failed
from .storage_kit import (
    EXPIRES_AT,
    NOW,
    Bench,
    addresses_of,
    an_attempt,
    an_entry,
    equal,
    gone_by_cancel,
    holds,
    ids_of,
    raises,
    refuted,
    settle_all,
    status_of,
    there,
)


def a_settled_recipient_has_its_result_and_attempts(bench: Bench) -> None:
    bench.storage.store([an_entry("one", "a@dest.example", "b@dest.example")])
    first, second = an_attempt("mx1.dest.example"), an_attempt("mx2.dest.example")
    later = NOW + timedelta(minutes=3)
    deferred = Deferred(tries=1, reason="busy", next_attempt_at=later)
    claim = bench.claim()

    outcomes = [
        Outcome(address="a@dest.example", result=deferred, attempts=(first,)),
        Outcome(address="b@dest.example", result=Delivered(tries=1), attempts=(first,)),
    ]
    holds(bench.storage.settle(claim, outcomes, NOW), "settle")
    again = bench.claim(later)
    failed = Failed(tries=2, cause=Cause.REFUSED)
    bench.storage.settle(again, [Outcome(address="a@dest.example", result=failed, attempts=(second,))], later)

    _, stored = an_entry("one", "a@dest.example", "b@dest.example")
    a, b = (replace(each, due_at=None) for each in stored.recipients)
    equal(
        status_of(bench),
        replace(
            stored,
            recipients=(
                replace(a, result=failed, attempts=(first, second)),
                replace(b, result=Delivered(tries=1), attempts=(first,)),
            ),
            completed_at=later,
        ),
    )


def a_deferred_recipient_is_due_when_its_result_says_so(bench: Bench) -> None:
    bench.storage.store([an_entry()])
    later = NOW + timedelta(minutes=9)
    settle_all(bench, bench.claim(), Deferred(tries=1, next_attempt_at=later))

    equal(bench.storage.next_due(NOW), later)
    bench.nothing_to_claim(later - timedelta(seconds=1))
    equal(bench.claim(later).recipients[0].crashes, 0)


def a_deferred_recipient_without_next_attempt_is_held(bench: Bench) -> None:
    bench.storage.store([an_entry()])
    settle_all(bench, bench.claim(), Deferred(tries=1, reason="held"))

    bench.nothing_to_claim(EXPIRES_AT - timedelta(seconds=1))
    equal((bench.storage.is_idle(), len(bench.storage.retrieve_all_incomplete())), (True, 1))


def a_held_recipient_is_due_once_more_when_its_message_expires(bench: Bench) -> None:
    bench.storage.store([an_entry()])
    settle_all(bench, bench.claim(), Deferred(tries=1, reason="held"))

    equal(bench.storage.next_due(NOW), EXPIRES_AT)
    equal(bench.claim(EXPIRES_AT).recipients[0].result, Deferred(tries=1, reason="held"))
    holds(bench.storage.is_idle(), "idle")


def an_outcome_says_what_becomes_of_the_crash_counter(bench: Bench) -> None:
    """Row 56."""
    bench.storage.store([an_entry()])
    later = NOW + timedelta(minutes=1)
    result = Deferred(next_attempt_at=later)
    outcome = Outcome(address="you@dest.example", result=result, crashes=3)
    bench.storage.settle(bench.claim(), [outcome], NOW)

    equal(bench.claim(later).recipients[0].crashes, 3)


def recipients_without_an_outcome_stay_claimed(bench: Bench) -> None:
    bench.storage.store([an_entry("one", "a@dest.example", "b@dest.example")])
    claim = bench.claim()

    bench.storage.settle(claim, [Outcome(address="a@dest.example", result=Delivered(tries=1))], NOW)

    bench.nothing_to_claim()
    equal((status_of(bench).completed_at, bench.storage.is_idle()), (None, False))
    rest = [Outcome(address="b@dest.example", result=Delivered(tries=1))]
    holds(bench.storage.settle(claim, rest, NOW), "settle of the rest")
    equal(status_of(bench).completed_at, NOW)


def a_completed_recipient_never_changes_again(bench: Bench) -> None:
    bench.storage.store([an_entry("one", "a@dest.example", "b@dest.example")])
    claim = bench.claim()
    bench.storage.settle(claim, [Outcome(address="a@dest.example", result=Delivered(tries=1))], NOW)
    before = status_of(bench)

    overwritten = Outcome(address="a@dest.example", result=Failed(tries=1, cause=Cause.REFUSED))
    both = [overwritten, Outcome(address="b@dest.example", result=Delivered(tries=1))]

    refuted(bench.storage.settle(claim, both, NOW), "settle of a completed recipient")
    equal(status_of(bench), before)
    equal(bench.storage.cancel("one@sender.example", NOW).recipients[0], before.recipients[0])


def a_message_is_completed_when_its_last_recipient_is(bench: Bench) -> None:
    bench.storage.store([an_entry("one", "a@one.example", "b@two.example")])
    completed = []
    for minute in range(2):
        settle_all(bench, bench.claim(), Delivered(tries=1), NOW + timedelta(minutes=minute))
        completed.append(status_of(bench).completed_at)

    equal(completed, [None, NOW + timedelta(minutes=1)])
    equal(list(bench.storage.retrieve_all_incomplete()), [])


def the_dot_sent_mark_shows_in_the_next_claim(bench: Bench) -> None:
    bench.storage.store([an_entry("one", "a@dest.example", "b@dest.example")])

    holds(bench.storage.mark_dot_sent(bench.claim(), ["a@dest.example"]), "mark_dot_sent")

    bench.advance_lease_clock(61)
    equal([each.dot_sent for each in bench.claim().recipients], [True, False])


def a_settle_takes_the_dot_sent_mark_away(bench: Bench) -> None:
    bench.storage.store([an_entry()])
    claim = bench.claim()
    bench.storage.mark_dot_sent(claim, addresses_of(claim))
    settle_all(bench, claim, Deferred(tries=1, next_attempt_at=NOW, uncertain=True))

    equal([each.dot_sent for each in bench.claim().recipients], [False])


# SharedStorage: what is next, what is over


def next_due_is_the_earliest_due_time(bench: Bench) -> None:
    times = [NOW + timedelta(minutes=minute) for minute in (7, 3, 5)]
    entries = [
        an_entry(f"m{number}", f"a@d{number}.example", due_at=due_at) for number, due_at in enumerate(times)
    ]
    bench.storage.store(entries)

    found = [
        bench.storage.next_due(NOW, skip) for skip in ((), ("d1.example",), ("d1.example", "d2.example"))
    ]

    equal(found, [times[1], times[2], times[0]])
    equal(bench.storage.next_due(NOW, ("d0.example", "d1.example", "d2.example")), None)


def what_is_due_already_is_due_no_later_than_now(bench: Bench) -> None:
    bench.storage.store([an_entry(due_at=NOW - timedelta(days=1)), an_entry("two", "a@two.example")])

    due_at = there(bench.storage.next_due(NOW), "next_due of work that is due")

    holds(due_at <= NOW, f"due at {NOW} or before, not {due_at}")


def next_due_is_the_end_of_a_lease_where_all_is_claimed(bench: Bench) -> None:
    bench.storage.store([an_entry()])
    bench.claim()
    bench.advance_lease_clock(20)

    equal(bench.storage.next_due(NOW), NOW + timedelta(seconds=40))
    equal(bench.storage.next_due(NOW, ["dest.example"]), None)


def a_due_time_far_ahead_is_claimed_by_a_now_that_is_as_far(bench: Bench) -> None:
    """Row 45: due times are judged by the caller's clock, whichever way it jumps."""
    ahead = NOW + timedelta(days=3650)
    bench.storage.store([an_entry("a", "a@one.example", due_at=ahead), an_entry("b", "b@two.example")])

    claims = [bench.claim(ahead), bench.claim(ahead)]
    for claim in claims:
        bench.storage.give_back(claim)

    equal(bench.claim(NOW).email.message_id, "b@sender.example")
    bench.nothing_to_claim(NOW)
    equal(bench.storage.next_due(NOW, ["two.example"]), ahead)


def a_storage_is_idle_when_nothing_is_left_to_try(bench: Bench) -> None:
    idle = [bench.storage.is_idle()]
    bench.storage.store([an_entry()])
    idle.append(bench.storage.is_idle())
    claim = bench.claim()
    idle.append(bench.storage.is_idle())
    settle_all(bench, claim, Delivered(tries=1))
    idle.append(bench.storage.is_idle())

    equal(idle, [True, False, False, True])
    equal(bench.storage.next_due(NOW), None)


def a_completed_message_is_recent_in_one_call(bench: Bench) -> None:
    bench.storage.store([an_entry("done"), an_entry("open", due_at=None)])
    settle_all(bench, bench.claim(), Delivered(tries=1))

    calls = [ids_of(bench.storage.retrieve_all_recent()) for _ in range(2)]

    equal(calls, [["done@sender.example", "open@sender.example"], ["open@sender.example"]])


def an_unknown_message_cannot_be_read_or_cancelled(bench: Bench) -> None:
    raises(MessageNotFound, lambda: bench.storage.retrieve_status("none@sender.example"))
    raises(MessageNotFound, lambda: bench.storage.cancel("none@sender.example", NOW))


def a_cancelled_message_is_not_tried_again(bench: Bench) -> None:
    bench.storage.store([an_entry("one", "a@one.example", "b@two.example")])

    status = bench.storage.cancel("one@sender.example", NOW)

    equal(
        [(each.result.state, each.result.cause) for each in status.recipients],
        [("failed", Cause.CANCELLED)] * 2,
    )
    equal((status.completed_at, status_of(bench)), (NOW, status))
    bench.nothing_to_claim()
    equal((bench.storage.is_idle(), bench.storage.next_due(NOW)), (True, None))


def cancel_leaves_what_is_completed(bench: Bench) -> None:
    bench.storage.store([an_entry("one", "a@one.example", "b@two.example")])
    claim = bench.claim()
    settle_all(bench, claim, Delivered(tries=1))

    status = bench.storage.cancel("one@sender.example", NOW)

    states = {each.route_key: each.result.state for each in status.recipients}
    other = {"one.example": "two.example", "two.example": "one.example"}[claim.route_key]
    equal(states, {claim.route_key: "delivered", other: "failed"})
    equal(bench.storage.cancel("one@sender.example", NOW + timedelta(days=1)), status)


def cancel_does_not_undo_a_delivery_under_way(bench: Bench) -> None:
    bench.storage.store([an_entry()])
    claim = bench.claim()

    status = bench.storage.cancel("one@sender.example", NOW)

    equal((status.recipients[0].result.state, status.completed_at), ("queued", None))
    holds(settle_all(bench, claim, Delivered(tries=1)), "settle after cancel")
    equal(status_of(bench).recipients[0].result, Delivered(tries=1))


def a_deferral_after_cancel_is_a_failure(bench: Bench) -> None:
    bench.storage.store([an_entry()])
    claim = bench.claim()
    bench.storage.cancel("one@sender.example", NOW)

    settle_all(bench, claim, Deferred(tries=1, next_attempt_at=NOW, reason="busy"))

    gone_by_cancel(bench)


def a_claim_given_back_after_cancel_is_a_failure(bench: Bench) -> None:
    bench.storage.store([an_entry()])
    claim = bench.claim()
    bench.storage.cancel("one@sender.example", NOW)

    bench.storage.give_back(claim)

    bench.nothing_to_claim()
    gone_by_cancel(bench)


def a_claim_whose_lease_ends_after_cancel_is_a_failure(bench: Bench) -> None:
    bench.storage.store([an_entry()])
    bench.claim()
    bench.storage.cancel("one@sender.example", NOW)

    bench.advance_lease_clock(61)

    bench.nothing_to_claim()
    gone_by_cancel(bench)


def a_lapsed_claim_is_cancelled_at_once(bench: Bench) -> None:
    bench.storage.store([an_entry()])
    lapsed = bench.claim()
    bench.storage.mark_dot_sent(lapsed, addresses_of(lapsed))
    bench.advance_lease_clock(61)
    bench.nothing_to_claim(NOW - timedelta(days=1))

    bench.storage.cancel("one@sender.example", NOW)

    gone_by_cancel(bench)
    equal(status_of(bench).recipients[0].result.uncertain, True)
    refuted(settle_all(bench, lapsed, Delivered(tries=1)), "settle by a lapsed claim after cancel")
    gone_by_cancel(bench)


RESULT_CLAUSES: tuple[Callable[[Bench], None], ...] = (
    a_settled_recipient_has_its_result_and_attempts,
    a_deferred_recipient_is_due_when_its_result_says_so,
    a_deferred_recipient_without_next_attempt_is_held,
    a_held_recipient_is_due_once_more_when_its_message_expires,
    an_outcome_says_what_becomes_of_the_crash_counter,
    recipients_without_an_outcome_stay_claimed,
    a_completed_recipient_never_changes_again,
    a_message_is_completed_when_its_last_recipient_is,
    the_dot_sent_mark_shows_in_the_next_claim,
    a_settle_takes_the_dot_sent_mark_away,
    next_due_is_the_earliest_due_time,
    what_is_due_already_is_due_no_later_than_now,
    next_due_is_the_end_of_a_lease_where_all_is_claimed,
    a_due_time_far_ahead_is_claimed_by_a_now_that_is_as_far,
    a_storage_is_idle_when_nothing_is_left_to_try,
    a_completed_message_is_recent_in_one_call,
    an_unknown_message_cannot_be_read_or_cancelled,
    a_cancelled_message_is_not_tried_again,
    cancel_leaves_what_is_completed,
    cancel_does_not_undo_a_delivery_under_way,
    a_deferral_after_cancel_is_a_failure,
    a_claim_given_back_after_cancel_is_a_failure,
    a_claim_whose_lease_ends_after_cancel_is_a_failure,
    a_lapsed_claim_is_cancelled_at_once,
)
