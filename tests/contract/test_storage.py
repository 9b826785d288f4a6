"""Every storage keeps the contract, and the contract catches those that do not."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Callable
from typing import get_args

import pytest

from mailstrom import testing
from mailstrom.abc import SharedStorage, Storage
from mailstrom.storage.exclusive import ExclusiveStorage
from mailstrom.storage.memory import MemoryStorage
from mailstrom.testing.storage_contract import (
    DURABLE_CLAUSES,
    SHARED_CLAUSES,
    STORAGE_CLAUSES,
    Bench,
    Need,
    check_shared_storage,
    check_storage,
    clauses_for,
)
from tests.contract import broken_storages
from tests.contract.plain_storage import PlainStorage
from tests.contract.subjects import LeaseClock, each_clause, lifted

NEEDS = get_args(Need)
PLAIN: dict[str, Callable[[], Storage]] = {"memory": MemoryStorage, "six methods": PlainStorage}


@pytest.mark.parametrize("clause", STORAGE_CLAUSES, ids=lambda clause: clause.__name__)
@pytest.mark.parametrize("kind", PLAIN)
def test_a_storage_keeps_the_clause(kind: str, clause: Callable[[Storage], None]) -> None:
    clause(PLAIN[kind]())


@pytest.mark.parametrize("clause", DURABLE_CLAUSES, ids=lambda clause: clause.__name__)
def test_a_durable_storage_keeps_the_clause(
    clause: Callable[[Storage, Callable[[], Storage]], None],
) -> None:
    storage = PlainStorage(durable=True)

    clause(storage, lambda: storage)


@each_clause()
@pytest.mark.parametrize("kind", PLAIN)
def test_a_lifted_storage_keeps_the_clause(kind: str, clause: Callable[[Bench], None]) -> None:
    with lifted(PLAIN[kind]()) as bench:
        clause(bench)


@each_clause("reopen")
def test_a_lifted_durable_storage_keeps_the_clause(clause: Callable[[Bench], None]) -> None:
    with lifted(PlainStorage(durable=True)) as bench:
        clause(bench)


# The report


def test_the_contract_needs_no_test_runner() -> None:
    clock = LeaseClock()

    reports = [
        check_storage(MemoryStorage),
        check_shared_storage(lambda: ExclusiveStorage(MemoryStorage(), lease_clock=clock), clock.advance),
    ]

    assert [str(report).splitlines()[0] for report in reports] == [
        f"{len(clauses)} of {len(clauses)} clauses hold" for clauses in (STORAGE_CLAUSES, SHARED_CLAUSES)
    ]
    for report in reports:
        report.raise_if_broken()


def test_a_clause_that_was_not_tried_is_told_with_what_it_waits_for() -> None:
    clock = LeaseClock()

    plain = check_storage(MemoryStorage)
    shared = check_shared_storage(lambda: ExclusiveStorage(MemoryStorage(), lease_clock=clock), clock.advance)

    assert {each.needs for each in plain.not_applicable} == {"reopen"}
    assert [each.clause for each in plain.not_applicable] == [each.__name__ for each in DURABLE_CLAUSES]
    told = {(each.clause, each.needs) for each in shared.not_applicable}
    assert told == {
        (clause.__name__, need) for need in NEEDS for clause in clauses_for(need)[len(SHARED_CLAUSES) :]
    }
    assert not {*shared.checked} & {each.clause for each in shared.not_applicable}
    assert "  a_rollback_leaves_nothing: not tried without in_transaction=" in str(shared).splitlines()


def test_every_clause_is_in_the_contract_once() -> None:
    rooms = [each.name for each in pkgutil.iter_modules(testing.__path__) if "storage_" in each.name]
    written = [name for room in rooms if room != "storage_kit" for name in _clauses_in(room)]

    tried = [*STORAGE_CLAUSES, *DURABLE_CLAUSES, *clauses_for(*NEEDS)]
    assert sorted(each.__name__ for each in tried) == sorted(written)
    assert len({*written}) == len(written)


def _clauses_in(room: str) -> list[str]:
    """The public functions of this room that take a bench or a storage."""
    module = importlib.import_module(f"{testing.__name__}.{room}")
    return [
        name
        for name, function in inspect.getmembers(module, inspect.isfunction)
        if function.__module__ == module.__name__ and not name.startswith("_")
        if {*inspect.signature(function).parameters} & {"bench", "storage"}
    ]


# Planted bugs: each storage is wrong in one thing, and the contract must say so


@pytest.mark.parametrize(
    ("broken", "clause"),
    [
        (broken_storages.Overwrites, "a_known_id_is_refused_and_nothing_changes"),
        (broken_storages.LosesHeld, "a_held_message_is_incomplete"),
        (broken_storages.NewestFirst, "incomplete_messages_are_listed_oldest_first"),
        (broken_storages.Mends, "content_comes_back_octet_for_octet"),
        (broken_storages.StoresUnknown, "an_unknown_id_is_message_not_found"),
        (broken_storages.AlwaysRecent, "a_completed_message_is_recent_once"),
    ],
)
def test_a_broken_storage_breaks_its_clause(broken: Callable[[], Storage], clause: str) -> None:
    report = check_storage(broken)

    assert clause in [each.clause for each in report.broken]
    with pytest.raises(AssertionError, match=clause):
        report.raise_if_broken()


@pytest.mark.parametrize(
    ("broken", "clause"),
    [
        (broken_storages.NoToken, "a_lost_claim_can_do_nothing"),
        (broken_storages.NoLease, "a_claim_whose_lease_ended_is_claimable_with_the_crash_counted"),
        (broken_storages.TellsNoMark, "an_order_that_waits_for_the_end_of_a_claim_is_told"),
        (broken_storages.ForgetsCrashes, "a_claim_whose_lease_ended_is_claimable_with_the_crash_counted"),
        (
            broken_storages.TriesCrashedAtOnce,
            "after_each_crash_in_a_row_it_is_claimable_after_the_wait_for_that",
        ),
        (broken_storages.IgnoresSkip, "skipped_route_keys_are_not_claimed"),
        (broken_storages.Unfair, "a_route_key_with_much_mail_does_not_hide_another"),
        (broken_storages.SettlesAll, "recipients_without_an_outcome_stay_claimed"),
        (broken_storages.SettlesFirst, "several_settlements_in_one_call_stand_each_for_itself"),
        (broken_storages.GiveBackCostsATry, "a_given_back_claim_counts_no_crash_and_no_try"),
        (broken_storages.ForgetsDot, "the_dot_sent_mark_shows_in_the_next_claim"),
        (broken_storages.StoresHalf, "of_several_entries_all_are_stored_or_none"),
        (broken_storages.CancelsClaimed, "cancel_does_not_undo_a_delivery_under_way"),
        (broken_storages.HoldsNothing, "what_was_held_is_not_tried_until_it_is_released"),
        (
            broken_storages.BeginsAnew,
            "an_order_does_not_meet_again_what_was_deferred_after_it_went_by",
        ),
        (broken_storages.OrdersAll, "what_is_cancelled_is_selected_by_each_field"),
        (broken_storages.TellsAgain, "behind_each_cursor_the_rest_is_told"),
        (broken_storages.LastWriterWins, "a_note_is_not_replaced_by_an_older_version"),
        (broken_storages.PullsInAll, "what_is_held_is_not_pulled_in"),
        (broken_storages.ForgetsNobody, "a_person_is_forgotten_wherever_the_address_is_completed"),
    ],
)
def test_a_broken_shared_storage_breaks_its_clause(broken: Callable[..., SharedStorage], clause: str) -> None:
    clock = LeaseClock()

    report = check_shared_storage(lambda: broken(MemoryStorage(), lease_clock=clock), clock.advance)

    assert clause in [each.clause for each in report.broken]


@pytest.mark.parametrize(
    "clause",
    [
        "a_crash_after_claim_is_counted",
        "a_crash_after_the_final_dot_is_seen_as_one",
        "a_crash_after_settle_does_not_undo_it",
    ],
)
def test_a_storage_that_writes_too_late_breaks_the_clauses_on_crashes(clause: str) -> None:
    clock, place = LeaseClock(), broken_storages.LastPlace()

    report = check_shared_storage(
        lambda: ExclusiveStorage(place.new(), lease_clock=clock),
        clock.advance,
        reopen=lambda: ExclusiveStorage(place.reopened(), lease_clock=clock),
    )

    assert clause in [each.clause for each in report.broken]


def test_a_plain_storage_that_writes_too_late_breaks_its_clause() -> None:
    place = broken_storages.LastPlace()

    report = check_storage(place.new, reopen=place.reopened)

    assert "a_status_is_there_after_a_crash_as_it_was_updated" in [each.clause for each in report.broken]
