"""Ways through an explored world that together show a storage everything it can be asked.

A storage knows nothing of hosts, nor of what else may go wrong. Two steps are the same to it when
the rows and the claims it meets are the same, and the call. `covering` takes each such step once:
every call in every state that a storage can tell from the others.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from tests.model.exploring import Edge, Explored
from tests.model.state import Job, State, Step

UNSEEN = frozenset(
    {"dot accepted", "dot refused", "dot unheard", "dot cut off", "dot withheld", "crash", "time passes"}
)


class Trace(NamedTuple):
    """Steps from the beginning, each with the state behind it."""

    way: Sequence[tuple[Step, State]]  # leads there; other traces go the same
    rest: Sequence[tuple[Step, State]]  # is taken here for the first time

    @property
    def all(self) -> list[tuple[Step, State]]:
        """The way, then the rest."""
        return [*self.way, *self.rest]


def covering(found: Explored) -> Iterator[Trace]:
    """Traces from the beginning: a shortest way to a step that was not taken yet, and on from there."""
    taken: set[object] = set()
    for number, edges in enumerate(found.edges):
        for edge in edges:
            if _is_new(found, number, edge, taken):
                way = [(step, found.states[after]) for step, after in found.way_to(number)]
                yield Trace(way, _walk(found, number, edge, taken))


def _walk(found: Explored, number: int, edge: Edge, taken: set[object]) -> list[tuple[Step, State]]:
    """The step, and further ones as long as there is one that was not taken yet."""
    walked: list[tuple[Step, State]] = []
    following: Edge | None = edge
    while following is not None:
        taken.add(_as_seen(found.states[number], following[0]))
        walked.append((following[0], found.states[following[1]]))
        number = following[1]
        following = next((each for each in found.edges[number] if _is_new(found, number, each, taken)), None)
    return walked


def _is_new(found: Explored, number: int, edge: Edge, taken: set[object]) -> bool:
    return edge[0].name not in UNSEEN and _as_seen(found.states[number], edge[0]) not in taken


def _as_seen(state: State, step: Step) -> object:
    return state.rows, tuple(map(_held, state.jobs)), state.now, step


def _held(job: Job | None) -> object:
    return job and (job.token, tuple((part.position, part.before, part.unheard) for part in job.parts))
