"""The clauses of `SharedStorage` on results: each name is the sentence that it checks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

from ..abc import Outcome, Settlement
from ..status import Attempt, Cause, Deferred, Delivered, EnhancedCode, Failed, Phase, Reply, TlsUsed
from .storage_kit import (
    EXPIRES_AT,
    LATER,
    NOW,
    WHOLE_LEASE_SECS,
    Bench,
    an_attempt,
    an_entry,
    deferred_until,
    delivered_to,
    equal,
    holds,
    id_of,
    refuted,
    settlement,
)

_REPLY = Reply(code=451, enhanced=EnhancedCode(4, 7, 1), text='try "again"; it\'s \\ late')


def a_settled_recipient_has_its_result_and_attempts(bench: Bench) -> None:
    bench.store(an_entry("one", "a@dest.example", "b@dest.example"))
    first, second = an_attempt("mx1.dest.example"), an_attempt("mx2.dest.example")
    failed = Failed(tries=2, cause=Cause.REFUSED)

    holds(
        bench.settle(
            bench.claim(),
            Outcome(address="a@dest.example", result=deferred_until(LATER), attempts=(first,)),
            Outcome(address="b@dest.example", result=Delivered(tries=1), attempts=(first,)),
        ),
        "settle",
    )
    last = Outcome(address="a@dest.example", result=failed, attempts=(second,))
    bench.settle(bench.claim(LATER), last, now=LATER)

    _, stored = an_entry("one", "a@dest.example", "b@dest.example")
    a, b = (replace(each, due_at=None) for each in stored.recipients)
    expected = (
        replace(a, result=failed, attempts=(first, second)),
        replace(b, result=Delivered(tries=1), attempts=(first,)),
    )
    equal(bench.status(), replace(stored, recipients=expected, completed_at=LATER))


def every_field_of_a_result_and_an_attempt_comes_back(bench: Bench) -> None:
    bench.store(an_entry())
    result = Deferred(
        tries=7,
        reason="the reply was lost",
        reply=_REPLY,
        enhanced_code=EnhancedCode(4, 4, 2),
        next_attempt_at=LATER + timedelta(microseconds=1),
        uncertain=True,
    )
    attempt = Attempt(
        at=NOW + timedelta(microseconds=7),
        duration_secs=1.25,
        host="mx.dest.example",
        ip="2001:db8::25",
        port=25,
        phase=Phase.DOT,
        reply=_REPLY,
        tls=TlsUsed(version="TLSv1.3", cipher="TLS_AES_256_GCM_SHA384", verified="pkix", resumed=True),
        state="deferred",
        reason="the reply was lost",
        uncertain=True,
    )

    bench.settle(bench.claim(), Outcome(address="you@dest.example", result=result, attempts=(attempt,)))

    equal((bench.first().result, bench.first().attempts), (result, (attempt,)))
    claimed = bench.claim(LATER + timedelta(seconds=1)).recipients[0]
    equal((claimed.result, claimed.attempts), (result, (attempt,)))


def of_the_attempts_the_latest_fifty_at_least_are_kept(bench: Bench) -> None:
    bench.store(an_entry())
    attempts = tuple(an_attempt(f"mx{number}.dest.example") for number in range(200))

    for half in (attempts[:100], attempts[100:]):
        outcome = Outcome(address="you@dest.example", result=deferred_until(NOW), attempts=half)
        bench.settle(bench.claim(), outcome)

    kept = bench.first().attempts
    holds(len(kept) >= 50, f"50 attempts at least, not {len(kept)}")
    equal(kept, attempts[-len(kept) :])


def a_deferred_recipient_is_due_when_its_result_says_so(bench: Bench) -> None:
    bench.store(an_entry())
    bench.settle_all(bench.claim(), deferred_until(LATER))

    equal(bench.storage.next_due(NOW), LATER)
    bench.nothing_to_claim(LATER - timedelta(seconds=1))
    equal(bench.claim(LATER).recipients[0].crashes, 0)


def a_deferred_recipient_without_next_attempt_is_held(bench: Bench) -> None:
    bench.store(an_entry())
    bench.settle_all(bench.claim(), deferred_until(None))

    bench.nothing_to_claim(EXPIRES_AT - timedelta(seconds=1))
    equal((bench.storage.is_idle(), len(bench.storage.retrieve_all_incomplete())), (True, 1))


def a_held_recipient_is_due_once_more_when_its_message_expires(bench: Bench) -> None:
    bench.store(an_entry())
    bench.settle_all(bench.claim(), deferred_until(None))

    equal((bench.storage.next_due(NOW), bench.first().due_at), (EXPIRES_AT, EXPIRES_AT))
    equal(bench.claim(EXPIRES_AT).recipients[0].result, deferred_until(None))


def a_held_recipient_of_a_message_without_end_is_never_due(bench: Bench) -> None:
    email, status = an_entry()
    bench.store((email, replace(status, expires_at=None)))
    bench.settle_all(bench.claim(), deferred_until(None))

    bench.nothing_to_claim(NOW + timedelta(days=9999))
    equal((bench.storage.next_due(NOW), bench.first().due_at), (None, None))


def an_outcome_says_what_becomes_of_the_crash_counter(bench: Bench) -> None:
    """Row 56."""
    bench.store(an_entry())
    outcome = Outcome(address="you@dest.example", result=Deferred(next_attempt_at=LATER), crashes=3)
    bench.settle(bench.claim(), outcome)

    equal(bench.claim(LATER).recipients[0].crashes, 3)


def recipients_without_an_outcome_stay_claimed(bench: Bench) -> None:
    bench.store(an_entry("one", "a@dest.example", "b@dest.example"))
    claim = bench.claim()

    bench.settle(claim, delivered_to("a@dest.example"))

    bench.nothing_to_claim()
    equal((bench.status().completed_at, bench.storage.is_idle()), (None, False))
    holds(bench.settle(claim, delivered_to("b@dest.example")), "settle of the rest")
    equal(bench.status().completed_at, NOW)


def a_completed_recipient_never_changes_again(bench: Bench) -> None:
    bench.store(an_entry("one", "a@dest.example", "b@dest.example"))
    claim = bench.claim()
    bench.settle(claim, delivered_to("a@dest.example"))
    before = bench.status()

    overwritten = Outcome(address="a@dest.example", result=Failed(tries=1, cause=Cause.REFUSED))

    refuted(bench.settle(claim, overwritten, delivered_to("b@dest.example")), "settle of what is completed")
    equal(bench.status(), before)
    holds(bench.settle(claim, delivered_to("b@dest.example")), "settle of what is not")


def an_outcome_for_a_stranger_changes_nothing(bench: Bench) -> None:
    bench.store(an_entry("one", "a@dest.example", "b@other.example"))
    claim = bench.claim()
    before = bench.status()
    [stranger] = {"a@dest.example", "b@other.example"} - {each.address for each in claim.recipients}

    refuted(bench.settle(claim, delivered_to(stranger)), "settle of what was not claimed")
    refuted(bench.settle(claim, delivered_to("c@none.example")), "settle of what is unknown")

    equal(bench.status(), before)


def a_message_is_completed_when_its_last_recipient_is(bench: Bench) -> None:
    bench.store(an_entry("one", "a@one.example", "b@two.example"))
    completed = []
    for minute in range(2):
        bench.settle_all(bench.claim(), Delivered(tries=1), NOW + timedelta(minutes=minute))
        completed.append(bench.status().completed_at)

    equal(completed, [None, NOW + timedelta(minutes=1)])
    equal(list(bench.storage.retrieve_all_incomplete()), [])


# Several settlements in one call


def several_claims_are_settled_in_one_call(bench: Bench) -> None:
    bench.store(*(an_entry(f"m{number}", f"a@d{number}.example") for number in range(30)))
    claims = bench.claims()

    taken = bench.storage.settle([settlement(each, Delivered(tries=1)) for each in claims], NOW)

    equal((taken, len(claims)), ([True] * 30, 30))
    equal((bench.storage.is_idle(), bench.status("m7").completed_at), (True, NOW))
    equal(bench.storage.settle([], NOW), [])


def several_settlements_in_one_call_stand_each_for_itself(bench: Bench) -> None:
    bench.store(an_entry("a", "a@a.example"), an_entry("b", "b@b.example"))
    lost = bench.claim()
    bench.advance_lease_clock(WHOLE_LEASE_SECS)
    good, other = bench.claim(owner="two"), bench.claim(owner="two")
    if lost.route_key != good.route_key:
        good, other = other, good

    taken = bench.storage.settle([settlement(each, Delivered(tries=1)) for each in (lost, other, good)], NOW)

    equal(taken, [False, True, True])
    equal([bench.status(name).completed_at for name in "ab"], [NOW, NOW])


def of_a_recipient_settled_twice_in_one_call_the_first_counts(bench: Bench) -> None:
    bench.store(an_entry("one", "a@dest.example", "b@dest.example"))
    claim = bench.claim()
    again = Outcome(address="a@dest.example", result=Failed(tries=1, cause=Cause.REFUSED))
    settlements = [
        Settlement(claim=claim, outcomes=(delivered_to("a@dest.example"),)),
        Settlement(claim=claim, outcomes=(again,)),
        Settlement(claim=claim, outcomes=(delivered_to("b@dest.example"),)),
    ]

    equal(bench.storage.settle(settlements, NOW), [True, False, True])

    equal([each.result for each in bench.status().recipients], [Delivered(tries=1)] * 2)
    equal(bench.status().completed_at, NOW)


def a_settle_that_is_repeated_changes_nothing(bench: Bench) -> None:
    """Row 49: whoever did not get the answer asks again."""
    bench.store(an_entry())
    claim = bench.claim()
    bench.settle_all(claim, Delivered(tries=1))
    before, told = bench.status(), list(bench.storage.events())

    refuted(bench.settle_all(claim, Delivered(tries=1), LATER), "settle of what is settled")

    equal((bench.status(), list(bench.storage.events())), (before, told))


def equal_addresses_of_two_messages_are_settled_apart(bench: Bench) -> None:
    bench.store(an_entry("a"), an_entry("b"))
    claims = {claim.email.message_id: claim for claim in bench.claims()}

    bench.settle_all(claims[id_of("a")], Delivered(tries=1))

    equal([bench.first(name).result.state for name in "ab"], ["delivered", "queued"])


RESULT_CLAUSES: tuple[Callable[[Bench], None], ...] = (
    a_settled_recipient_has_its_result_and_attempts,
    every_field_of_a_result_and_an_attempt_comes_back,
    of_the_attempts_the_latest_fifty_at_least_are_kept,
    a_deferred_recipient_is_due_when_its_result_says_so,
    a_deferred_recipient_without_next_attempt_is_held,
    a_held_recipient_is_due_once_more_when_its_message_expires,
    a_held_recipient_of_a_message_without_end_is_never_due,
    an_outcome_says_what_becomes_of_the_crash_counter,
    recipients_without_an_outcome_stay_claimed,
    a_completed_recipient_never_changes_again,
    an_outcome_for_a_stranger_changes_nothing,
    a_message_is_completed_when_its_last_recipient_is,
    several_claims_are_settled_in_one_call,
    several_settlements_in_one_call_stand_each_for_itself,
    of_a_recipient_settled_twice_in_one_call_the_first_counts,
    a_settle_that_is_repeated_changes_nothing,
    equal_addresses_of_two_messages_are_settled_apart,
)
