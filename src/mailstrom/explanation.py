"""Why a message waits: which gate holds each of its recipients now, and until when.

    status, who is being tried   (the storage's)  ──┐
    Gates                        (the worker's)   ──┴─ explained ──► Explanation

A recipient is held by its own gate (its time has not come, it is held), by those of the worker, and
by that of its lane. What is due as well waits for its turn. All that hold it are told, in that order:
each of them has to open before it is tried.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum, unique
from typing import Any

from .engine.gates import CapGate, DownGate, Gates, LaneGate, MeterGate, Visit
from .records import InternalMessageStatus, InternalRecipientStatus, Order, Trying
from .status import WorkerStatus, one_line
from .storage.changes import HELD, is_held

__all__ = ["MARKS", "Explanation", "Gate", "Hold", "RecipientExplanation", "explained"]

#: What is told of a try whose end an order waits for.
MARKS = {None: "", Order.CANCEL: "; cancelled when that ends", Order.HOLD: "; held when that ends"}


@unique
class Gate(StrEnum):
    """What a recipient has to pass before it is tried; and where there is nothing to pass."""

    SCHEDULED = "scheduled"  # its send_at has not come
    BACKOFF = "backoff"  # it was tried without success; its next try has not come
    HELD = "held"  # by an order, after crashes, or because it may have been delivered
    CLAIMED = "claimed"  # it is being tried now
    WORKER_OFF = "worker off"  # this process has no worker that takes it; another process may
    CRASHED = "crashed"  # the worker crashed too often and stays down
    WORKER_SILENT = "worker silent"  # its thread does not answer: something keeps it from running
    PAUSED = "paused"  # pause() was called
    NO_RESOLVER = "no resolver"  # no name server can be asked
    STORAGE_TROUBLE = "storage trouble"  # the storage fails: nothing new is claimed
    NETWORK_FAILED = "network failed"  # nobody at all can be reached: no tries are spent
    LANE_HELD = "lane held"  # the relay refused our credentials
    HOST_DOWN = "host down"  # nobody answers in its lane: one delivery at a time asks there
    WORKER_FULL = "worker full"  # Config.max_sessions deliveries are under way
    RATE_LIMIT = "rate limit"  # as many as its destination's rate allows have begun
    LANE_LIMIT = "lane limit"  # as many sessions as its destination's limit allows are in use
    LANE_FULL = "lane full"  # as many deliveries are under way in its lane as that takes at its pace
    DUE = "due"  # nothing holds it: next in turn
    DONE = "done"  # delivered or failed: nothing is left to do


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """One gate that is shut for a recipient (or DUE or DONE alone, where none is)."""

    gate: Gate
    until: datetime | None = None  # aware UTC, when it opens by itself; None: nobody knows
    text: str  # one line for a person

    def __str__(self) -> str:
        until = "" if self.until is None else f" until {self.until.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
        return f"{self.gate}{until}: {self.text}"


@dataclass(frozen=True, slots=True, kw_only=True)
class RecipientExplanation:
    """A recipient, and all that holds it; never empty."""

    recipient: str  # for people
    address: str  # as on the wire
    holds: tuple[Hold, ...]

    @property
    def gate(self) -> Gate:
        """The first gate that has to open."""
        return self.holds[0].gate

    @property
    def until(self) -> datetime | None:
        """When that opens by itself, as far as that is known."""
        return self.holds[0].until

    def __str__(self) -> str:
        return one_line(f"{self.recipient}: {'; '.join(str(hold) for hold in self.holds)}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """What holds each recipient of a message; `explanation["you@x.example"]` is that of one."""

    message_id: str
    at: datetime  # aware UTC: it was so then
    recipients: tuple[RecipientExplanation, ...]

    def __getitem__(self, address: str) -> RecipientExplanation:
        for recipient in self.recipients:
            if recipient.address == address:
                return recipient
        raise KeyError(address)

    def __iter__(self) -> Iterator[RecipientExplanation]:
        return iter(self.recipients)

    def __str__(self) -> str:
        return "\n".join(str(recipient) for recipient in self.recipients)

    def to_dict(self) -> dict[str, Any]:
        """Plain dicts, lists and strings, ready for `json.dumps`."""
        return {
            "message_id": self.message_id,
            "at": self.at.isoformat(),
            "recipients": [
                {"address": each.address, "holds": [_hold_to_dict(hold) for hold in each.holds]}
                for each in self.recipients
            ],
        }


def explained(
    status: InternalMessageStatus, trying: Mapping[str, Trying], gates: Gates | None, now: datetime
) -> Explanation:
    """What these values say of the message at `now`; without `gates` only what the storage knows."""
    recipients = tuple(
        RecipientExplanation(
            recipient=each.recipient,
            address=each.address,
            holds=tuple(_holds(each, trying.get(each.address), gates, now)),
        )
        for each in status.recipients
    )
    return Explanation(message_id=status.message_id, at=now, recipients=recipients)


def _holds(
    recipient: InternalRecipientStatus, trying: Trying | None, gates: Gates | None, now: datetime
) -> list[Hold]:
    if recipient.result.completed:
        return [Hold(gate=Gate.DONE, text=str(recipient.result))]
    if trying is not None:
        place = "" if gates is None else _place(gates.visits.get(recipient.address))
        return [_claimed(trying, place, now)]
    own = _own_hold(recipient, now)
    holds = [] if own is None else [own]
    if gates is not None:
        lane = gates.lanes.get(recipient.route_key)
        holds += _worker_holds(gates, lane, now)
        if not holds:
            holds += _turn_holds(gates, lane)
    return holds or [_due(recipient)]


def _claimed(trying: Trying, place: str, now: datetime) -> Hold:
    until = now + timedelta(seconds=trying.lease_secs)
    return Hold(gate=Gate.CLAIMED, until=until, text=f"being tried now{place}{MARKS[trying.mark]}")


def _place(visit: Visit | None) -> str:
    if visit is None:
        return ", by another worker or one that is gone"
    if visit.is_settling:
        return ": its result is being recorded"
    if visit.is_waiting:
        return ", as soon as its lane has a place"
    if visit.host is None:
        return ": where it goes is being looked up"
    where = f"{visit.host} [{visit.ip}]"
    return f": opening a session with {where}" if visit.phase is None else f": at {visit.phase} with {where}"


def _own_hold(recipient: InternalRecipientStatus, now: datetime) -> Hold | None:
    result, reason = recipient.result, recipient.result.reason
    if recipient.due_at is None or is_held(recipient):
        why = "by an order" if reason in (None, HELD) else one_line(reason or "")
        return Hold(gate=Gate.HELD, text=f"nobody tries it until it is released or cancelled ({why})")
    if recipient.due_at <= now:
        return None
    if result.state == "queued" and not recipient.crashes:
        return Hold(gate=Gate.SCHEDULED, until=recipient.due_at, text="not to be sent before")
    why = one_line(reason) if reason else _crashed(recipient)
    return Hold(gate=Gate.BACKOFF, until=recipient.due_at, text=f"tried again then; last: {why}")


def _worker_holds(gates: Gates, lane: LaneGate | None, now: datetime) -> list[Hold]:
    """Those of the worker and the lane that hold whatever there is."""
    absent = _absence(gates)
    if absent is not None:
        return [absent]
    holds = []
    if gates.is_paused or gates.status is WorkerStatus.PAUSED:
        holds.append(Hold(gate=Gate.PAUSED, text="pause() was called: start() goes on"))
    if gates.status is WorkerStatus.RESOLVER_CREATION_FAILED:
        holds.append(Hold(gate=Gate.NO_RESOLVER, text="no name server can be asked; the log says why"))
    if gates.is_stuck or gates.status in _STORAGE_FAILS:
        holds.append(Hold(gate=Gate.STORAGE_TROUBLE, text="the storage fails: nothing new is begun"))
    holds += _network_holds(gates.status, lane, now)
    if lane is not None and lane.is_shut and lane.held_secs is not None:
        holds.append(_held_lane(lane.held_secs, now))
    if lane is not None and lane.down is not None:
        holds.append(_down_lane(lane.lane, lane.down, now))
    return holds + ([] if lane is None else [_limited(gate, now) for gate in lane.limits])


_STORAGE_FAILS = (WorkerStatus.STORAGE_READ_FAILED, WorkerStatus.STORAGE_WRITE_FAILED)
_OFF = {
    WorkerStatus.NOT_STARTED: "start() was not called in this process",
    WorkerStatus.STANDBY: "this process stands by",
    WorkerStatus.TERMINATED: "the worker has ended",
}


def _absence(gates: Gates) -> Hold | None:
    if gates.status is WorkerStatus.CRASHED:
        return Hold(gate=Gate.CRASHED, text="the worker crashed too often and stays down; see the log")
    if gates.status in _OFF or gates.is_ending:
        perhaps = "; another process may deliver it" if gates.others_may_deliver else ""
        return Hold(gate=Gate.WORKER_OFF, text=_OFF.get(gates.status, "the worker is ending") + perhaps)
    if gates.is_silent:
        return Hold(gate=Gate.WORKER_SILENT, text="the worker's thread does not answer: it gets no time")
    return None


def _held_lane(held_secs: float, now: datetime) -> Hold:
    if held_secs > 0:
        until = now + timedelta(seconds=held_secs)
        text = "the relay refused our credentials; then one delivery asks again"
        return Hold(gate=Gate.LANE_HELD, until=until, text=text)
    text = "one delivery goes ahead alone: whether the relay takes our credentials is not known"
    return Hold(gate=Gate.LANE_HELD, text=text)


def _network_holds(status: WorkerStatus, lane: LaneGate | None, now: datetime) -> list[Hold]:
    rests_secs = None if lane is None else lane.rests_secs
    if status is not WorkerStatus.NETWORK_FAILED and rests_secs is None:
        return []
    text = "nobody can be reached, by our own fault it seems: no tries are spent until somebody is"
    if not rests_secs:
        return [Hold(gate=Gate.NETWORK_FAILED, text=text)]
    until = now + timedelta(seconds=rests_secs)
    return [Hold(gate=Gate.NETWORK_FAILED, until=until, text=f"{text}; asked again then at the latest")]


def _down_lane(lane: str, down: DownGate, now: datetime) -> Hold:
    since = (now - timedelta(seconds=down.secs)).astimezone(UTC)
    heard = "" if down.heard is None else f"; last: {one_line(down.heard)}"
    awaited = "one delivery asks there now" if down.is_asked else "the next delivery that is due asks there"
    text = f"{lane.removeprefix('key:')} has not answered since {since:%Y-%m-%d %H:%M:%S} UTC: {awaited}"
    return Hold(gate=Gate.HOST_DOWN, text=f"{text}, for all others too{heard}")


def _limited(gate: CapGate | MeterGate, now: datetime) -> Hold:
    until = None if gate.secs is None else now + timedelta(seconds=gate.secs)
    if isinstance(gate, MeterGate):
        text = f"no more than {gate.rate} go to {gate.name} (Config.limits)"
        return Hold(gate=Gate.RATE_LIMIT, until=until, text=text)
    others = "" if until is None else "; other workers use the rest, and are asked again then"
    where = f"for {gate.name} (Config.limits, provider_limits)"
    text = f"{gate.in_use} of {gate.most} sessions {where} are in use by this worker{others}"
    return Hold(gate=Gate.LANE_LIMIT, until=until, text=text)


def _turn_holds(gates: Gates, lane: LaneGate | None) -> list[Hold]:
    """Those that open as soon as another delivery ends."""
    holds = []
    if gates.in_hand_limit and gates.in_hand >= gates.in_hand_limit:
        text = f"{gates.in_hand} of {gates.in_hand_limit} deliveries are under way (Config.max_sessions)"
        holds.append(Hold(gate=Gate.WORKER_FULL, text=text))
    if lane is not None and lane.is_shut and not lane.limits:
        most = "more with each success, up to Config.max_sessions_per_lane"
        where = f"to {lane.lane.removeprefix('key:')} ({most})"
        text = f"{lane.in_use} of {lane.limit} deliveries are under way {where}"
        holds.append(Hold(gate=Gate.LANE_FULL, text=text))
    return holds


def _due(recipient: InternalRecipientStatus) -> Hold:
    crashed = f"; {_crashed(recipient)}" if recipient.crashes else ""
    return Hold(gate=Gate.DUE, text=f"nothing holds it: next in turn{crashed}")


def _crashed(recipient: InternalRecipientStatus) -> str:
    return f"passes in a row that came to no end: {recipient.crashes}"


def _hold_to_dict(hold: Hold) -> dict[str, Any]:
    until = None if hold.until is None else hold.until.isoformat()
    return {"gate": str(hold.gate), "until": until, "text": hold.text}
