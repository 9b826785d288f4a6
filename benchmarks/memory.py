"""The most memory that making one message takes at once, seen by tracemalloc.

Counted is all that Python allocates from before the attachment is in memory until the octets
are made: the attachment itself is in it. It runs apart from the timing, which it would slow.
"""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Callable

__all__ = ["peak_octets"]


def peak_octets(make: Callable[[], object]) -> int:
    """The octets that were allocated at the highest point while `make` ran, over those before it."""
    gc.collect()
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        tracemalloc.reset_peak()
        made = make()
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    del made
    return peak - before
