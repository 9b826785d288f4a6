"""Bugs that the stories must find: `python -m tests.simulation.planted_bugs` searches anew for their seeds.

The seeds hold for the plans as they are made now: whoever changes `plan.py` searches anew.
"""

from __future__ import annotations

import argparse
import multiprocessing
import signal
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from types import FrameType

from .bugs import BUGS, engine, facade, schedule, sending, sql, storage
from .plan import plan_for
from .story import run
from .telling import be_quiet

ROOMS = (engine, sending, schedule, storage, sql, facade)  # importing them has filled BUGS
SEEDS = range(200)
HANGS_AFTER_SECS = 20.0  # of the processor: a story takes half a second

#: At which seed each shows; see `python -m tests.simulation.planted_bugs`.
FOUND_AT = {
    "a_wake_up_is_lost": 1,
    "the_session_limit_is_ignored": 46,
    "a_pause_never_ends": 1,
    "the_next_due_time_comes_too_late": 1,
    "a_slot_is_never_given_back": 0,
    "every_lane_is_the_same": 40,
    "the_dot_goes_without_its_mark": 4,
    "the_answer_to_the_mark_is_ignored": 4,
    "only_the_first_recipient_is_marked": 4,
    "the_mark_is_not_looked_at_after_a_crash": 4,
    "only_the_first_of_a_batch_is_recorded": 2,
    "a_result_is_recorded_for_the_whole_claim": 2,
    "the_idempotency_key_is_not_passed_on": 0,
    "trouble_of_the_storage_is_hidden": 4,
    "what_is_stored_wakes_nobody": 4,
    "what_an_order_makes_due_waits": 34,
    "any_reply_to_the_dot_is_a_yes": 34,
    "tries_are_counted_twice": 3,
    "there_is_one_try_too_many": 3,
    "an_earlier_uncertainty_is_forgotten": 4,
    "a_delivery_is_recorded_as_a_deferral": 0,
    "idle_sessions_make_no_room": 10,
    "idle_sessions_are_never_ended": 0,
    "a_session_is_ended_without_being_closed": 0,
    "nothing_is_reset_before_the_next_message": 49,
    "what_is_uncertain_is_called_deferred": 6,
    "a_reply_is_taken_for_another_recipients": 2,
    "a_transient_refusal_of_one_holds_for_all": 2,
    "the_reply_to_the_dot_holds_for_all": 2,
    "who_is_one_too_many_counts_as_accepted": 2,
    "the_content_follows_a_refused_data": 10,
    "who_has_it_goes_on_to_the_next_host": 0,
    "the_mark_is_not_written": 56,
    "who_lost_the_rows_may_settle_them": 38,
    "the_mark_of_a_row_is_never_taken_away": 38,
    "nothing_is_told_of_rows": 0,
    "the_next_due_row_is_found_too_late": 21,
    "a_lease_keeps_nobody_off": 34,
    "a_lease_never_ends": 3,
    "what_is_given_back_counts_as_a_try": 49,
    "what_is_given_back_is_never_due": 4,
    "what_is_deferred_is_never_due": 4,
    "the_mark_stays_when_the_result_is_there": 4,
    "the_storage_names_the_next_due_time_too_late": 35,
    "what_is_ended_leaves_others_out": 4,
    "what_is_cancelled_stays_due": 2,
    "a_retry_forgets_the_recipient": 1,
    "the_storage_forgets_idempotency_keys": 3,
    "what_ends_is_told_twice": 2,
    "deferrals_are_not_told": 4,
    "acceptance_is_not_told": 2,
    "events_are_told_in_the_wrong_order": 2,
}

