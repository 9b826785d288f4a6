"""Every possible step: what workers, hosts, clocks and operators may do next.

The worker's side of the protocol stands here: what it makes of a claim, when it may write the
final dot, what it settles. `steps` yields each possible step with the state behind it.

Two workers are alike, so the first that is idle claims: the other order would only exchange their
names. Things that go wrong for no reason (a crash, a pause longer than a lease, a reply that is
lost) cost one of `State.troubles`; that the lease of a dead worker ends costs nothing, nor does time.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations

from mailstrom.abc import Order
from tests.model import storage_rules as storage
from tests.model import truth
from tests.model.rules import Rules
from tests.model.state import (
    CRASHES_UNTIL_HELD,
    EXPIRES,
    MOST_TRIES,
    Job,
    Outcome,
    Part,
    Row,
    Stage,
    State,
    Step,
    World,
)

Steps = Iterator[tuple[Step, State]]


def steps(world: World, rules: Rules, state: State) -> Steps:
    """Each possible step, and the state behind it."""
    return ((step, after) for step, after in _steps(world, rules, state) if step.name not in world.without)


def _steps(world: World, rules: Rules, state: State) -> Steps:
    idle = next((each for each, job in enumerate(state.jobs) if job is None), None)
    if idle is not None:
        yield from _claims(world, rules, state, idle)
    for worker, job in enumerate(state.jobs):
        if job is not None:
            yield from _leasing(rules, state, worker, job)
            yield from _dots(rules, state, worker, job)
            yield from _settling(rules, state, worker, job)
            yield from _giving_up(rules, state, worker, job)
    yield from _clocks(rules, state)
    yield from _orders(world, rules, state)


# Claiming


def _claims(world: World, rules: Rules, state: State, worker: int) -> Steps:
    for message in sorted(set(world.messages)):
        rows, granted = storage.claim(state.rows, rules, message, state.now, _new_token(state))
        step = Step("claim", worker, tuple(granted), message=message, answer=bool(granted))
        if not granted:
            yield step, truth.observed(state, rows)
            continue
        parts = tuple(Part(position, before) for position, before in granted.items())
        token = rows[parts[0].position].token
        job = Job(-1 if token is None else token, parts)
        yield step, truth.claimed(_with_job(state, worker, job), rows, granted)


def _new_token(state: State) -> int:
    used = {row.token for row in state.rows} | {job.token for job in state.jobs if job is not None}
    return next(each for each in range(len(used) + 1) if each not in used)


# While the claim lasts


def _leasing(rules: Rules, state: State, worker: int, job: Job) -> Steps:
    rows, renewed = storage.renew(state.rows, rules, job)
    if not renewed:
        yield Step("renew", worker, answer=False), _with_job(state, worker, None)
    elif rows != state.rows:
        yield Step("renew", worker, answer=True), state._replace(rows=rows)
    waiting = _staged(job, "claimed")
    if not (waiting and rules.marks_before_the_dot and _may_try(rules, state, job)):
        return
    rows, marked = storage.mark_dot_sent(state.rows, rules, job, waiting)
    after = _with_stage(job, waiting, "marked" if marked else "stopped")
    yield Step("mark", worker, waiting, answer=marked), _with_job(state._replace(rows=rows), worker, after)


def _dots(rules: Rules, state: State, worker: int, job: Job) -> Steps:
    """The final dot is written, and the host takes the message or does not; then we hear of it or do not."""
    ready = _staged(job, "marked" if rules.marks_before_the_dot else "claimed")
    if not ready or not _may_try(rules, state, job):
        return
    if rules.looks_at_the_lease_before_the_dot and not _stands(state, job):
        yield (
            Step("dot withheld", worker, ready),
            _with_job(state, worker, _with_stage(job, ready, "stopped")),
        )
        return
    yield Step("dot accepted", worker, ready), _written(state, worker, job, ready, "accepted", taken=True)
    yield Step("dot refused", worker, ready), _written(state, worker, job, ready, "refused", taken=False)
    if state.troubles:
        lost = state._replace(troubles=state.troubles - 1)
        yield Step("dot unheard", worker, ready), _written(lost, worker, job, ready, "unknown", taken=True)
        yield Step("dot cut off", worker, ready), _written(lost, worker, job, ready, "unknown", taken=False)


def _written(
    state: State, worker: int, job: Job, positions: Sequence[int], stage: Stage, *, taken: bool
) -> State:
    after = truth.dot_written(state, positions, taken=taken)
    return _with_job(after, worker, _with_stage(job, positions, stage))


def _may_try(rules: Rules, state: State, job: Job) -> bool:
    """Triage comes first: nobody is tried as long as somebody is to be ended without a host."""
    return all(_is_tried(rules, part, state.now) for part in job.parts)


def _stands(state: State, job: Job) -> bool:
    """The worker's own look at the clock: its lease is not over."""
    return all(
        state.rows[part.position].token == job.token and state.rows[part.position].lease for part in job.parts
    )


