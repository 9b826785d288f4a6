"""What is called in a forked child."""

from __future__ import annotations

import gc

from mailstrom.storage.exclusive import ExclusiveStorage
from mailstrom.storage.fork import hooks
from mailstrom.storage.memory import MemoryStorage


def test_storages_that_are_gone_leave_no_hook_behind() -> None:
    """The system takes no hook back: one for each storage would be kept for ever."""
    gc.collect()
    before = len(hooks("after_in_child"))

    for _ in range(100):
        ExclusiveStorage(MemoryStorage())
    gc.collect()

    assert len(hooks("after_in_child")) == before