NO_WATCH = "the story goes on for ever at one instant, or nearly: nothing counts turns or tries"
NO_EARLIEST = "no rule says that nothing is taken before send_at, or before the wait is over"
NO_LATEST = "no rule says by when what is deferred is tried again, or failed"
NO_EXPIRY = "no rule says that nothing is taken after expires_at"
NO_CAUSE = "no rule compares what is failed, and why, with the answers of hosts and with the policy"
NO_HOST = "no rule says which host may take mail for a domain, and in which order they are asked"
NO_LIMIT = "no rule says how many sessions a lane may have, or messages a session"
NO_CONTENT = "only the subject of what was taken is looked at"
NO_ADDRESSES = "recipients are those of the status, not those of the mail"
NO_ORDERS = (
    "what is claimed when an order comes is not followed, and what is held at the end is never asked why"
)
ANY_CRASH = "a crash that is told explains every loss of a result, also where no process died"
NO_GAP = "nothing comes between mark and dot: storage calls take no time, and octets under way die with us"
NO_AUDIENCE = "what observers are told is logged, not judged; nobody waits for a message"
NO_CLOCK = "a clock jumps once, and no rule speaks of time around a jump"
NO_REPLY = "a reply is lost before the storage's own COMMIT is in doubt; what was refused may be taken twice"

#: What the stories were not seen to find, and what they lack. A search may find it all the same.
KNOWN_MISSED = {
    "full_lanes_are_not_skipped": NO_WATCH,
    "leases_are_never_renewed": NO_WATCH,
    "tries_are_not_counted": NO_WATCH,
    "the_next_try_is_at_once": NO_WATCH,
    "a_lease_ends_long_before_its_time": NO_WATCH,
    "send_at_is_ignored": NO_EARLIEST,
    "what_is_uncertain_is_tried_at_once": NO_EARLIEST,
    "the_next_try_is_a_day_too_late": NO_LATEST,
    "waits_never_end": NO_LATEST,
    "the_age_of_a_message_ends_nothing": NO_LATEST,
    "the_end_of_a_job_wakes_nobody": NO_LATEST,
    "nobody_looks_when_a_lease_ends": NO_LATEST,
    "one_key_keeps_its_turn": NO_LATEST,
    "every_claim_begins_at_the_first_key": NO_LATEST,
    "claims_of_the_dead_wait_for_their_leases": NO_LATEST,
    "what_has_expired_is_sent": NO_EXPIRY,
    "expires_at_is_ignored": NO_EXPIRY,
    "a_transient_refusal_is_final": NO_CAUSE,
    "a_permanent_refusal_is_tried_again": NO_CAUSE,
    "there_is_one_try_too_few": NO_CAUSE,
    "trouble_in_the_dns_fails_the_mail": NO_CAUSE,
    "the_last_host_has_the_last_word": NO_CAUSE,
    "who_is_refused_by_name_goes_on_to_the_next_host": NO_CAUSE,
    "a_dead_idle_session_counts_as_a_try": NO_CAUSE,
    "a_session_is_always_taken_for_stale": NO_CAUSE,
    "what_is_uncertain_is_always_tried_again": NO_CAUSE,
    "what_may_be_delivered_goes_on_to_the_next_host": NO_CAUSE,
    "a_session_with_another_host_is_used": NO_HOST,
    "the_backup_is_asked_first": NO_HOST,
    "only_the_first_host_is_asked": NO_HOST,
    "the_lane_limit_is_off_by_one": NO_LIMIT,
    "a_session_carries_any_number_of_messages": NO_LIMIT,
    "a_session_goes_on_after_421": NO_LIMIT,
    "dots_are_not_doubled": NO_CONTENT,
    "the_end_of_a_long_message_is_lost": NO_CONTENT,
    "the_content_is_another_mails": NO_CONTENT,
    "the_last_recipient_is_left_out": NO_ADDRESSES,
    "a_cancel_forgets_who_is_claimed": NO_ORDERS,
    "a_cancel_does_not_stop_the_dot": NO_ORDERS,
    "a_cancel_of_claimed_rows_is_forgotten": NO_ORDERS,
    "a_hold_is_forgotten_when_the_claim_ends": NO_ORDERS,
    "a_release_releases_nothing": NO_ORDERS,
    "what_is_held_stays_due": NO_ORDERS,
    "a_pause_is_ignored": NO_ORDERS,
    "an_order_for_one_is_carried_out_for_all": NO_ORDERS,
    "a_cancel_denies_what_may_be_delivered": NO_ORDERS,
    "a_batch_is_dropped_after_an_error": ANY_CRASH,
    "a_result_without_a_delivery_is_forgotten": NO_WATCH,
    "results_under_way_are_dropped_at_the_end": ANY_CRASH,
    "nothing_is_done_at_the_exit": ANY_CRASH,
    "a_worker_is_not_ended_by_close": ANY_CRASH,
    "crashes_are_not_counted": ANY_CRASH,
    "rows_keep_no_crash_counter": ANY_CRASH,
    "two_workers_get_the_same_rows": ANY_CRASH,
    "everybody_else_is_taken_for_dead": ANY_CRASH,
    "a_token_is_not_compared": ANY_CRASH,
    "the_mark_comes_after_the_dot": NO_GAP,
    "the_mark_is_written_for_who_has_no_claim": NO_GAP,
    "who_lost_the_rows_may_send_the_dot": NO_GAP,
    "a_claim_forgets_the_mark_of_the_one_before": NO_GAP,
    "only_the_storage_knows_when_a_lease_ends": NO_GAP,
    "leases_of_rows_never_end": NO_GAP,
    "observers_hear_nothing": NO_AUDIENCE,
    "observers_hear_everything_twice": NO_AUDIENCE,
    "nobody_who_waits_is_woken": NO_AUDIENCE,
    "a_jump_of_the_clock_is_followed_at_once": NO_CLOCK,
    "a_jump_of_the_clock_is_never_followed": NO_CLOCK,
    "the_queue_goes_by_the_wall_clock": NO_CLOCK,
    "a_lost_reply_makes_a_result_be_refused": NO_REPLY,
    "an_email_is_sent_again_when_the_storage_fails": NO_REPLY,
    "messages_are_never_completed": NO_REPLY,
}


