"""Where a storage was found to say something else than the model. Traces are cut before such a step.

`pytest tests/model/known_disagreements.py` says what ought to be; once it is so, the entry here goes.
"""

from __future__ import annotations

from collections.abc import Sequence

from mailstrom.abc import Order
from tests.model.state import EXPIRES, Row, State, Step
from tests.model.traces import Trace


def before_disagreements(trace: Trace, begin: State) -> Trace:
    """As much of the trace as is not disputed."""
    before = begin
    for place, (step, after) in enumerate(trace.all):
        if is_disputed(before, step):
            kept = trace.all[:place]
            return Trace(kept[: len(trace.way)], kept[len(trace.way) :])
        before = after
    return trace


def is_disputed(before: State, step: Step) -> bool:
    """The storages do not agree with the model, or not with each other."""
    if step.name == "order":
        row = before.rows[step.positions[0]]
        if step.order in (Order.RELEASE, Order.RETRY):
            return _waits_to_be_stopped(row)
        return Order.CANCEL in (step.order, row.mark) and _is_lapsed_with_another(row, before.rows)
    if step.name != "claim":
        return False
    stopped = [row for row in before.rows if _waits_to_be_stopped(row)]
    return any(
        _is_lapsed_with_another(row, before.rows)
        if row.mark is Order.CANCEL
        else row.due == EXPIRES <= before.now
        for row in stopped
    )


def _waits_to_be_stopped(row: Row) -> bool:
    """Its claim lapsed, and what was ordered meanwhile is carried out by whoever meets it next."""
    return row.mark is not None and not row.lease and not row.held


def _is_lapsed_with_another(row: Row, rows: Sequence[Row]) -> bool:
    """Cancelled, is it lost to its claim alone, or is the claim lost?"""
    return row.token is not None and not row.lease and [each.token for each in rows].count(row.token) > 1
