"""Orders, pulled in due times and forgotten addresses over a plain storage, beyond the contract."""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest

from mailstrom.abc import EVERYTHING, InternalMessageStatus, Order, PreparedEmail, Selection
from mailstrom.errors import MessageNotFound, StorageError
from mailstrom.event import EventKind
from mailstrom.status import Deferred, Delivered
from mailstrom.storage.exclusive import ExclusiveStorage
from mailstrom.storage.memory import MemoryStorage
from mailstrom.testing.storage_kit import EXPIRES_AT, LATER, LEASE, NOW, an_entry, id_of, ids_of
from tests.contract.plain_storage import PlainStorage
from tests.unit.storage.lifting import Failing, claimed, lifted, order, settle


def states(storage: ExclusiveStorage, name: str = "one") -> list[str]:
    return [each.result.state for each in storage.retrieve_status(id_of(name)).recipients]


def addresses(storage: ExclusiveStorage, name: str = "one") -> list[str]:
    return [each.address for each in storage.retrieve_status(id_of(name)).recipients]


def told(storage: ExclusiveStorage) -> list[tuple[str | None, EventKind, str | None]]:
    return [(each.message_id, each.kind, each.address) for each in storage.events()]


def test_an_order_is_written_before_it_is_told() -> None:
    plain = Failing()
    storage = lifted(plain)
    storage.store([an_entry()])
    plain.fails = {"update_status"}

    with pytest.raises(StorageError, match="the disk is gone"):
        order(storage, Order.CANCEL)

    assert (states(storage), told(storage)) == (["queued"], [(id_of("one"), EventKind.ACCEPTED, None)])


def test_an_order_that_fails_in_the_middle_tells_what_it_has_changed() -> None:
    """The caller learns of each change once; the next call meets the trouble first."""
    plain = Failing()
    storage = lifted(plain)
    storage.store([an_entry(name) for name in ("a", "b", "c")])
    plain.fails = {f"update_status {id_of('b')}"}

    done = storage.order(Order.HOLD, EVERYTHING, NOW)
    with pytest.raises(StorageError):
        storage.order(Order.HOLD, EVERYTHING, NOW)
    plain.fails = set()
    rest = storage.order(Order.HOLD, EVERYTHING, NOW)

    assert [each.message_id for each in (*done, *rest)] == [id_of(name) for name in ("a", "b", "c")]


def test_an_order_that_could_not_be_written_leaves_no_mark() -> None:
    plain = Failing()
    storage = lifted(plain)
    storage.store([an_entry("one", "a@one.example", "b@two.example")])
    claim = claimed(storage)
    plain.fails = {"update_status"}
    with pytest.raises(StorageError):
        order(storage, Order.CANCEL)
    plain.fails = set()

    settle(storage, claim, Deferred(tries=1, next_attempt_at=LATER))

    assert sorted(states(storage)) == ["deferred", "queued"]


def test_an_order_waits_only_for_messages_that_it_means() -> None:
    hangs, go_on = threading.Event(), threading.Event()

    class Hangs(PlainStorage):
        def update_status(self, status: InternalMessageStatus) -> None:
            if status.message_id == id_of("slow"):
                hangs.set()
                go_on.wait(30)
            super().update_status(status)

    storage = lifted(Hangs())
    storage.store([an_entry("slow", "a@one.example"), an_entry("fast", "b@two.example")])
    thread = threading.Thread(target=settle, args=(storage, claimed(storage)))
    thread.start()
    hangs.wait(30)

    held = [*order(storage, Order.HOLD, "fast"), *order(storage, Order.HOLD, "unknown")]
    by_domain = storage.order(Order.RELEASE, Selection(domain="two.example"), NOW)

    go_on.set()
    thread.join()
    assert [each.message_id for each in (*held, *by_domain)] == [id_of("fast")] * 2


def test_a_limit_parts_an_order_within_a_message() -> None:
    storage = lifted(MemoryStorage())
    storage.store([an_entry("one", *(f"u{number}@dest.example" for number in range(5))), an_entry("two")])

    calls = [storage.order(Order.HOLD, EVERYTHING, NOW, limit=4) for _ in range(3)]

    assert [[each.after.address for each in done] for done in calls] == [
        [f"u{number}@dest.example" for number in range(4)],
        ["u4@dest.example", "you@dest.example"],
        [],
    ]


