"""Rules of orders: what is asked with `cancel`, `hold`, `release` and `pause` is done, and nothing else."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from mailstrom.status import Cause

from .case import Case, secs
from .plan import MINUTE

BEGUN_SECS = 2 * MINUTE  # from a claim to its first visit, where the DNS is slow
TOLD_SECS = 1.0
SENT_AGAIN_SECS = 5.0  # segments of the content that were lost


def nothing_is_taken_after_cancel_has_returned(case: Case) -> None:
    """Who is cancelled gets nothing more, but what was on its way to a slow host before."""
    if case.cancelled_at is not None:
        late = [each for each in case.taken if each.at > case.cancelled_at]
        assert not late, f"taken after cancel() had returned: {case}"
    at = case.orders.done_at("cancel", case.mail.number)
    if at is None or case.is_disturbed(("freeze",), at - MINUTE, at):
        return
    for each in case.taken:
        assert each.at <= at + _on_its_way_secs(case, each.host), f"cancelled at {at:g}, then taken: {case}"


def nothing_is_begun_after_cancel_has_returned(case: Case) -> None:
    """Who is cancelled is over at the end, and nobody begins to try it any more."""
    at = case.orders.done_at("cancel", case.mail.number)
    if at is not None:
        assert case.result.completed, f"cancelled at {at:g}: {case}"
        assert not _begun(case, at, float("inf")), f"cancelled at {at:g}, and tried: {case}"


def only_cancel_cancels(case: Case) -> None:
    """Nobody is cancelled whom no caller has cancelled."""
    if case.result.cause is Cause.CANCELLED:
        assert case.orders.of("cancel", case.mail.number), f"nobody cancelled it: {case}"


def what_is_held_is_not_tried(case: Case) -> None:
    """Nobody begins to try what is held, until it is released."""
    for since, until in case.orders.holds(case.mail.number):
        assert not _begun(case, since, until), f"held at {since:g}, and tried: {case}"


def what_is_left_is_held_for_a_reason(case: Case) -> None:
    """Each `Deferred` has a next attempt, or a hold that a person or the policy wanted."""
    if case.result.completed:
        return
    assert case.result.next_attempt_at is None, f"neither ended nor held: {case}"
    by_policy = case.result.uncertain and case.plan.retry.on_uncertain == "hold"
    by_crashes = "in a row" in (case.result.reason or "")
    assert by_policy or by_crashes or case.orders.may_be_held(case.mail.number), f"nobody held it: {case}"


class Pauses:
    """Knows which processes are paused, and sees that they rest."""

    def __init__(self) -> None:
        self._since: dict[str, float] = {}
        self._started_at: defaultdict[str, list[float]] = defaultdict(list)

    def begins(self, name: str, at: float, secs: float) -> None:
        """It is paused, until somebody starts it again."""
        self._since[name] = at
        self._started_at[name].append(at + secs)

    def check(self, name: str, call: str, at: float) -> None:
        """A process that is paused claims nothing."""
        if name not in self._since:
            return
        since = self._since[name]
        until = min(started_at for started_at in self._started_at[name] if started_at > since)
        is_resting = call == "claim_many" and since + TOLD_SECS < at < until - TOLD_SECS
        assert not is_resting, f"{name} is paused since {since:g}, and claims at {at:g}"


def _begun(case: Case, since: float, until: float) -> Sequence[float]:
    """When passes began between these times; claims of before may go on for a while."""
    if not case.has_true_times or case.is_disturbed(("freeze",), since - MINUTE, since + BEGUN_SECS):
        return ()
    begun = [secs(each[0].at) for each in case.passes]
    return [at for at in begun if since + BEGUN_SECS < at < until - TOLD_SECS]


def _on_its_way_secs(case: Case, name: str) -> float:
    """How long a host may take from the last octet to its yes."""
    host = next(host for host in case.plan.hosts if host.name == name)
    lost_secs = SENT_AGAIN_SECS * bool(host.loss)
    slow = dict(host.slow)
    answering_secs = slow.get("content", 0.0)
    if host.has_chunking:  # it had all of it before it said anything
        answering_secs += slow.get("mail", 0.0) + slow.get("rcpt", 0.0) * len(case.mail.to)
    return TOLD_SECS + 2 * host.latency_secs + lost_secs + answering_secs
