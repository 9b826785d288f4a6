"""The storage's side of the protocol: what each call of `SharedStorage` does to the rows.

Pure functions: the rows before, the rows after, and the answer. Who calls, and why, is in
`worker_rules`; the truth about hosts is none of a storage's business.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from mailstrom.abc import Order
from tests.model.rules import Rules
from tests.model.state import EXPIRES, WAIT_AFTER_FIRST_CRASH, WHOLE_LEASE, Job, Outcome, Row

Rows = tuple[Row, ...]


def claim(rows: Rows, rules: Rules, message: int, now: int, token: int) -> tuple[Rows, dict[int, Row]]:
    """Who of the message is granted, as they stood before: those that fell due first.

    What was ordered while an earlier claim had them, which is over, is carried out first.
    """
    while True:
        ready = [
            each for each, row in enumerate(rows) if row.message == message and _may_claim(row, rules, now)
        ]
        if not ready:
            return rows, {}
        first = min(rows[each].due or 0 for each in ready)
        group = [each for each in ready if rows[each].due == first]
        stopped = {each: _over(rows[each], rules) for each in group}
        free = {each: _shown(rows[each], rules) for each in group if stopped[each] == rows[each]}
        rows = _replaced(rows, stopped, rules)
        if free:
            return _granted(rows, rules, free, now, token), free


def renew(rows: Rows, rules: Rules, job: Job) -> tuple[Rows, bool]:
    """A whole lease from now on, also where it had lapsed; not where the claim was lost."""
    mine = _mine(rows, rules, job)
    renewed = (row._replace(lease=WHOLE_LEASE) if each in mine else row for each, row in enumerate(rows))
    return tuple(renewed), bool(mine)


def mark_dot_sent(rows: Rows, rules: Rules, job: Job, positions: Collection[int]) -> tuple[Rows, bool]:
    """All of them are marked, or none; none also where an order waits for one."""
    if not _mine(rows, rules, job).issuperset(positions):
        return rows, False
    if rules.orders_stop_the_dot and any(rows[each].mark for each in positions):
        return rows, False
    marked = (row._replace(dot_sent=True) if each in positions else row for each, row in enumerate(rows))
    return tuple(marked), True


def settle(
    rows: Rows, rules: Rules, job: Job, positions: Sequence[int], outcomes: Sequence[Outcome]
) -> tuple[Rows, bool]:
    """All of the outcomes are recorded, or none; their recipients are nobody's then."""
    if not _mine(rows, rules, job).issuperset(positions):
        return rows, False
    after = list(rows)
    for position, outcome in zip(positions, outcomes, strict=True):
        after[position] = _settled(rows[position], rules, outcome)
    return tuple(after), True


def give_back(rows: Rows, rules: Rules, job: Job, until: int | None) -> Rows:
    """As before the claim, but for the due time and for what was ordered."""
    mine = _mine(rows, rules, job)
    after = list(rows)
    for part in job.parts:
        if part.position in mine:
            after[part.position] = _given_back(rows[part.position], rules, part.before, until)
    return tuple(after)


def order(rows: Rows, rules: Rules, given: Order, position: int, now: int) -> tuple[Rows, str]:
    """What the order makes of one recipient; "changed", "nothing", or "claimed": it waits for that to end."""
    row = rows[position]
    if row.is_final and rules.orders_spare_the_completed:
        return rows, "nothing"
    if row.lease and not (given is Order.CANCEL and not rules.cancel_waits_for_the_claim):
        marked = row._replace(mark=_marked(given, row.mark))
        return _replaced(rows, {position: marked}, rules), "nothing" if marked == row else "claimed"
    # a claim that lapsed may have left an order: what was asked first comes first
    over = row if given is Order.CANCEL else _over(row, rules)
    after = _ordered(given, over, now)
    if after == over:
        return rows, "nothing"
    if not after.is_final:  # where a claim has it that lapsed, a late result must not undo the order
        after = after._replace(mark=None if row.token is None else _marked(given, row.mark))
    return _replaced(rows, {position: after}, rules), "changed"


def lease_clock_goes_on(rows: Rows) -> Rows:
    """Half a lease passes."""
    return tuple(row._replace(lease=max(row.lease - 1, 0)) for row in rows)


def _may_claim(row: Row, rules: Rules, now: int) -> bool:
    if row.due is None or (row.lease and rules.claims_respect_leases):
        return False
    if row.held and not rules.claims_respect_holds:
        return True
    return row.due <= now or not rules.claims_respect_due_times