def test_a_hold_that_met_a_claim_outlives_its_lease() -> None:
    now = [0.0]
    storage = lifted(MemoryStorage(), lambda: now[0])
    storage.store([an_entry()])
    claimed(storage)
    order(storage, Order.HOLD)
    now[0] = 61.0

    assert storage.claim(NOW, owner="two", lease=LEASE) is None

    [recipient] = storage.retrieve_status(id_of("one")).recipients
    assert (recipient.result, recipient.due_at) == (Deferred(reason="held"), EXPIRES_AT)
    assert storage.next_due(NOW) == EXPIRES_AT


@pytest.mark.parametrize("ordered_when", ["claimed", "lapsed"])
def test_a_late_deferral_does_not_undo_a_hold(ordered_when: str) -> None:
    now = [0.0]
    storage = lifted(MemoryStorage(), lambda: now[0])
    storage.store([an_entry()])
    late = claimed(storage)
    now[0] = {"claimed": 1.0, "lapsed": 61.0}[ordered_when]
    order(storage, Order.HOLD)
    now[0] = 62.0
    assert storage.claim(NOW, owner="two", lease=LEASE) is None

    assert settle(storage, late, Deferred(tries=1, reason="busy", next_attempt_at=NOW))

    [recipient] = storage.retrieve_status(id_of("one")).recipients
    assert recipient.result == Deferred(tries=1, reason="held; before that: busy")
    assert storage.claim(NOW, owner="two", lease=LEASE) is None


def test_a_late_delivery_counts_also_after_a_hold() -> None:
    """What is known to be delivered is not sent again at the release."""
    now = [0.0]
    storage = lifted(MemoryStorage(), lambda: now[0])
    storage.store([an_entry()])
    late = claimed(storage)
    now[0] = 61.0
    order(storage, Order.HOLD)

    assert settle(storage, late)

    assert (order(storage, Order.RELEASE), storage.is_idle()) == ([], True)


def test_a_release_takes_back_the_hold_of_a_lapsed_claim() -> None:
    now = [0.0]
    storage = lifted(MemoryStorage(), lambda: now[0])
    storage.store([an_entry()])
    late = claimed(storage)
    now[0] = 61.0
    order(storage, Order.HOLD)
    order(storage, Order.RELEASE)

    settle(storage, late, Deferred(tries=1, reason="busy", next_attempt_at=LATER))

    assert storage.next_due(NOW) == LATER


def test_a_new_claim_has_nothing_of_a_mark_on_the_one_before() -> None:
    """A held recipient that falls due at its end is claimed to be ended."""
    now = [0.0]
    storage = lifted(MemoryStorage(), lambda: now[0])
    storage.store([an_entry()])
    claimed(storage)
    order(storage, Order.HOLD)
    now[0] = 61.0
    assert storage.claim(NOW, owner="two", lease=LEASE) is None

    last = claimed(storage, EXPIRES_AT)

    settle(storage, last, Deferred(tries=1, next_attempt_at=EXPIRES_AT))
    assert states(storage) == ["deferred"]
    assert storage.next_due(EXPIRES_AT) == EXPIRES_AT


def test_each_sender_an_earlier_process_stored_is_read_once() -> None:
    plain = Failing(durable=True)
    lifted(plain).store(
        [an_entry("a", sender="one@sender.example"), an_entry("b", sender="two@sender.example")]
    )
    storage = lifted(plain)
    storage.store([an_entry("c", sender="two@sender.example")])
    selection = Selection(sender="TWO@sender.example")

    found = [ids_of(storage.retrieve_all_incomplete(selection)) for _ in range(2)]

    assert (found, plain.reads) == ([[id_of("b"), id_of("c")]] * 2, 2)


def test_a_message_whose_email_is_gone_has_no_sender() -> None:
    class Purged(PlainStorage):
        def retrieve(self, message_id: str) -> tuple[PreparedEmail, InternalMessageStatus]:
            raise MessageNotFound(message_id)

    plain = Purged(durable=True)
    plain.store(*an_entry())

    assert lifted(plain).order(Order.CANCEL, Selection(sender="me@sender.example"), NOW) == []


