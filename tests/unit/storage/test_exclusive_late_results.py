"""Results that come after the lease of their claim ended: counted where nobody else has the recipient."""

from __future__ import annotations

import threading

from mailstrom.abc import InternalMessageStatus, Order
from mailstrom.storage.exclusive import ExclusiveStorage
from mailstrom.storage.memory import MemoryStorage
from mailstrom.testing.storage_kit import LEASE, NOW, an_entry
from tests.contract.plain_storage import PlainStorage
from tests.unit.storage.lifting import claimed, lifted, order, settle


def test_a_late_result_counts_as_long_as_nobody_else_has_the_recipient() -> None:
    """What is known to be delivered is not sent again because a lease ended."""
    now = [0.0]
    storage = lifted(MemoryStorage(), lambda: now[0])
    storage.store([an_entry()])
    claim = claimed(storage)
    now[0] = 61.0
    assert storage.next_due(NOW) == NOW

    assert settle(storage, claim)

    assert storage.claim(NOW, owner="two", lease=LEASE) is None
    assert storage.is_idle()


def test_a_lapsed_claim_can_be_renewed_as_long_as_nobody_else_has_it() -> None:
    now = [0.0]
    storage = lifted(MemoryStorage(), lambda: now[0])
    storage.store([an_entry()])
    claim = claimed(storage)
    now[0] = 61.0
    storage.next_due(NOW)

    assert storage.renew([claim], LEASE) != [None]

    assert storage.claim(NOW, owner="two", lease=LEASE) is None
    now[0] = 122.0
    assert claimed(storage).recipients[0].crashes == 1


def test_a_lapsed_claim_cannot_undo_a_cancel() -> None:
    """A completed recipient never changes again, also while others of the message go on."""
    now = [0.0]
    storage = lifted(MemoryStorage(), lambda: now[0])
    storage.store([an_entry("one", "a@one.example", "b@two.example")])
    lapsed = claimed(storage)
    now[0] = 61.0
    skip = [lapsed.route_key]
    current = storage.claim(NOW, owner="two", lease=LEASE, skip=skip)
    assert current is not None
    order(storage, Order.CANCEL)
    before = storage.retrieve_status("one@sender.example")

    assert settle(storage, lapsed) is False

    assert storage.retrieve_status("one@sender.example") == before
    assert settle(storage, current)
    assert sorted(each.result.state for each in storage.retrieve_status("one@sender.example").recipients) == [
        "delivered",
        "failed",
    ]


def test_a_late_result_and_a_new_claim_at_once_do_not_send_twice() -> None:
    """The recipient is out of the queue when the result of its lapsed claim is being written."""
    now = [0.0]
    writes, go_on = threading.Event(), threading.Event()

    class SlowToWrite(PlainStorage):
        def update_status(self, status: InternalMessageStatus) -> None:
            writes.set()
            go_on.wait(30)
            super().update_status(status)

    storage = lifted(SlowToWrite(), lambda: now[0])
    storage.store([an_entry()])
    late = claimed(storage)
    now[0] = 61.0
    assert storage.next_due(NOW) == NOW
    found: list[object] = []
    threads = [
        threading.Thread(target=lambda: found.append(settle(storage, late))),
        threading.Thread(target=lambda: found.append(storage.claim(NOW, owner="two", lease=LEASE))),
    ]
    threads[0].start()
    writes.wait(30)
    threads[1].start()
    while _in_queue(storage):
        threads[1].join(0.001)

    go_on.set()
    for thread in threads:
        thread.join()
    assert sorted(found, key=str) == [None, True]
    assert storage.is_idle()


def _in_queue(storage: ExclusiveStorage) -> bool:
    with storage._lock:
        return storage._index.next_due(NOW, ()) is not None
