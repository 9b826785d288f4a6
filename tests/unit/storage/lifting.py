"""A lifted storage, and plain ones that fail: what the tests of ExclusiveStorage share."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from mailstrom.abc import Claim, InternalMessageStatus, Order, Ordered, PreparedEmail, Selection, Storage
from mailstrom.status import Delivered, DeliveryResult
from mailstrom.storage.exclusive import ExclusiveStorage
from mailstrom.testing.storage_kit import LEASE, NOW, id_of, settlement
from tests.contract.plain_storage import PlainStorage

DELIVERED = Delivered(tries=1)


class Failing(PlainStorage):
    """Fails in the methods named in `fails`."""

    def __init__(self, *, durable: bool = False) -> None:
        super().__init__(durable=durable)
        self.fails: set[str] = set()
        self.writes = 0
        self.reads = 0

    def _may(self, method: str, message_id: str = "") -> None:
        if not self.fails.isdisjoint({method, f"{method} {message_id}"}):
            raise OSError(5, "the disk is gone")

    def store(self, email: PreparedEmail, status: InternalMessageStatus) -> None:
        self._may("store", status.message_id)
        super().store(email, status)

    def update_status(self, status: InternalMessageStatus) -> None:
        self._may("update_status", status.message_id)
        self.writes += 1
        super().update_status(status)

    def retrieve(self, message_id: str) -> tuple[PreparedEmail, InternalMessageStatus]:
        self._may("retrieve", message_id)
        self.reads += 1
        return super().retrieve(message_id)

    def retrieve_all_incomplete(self) -> list[InternalMessageStatus]:
        self._may("retrieve_all_incomplete")
        return super().retrieve_all_incomplete()


def lifted(storage: Storage, clock: Callable[[], float] = lambda: 0.0) -> ExclusiveStorage:
    """The storage with a lease clock that stands still."""
    return ExclusiveStorage(storage, lease_clock=clock)


def claimed(storage: ExclusiveStorage, now: datetime = NOW) -> Claim:
    """A claim that must be there."""
    claim = storage.claim(now, owner="one", lease=LEASE)
    assert claim is not None
    return claim


def settle(storage: ExclusiveStorage, claim: Claim, result: DeliveryResult = DELIVERED) -> bool:
    """Whether the result for each recipient of the claim was taken."""
    [taken] = storage.settle([settlement(claim, result)], NOW)
    return taken


def order(storage: ExclusiveStorage, asked: Order, name: str = "one") -> list[Ordered]:
    """What the order changed of the message that `an_entry(name)` made."""
    return storage.order(asked, Selection(message_id=id_of(name)), NOW)