def test_due_times_are_pulled_in_and_written() -> None:
    plain = PlainStorage(durable=True)
    storage = lifted(plain)
    storage.store([an_entry("one"), an_entry("later", due_at=LATER)])
    far = NOW + timedelta(days=3650)
    settle(storage, claimed(storage), Deferred(tries=1, next_attempt_at=far))

    assert (storage.pull_in(LATER), storage.pull_in(LATER)) == (1, 0)

    [recipient] = plain.statuses[id_of("one")].recipients
    assert (recipient.due_at, recipient.result.next_attempt_at) == (LATER, LATER)
    assert {claimed(storage, LATER).email.message_id for _ in range(2)} == {id_of("one"), id_of("later")}


def test_an_address_is_forgotten_where_it_is_completed() -> None:
    storage = lifted(MemoryStorage())
    storage.store(
        [an_entry("done", "You@dest.example"), an_entry("half", "you@dest.example", "b@two.example")]
    )
    storage.store([an_entry("open", "you@dest.example")])
    for claim in [claimed(storage) for _ in range(3)]:
        if claim.route_key == "dest.example":
            settle(storage, claim)

    forgotten = [storage.forget("YOU@dest.example", NOW) for _ in range(2)]

    assert forgotten == [2, 0]
    assert addresses(storage, "half") == ["b@two.example"]
    assert addresses(storage, "open") == ["you@dest.example"]
    with pytest.raises(MessageNotFound):
        storage.retrieve_status(id_of("done"))
    assert ids_of(storage.retrieve_all_recent()) == [id_of("half"), id_of("open")]


def test_a_message_half_of_which_is_forgotten_goes_on() -> None:
    storage = lifted(PlainStorage(durable=True))
    storage.store([an_entry("one", "a@one.example", "b@two.example")])
    first = claimed(storage)
    settle(storage, first)
    storage.forget(first.recipients[0].address, NOW)

    settle(storage, claimed(storage), Delivered(tries=1))

    status = storage.retrieve_status(id_of("one"))
    assert (status.completed_at, len(status.recipients), storage.is_idle()) == (NOW, 1, True)


def test_of_a_message_nobody_of_which_is_left_the_storage_knows_only_its_end() -> None:
    plain = PlainStorage(durable=True)
    storage = lifted(plain)
    storage.store([an_entry("one", "a@dest.example", "b@dest.example")])
    settle(storage, claimed(storage))

    for address, metadata in (("a@dest.example", {"name": "one"}), ("b@dest.example", {})):
        storage.forget(address, NOW)
        assert plain.statuses[id_of("one")].metadata == metadata

    assert "dest.example" not in repr(plain.statuses)


def test_nothing_is_told_of_a_forgotten_address_but_where_it_is_still_tried() -> None:
    storage = lifted(MemoryStorage())
    storage.store([an_entry("done"), an_entry("open")])
    settle(storage, claimed(storage))
    settle(storage, claimed(storage), Deferred(tries=1, next_attempt_at=LATER))

    storage.forget("you@dest.example", NOW)

    assert told(storage) == [
        (id_of("done"), EventKind.ACCEPTED, None),
        (id_of("open"), EventKind.ACCEPTED, None),
        (id_of("open"), EventKind.DEFERRED, "you@dest.example"),
    ]


def test_a_completed_message_that_is_gone_is_no_trouble_to_forget() -> None:
    plain = PlainStorage()
    storage = lifted(plain)
    storage.store([an_entry("gone"), an_entry("here")])
    for _ in range(2):
        settle(storage, claimed(storage))
    del plain.statuses[id_of("gone")]

    assert storage.forget("you@dest.example", NOW) == 1


def test_an_order_by_id_writes_one_message_and_reads_none() -> None:
    plain = Failing()
    storage = lifted(plain)
    storage.store([an_entry(f"m{number}", sender="") for number in range(500)])

    done = storage.order(Order.HOLD, Selection(message_id=id_of("m250"), sender=""), NOW)

    assert ([each.message_id for each in done], plain.writes, plain.reads) == ([id_of("m250")], 1, 0)
