"""What a forked child does with a queue it inherited: nothing, the parent delivers that."""

from __future__ import annotations

import os
from collections.abc import Callable
from weakref import WeakMethod


def call_in_forked_child(method: Callable[[], None]) -> None:
    """Calls the bound method first thing in every forked child, while its object lives.

    Locks may have been held by threads that do not exist in the child: the method makes new ones.
    """
    if not hasattr(os, "register_at_fork"):
        return
    reference = WeakMethod(method)

    def in_child() -> None:
        if (alive := reference()) is not None:
            alive()

    os.register_at_fork(after_in_child=in_child)
