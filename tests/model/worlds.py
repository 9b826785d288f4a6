"""The worlds that are explored: small enough to be seen whole, each large in another direction."""

from __future__ import annotations

from functools import cache

from mailstrom.abc import Order
from tests.model.exploring import Explored, explore
from tests.model.state import World

WORLDS = {
    # everything that can be done to one recipient, two orders of every kind among it
    "one recipient": World(messages=(0,), orders=tuple(Order), orders_given=2, troubles=1),
    # what can go wrong, one after the other
    "one recipient in trouble": World(messages=(0,), troubles=3),
    # one claim for two that part on the way
    "two recipients": World(
        messages=(0, 0),
        orders=(Order.CANCEL, Order.HOLD),
        orders_given=1,
        troubles=1,
        without=frozenset({"settle unheard", "dot refused", "dot unheard", "dot cut off", "give back"}),
    ),
    # two claims at once
    "two messages": World(
        messages=(0, 1),
        troubles=1,
        without=frozenset({"settle unheard", "dot refused", "dot unheard", "dot cut off", "give back"}),
    ),
}


@cache
def explored(name: str) -> Explored:
    """The whole of this world, by the rules of the protocol."""
    return explore(WORLDS[name])
