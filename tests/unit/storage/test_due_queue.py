"""What falls due when: against the plainest possible model, and at what cost."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from mailstrom.storage.due_queue import Agenda, DueQueue
from mailstrom.storage.turns import Stream

NOW = datetime(2030, 1, 1, tzinfo=UTC)


def at(minute: int) -> datetime:
    return NOW + timedelta(minutes=minute)


@dataclass(eq=False)
class Waiters:
    """A message whose recipients wait for the times in `due`."""

    due: dict[int, datetime] = field(default_factory=dict)
    stream: Stream = (2, "")
    asked: int = 0

    def is_waiting(self, position: int, due_at: datetime) -> bool:
        self.asked += 1
        return self.due.get(position) == due_at


def add(queue: DueQueue[Waiters], message: Waiters, key: str, position: int, minute: int) -> None:
    message.due[position] = at(minute)
    queue.add(message, key, position, at(minute))


def take(queue: DueQueue[Waiters], minute: int, *skip: str, limit: int = 100) -> tuple[str, list[int]] | None:
    """What is taken, which waits no more."""
    taken = queue.take(at(minute), skip, limit)
    if taken is None:
        return None
    message, key, positions = taken
    for position in positions:
        del message.due[position]
    return key, positions


def test_an_item_put_again_is_due_at_its_new_time() -> None:
    agenda: Agenda[str] = Agenda()
    for name, minute in (("a", 1), ("b", 2), ("a", 3), ("b", 0), ("b", 2)):
        agenda.put(name, at(minute))

    assert agenda.first() == (at(2), "b")
    agenda.remove("b")
    agenda.remove("b")
    assert agenda.first() == (at(3), "a")


def test_equal_times_are_served_in_the_order_they_came() -> None:
    queue: DueQueue[Waiters] = DueQueue()
    for position in range(5):
        add(queue, Waiters(), "dest.example", position, 0)

    assert [take(queue, 0) for _ in range(5)] == [("dest.example", [position]) for position in range(5)]


def test_only_what_fell_due_together_is_taken_together() -> None:
    queue: DueQueue[Waiters] = DueQueue()
    message = Waiters()
    for position, minute in enumerate((1, 0, 1, 0)):
        add(queue, message, "dest.example", position, minute)

    assert [take(queue, 9), take(queue, 9)] == [("dest.example", [1, 3]), ("dest.example", [0, 2])]


def test_route_keys_take_turns() -> None:
    queue: DueQueue[Waiters] = DueQueue()
    for position in range(3):
        for key in ("a", "b"):
            add(queue, Waiters(), key, position, 0)

    keys = [taken[0] for _ in range(6) if (taken := take(queue, 0))]

    assert keys == ["a", "b"] * 3


def test_a_skipped_route_key_keeps_its_turn() -> None:
    queue: DueQueue[Waiters] = DueQueue()
    for key in ("a", "b", "c"):
        add(queue, Waiters(), key, 0, 0)
        add(queue, Waiters(), key, 1, 0)

    keys = [taken[0] for skip in (("a",), (), ()) if (taken := take(queue, 0, *skip))]

    assert keys == ["b", "a", "c"]


def test_a_clock_that_goes_back_hides_what_is_not_due_yet() -> None:
    """Row 45."""
    queue: DueQueue[Waiters] = DueQueue()
    add(queue, Waiters(), "late", 0, 10)
    add(queue, Waiters(), "early", 0, 1)
    assert queue.next_due(at(20), ()) == at(10) or queue.next_due(at(20), ()) == at(1)

    assert queue.next_due(at(0), ()) == at(1)
    assert [take(queue, 0), take(queue, 5), take(queue, 5)] == [None, ("early", [0]), None]
    assert queue.next_due(at(5), ()) == at(10)


def test_a_recipient_that_waits_no_more_is_dropped() -> None:
    queue: DueQueue[Waiters] = DueQueue()
    message = Waiters()
    for position in range(3):
        add(queue, message, "dest.example", position, position)
    del message.due[0], message.due[2]

    assert queue.next_due(at(0), ()) == at(1)
    assert [take(queue, 9), take(queue, 9)] == [("dest.example", [1]), None]
    assert (queue.next_due(at(9), ()), queue._routes, queue._groups) == (None, {}, {})


def test_what_is_dropped_takes_no_room_until_it_would_have_been_due() -> None:
    """A thousand scheduled mails cancelled, and one that is put off again and again."""
    queue: DueQueue[Waiters] = DueQueue()
    messages = [Waiters() for _ in range(1000)]
    for message in messages:
        add(queue, message, "dest.example", 0, 9999)
    for minute in range(1000, 0, -1):
        add(queue, messages[0], "dest.example", 0, minute)
    for message in messages[1:]:
        queue.drop(message, "dest.example")

    [route] = queue._routes.values()
    [stream] = route._streams.values()

    assert (len(queue._groups), len(stream._heap) < 100) == (1, True)
    assert take(queue, 1) == ("dest.example", [0])


def test_what_was_never_there_can_be_dropped() -> None:
    queue: DueQueue[Waiters] = DueQueue()

    queue.drop(Waiters(), "dest.example")

    assert queue.next_due(at(0), ()) is None


def test_the_cost_of_a_claim_does_not_grow_with_the_queue() -> None:
    """Row 59: 20,000 recipients of one message, and as many messages of one."""
    one, many = Waiters(), [Waiters() for _ in range(20_000)]
    queue: DueQueue[Waiters] = DueQueue()
    for position, message in enumerate(many):
        add(queue, one, "one.example", position, 0)
        add(queue, message, f"d{position % 50}.example", 0, 0)

    taken = 0
    while (found := take(queue, 0)) is not None:
        taken += len(found[1])

    assert taken == 40_000
    assert one.asked + sum(message.asked for message in many) < 4 * taken


STEPS = st.one_of(
    st.tuples(st.just("add"), st.integers(0, 3), st.integers(0, 2), st.integers(0, 5), st.integers(0, 9)),
    st.tuples(
        st.just("take"), st.integers(0, 9), st.sets(st.sampled_from("012"), max_size=2), st.integers(1, 3)
    ),
    st.tuples(st.just("next"), st.integers(0, 9), st.sets(st.sampled_from("012"), max_size=2)),
    st.tuples(st.just("drop"), st.integers(0, 3), st.integers(0, 5)),
    st.tuples(st.just("drop all"), st.integers(0, 3)),
)


@given(st.lists(STEPS, max_size=60))
def test_the_queue_agrees_with_a_plain_list(steps: list[tuple[object, ...]]) -> None:
    """What is taken is due, not skipped, of one message and key; nothing due is left out."""
    queue: DueQueue[Waiters] = DueQueue()
    messages = [Waiters(stream=stream) for stream in ((1, "a"), (2, "a"), (2, "b"), (2, "b"))]
    keys: dict[tuple[int, int], str] = {}

    def waiting(skip: set[str]) -> list[datetime]:
        return [
            due_at
            for number, message in enumerate(messages)
            for position, due_at in message.due.items()
            if keys[number, position] not in skip
        ]

    for step in steps:
        match step:
            case ("add", int(number), int(key), int(position), int(minute)):
                name = keys.setdefault((number, position), str(key))
                add(queue, messages[number], name, position, minute)
            case ("drop", int(number), int(position)):
                messages[number].due.pop(position, None)
            case ("drop all", int(number)):
                messages[number].due.clear()
                for key in range(3):
                    queue.drop(messages[number], str(key))
            case ("take", int(minute), set(skip), int(limit)):
                before = waiting(skip)
                taken = queue.take(at(minute), skip, limit)
                assert (taken is None) is (min(before, default=at(99)) > at(minute))
                if taken is not None:
                    message, key_taken, positions = taken
                    number = messages.index(message)
                    assert {keys[number, each] for each in positions} == {key_taken}
                    assert key_taken not in skip
                    assert 0 < len(positions) <= limit
                    [together] = {message.due.pop(each) for each in positions}
                    assert together <= at(minute)
            case ("next", int(minute), set(skip)):
                earliest = min(waiting(skip), default=None)
                found = queue.next_due(at(minute), skip)
                if earliest is None or earliest > at(minute):
                    assert found == earliest
                else:
                    assert found is not None
                    assert found <= at(minute)
