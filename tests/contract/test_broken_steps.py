"""The contract catches storages that are wrong in what they do for several at once."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from mailstrom.abc import SharedStorage
from mailstrom.storage.memory import MemoryStorage
from mailstrom.testing.shared_storage_dots import DOT_CLAUSES
from mailstrom.testing.shared_storage_steps import STEP_CLAUSES
from mailstrom.testing.storage_contract import check_shared_storage
from tests.contract import broken_steps as broken
from tests.contract.subjects import LeaseClock

Breaks = tuple[Callable[..., SharedStorage], str]

CLAIMS: list[Breaks] = [
    (broken.GrantsOneMore, "a_step_grants_no_more_claims_than_were_asked_for"),
    (broken.GrantsOneAtATime, "what_fits_is_granted_in_one_step"),
    (broken.GrantsOneAtATime, "what_was_deferred_in_one_step_is_claimed_in_one_step"),
    (broken.GrantsTenAtMost, "however_much_falls_due_at_once_a_step_grants_as_much_as_was_asked_for"),
    (broken.GrantsNothingTwice, "where_nothing_is_due_a_step_grants_nothing"),
    (broken.GrantsTheSameTwice, "claims_of_one_step_share_no_recipient_and_no_token"),
    (broken.GrantsTheSameTwice, "threads_that_claim_in_steps_at_once_share_no_recipient"),
    (broken.OneTokenForAll, "claims_of_one_step_stand_each_for_itself"),
    (broken.OneEmailForAll, "each_claim_of_a_step_has_its_own_email"),
    (broken.HalfAnEmail, "the_recipients_of_a_large_message_come_in_several_claims_of_one_step"),
    (broken.OneOwnTerms, "each_claim_of_a_step_has_the_lease_and_the_wait_after_a_crash"),
    (broken.OneWaitForAll, "each_claim_of_a_step_has_a_wait_of_its_own"),
    (broken.SkipsForTheFirst, "in_one_step_skipped_route_keys_are_not_claimed"),
    (broken.OneKeyAStep, "in_one_step_a_route_key_with_much_mail_does_not_hide_another"),
    (broken.BeginsEachStepAnew, "from_step_to_step_each_route_key_has_its_turn"),
    (broken.LastDueFirst, "in_one_step_what_fell_due_first_in_its_route_key_comes_first"),
    (broken.AdmitsAll, "a_route_key_that_is_not_admitted_is_passed_over_and_others_go_on"),
    (broken.EndsAtARefusal, "a_route_key_that_is_not_admitted_is_passed_over_and_others_go_on"),
    (
        broken.AdmitsEachAlone,
        "before_each_claim_of_a_step_it_is_asked_whether_it_is_admitted_beside_those_before",
    ),
    (broken.PutsOffTheRefused, "a_step_that_may_grant_nothing_leaves_all_as_it_was"),
    (broken.CountsInVain, "what_an_order_ended_is_not_counted_as_admitted"),
    (broken.GivesBackTheFirst, "the_claims_of_one_step_are_given_back_in_one_step"),
    (broken.GivesBackUpToTheLost, "a_claim_that_was_lost_keeps_no_other_from_being_given_back"),
    (
        broken.ReleasesWhatItGivesBack,
        "what_was_asked_of_claims_takes_effect_when_they_are_given_back_in_one_step",
    ),
]
MARKS: list[Breaks] = [
    (broken.AnswersAsTheFirst, "marks_in_one_call_stand_each_for_itself_in_any_order"),
    (broken.MarksNoneWhereOneIsLost, "marks_in_one_call_stand_each_for_itself_in_any_order"),
    (broken.EndsAtTheFirstLost, "a_mark_for_one_that_the_claim_lacks_stops_no_other_mark"),
    (broken.MarksTheLast, "each_mark_of_one_call_shows_in_the_next_claim"),
    (broken.MarksWholeClaims, "marks_in_one_call_are_each_for_their_own_addresses"),
    (broken.MarksAClaimOnce, "two_marks_of_one_claim_in_one_call_are_both_made"),
    (broken.MarksAtLeastOne, "no_marks_are_no_answers"),
]


@pytest.mark.parametrize(("storage", "clause"), [*CLAIMS, *MARKS])
def test_a_storage_that_is_wrong_in_a_step_breaks_its_clause(
    storage: Callable[..., SharedStorage], clause: str
) -> None:
    clock = LeaseClock()

    report = check_shared_storage(lambda: storage(MemoryStorage(), lease_clock=clock), clock.advance)

    assert clause in [each.clause for each in report.broken]


def test_each_clause_on_steps_is_broken_by_one_of_them() -> None:
    clauses = {clause.__name__ for clause in (*STEP_CLAUSES, *DOT_CLAUSES)}

    assert {clause for _, clause in [*CLAIMS, *MARKS]} == clauses
