"""The clauses of `SharedStorage` on storing and claiming: each name is the sentence that it checks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

from ..abc import CLAIM_LIMIT, Claim
from ..errors import DuplicateMessage, IdempotencyConflict, MessageNotFound
from ..status import Delivered
from .storage_kit import (
    LEASE,
    NOW,
    Bench,
    addresses_of,
    an_entry,
    at_once,
    claim_all,
    equal,
    holds,
    ids_of,
    raises,
    refuted,
    settle_all,
    status_of,
    there,
    with_first,
)


def stored_entries_are_claimable_with_their_email(bench: Bench) -> None:
    email, status = an_entry("one", "a@dest.example", "b@dest.example")

    equal(bench.storage.store([(email, status)]), [email.message_id])

    claim = bench.claim()
    equal((claim.email, claim.route_key, claim.owner), (email, "dest.example", "one"))
    equal(claim.recipients, status.recipients)
    equal(
        (claim.submitted_at, claim.send_at, claim.expires_at),
        (status.submitted_at, status.send_at, status.expires_at),
    )


def of_several_entries_all_are_stored_or_none(bench: Bench) -> None:
    bench.storage.store([an_entry("known")])
    entries = [an_entry("a"), an_entry("b"), an_entry("known"), an_entry("c")]

    error = raises(DuplicateMessage, lambda: bench.storage.store(entries))

    equal(error.index, 2)
    equal(ids_of(bench.storage.retrieve_all_incomplete()), ids_of([an_entry("known")[1]]))
    bench.claim()
    bench.nothing_to_claim()


def an_id_twice_in_one_call_is_refused(bench: Bench) -> None:
    error = raises(DuplicateMessage, lambda: bench.storage.store([an_entry("a"), an_entry("a")]))

    equal((error.index, list(bench.storage.retrieve_all_incomplete())), (1, []))


def a_completed_id_is_refused_as_well(bench: Bench) -> None:
    bench.storage.store([an_entry()])
    settle_all(bench, bench.claim(), Delivered(tries=1))

    error = raises(DuplicateMessage, lambda: bench.storage.store([an_entry()]))

    equal(error.index, 0)


def an_idempotency_key_gives_the_first_id_and_stores_nothing(bench: Bench) -> None:
    first = an_entry("first", idempotency_key="key", fingerprint="same")
    again = an_entry("again", idempotency_key="key", fingerprint="same")
    bench.storage.store([first])

    ids = bench.storage.store([again, an_entry("other")])

    equal(ids, ["first@sender.example", "other@sender.example"])
    raises(MessageNotFound, lambda: bench.storage.retrieve_status("again@sender.example"))


def an_idempotency_key_is_known_after_completion(bench: Bench) -> None:
    first = an_entry("first", idempotency_key="key", fingerprint="same")
    bench.storage.store([first])
    settle_all(bench, bench.claim(), Delivered(tries=1))

    ids = bench.storage.store([an_entry("again", idempotency_key="key", fingerprint="same")])

    equal(ids, ["first@sender.example"])
    bench.nothing_to_claim()


def an_idempotency_key_with_other_content_is_a_conflict(bench: Bench) -> None:
    bench.storage.store([an_entry("first", idempotency_key="key", fingerprint="this")])
    entries = [an_entry("a"), an_entry("b", idempotency_key="key", fingerprint="that")]

    error = raises(IdempotencyConflict, lambda: bench.storage.store(entries))

    equal(error.index, 1)
    equal(ids_of(bench.storage.retrieve_all_incomplete()), ["first@sender.example"])


def an_idempotency_key_twice_in_one_call_is_stored_once(bench: Bench) -> None:
    entries = [an_entry(name, idempotency_key="key", fingerprint="same") for name in ("a", "b")]

    equal(bench.storage.store(entries), ["a@sender.example", "a@sender.example"])


def of_threads_that_use_one_idempotency_key_one_stores(bench: Bench) -> None:
    """Row 60."""
    ids: list[str] = []
    entries = [an_entry(f"m{number}", idempotency_key="key", fingerprint="same") for number in range(8)]

    errors = at_once([lambda entry=entry: ids.extend(bench.storage.store([entry])) for entry in entries])  # type: ignore[misc]

    equal((errors, len(set(ids)), len(ids)), ([], 1, 8))
    equal(len(bench.storage.retrieve_all_incomplete()), 1)


def a_claim_has_one_message_and_one_route_key(bench: Bench) -> None:
    entries = [
        an_entry("m1", "a@one.example", "b@two.example", "c@one.example"),
        an_entry("m2", "d@one.example"),
    ]
    bench.storage.store(entries)

    claims = [bench.claim() for _ in range(3)]

    found = {(claim.email.message_id[:2], claim.route_key): addresses_of(claim) for claim in claims}
    equal(
        found,
        {
            ("m1", "one.example"): ["a@one.example", "c@one.example"],
            ("m1", "two.example"): ["b@two.example"],
            ("m2", "one.example"): ["d@one.example"],
        },
    )
    bench.nothing_to_claim()


def a_claim_has_at_most_a_hundred_recipients(bench: Bench) -> None:
    """Row 59."""
    addresses = [f"u{number}@dest.example" for number in range(2 * CLAIM_LIMIT + 1)]
    bench.storage.store([an_entry("big", *addresses)])

    claims = [bench.claim() for _ in range(3)]

    equal([len(claim.recipients) for claim in claims], [CLAIM_LIMIT, CLAIM_LIMIT, 1])
    equal(sorted(each for claim in claims for each in addresses_of(claim)), sorted(addresses))
    bench.nothing_to_claim()


def what_is_not_due_is_not_claimed(bench: Bench) -> None:
    bench.storage.store([an_entry(due_at=NOW + timedelta(seconds=1))])

    bench.nothing_to_claim(NOW)

    bench.claim(NOW + timedelta(seconds=1))


def recipients_of_one_message_fall_due_apart(bench: Bench) -> None:
    email, status = an_entry("one", "a@dest.example", "b@dest.example")
    later = replace(status.recipients[0], due_at=NOW + timedelta(seconds=9))
    bench.storage.store([(email, with_first(status, later))])

    equal(addresses_of(bench.claim()), ["b@dest.example"])

    bench.nothing_to_claim()
    equal(addresses_of(bench.claim(NOW + timedelta(seconds=9))), ["a@dest.example"])


def what_is_held_is_not_claimed(bench: Bench) -> None:
    bench.storage.store([an_entry(due_at=None)])

    bench.nothing_to_claim(NOW + timedelta(days=999))
    equal((bench.storage.next_due(NOW), bench.storage.is_idle()), (None, True))


def what_is_claimed_is_not_claimed_again(bench: Bench) -> None:
    bench.storage.store([an_entry()])
    bench.claim()

    bench.advance_lease_clock(59)

    bench.nothing_to_claim()


def threads_that_claim_at_once_share_no_recipient(bench: Bench) -> None:
    addresses = [f"u{number}@d{number % 7}.example" for number in range(70)]
    bench.storage.store([an_entry(f"m{each}", each) for each in addresses])
    claims: list[Claim] = []

    equal(at_once([lambda: claim_all(bench, claims)] * 6), [])

    equal(sorted(each for claim in claims for each in addresses_of(claim)), sorted(addresses))
    equal(len({claim.token for claim in claims}), len(claims))


def a_route_key_with_much_mail_does_not_hide_another(bench: Bench) -> None:
    busy = [an_entry(f"b{number}", f"u{number}@busy.example") for number in range(50)]
    bench.storage.store([*busy, an_entry("q1", "a@quiet.example"), an_entry("q2", "b@quiet.example")])

    keys = [bench.claim().route_key for _ in range(5)]

    holds(keys.count("quiet.example") == 2, f"quiet.example twice in five claims, not {keys}")


def skipped_route_keys_are_not_claimed(bench: Bench) -> None:
    bench.storage.store([an_entry("a", "a@one.example"), an_entry("b", "b@two.example")])

    equal(bench.claim(skip=["one.example"]).route_key, "two.example")
    bench.nothing_to_claim(skip=["one.example"])

    equal(bench.claim().route_key, "one.example")


def a_claim_is_written_ahead_as_a_crash(bench: Bench) -> None:
    """Row 56."""
    bench.storage.store([an_entry()])

    claim = bench.claim()

    equal([each.crashes for each in claim.recipients], [0])
    equal([each.crashes for each in status_of(bench).recipients], [1])


def a_claim_whose_lease_ended_is_claimable_with_the_crash_counted(bench: Bench) -> None:
    """Row 56."""
    bench.storage.store([an_entry()])
    crashes = []
    for _ in range(3):
        crashes.append(bench.claim().recipients[0].crashes)
        bench.advance_lease_clock(61)

    equal(crashes, [0, 1, 2])


def tokens_only_grow(bench: Bench) -> None:
    bench.storage.store([an_entry("a"), an_entry("b")])
    first, second = bench.claim(), bench.claim()
    bench.advance_lease_clock(61)

    tokens = [first.token, second.token, bench.claim().token, bench.claim().token]

    holds(tokens == sorted(set(tokens)), f"tokens grow, not {tokens}")


def a_renewed_claim_lasts_longer(bench: Bench) -> None:
    bench.storage.store([an_entry()])
    claim = bench.claim()
    bench.advance_lease_clock(50)

    renewed = there(bench.storage.renew(claim, LEASE), "the renewed claim")

    equal(renewed.lease_until - claim.lease_until, timedelta(seconds=50))
    equal(replace(renewed, lease_until=claim.lease_until), claim)
    bench.advance_lease_clock(59)
    bench.nothing_to_claim()
    holds(settle_all(bench, renewed, Delivered(tries=1)), "settle of a renewed claim")


def a_lost_claim_can_do_nothing(bench: Bench) -> None:
    bench.storage.store([an_entry()])
    lost = bench.claim()
    bench.advance_lease_clock(61)
    current = bench.claim(owner="two")
    before = status_of(bench)

    renewed = bench.storage.renew(lost, LEASE)
    marked = bench.storage.mark_dot_sent(lost, addresses_of(lost))
    settled = settle_all(bench, lost, Delivered(tries=1))
    bench.storage.give_back(lost)

    equal((renewed, marked, settled), (None, False, False))
    equal(status_of(bench), before)
    bench.nothing_to_claim()
    holds(settle_all(bench, current, Delivered(tries=1)), "settle of the current claim")


def a_given_back_claim_counts_no_crash_and_no_try(bench: Bench) -> None:
    bench.storage.store([an_entry()])
    before = status_of(bench)

    bench.storage.give_back(bench.claim())

    equal(status_of(bench), before)
    equal(bench.claim().recipients, before.recipients)


def a_claim_is_given_back_for_later(bench: Bench) -> None:
    bench.storage.store([an_entry()])
    later = NOW + timedelta(minutes=5)

    bench.storage.give_back(bench.claim(), later)

    equal(bench.storage.next_due(NOW), later)
    bench.nothing_to_claim(later - timedelta(seconds=1))
    bench.claim(later)


def a_claim_that_was_given_back_cannot_settle(bench: Bench) -> None:
    bench.storage.store([an_entry()])
    claim = bench.claim()
    bench.storage.give_back(claim)

    refuted(settle_all(bench, claim, Delivered(tries=1)), "settle after give_back")


CLAIM_CLAUSES: tuple[Callable[[Bench], None], ...] = (
    stored_entries_are_claimable_with_their_email,
    of_several_entries_all_are_stored_or_none,
    an_id_twice_in_one_call_is_refused,
    a_completed_id_is_refused_as_well,
    an_idempotency_key_gives_the_first_id_and_stores_nothing,
    an_idempotency_key_is_known_after_completion,
    an_idempotency_key_with_other_content_is_a_conflict,
    an_idempotency_key_twice_in_one_call_is_stored_once,
    of_threads_that_use_one_idempotency_key_one_stores,
    a_claim_has_one_message_and_one_route_key,
    a_claim_has_at_most_a_hundred_recipients,
    what_is_not_due_is_not_claimed,
    recipients_of_one_message_fall_due_apart,
    what_is_held_is_not_claimed,
    what_is_claimed_is_not_claimed_again,
    threads_that_claim_at_once_share_no_recipient,
    a_route_key_with_much_mail_does_not_hide_another,
    skipped_route_keys_are_not_claimed,
    a_claim_is_written_ahead_as_a_crash,
    a_claim_whose_lease_ended_is_claimable_with_the_crash_counted,
    tokens_only_grow,
    a_renewed_claim_lasts_longer,
    a_lost_claim_can_do_nothing,
    a_given_back_claim_counts_no_crash_and_no_try,
    a_claim_is_given_back_for_later,
    a_claim_that_was_given_back_cannot_settle,
)
