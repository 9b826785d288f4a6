"""Bugs to be planted: each is one method, function or constant of mailstrom, written wrong.

    engine     the worker's loop, its slots, leases, jobs and results
    lanes      their pace, hosts that are down, a network that is lost
    sending    sessions, transactions, the pool, and the way from host to host
    dns        what is kept of its answers, and what is believed
    schedule   verdicts, tries, waits, what is uncertain
    storage    the lifted memory: claims, leases, marks, due times, events
    sql        the same as statements, and the claims of the dead
    facade     what a caller hands in, the clock, the beginning and the end

A wrong one is called as the right one is, with the right one before its arguments.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import wraps
from typing import Any

Wrong = Callable[..., Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Bug:
    """What stands wrong, in the place of what; its name says what goes wrong."""

    owner: Any
    attribute: str
    wrong: Wrong

    @property
    def name(self) -> str:
        """A sentence, with underscores."""
        return self.wrong.__name__

    @property
    def room(self) -> str:
        """The part of mailstrom that it is in."""
        return self.wrong.__module__.rpartition(".")[2]

    @contextmanager
    def planted(self) -> Iterator[None]:
        """Meanwhile mailstrom is wrong."""
        right = inspect.getattr_static(self.owner, self.attribute)
        setattr(self.owner, self.attribute, _instead_of(right, self.wrong))
        try:
            yield
        finally:
            setattr(self.owner, self.attribute, right)


BUGS: dict[str, Bug] = {}


def replaces(owner: Any, attribute: str) -> Callable[[Wrong], Wrong]:
    """Makes a bug of the function: it stands in the place of that attribute."""

    def decorate(wrong: Wrong) -> Wrong:
        bug = Bug(owner=owner, attribute=attribute, wrong=wrong)
        assert bug.name not in BUGS, bug.name
        BUGS[bug.name] = bug
        return wrong

    return decorate


def _instead_of(right: Any, wrong: Wrong) -> Any:
    if isinstance(right, property):
        return property(lambda self: wrong(right.fget, self))
    if not callable(right):
        return wrong(right)

    @wraps(right)
    def instead(*args: Any, **kwargs: Any) -> Any:
        return wrong(right, *args, **kwargs)

    return instead