# How a claim ends


def _settling(rules: Rules, state: State, worker: int, job: Job) -> Steps:
    unheard = [part for part in job.parts if part.unheard is not None]
    if unheard:
        yield _settled_again(state, worker, job, unheard)
        return
    choices = {part.position: _outcomes(rules, state.now, part) for part in job.parts}
    for count in range(1, len(job.parts) + 1):
        for positions in combinations([each for each in choices if choices[each]], count):
            for chosen in _alike([choices[each] for each in positions]):
                yield from _settled(rules, state, worker, job, positions, chosen)


def _alike(choices: Sequence[Sequence[Outcome]]) -> Iterator[tuple[Outcome, ...]]:
    """One outcome for each: of several at once the same, as one reply to the final dot decides."""
    if len(choices) == 1:
        yield from ((outcome,) for outcome in choices[0])
    else:
        yield from zip(*choices, strict=False)


def _settled(
    rules: Rules,
    state: State,
    worker: int,
    job: Job,
    positions: tuple[int, ...],
    outcomes: tuple[Outcome, ...],
) -> Steps:
    rows, taken = storage.settle(state.rows, rules, job, positions, outcomes)
    step = Step("settle", worker, positions, outcomes, answer=taken)
    if not taken:
        yield step, _with_job(state, worker, None)
        return
    given = dict(zip(positions, outcomes, strict=True))
    tried = [part.position for part in job.parts if _is_tried(rules, part, state.now)]
    left = tuple(part for part in job.parts if part.position not in positions)
    after = truth.settled(state, rows, given, tried)
    yield step, _with_job(after, worker, job._replace(parts=left) if left else None)
    if state.troubles:
        parts = tuple(part._replace(unheard=given.get(part.position)) for part in job.parts)
        lost = after._replace(troubles=after.troubles - 1)
        yield step._replace(name="settle unheard"), _with_job(lost, worker, job._replace(parts=parts))


def _settled_again(state: State, worker: int, job: Job, unheard: Sequence[Part]) -> tuple[Step, State]:
    """The reply was lost, so the call is made again: it changes nothing, and is told the same."""
    outcomes = tuple(part.unheard for part in unheard if part.unheard is not None)
    untouched = all(_stands_as(state.rows[part.position], part.unheard) for part in unheard)
    step = Step(
        "settle again",
        worker,
        tuple(part.position for part in unheard),
        outcomes,
        answer=True if untouched else None,
    )
    left = tuple(part for part in job.parts if part.unheard is None)
    return step, _with_job(state, worker, job._replace(parts=left) if left else None)


def _stands_as(row: Row, outcome: Outcome | None) -> bool:
    """Nobody has come in between."""
    return row.token is None and outcome == (
        row.state, row.due, row.tries, row.crashes, row.uncertain, row.held
    )  # fmt: skip


def _is_tried(rules: Rules, part: Part, now: int) -> bool:
    """It came to a host, or would have; what is settled in triage is no try."""
    return part.stage != "claimed" or _without_a_host(rules, part, now) is None


