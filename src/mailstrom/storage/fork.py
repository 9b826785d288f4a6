"""What a forked child does with what it inherited: nothing, the parent delivers that."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import cache
from itertools import count
from types import MethodType
from weakref import ref

Hook = Callable[[], None]


def call_in_forked_child(method: Hook) -> None:
    """Calls the bound method first thing in every forked child, while its object lives.

    Locks may have been held by threads that do not exist in the child: the method makes new ones.
    """
    assert isinstance(method, MethodType)
    called, number, function = hooks(), next(_numbers()), method.__func__
    owner = ref(method.__self__, lambda _: called.pop(number, None))

    def hook() -> None:
        if (alive := owner()) is not None:
            function(alive)

    called[number] = hook


@cache
def hooks() -> dict[int, Hook]:
    """What is called in a child, in order: one for the process, since the system takes no hook back."""
    called: dict[int, Hook] = {}

    def in_child() -> None:
        for hook in list(called.values()):
            hook()

    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=in_child)
    return called


@cache
def _numbers() -> count[int]:
    return count()
