"""Which gate holds a recipient: a rule over what the storage and the worker say."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from mailstrom import Deferred, Delivered, DeliveryResult, Phase, Queued, WorkerStatus
from mailstrom.abc import InternalMessageStatus, InternalRecipientStatus, Order, Trying
from mailstrom.engine.gates import CapGate, DownGate, Gates, LaneGate, MeterGate, Visit
from mailstrom.explanation import Gate, Hold, explained

NOW = datetime(2030, 1, 1, 12, 0, tzinfo=UTC)
LATER = NOW + timedelta(hours=1)
YOU = "you@dest.example"
AT_WORK = Gates(status=WorkerStatus.OK, in_hand=1, in_hand_limit=500)
LANE = LaneGate(lane="mx.dest.example", in_use=0, limit=20, is_shut=False)
FULL = replace(LANE, in_use=20, is_shut=True)
CAP = CapGate(name="google", in_use=1, most=10, secs=None)
METER = MeterGate(name="dest.example", rate="5/min", secs=12.0)
REFUSED = replace(LANE, is_shut=True, held_secs=900.0)
RESTING = replace(LANE, is_shut=True, rests_secs=300.0)
DOWN = replace(LANE, down=DownGate(secs=90.0, is_asked=False, heard="mx: timed out"))
ASKED = replace(LANE, in_use=1, is_shut=True, down=DownGate(secs=90.0, is_asked=True, heard=None))
UNPROVED = replace(LANE, in_use=1, is_shut=True, held_secs=0.0)


def holds(
    result: DeliveryResult | None = None,
    gates: Gates | None = AT_WORK,
    trying: Trying | None = None,
    **fields: Any,
) -> tuple[Hold, ...]:
    """What holds a recipient that is due, unless said otherwise."""
    recipient = InternalRecipientStatus(
        recipient=YOU,
        address=YOU,
        route_key="dest.example",
        result=result or Queued(),
        **{"due_at": NOW, **fields},
    )
    status = InternalMessageStatus(message_id="1@x.example", recipients=(recipient,), submitted_at=NOW)
    return explained(status, {} if trying is None else {YOU: trying}, gates, NOW)[YOU].holds


def found(*args: Any, **kwargs: Any) -> list[tuple[Gate, datetime | None]]:
    return [(hold.gate, hold.until) for hold in holds(*args, **kwargs)]


def in_lane(lane: LaneGate) -> Gates:
    return replace(AT_WORK, lanes={"dest.example": lane, "other.example": FULL})


@pytest.mark.parametrize("gates", [AT_WORK, in_lane(LANE), None])
def test_what_is_due_where_every_gate_is_open_is_next_in_turn(gates: Gates | None) -> None:
    assert found(gates=gates) == [(Gate.DUE, None)]


@pytest.mark.parametrize("gates", [AT_WORK, Gates(status=WorkerStatus.CRASHED), None])
def test_what_is_completed_is_done_whatever_the_worker_does(gates: Gates | None) -> None:
    assert found(Delivered(tries=1), gates, due_at=None) == [(Gate.DONE, None)]


def test_what_was_never_tried_waits_for_its_time() -> None:
    assert found(Queued(next_attempt_at=LATER), due_at=LATER) == [(Gate.SCHEDULED, LATER)]


def test_what_was_deferred_waits_for_its_next_try_and_says_why() -> None:
    result = Deferred(tries=1, reason="450 4.2.0 greylisted", next_attempt_at=LATER)

    [hold] = holds(result, due_at=LATER)

    assert (hold.gate, hold.until) == (Gate.BACKOFF, LATER)
    assert "450 4.2.0 greylisted" in hold.text


def test_what_crashed_without_a_result_waits_for_its_next_try_too() -> None:
    [hold] = holds(Queued(), due_at=LATER, crashes=2)

    assert (hold.gate, hold.until) == (Gate.BACKOFF, LATER)
    assert "passes in a row that came to no end: 2" in hold.text


@pytest.mark.parametrize(
    ("reason", "told"),
    [
        ("held", "by an order"),
        ("held; before that: 450 busy", "held; before that: 450 busy"),
        ("held after 5 internal errors in a row; see the log", "after 5 internal errors"),
        ("it broke off; held because on_uncertain is 'hold'", "on_uncertain"),
    ],
)
@pytest.mark.parametrize("due_at", [None, LATER], ids=["for good", "until it expires"])
def test_what_is_held_says_by_what(reason: str, told: str, due_at: datetime | None) -> None:
    [hold] = holds(Deferred(reason=reason), due_at=due_at)

    assert (hold.gate, hold.until) == (Gate.HELD, None)
    assert told in hold.text


@pytest.mark.parametrize(
    ("visit", "place"),
    [
        (None, "by another worker or one that is gone"),
        (Visit(), "is being looked up"),
        (Visit(host="mx.test", ip="192.0.2.1"), "opening a session with mx.test [192.0.2.1]"),
        (Visit(host="mx.test", ip="192.0.2.1", phase=Phase.RCPT), "at rcpt with mx.test [192.0.2.1]"),
        (Visit(host="mx.test", ip="192.0.2.1", is_settling=True), "its result is being recorded"),
    ],
)
def test_what_is_being_tried_says_where_and_until_when_its_lease_lasts(
    visit: Visit | None, place: str
) -> None:
    visits = {} if visit is None else {YOU: visit}
    gates = replace(AT_WORK, visits=visits, is_paused=True)

    [hold] = holds(gates=gates, trying=Trying(lease_secs=30.0, mark=None))

    assert (hold.gate, hold.until) == (Gate.CLAIMED, NOW + timedelta(seconds=30))
    assert place in hold.text


def test_where_only_the_storage_is_asked_nothing_is_said_of_where_it_is_being_tried() -> None:
    [hold] = holds(gates=None, trying=Trying(lease_secs=30.0, mark=None))

    assert (hold.gate, hold.text) == (Gate.CLAIMED, "being tried now")


@pytest.mark.parametrize(
    ("mark", "told"), [(Order.CANCEL, "cancelled when that ends"), (Order.HOLD, "held when that ends")]
)
def test_an_order_that_waits_for_the_end_of_a_try_is_told(mark: Order, told: str) -> None:
    [hold] = holds(trying=Trying(lease_secs=30.0, mark=mark))

    assert told in hold.text


@pytest.mark.parametrize(
    ("gates", "gate"),
    [
        (Gates(status=WorkerStatus.CRASHED), Gate.CRASHED),
        (Gates(status=WorkerStatus.NOT_STARTED), Gate.WORKER_OFF),
        (Gates(status=WorkerStatus.STANDBY), Gate.WORKER_OFF),
        (Gates(status=WorkerStatus.TERMINATED), Gate.WORKER_OFF),
        (replace(AT_WORK, status=WorkerStatus.STOPPING, is_ending=True), Gate.WORKER_OFF),
        (Gates(status=WorkerStatus.OK, is_silent=True), Gate.WORKER_SILENT),
        (Gates(status=WorkerStatus.PAUSED), Gate.PAUSED),
        (replace(AT_WORK, is_paused=True), Gate.PAUSED),
        (replace(AT_WORK, status=WorkerStatus.RESOLVER_CREATION_FAILED), Gate.NO_RESOLVER),
        (replace(AT_WORK, status=WorkerStatus.STORAGE_READ_FAILED), Gate.STORAGE_TROUBLE),
        (replace(AT_WORK, status=WorkerStatus.STORAGE_WRITE_FAILED), Gate.STORAGE_TROUBLE),
        (replace(AT_WORK, is_stuck=True), Gate.STORAGE_TROUBLE),
        (in_lane(UNPROVED), Gate.LANE_HELD),
        (replace(AT_WORK, in_hand=500), Gate.WORKER_FULL),
        (in_lane(FULL), Gate.LANE_FULL),
        (in_lane(replace(FULL, limits=(CAP,))), Gate.LANE_LIMIT),
        (in_lane(replace(FULL, limits=(replace(METER, secs=None),))), Gate.RATE_LIMIT),
    ],
)
def test_a_gate_of_the_worker_holds_what_is_due(gates: Gates, gate: Gate) -> None:
    assert found(gates=gates) == [(gate, None)]


def test_a_worker_that_ends_still_takes_what_it_has_promised_to() -> None:
    assert found(gates=replace(AT_WORK, status=WorkerStatus.STOPPING)) == [(Gate.DUE, None)]


def test_a_relay_that_refused_us_is_asked_again_at_a_time_that_is_known() -> None:
    assert found(gates=in_lane(REFUSED)) == [(Gate.LANE_HELD, NOW + timedelta(seconds=900))]


def test_a_rate_says_when_the_next_may_begin() -> None:
    [hold] = holds(gates=in_lane(replace(LANE, is_shut=True, limits=(METER,))))

    text = "no more than 5/min go to dest.example (Config.limits)"
    assert hold == Hold(gate=Gate.RATE_LIMIT, until=NOW + timedelta(seconds=12), text=text)


def test_sessions_that_others_use_are_asked_for_again_at_a_time_that_is_known() -> None:
    [hold] = holds(gates=in_lane(replace(LANE, is_shut=True, limits=(replace(CAP, secs=5.0),))))

    in_use = "1 of 10 sessions for google (Config.limits, provider_limits) are in use by this worker"
    text = f"{in_use}; other workers use the rest, and are asked again then"
    assert hold == Hold(gate=Gate.LANE_LIMIT, until=NOW + timedelta(seconds=5), text=text)


def test_a_full_lane_says_how_many_are_under_way() -> None:
    [hold] = holds(gates=in_lane(FULL))

    assert hold.text.startswith("20 of 20 deliveries are under way to mx.dest.example ")


@pytest.mark.parametrize(
    ("status", "others_may", "told"),
    [
        (WorkerStatus.NOT_STARTED, False, 0),
        (WorkerStatus.NOT_STARTED, True, 1),
        (WorkerStatus.STANDBY, True, 1),
    ],
)
def test_where_another_process_may_deliver_that_is_told_once(
    status: WorkerStatus, others_may: bool, told: int
) -> None:
    [hold] = holds(gates=Gates(status=status, others_may_deliver=others_may))

    assert hold.text.count("another process") == told


def test_all_that_holds_is_told_its_own_gate_first() -> None:
    gates = replace(in_lane(REFUSED), is_paused=True)

    gates_found = [hold.gate for hold in holds(Queued(next_attempt_at=LATER), gates, due_at=LATER)]

    assert gates_found == [Gate.SCHEDULED, Gate.PAUSED, Gate.LANE_HELD]


@pytest.mark.parametrize("gates", [in_lane(FULL), replace(AT_WORK, in_hand=500)])
def test_what_is_not_due_yet_is_not_held_by_what_is_full_now(gates: Gates) -> None:
    assert found(Queued(next_attempt_at=LATER), gates, due_at=LATER) == [(Gate.SCHEDULED, LATER)]


def test_an_explanation_is_json_and_lines_for_people() -> None:
    recipients = [
        InternalRecipientStatus(
            recipient=f"Name <{name}@dest.example>",
            address=f"{name}@dest.example",
            route_key="dest.example",
            result=Queued(next_attempt_at=LATER),
            due_at=LATER,
        )
        for name in ("a", "b")
    ]
    status = InternalMessageStatus(
        message_id="1@x.example", recipients=tuple(recipients), submitted_at=NOW
    )

    explanation = explained(status, {}, None, NOW)

    held = {"gate": "scheduled", "until": "2030-01-01T13:00:00+00:00", "text": "not to be sent before"}
    assert json.loads(json.dumps(explanation.to_dict())) == {
        "message_id": "1@x.example",
        "at": "2030-01-01T12:00:00+00:00",
        "recipients": [
            {"address": "a@dest.example", "holds": [held]},
            {"address": "b@dest.example", "holds": [held]},
        ],
    }
    assert str(explanation).splitlines()[1] == (
        "Name <b@dest.example>: scheduled until 2030-01-01 13:00:00 UTC: not to be sent before"
    )
    with pytest.raises(KeyError):
        explanation["c@dest.example"]


def test_where_nobody_answers_it_says_since_when_who_asks_and_what_was_heard() -> None:
    [due], [asked] = holds(gates=in_lane(DOWN)), holds(gates=in_lane(ASKED))

    since = "mx.dest.example has not answered since 2030-01-01 11:58:30 UTC"
    assert due == Hold(
        gate=Gate.HOST_DOWN,
        text=f"{since}: the next delivery that is due asks there, for all others too; last: mx: timed out",
    )
    assert asked == Hold(
        gate=Gate.HOST_DOWN, text=f"{since}: one delivery asks there now, for all others too"
    )


def test_a_host_that_is_down_is_told_of_what_waits_for_its_next_try_too() -> None:
    result = Deferred(tries=1, reason="mx: timed out", next_attempt_at=LATER)

    assert found(result, in_lane(DOWN), due_at=LATER) == [(Gate.BACKOFF, LATER), (Gate.HOST_DOWN, None)]


def test_where_nobody_can_be_reached_it_says_when_its_own_destination_is_asked_again() -> None:
    """Also before a minute is over: the lane rests all the same."""
    lost = replace(in_lane(RESTING), status=WorkerStatus.NETWORK_FAILED)
    again = NOW + timedelta(minutes=5)

    assert found(gates=lost) == [(Gate.NETWORK_FAILED, again)]
    assert found(gates=in_lane(RESTING)) == [(Gate.NETWORK_FAILED, again)]
    assert found(gates=replace(AT_WORK, status=WorkerStatus.NETWORK_FAILED)) == [(Gate.NETWORK_FAILED, None)]
