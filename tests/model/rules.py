"""The rules of the protocol as switches: each can be broken, to see that the model notices."""

from __future__ import annotations

from typing import NamedTuple


class Rules(NamedTuple):
    """All True: the protocol. With one False: the protocol with that mistake."""

    # the storage's
    claims_respect_leases: bool = True  # what a live lease has is not claimed
    claims_respect_due_times: bool = True
    claims_respect_holds: bool = True  # what is held waits for its expiry
    claims_are_written_ahead: bool = True  # the crash is counted when the claim begins
    claims_keep_the_dot_mark: bool = True
    claims_take_whole_claims_over: bool = True  # one recipient claimed anew: the old claim is lost
    tokens_are_new: bool = True
    tokens_are_checked: bool = True  # stands in every WHERE
    leases_end: bool = True
    give_back_undoes_the_crash: bool = True
    cancel_waits_for_the_claim: bool = True
    cancel_ends_lapsed_claims: bool = True  # for whom it cancels
    marks_outlive_the_lease: bool = True
    orders_spare_the_completed: bool = True
    orders_stop_the_dot: bool = True  # CANCEL or HOLD came before it: no mark, so no dot
    deferrals_heed_marks: bool = True
    # the worker's
    marks_before_the_dot: bool = True
    looks_at_the_lease_before_the_dot: bool = True
    settles_after_the_reply: bool = True
    admits_uncertainty: bool = True  # a lost reply to the dot is settled as uncertain
    heeds_the_dot_mark: bool = True  # of a claim that crashed: settled as uncertain before it is tried again
    counts_tries: bool = True
    holds_after_crashes: bool = True
    ends_what_expired: bool = True


PROTOCOL = Rules()
