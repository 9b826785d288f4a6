"""How an order is carried out in parts, and counted."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

import pytest

from mailstrom.abc import EVERYTHING, Order, Selection
from mailstrom.engine.steering import Steering
from mailstrom.records import START, Cursor, Ordered
from mailstrom.storage.exclusive import ExclusiveStorage
from mailstrom.storage.memory import MemoryStorage
from mailstrom.testing.storage_kit import LATER, LEASE, NOW, an_entry, deferred_until, id_of, settlement


class Undone(ExclusiveStorage):
    """Changes two recipients at once; then somebody else undoes all that an order has done until now."""

    def __init__(self, undo: Callable[[ExclusiveStorage], object]) -> None:
        super().__init__(MemoryStorage())
        self.undo = undo

    def order(
        self, order: Order, selection: Selection, now: datetime, *, after: Cursor = START, limit: int = 2
    ) -> list[Ordered]:
        done = super().order(order, selection, now, after=after, limit=limit)
        self.undo(self)
        return done


def defer_again(storage: ExclusiveStorage) -> None:
    while (claim := storage.claim(NOW, owner="a worker", lease=LEASE)) is not None:
        storage.settle([settlement(claim, deferred_until(LATER))], NOW)


def release(storage: ExclusiveStorage) -> None:
    ExclusiveStorage.order(storage, Order.RELEASE, EVERYTHING, NOW)


@pytest.mark.parametrize(("order", "undo"), [(Order.RETRY, defer_again), (Order.HOLD, release)])
def test_everybody_is_counted_once_whatever_others_do_meanwhile(
    order: Order, undo: Callable[[ExclusiveStorage], object]
) -> None:
    storage = Undone(undo)
    storage.store([an_entry(f"m{n}", "a@one.example", "b@two.example", due_at=LATER) for n in range(3)])
    changed: list[str] = []
    steering = Steering(storage, lambda: NOW, lambda event: None, changed.append)

    assert steering.carry_out(order, EVERYTHING) == 6

    assert changed == [id_of(f"m{n}") for n in range(3)]