def _shown(row: Row, rules: Rules) -> Row:
    """As the claim shows it: without the claim that had it."""
    return _freed(row)._replace(dot_sent=row.dot_sent and rules.claims_keep_the_dot_mark)


def _granted(rows: Rows, rules: Rules, free: Collection[int], now: int, token: int) -> Rows:
    lost = {rows[each].token for each in free} - {None}
    if not rules.tokens_are_new and lost:
        token = next(each for each in lost if each is not None)
    after = list(rows)
    for each, row in enumerate(rows):
        if each in free:
            after[each] = _claimed(row, rules, now, token)
        elif row.token in lost and rules.claims_take_whole_claims_over:
            after[each] = row._replace(token=None, lease=0)
    return tuple(after)


def _claimed(row: Row, rules: Rules, now: int, token: int) -> Row:
    waits = row.crashes == 0 and now < EXPIRES
    return row._replace(
        crashes=row.crashes + 1 if rules.claims_are_written_ahead else row.crashes,
        due=now + WAIT_AFTER_FIRST_CRASH if waits else row.due,
        dot_sent=row.dot_sent and rules.claims_keep_the_dot_mark,
        token=token,
        lease=WHOLE_LEASE,
        mark=None,
    )


def _mine(rows: Rows, rules: Rules, job: Job) -> set[int]:
    """Which recipients the claim still has; a lease that ended takes none away."""
    if not rules.tokens_are_checked:
        return {part.position for part in job.parts}
    return {each for each, row in enumerate(rows) if row.token == job.token}


def _settled(row: Row, rules: Rules, outcome: Outcome) -> Row:
    after = row._replace(
        state=outcome.state,
        due=outcome.due,
        tries=outcome.tries,
        crashes=outcome.crashes,
        dot_sent=False,
        uncertain=outcome.uncertain,
        held=outcome.held,
    )
    return _freed(_over(after, rules) if rules.deferrals_heed_marks else after)


def _given_back(row: Row, rules: Rules, before: Row, until: int | None) -> Row:
    after = before._replace(mark=row.mark)
    if until is not None:
        after = after._replace(due=until)
    if not rules.give_back_undoes_the_crash:
        after = after._replace(crashes=row.crashes)
    return _freed(_over(after, rules))


def _freed(row: Row) -> Row:
    return row._replace(token=None, lease=0, mark=None)


def _over(row: Row, rules: Rules) -> Row:
    """What an order that met the claim makes of the recipient once the claim is over."""
    if row.is_final or row.mark is None or (not row.lease and not rules.marks_outlive_the_lease):
        return row
    if row.mark is Order.CANCEL:
        return _cancelled(row)
    return row if row.held else _held(row)


def _marked(given: Order, mark: Order | None) -> Order | None:
    if given is Order.CANCEL or mark is Order.CANCEL:
        return Order.CANCEL
    if given is Order.HOLD:
        return Order.HOLD
    return None if given is Order.RELEASE else mark


def _ordered(given: Order, row: Row, now: int) -> Row:
    """For a recipient that nobody has claimed."""
    if given is Order.CANCEL:
        return _cancelled(row)
    if row.is_final:
        return row
    if given is Order.HOLD and not row.held:
        return _held(row)
    if given is Order.RELEASE and row.held:
        state: str = "deferred" if row.tries or row.uncertain else "queued"
        return row._replace(state=state, due=now, crashes=0, held=False)
    if given is Order.RETRY and not row.held and (row.due or 0) > now:
        return row._replace(due=now)
    return row


def _cancelled(row: Row) -> Row:
    perhaps = row._replace(uncertain=row.uncertain or row.dot_sent)
    return _freed(perhaps._replace(state="failed", due=None, crashes=0, dot_sent=False, held=False))


def _held(row: Row) -> Row:
    perhaps = row._replace(uncertain=row.uncertain or row.dot_sent)
    return perhaps._replace(state="deferred", due=EXPIRES, held=True)


def _replaced(rows: Rows, changed: dict[int, Row], rules: Rules) -> Rows:
    """Who is cancelled is lost to a claim that lapsed; the others are not."""
    if not rules.cancel_ends_lapsed_claims:
        changed = {
            each: row._replace(token=rows[each].token, lease=rows[each].lease)
            for each, row in changed.items()
        }
    return tuple(changed.get(each, row) for each, row in enumerate(rows))
