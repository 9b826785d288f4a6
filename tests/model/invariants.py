"""What must hold in every state, and behind every step. Each function's docstring is the promise."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from mailstrom.abc import Order
from tests.model.state import CRASHES_UNTIL_HELD, EXPIRES, FINAL, MOST_TRIES, Row, State, Step, Truth

Promise = Callable[[State], bool]
StepPromise = Callable[[State, Step, State], bool]


def final_states_never_change(state: State) -> bool:
    """No recipient in two final states."""
    return all(truth.final in (None, row.state) for row, truth in _recipients(state))


def delivered_means_taken(state: State) -> bool:
    """What is told as delivered was taken by a host."""
    return all(truth.taken > 0 for row, truth in _recipients(state) if row.state == "delivered")


def failed_means_not_taken(state: State) -> bool:
    """What is told as failed, and not as uncertain, was taken by no host, neither before nor after."""
    return not any(
        truth.taken for row, truth in _recipients(state) if row.state == "failed" and not row.uncertain
    )


def deliveries_beyond_the_first_are_explained(state: State) -> bool:
    """Who got it twice was recorded as perhaps delivered before."""
    return all(truth.admitted for truth in state.truths if truth.taken > 1)


def no_dot_behind_the_end(state: State) -> bool:
    """Whoever has completed (was cancelled, say) is written no final dot any more."""
    return not any(truth.after_final for truth in state.truths)


def one_valid_token(state: State) -> bool:
    """At most one worker holds the token that stands with a recipient, and no two claims share one."""
    tokens = [job.token for job in state.jobs if job is not None]
    return len(set(tokens)) == len(tokens)


def tries_stay_within_the_policy(state: State) -> bool:
    """No recipient is tried more often than the policy says."""
    return all(truth.passes <= MOST_TRIES for truth in state.truths)


def crashes_are_counted(state: State) -> bool:
    """The counter tells the claims that crashed in a row, and the one under way."""
    return all(
        row.crashes == truth.died + truth.is_open for row, truth in _recipients(state) if not row.is_final
    )


def completed_is_nobodys(state: State) -> bool:
    """No claim has, and nothing falls due for, what is completed."""
    return all(row.token is None and row.due is None for row in state.rows if row.is_final)


ALWAYS: tuple[Promise, ...] = (
    final_states_never_change,
    delivered_means_taken,
    failed_means_not_taken,
    deliveries_beyond_the_first_are_explained,
    no_dot_behind_the_end,
    one_valid_token,
    tries_stay_within_the_policy,
    crashes_are_counted,
    completed_is_nobodys,
)


def stale_tokens_change_nothing(before: State, step: Step, after: State) -> bool:
    """A worker whose claim has none of its recipients any more changes no row."""
    job = None if step.worker is None else before.jobs[step.worker]
    if job is None or any(before.rows[part.position].token == job.token for part in job.parts):
        return True
    return after.rows == before.rows


def claims_take_only_what_is_free_and_due(before: State, step: Step, after: State) -> bool:
    """Granted is what no live lease has, and fell due; what is held falls due at its expiry."""
    granted = [before.rows[each] for each in step.positions if step.name == "claim"]
    return all(
        row.lease == 0
        and row.due is not None
        and row.due <= before.now
        and (before.now >= EXPIRES or not row.held)
        for row in granted
    )


def what_is_final_stays(before: State, step: Step, after: State) -> bool:
    """A completed row is never written again."""
    return all(
        earlier == later
        for earlier, later in zip(before.rows, after.rows, strict=True)
        if earlier.state in FINAL
    )


def cancel_ends_with_the_claim(before: State, step: Step, after: State) -> bool:
    """Who was to be cancelled while claimed is not tried again once that claim is over."""
    if step.name == "claim":
        return not any(before.rows[each].mark is Order.CANCEL for each in step.positions)
    ended = [
        later
        for earlier, later in zip(before.rows, after.rows, strict=True)
        if earlier.mark is Order.CANCEL and earlier.token is not None and later.token is None
    ]
    return all(row.is_final or row.mark is Order.CANCEL for row in ended)


def orders_stop_the_dot(before: State, step: Step, after: State) -> bool:
    """No final dot is begun for whom CANCEL or HOLD met before."""
    is_marked = step.name == "mark" and step.answer
    return not (is_marked and any(before.rows[each].mark for each in step.positions))


def orders_leave_what_is_claimed(before: State, step: Step, after: State) -> bool:
    """It is being tried: the order waits for the end of the claim."""
    return all(
        before.rows[each]._replace(mark=None) == after.rows[each]._replace(mark=None)
        for each in step.positions
        if step.name == "order" and before.rows[each].lease
    )


def a_claim_is_lost_as_a_whole(before: State, step: Step, after: State) -> bool:
    """Nobody goes on with some of a message's recipients when another claim has taken others of its own."""
    if not (step.name in ("mark", "renew") and step.answer):
        return True
    job = None if step.worker is None else before.jobs[step.worker]
    rows = [before.rows[part.position] for part in (job.parts if job else ())]
    return job is not None and all(row.token in (None, job.token) for row in rows)


def nobody_is_tried_in_vain(before: State, step: Step, after: State) -> bool:
    """No dot is begun for what has expired, or has crashed too often."""
    if step.name != "mark" or step.worker is None:
        return True
    job = before.jobs[step.worker]
    tried = [part.before for part in (job.parts if job else ()) if part.position in step.positions]
    return before.now < EXPIRES and all(row.crashes < CRASHES_UNTIL_HELD for row in tried)


def a_settle_takes_its_claim_away(before: State, step: Step, after: State) -> bool:
    """What was settled, or given back, no claim has any more."""
    if not (step.name.startswith("settle") and step.answer and before.rows != after.rows):
        return True
    return all(after.rows[each].token is None for each in step.positions)


BEHIND_EACH_STEP: tuple[StepPromise, ...] = (
    stale_tokens_change_nothing,
    claims_take_only_what_is_free_and_due,
    what_is_final_stays,
    cancel_ends_with_the_claim,
    orders_stop_the_dot,
    orders_leave_what_is_claimed,
    a_claim_is_lost_as_a_whole,
    nobody_is_tried_in_vain,
    a_settle_takes_its_claim_away,
)


def _recipients(state: State) -> Iterable[tuple[Row, Truth]]:
    return zip(state.rows, state.truths, strict=True)
