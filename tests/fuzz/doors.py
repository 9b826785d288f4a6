"""Every way in for what somebody else wrote: each public setter, each parser.

A door takes a text or octets. It refuses them with one of mailstrom's own errors, or takes them;
what it took is written, read back by the strict parser, and has to be the same. Anything else
that comes out of a door is a fault.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

__all__ = ["Door", "door_named", "doors"]


@dataclass(frozen=True, slots=True)
class Door:
    """A way in: its name, what takes one input and says whether it was accepted, and good inputs."""

    name: str
    enter: Callable[[str], bool] | Callable[[bytes], bool]
    examples: tuple[str, ...] | tuple[bytes, ...]
    is_ours: bool = True  # all of its time is spent in our code

    @property
    def takes_text(self) -> bool:
        """It takes a text, else octets."""
        return isinstance(self.examples[0], str)


@cache
def doors() -> tuple[Door, ...]:
    """All of them."""
    from tests.fuzz import dkim_doors, octet_doors, setter_doors, standard_doors, text_doors

    rooms = (setter_doors, text_doors, octet_doors, standard_doors, dkim_doors)
    return tuple([door for room in rooms for door in room.DOORS])


def door_named(name: str) -> Door:
    """The door of this name; `KeyError` for none."""
    return {door.name: door for door in doors()}[name]