def _outcomes(rules: Rules, now: int, part: Part) -> list[Outcome]:
    """What the worker may settle for this recipient at this stage."""
    before = part.before
    triaged = None if _is_tried(rules, part, now) else _without_a_host(rules, part, now)
    if triaged is not None:
        return [triaged]
    tries = before.tries + rules.counts_tries
    refused = Outcome("failed", None, tries, uncertain=before.uncertain)
    deferred = Outcome("deferred", min(now + 1, EXPIRES), tries, uncertain=before.uncertain)
    if tries >= MOST_TRIES:
        deferred = refused
    delivered = Outcome("delivered", None, tries, uncertain=before.uncertain)
    match part.stage:
        case "claimed":  # refused by name, or by the host, before the final dot
            return sorted({refused, deferred}) + ([] if rules.settles_after_the_reply else [delivered])
        case "accepted":
            return [delivered]
        case "refused":
            return [deferred]
        case "unknown":
            return [deferred._replace(uncertain=before.uncertain or rules.admits_uncertainty)]
        case "marked" | "stopped":
            return []


def _without_a_host(rules: Rules, part: Part, now: int) -> Outcome | None:
    """What is settled before anything is sent: a crash behind the dot, an expiry, a crash too many."""
    before = part.before
    kept = Outcome("deferred", min(now + 1, EXPIRES), before.tries, before.crashes, before.uncertain)
    held = kept._replace(due=EXPIRES, held=True)
    if before.dot_sent and rules.heeds_the_dot_mark:
        perhaps = held if before.crashes >= CRASHES_UNTIL_HELD else kept
        return perhaps._replace(uncertain=True)
    if now >= EXPIRES and rules.ends_what_expired:
        return Outcome("failed", None, before.tries, uncertain=before.uncertain)
    if before.crashes >= CRASHES_UNTIL_HELD and rules.holds_after_crashes:
        return held
    return None


def _giving_up(rules: Rules, state: State, worker: int, job: Job) -> Steps:
    if state.troubles:
        yield Step("crash", worker), _with_job(state._replace(troubles=state.troubles - 1), worker, None)
    if not all(part.stage in ("claimed", "marked", "stopped") and part.unheard is None for part in job.parts):
        return
    is_stopped = any(part.stage == "stopped" for part in job.parts)
    for until in (None,) if is_stopped else (None, min(state.now + 1, EXPIRES)):
        rows = storage.give_back(state.rows, rules, job, until)
        mine = [part for part in job.parts if state.rows[part.position].token == job.token]
        step = Step("stop" if is_stopped else "give back", worker, until=until)
        yield step, _with_job(truth.given_back(state, rows, mine), worker, None)


# Clocks, and operators


def _clocks(rules: Rules, state: State) -> Steps:
    if state.now < EXPIRES:
        yield Step("time passes"), state._replace(now=state.now + 1)
    if not any(row.lease for row in state.rows) or not rules.leases_end:
        return
    working = {job.token for job in state.jobs if job is not None}
    is_pause = any(row.lease == 1 and row.token in working for row in state.rows)
    if state.troubles or not is_pause:
        rows = storage.lease_clock_goes_on(state.rows)
        yield Step("half a lease passes"), state._replace(rows=rows, troubles=state.troubles - is_pause)


def _orders(world: World, rules: Rules, state: State) -> Steps:
    if not state.orders:
        return
    for given in world.orders:
        for position in world.orders_for:
            rows, answer = storage.order(state.rows, rules, given, position, state.now)
            step = Step("order", positions=(position,), order=given, answer=answer)
            spent = state._replace(orders=state.orders - (answer != "nothing"))
            is_released = given is Order.RELEASE and answer == "changed"
            yield step, truth.ordered(spent, rows, released=[position] if is_released else [])


# Jobs


def _with_job(state: State, worker: int, job: Job | None) -> State:
    return state._replace(jobs=(*state.jobs[:worker], job, *state.jobs[worker + 1 :]))


def _staged(job: Job, stage: Stage) -> tuple[int, ...]:
    return tuple(part.position for part in job.parts if part.stage == stage and part.unheard is None)


def _with_stage(job: Job, positions: Sequence[int], stage: Stage) -> Job:
    parts = (part._replace(stage=stage) if part.position in positions else part for part in job.parts)
    return job._replace(parts=tuple(parts))
