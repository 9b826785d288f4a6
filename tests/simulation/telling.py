"""One story after the other, in this process or another."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterable
from dataclasses import dataclass

from .plan import DAY
from .planning import plan_for
from .story import run


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """How the story of a seed went."""

    seed: int
    days: float
    failure: str | None


def tell(seed: int) -> Told:
    """Tells the story of a seed."""
    try:
        story = run(plan_for(seed))
    except Exception as error:
        return Told(seed=seed, days=0.0, failure=f"{type(error).__name__}: {error}")
    return Told(seed=seed, days=story.world.timeline.now / DAY, failure=None)


def digest(seeds: Iterable[int]) -> str:
    """The same wherever these stories take the same course, to the last line of their logs."""
    hashed = hashlib.sha256()
    for seed in seeds:
        hashed.update("\n".join(run(plan_for(seed)).log.lines).encode())
    return hashed.hexdigest()


def be_quiet() -> None:
    """What mailstrom logs in a world full of trouble is of no interest."""
    logging.getLogger("mailstrom").addHandler(logging.NullHandler())
    logging.getLogger("mailstrom").propagate = False
