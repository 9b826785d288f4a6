"""Exploring a world exhaustively, breadth first: every state, every step, and whether it all ends well."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from tests.model.invariants import ALWAYS, BEHIND_EACH_STEP, Promise, StepPromise
from tests.model.rules import PROTOCOL, Rules
from tests.model.state import State, Step, World
from tests.model.worker_rules import steps

Edge: TypeAlias = tuple[Step, int]  # and the number of the state behind it


@dataclass(slots=True, kw_only=True)
class Explored:
    """Every state that can be reached, numbered in the order in which they were found."""

    states: list[State]
    edges: list[list[Edge]] = field(default_factory=list)  # by the state before
    found_by: list[tuple[int, Step] | None] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)  # promises, each with the way to it

    def way_to(self, number: int) -> list[Edge]:
        """A shortest way from the beginning."""
        way: list[Edge] = []
        while (found := self.found_by[number]) is not None:
            before, step = found
            way.append((step, number))
            number = before
        return way[::-1]


def explore(
    world: World,
    rules: Rules = PROTOCOL,
    *,
    always: Sequence[Promise] = ALWAYS,
    behind_each_step: Sequence[StepPromise] = BEHIND_EACH_STEP,
    limit: int = 200_000,
) -> Explored:
    """All there is; it ends at the first promise that is broken."""
    begin = world.begin()
    found = Explored(states=[begin], found_by=[None])
    numbers = {begin: 0}
    waiting = deque([begin])
    while waiting and not found.broken:
        before = waiting.popleft()
        edges: list[Edge] = []
        for step, after in steps(world, rules, before):
            _check_step(found, behind_each_step, numbers[before], step, after)
            after = _renamed(after)
            if after not in numbers:
                numbers[after] = len(found.states)
                found.states.append(after)
                found.found_by.append((numbers[before], step))
                waiting.append(after)
                assert len(found.states) <= limit, f"{world}: more than {limit} states"
                _check_state(found, always, after)
            edges.append((step, numbers[after]))
        found.edges.append(edges)
    return found


def stuck(found: Explored) -> list[State]:
    """The states from which no end can be reached any more: each recipient completed or held."""
    before: list[list[int]] = [[] for _ in found.states]
    for number, edges in enumerate(found.edges):
        for _, after in edges:
            before[after].append(number)
    ends = [number for number, state in enumerate(found.states) if _is_at_rest(state)]
    well = set(ends)
    waiting = deque(ends)
    while waiting:
        for number in before[waiting.popleft()]:
            if number not in well:
                well.add(number)
                waiting.append(number)
    return [state for number, state in enumerate(found.states) if number not in well]


def _renamed(state: State) -> State:
    """With tokens numbered by their first place: which number a token has makes no difference."""
    tokens = [None if job is None else job.token for job in state.jobs] + [row.token for row in state.rows]
    used = dict.fromkeys(token for token in tokens if token is not None)
    names = {token: name for name, token in enumerate(used)}
    if all(token == name for token, name in names.items()):
        return state
    return state._replace(
        rows=tuple(row if row.token is None else row._replace(token=names[row.token]) for row in state.rows),
        jobs=tuple(job and job._replace(token=names[job.token]) for job in state.jobs),
    )


def _is_at_rest(state: State) -> bool:
    return all(row.is_final or (row.held and row.token is None) for row in state.rows)


def _check_state(found: Explored, promises: Iterable[Promise], state: State) -> None:
    for promise in promises:
        if not promise(state):
            way = found.way_to(len(found.states) - 1)
            found.broken.append(_told(promise.__name__, [each for each, _ in way], state))
            return


def _check_step(
    found: Explored, promises: Iterable[StepPromise], number: int, step: Step, after: State
) -> None:
    for promise in promises:
        if not promise(found.states[number], step, after):
            way = [each for each, _ in found.way_to(number)]
            found.broken.append(_told(promise.__name__, [*way, step], after))
            return


def _told(promise: str, path: Sequence[Step], state: State) -> str:
    return "\n  ".join([promise, *map(str, path), f"then {state}"])
