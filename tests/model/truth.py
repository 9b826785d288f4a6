"""What an observer outside the queue writes down at each step, to hold the rows against it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from tests.model.state import MOST_TRIES, Outcome, Part, Row, State, Truth

_Rows = tuple[Row, ...]


def observed(state: State, rows: _Rows) -> State:
    """The rows as they are now; who is completed for the first time, and what was admitted, is noted."""
    truths = tuple(_observed(truth, row) for truth, row in zip(state.truths, rows, strict=True))
    return state._replace(rows=rows, truths=truths)


def claimed(state: State, rows: _Rows, positions: Collection[int]) -> State:
    """A claim that is open still ended in a crash."""
    truths = [
        truth._replace(died=truth.died + truth.is_open, is_open=True) if each in positions else truth
        for each, truth in enumerate(state.truths)
    ]
    return observed(state._replace(truths=tuple(truths)), rows)


def dot_written(state: State, positions: Collection[int], *, taken: bool) -> State:
    """The final dot has left; the host took the message for them, or did not."""
    truths = [
        truth._replace(taken=min(truth.taken + taken, 2), after_final=truth.final is not None)
        if each in positions
        else truth
        for each, truth in enumerate(state.truths)
    ]
    return state._replace(truths=tuple(truths))


def settled(state: State, rows: _Rows, outcomes: Mapping[int, Outcome], tried: Collection[int]) -> State:
    """Of those tried it was one more try."""
    truths = list(state.truths)
    for each, outcome in outcomes.items():
        passes = min(truths[each].passes + (each in tried), MOST_TRIES + 1)
        truths[each] = truths[each]._replace(passes=passes, died=outcome.crashes, is_open=False)
    return observed(state._replace(truths=tuple(truths)), rows)


def given_back(state: State, rows: _Rows, parts: Sequence[Part]) -> State:
    """As if they had not been claimed."""
    truths = list(state.truths)
    for part in parts:
        truths[part.position] = truths[part.position]._replace(died=part.before.crashes, is_open=False)
    return observed(state._replace(truths=tuple(truths)), rows)


def ordered(state: State, rows: _Rows, released: Collection[int]) -> State:
    """A release forgets the crashes."""
    truths = list(state.truths)
    for each in released:
        truths[each] = truths[each]._replace(died=0, is_open=False)
    return observed(state._replace(truths=tuple(truths)), rows)


def _observed(truth: Truth, row: Row) -> Truth:
    final = truth.final or (row.state if row.is_final else None)
    return truth._replace(final=final, admitted=truth.admitted or row.uncertain)