class Hangs(KeyboardInterrupt):
    """A story goes on and on, at one instant of its time; asyncio lets only such exceptions through."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """The first seed at which a bug shows, if there is one, and how."""

    name: str
    seed: int | None
    failure: str


def fails(name: str, seed: int) -> str | None:
    """How the story of the seed fails with that bug; None: it ends well. `TimeoutError`: it hangs."""
    signal.signal(signal.SIGPROF, _hangs)
    signal.setitimer(signal.ITIMER_PROF, HANGS_AFTER_SECS)
    try:
        with BUGS[name].planted():
            run(plan_for(seed))
    except Exception as error:
        return f"{type(error).__name__}: {error}".partition("\n")[0]
    except Hangs as hangs:
        raise TimeoutError(str(hangs)) from hangs
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0.0)
    return None


def find(name: str, seeds: Iterable[int] = SEEDS) -> Found:
    """Looks for the bug of that name; a story that hangs finds nothing, and ends the search."""
    for seed in seeds:
        try:
            failure = fails(name, seed)
        except TimeoutError as hangs:
            return Found(name=name, seed=None, failure=f"seed {seed}: {hangs}")
        if failure is not None:
            return Found(name=name, seed=seed, failure=failure)
    return Found(name=name, seed=None, failure="all stories end well")


def main() -> int:
    """The command."""
    options = _options()
    for found in _all_found(options.names or list(BUGS), options.jobs):
        said = f'"{found.name}": ' + ("MISSED," if found.seed is None else f"{found.seed},")
        sys.stdout.write(f"    {said:<70}# {BUGS[found.name].room}: {found.failure[:200]}\n")
        sys.stdout.flush()
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation.planted_bugs", description=__doc__)
    parser.add_argument("names", nargs="*", help="only these (default: all)")
    parser.add_argument("--jobs", type=int, default=1, help="in so many processes (default: %(default)s)")
    options = parser.parse_args()
    if unknown := set(options.names) - BUGS.keys():
        parser.error(f"no such bug: {', '.join(sorted(unknown))}")
    return options


def _all_found(names: list[str], jobs: int) -> Iterator[Found]:
    be_quiet()
    if jobs == 1:
        yield from map(find, names)
        return
    with multiprocessing.get_context("spawn").Pool(jobs, initializer=be_quiet) as pool:
        yield from pool.imap(find, names)


def _hangs(number: int, frame: FrameType | None) -> None:
    raise Hangs("the story does not go on")


if __name__ == "__main__":
    sys.exit(main())
