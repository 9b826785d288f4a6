"""What is called in a forked child."""

from __future__ import annotations

import gc
import os

import pytest

from mailstrom.storage.exclusive import ExclusiveStorage
from mailstrom.storage.fork import call_in_forked_child, hooks
from mailstrom.storage.memory import MemoryStorage


def test_storages_that_are_gone_leave_no_hook_behind() -> None:
    """The system takes no hook back: one for each storage would be kept for ever."""
    gc.collect()
    before = len(hooks("after_in_child"))

    for _ in range(100):
        ExclusiveStorage(MemoryStorage())
    gc.collect()

    assert len(hooks("after_in_child")) == before


class Child:
    """Knows whether it was made ready in the child."""

    def __init__(self, *, fails: bool) -> None:
        self.fails = fails
        self.is_ready = False
        call_in_forked_child(self.make_ready)

    def make_ready(self) -> None:
        if self.fails:
            raise RuntimeError("it cannot be made ready")
        self.is_ready = True


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_what_cannot_be_made_ready_in_a_child_does_not_keep_the_others_from_it() -> None:
    made = [Child(fails=True), Child(fails=False)]

    child = os.fork()
    if child == 0:
        os._exit(0 if made[1].is_ready else 1)

    assert os.waitpid(child, 0)[1] == 0
