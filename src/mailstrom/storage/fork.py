"""What a forked child does with what it inherited: nothing, the parent delivers that."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import ExitStack
from functools import cache
from itertools import count
from types import MethodType
from typing import Literal
from weakref import ref

Hook = Callable[[], None]
Moment = Literal["before", "after_in_parent", "after_in_child"]


def call_in_forked_child(method: Hook) -> None:
    """Calls the bound method first thing in every forked child, while its object lives.

    Locks may have been held by threads that do not exist in the child: the method makes new ones.
    """
    _call("after_in_child", method)


def call_around_fork(before: Hook, after_in_parent: Hook) -> None:
    """Calls these bound methods in the thread that forks, while their object lives."""
    _call("before", before)
    _call("after_in_parent", after_in_parent)


@cache
def hooks(moment: Moment) -> dict[int, Hook]:
    """What is called then, in order: one for the process, since the system takes no hook back."""
    called: dict[int, Hook] = {}

    def call_all() -> None:
        with ExitStack() as all_of_them:  # where one fails, the others are called all the same
            for hook in reversed(list(called.values())):
                all_of_them.callback(hook)

    if hasattr(os, "register_at_fork"):
        os.register_at_fork(**{moment: call_all})
    return called


def _call(moment: Moment, method: Hook) -> None:
    assert isinstance(method, MethodType)
    called, number, function = hooks(moment), next(_numbers()), method.__func__
    owner = ref(method.__self__, lambda _: called.pop(number, None))

    def hook() -> None:
        if (alive := owner()) is not None:
            function(alive)

    called[number] = hook


@cache
def _numbers() -> count[int]:
    return count()
