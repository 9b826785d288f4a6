"""The clauses of `SharedStorage` on large contents, which a claim may leave in the storage: `read_content`.

A storage need not leave any: what came with its claim has nothing to be read, and is right as it is.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from ..abc import Claim, Order
from ..message.prepared import DsnOptions, PreparedEmail, StoredEmail
from ..status import Delivered
from .storage_kit import NOW, WHOLE_LEASE_SECS, Bench, Entry, an_entry, delivered_to, equal, holds, id_of

LIMIT = 128 * 1024
BLOCK_LIMIT = 1 << 20
_A, _B = "a@dest.example", "b@other.example"
_OCTETS = bytes(range(256)) * 5000 + b"\r\n"  # 1.28 MB, and no block like the one before


def a_content_within_the_limit_comes_with_its_claim(bench: Bench) -> None:
    email, status = an_entry()
    email = replace(email, content=_OCTETS[-LIMIT:])
    bench.store((email, status))

    equal(_claim(bench).email, email)


def without_a_limit_every_content_comes_with_its_claim(bench: Bench) -> None:
    large = _a_large()
    bench.store(large)
    stored = _claim(bench)
    bench.storage.give_back(stored)

    equal(bench.claim().email, large[0])


def a_limit_that_a_content_does_not_pass_brings_it_with_its_claim(bench: Bench) -> None:
    large = _a_large()
    bench.store(large)

    [claim] = bench.claim_many(1, content_limit=len(_OCTETS))

    equal(claim.email, large[0])


def a_large_content_is_exact_octet_for_octet(bench: Bench) -> None:
    for octets in (LIMIT + 1, 2 * LIMIT, 2 * LIMIT + 1, 4 * LIMIT, len(_OCTETS)):
        name = f"of-{octets}"
        bench.store(_a_large(name, content=_OCTETS[:octets]))
        claim = _claim(bench)

        equal((claim.email.message_id, claim.email.octets), (id_of(name), octets))
        holds(bench.content_of(claim) == _OCTETS[:octets], f"the {octets} octets that were stored")
        bench.settle_all(claim, Delivered(tries=1))


def a_content_is_read_from_any_octet_on(bench: Bench) -> None:
    bench.store(_a_large())
    claim = _claim(bench)
    if isinstance(claim.email, StoredEmail):
        for start in (0, 1, LIMIT - 1, LIMIT, 2 * LIMIT, 2 * LIMIT + 1, len(_OCTETS) - 1, 0):
            block = bench.storage.read_content(claim, start) or b""

            holds(1 <= len(block) <= BLOCK_LIMIT, f"1 to {BLOCK_LIMIT} octets, not {len(block)}")
            holds(block == _OCTETS[start : start + len(block)], f"the octets from {start} on")


def all_else_of_an_email_comes_though_its_content_is_large(bench: Bench) -> None:
    email, status = _a_large("one", _A, "jörg@dest.example")
    email = replace(email, needs_smtputf8=True, dsn=DsnOptions(ret="HDRS", envid="4711", notify=("DELAY",)))
    bench.store((email, status))

    claim = _claim(bench)

    equal((claim.recipients, claim.email.octets), (status.recipients, email.octets))
    equal(_with_content(claim, email.content), replace(email, needs_8bitmime=True))


def a_large_content_needs_8bitmime_where_it_has_such_octets(bench: Bench) -> None:
    contents = {"ascii": b"x" * 2 * LIMIT, "8bit": b"x" * 2 * LIMIT + b"\xe9", "declared": b"x" * 2 * LIMIT}
    for name, content in contents.items():
        email, status = _a_large(name, content=content)
        bench.store((replace(email, needs_8bitmime=name == "declared"), status))

    found = {each.email.message_id: each.email for each in bench.claim_many(3, content_limit=LIMIT)}

    for name, needed in {"ascii": False, "8bit": True, "declared": True}.items():
        claimed = found[id_of(name)]
        if isinstance(claimed, StoredEmail):
            equal((name, claimed.needs_8bitmime), (name, needed))


def each_claim_of_a_message_reads_all_of_it(bench: Bench) -> None:
    bench.store(_a_large("one", _A, _B), _a_large("two", content=_OCTETS[::-1]))

    for claim in bench.claim_many(3, content_limit=LIMIT):
        expected = _OCTETS if claim.email.message_id == id_of("one") else _OCTETS[::-1]
        holds(bench.content_of(claim) == expected, f"the content of {claim.email.message_id}")


def a_claim_whose_lease_ended_reads_on_until_another_is_made(bench: Bench) -> None:
    bench.store(_a_large())
    late = _claim(bench)
    bench.advance_lease_clock(WHOLE_LEASE_SECS)
    holds(bench.content_of(late) == _OCTETS, "the content while nobody took over")

    after = _claim(bench)

    _cannot_read(bench, late)
    holds(bench.content_of(after) == _OCTETS, "the content for the claim that stands")


def a_claim_that_was_settled_in_part_reads_on(bench: Bench) -> None:
    bench.store(_a_large("one", _A, "b@dest.example"))
    claim = _claim(bench)

    bench.settle(claim, delivered_to(_A))

    holds(bench.content_of(claim) == _OCTETS, "the content for who is left")


def a_lost_claim_reads_nothing(bench: Bench) -> None:
    for name, lose in _LOSSES.items():
        bench.store(_a_large(name))
        claim = _claim(bench)
        lose(bench, claim)

        _cannot_read(bench, claim)
        bench.order(Order.CANCEL, name=name)


def a_content_that_was_purged_or_forgotten_is_not_read(bench: Bench) -> None:
    for name, remove in _REMOVALS.items():
        bench.store(_a_large(name))
        claim = _claim(bench)
        bench.settle_all(claim, Delivered(tries=1))
        remove(bench)

        _cannot_read(bench, claim)


def a_large_content_is_there_after_a_crash(bench: Bench) -> None:
    bench.store(_a_large())
    lost = _claim(bench)

    survivor = bench.crashed()

    claim = _claim(survivor)
    equal((claim.recipients[0].crashes, claim.email.octets), (1, len(_OCTETS)))
    holds(survivor.content_of(claim) == _OCTETS, "the content after the crash")
    _cannot_read(survivor, lost)


def a_large_content_is_stored_in_the_callers_transaction(bench: Bench) -> None:
    with bench.transaction() as transaction:
        transaction.binding.store([_a_large("two")])
        transaction.rollback()
    with bench.transaction() as transaction:
        transaction.binding.store([_a_large()])
        transaction.commit()

    [claim] = bench.claim_many(2, content_limit=LIMIT)

    holds(bench.content_of(claim) == _OCTETS, "the content that was committed")


def _a_large(name: str = "one", *addresses: str, content: bytes = _OCTETS) -> Entry:
    email, status = an_entry(name, *addresses)
    return replace(email, content=content), status


def _claim(bench: Bench) -> Claim:
    """A claim that may leave its content in the storage."""
    [claim] = bench.claim_many(1, content_limit=LIMIT)
    return claim


def _with_content(claim: Claim, content: bytes) -> PreparedEmail:
    email = claim.email
    email = email.with_content(content) if isinstance(email, StoredEmail) else email
    return replace(email, needs_8bitmime=True)


def _cannot_read(bench: Bench, claim: Claim) -> None:
    if isinstance(claim.email, StoredEmail):
        for start in (0, LIMIT, len(_OCTETS) - 1):
            equal(bench.storage.read_content(claim, start), None)


def _claimed_anew(bench: Bench, claim: Claim) -> None:
    bench.advance_lease_clock(WHOLE_LEASE_SECS)
    bench.storage.give_back(_claim(bench))


_LOSSES: dict[str, Callable[[Bench, Claim], object]] = {
    "given-back": lambda bench, claim: bench.storage.give_back(claim),
    "settled": lambda bench, claim: bench.settle_all(claim, Delivered(tries=1)),
    "claimed-anew": _claimed_anew,
}

_REMOVALS: dict[str, Callable[[Bench], object]] = {
    "purged": lambda bench: bench.storage.purge(NOW),
    "forgotten": lambda bench: bench.storage.forget("you@dest.example", NOW),
}

CONTENT_CLAUSES: tuple[Callable[[Bench], None], ...] = (
    a_content_within_the_limit_comes_with_its_claim,
    without_a_limit_every_content_comes_with_its_claim,
    a_limit_that_a_content_does_not_pass_brings_it_with_its_claim,
    a_large_content_is_exact_octet_for_octet,
    a_content_is_read_from_any_octet_on,
    all_else_of_an_email_comes_though_its_content_is_large,
    a_large_content_needs_8bitmime_where_it_has_such_octets,
    each_claim_of_a_message_reads_all_of_it,
    a_claim_whose_lease_ended_reads_on_until_another_is_made,
    a_claim_that_was_settled_in_part_reads_on,
    a_lost_claim_reads_nothing,
    a_content_that_was_purged_or_forgotten_is_not_read,
)
