"""Looks for faults at every door for long: half of the inputs drawn by hypothesis, half found by atheris.

    python -m tests.fuzz --runs 200000
    python -m tests.fuzz --door subject --input '"a\\r\\nBcc: x"'    one input again

Every input has to be refused with one of mailstrom's own errors, or to come out as it went in;
and none may take time out of proportion to its size. Ends with 1 where that is not so.
"""

from __future__ import annotations

import argparse
import ast
import sys
import time
import traceback
from collections.abc import Iterable, Iterator
from typing import Any

from tests.fuzz import guided
from tests.fuzz.doors import Door, door_named, doors
from tests.fuzz.faults import Fault, fault_of, smallest
from tests.fuzz.guided import Tally
from tests.fuzz.pace import TIMES_LARGER, Slowest, disproportion, repeated
from tests.fuzz.shapes import OCTET_SHAPES, TEXT_SHAPES

SIZES = (2_000, 20_000)  # what the shapes begin with: texts, octets
FAULTS_SHOWN = 30


def main() -> int:
    """The exit code."""
    asked = _asked()
    if asked.input is not None:
        return _again(door_named(asked.door), ast.literal_eval(asked.input))
    rooms = [door for door in doors() if asked.door in (None, door.name)]
    begin = time.monotonic()
    search = Search(rooms, asked.seed)
    has_atheris = guided.is_available() and asked.door is None
    if not has_atheris:
        say("without atheris (it is in the dependency group fuzz; one door goes without it): all is drawn")
    search.draw(asked.runs // 2 if has_atheris else asked.runs)
    if has_atheris:
        search.guide(asked.runs - search.count)
    search.measure()
    search.conclude(time.monotonic() - begin)
    return 1 if search.faults or search.slow else 0


def _asked() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__.partition("\n")[0])
    parser.add_argument("--runs", type=int, default=20_000, metavar="N", help="how many inputs (20000)")
    parser.add_argument("--seed", type=int, default=int(time.time()), metavar="N", help="what to begin with")
    names = [door.name for door in doors()]
    parser.add_argument("--door", choices=names, metavar="NAME", help="this door alone")
    parser.add_argument("--input", metavar="LITERAL", help="this one input, a Python literal")
    asked = parser.parse_args()
    if asked.input is not None and asked.door is None:
        parser.error("--input needs --door")
    return asked


def _again(door: Door, given: Any) -> int:
    enter: Any = door.enter
    try:
        say("accepted" if enter(given) else "refused")
    except BaseException:
        traceback.print_exc()
        return 1
    return 0


def say(text: str) -> None:
    """Shows a line at once."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


class Search:
    """One long look: what was found so far."""

    def __init__(self, rooms: list[Door], seed: int) -> None:
        self.faults: dict[tuple[str, str, str], Fault] = {}
        self.slow: list[str] = []
        self._rooms = rooms
        self._seed = seed
        self._tallies = {door.name: Tally() for door in rooms}
        self._slowest = Slowest()

    @property
    def count(self) -> int:
        """The inputs so far."""
        return sum(tally.inputs for tally in self._tallies.values())

    def draw(self, runs: int) -> None:
        """Lets hypothesis draw so many inputs, the same number for each door."""
        say(f"hypothesis draws {runs:,} inputs, seed {self._seed}")
        for place, door in enumerate(self._rooms):
            each, more = divmod(runs, len(self._rooms))
            for given in _drawn(door, each + (place < more), self._seed + place):
                self._enter(door, given)
            self._say(door.name)

    def guide(self, runs: int) -> None:
        """Lets atheris find so many inputs."""
        say(f"atheris finds {runs:,} inputs by the code that they reach")
        found = guided.run(runs, self._seed)
        for name, given in found.faults:
            outcome = fault_of(door_named(name), given)
            if isinstance(outcome, Fault):
                self._keep(outcome)
        for name, given, secs in found.slowest:
            self._slowest.note(name, given, secs)
        for name, tally in found.tallies.items():
            mine = self._tallies[name]
            mine.accepted += tally.accepted
            mine.refused += tally.refused
            mine.faults += tally.faults
            mine.secs += tally.secs
            self._say(name)

    def measure(self) -> None:
        """Repeats the slowest inputs of each door, and makes the tempting ones large."""
        say("what took longest, repeated; and shapes that tempt, ten times as large")
        for door in self._rooms:
            if not door.is_ours:
                continue
            for name, small, large in self._sizes(door):
                slow = self._disproportion(door, small, large)
                if slow is not None:
                    self.slow.append(f"SLOW {door.name}, {name}: {slow}")
                    say(self.slow[-1])

    def conclude(self, secs: float) -> None:
        """The table, and the faults, each with its smallest input."""
        say(f"\n{'door':<34}{'inputs':>9}{'accepted':>10}{'refused':>9}{'faults':>8}{'us each':>9}")
        for name, tally in self._tallies.items():
            each = tally.secs / max(tally.inputs, 1) * 1e6
            counts = f"{tally.inputs:>9,}{tally.accepted:>10,}{tally.refused:>9,}{tally.faults:>8,}"
            say(f"{name:<34}{counts}{each:>9.0f}")
        accepted = sum(tally.accepted for tally in self._tallies.values())
        found = f"{len(self.faults)} kinds of faults, {len(self.slow)} out of proportion"
        say(
            f"\n{self.count:,} inputs, {len(self._rooms)} doors, {secs:.0f} s: {accepted:,} accepted, {found}"
        )
        for fault in list(self.faults.values())[:FAULTS_SHOWN]:
            say(f"\n{smallest(door_named(fault.door), fault)}")

    def _enter(self, door: Door, given: str | bytes) -> None:
        begin = time.thread_time()
        outcome = fault_of(door, given)
        secs = time.thread_time() - begin
        tally = self._tallies[door.name]
        tally.secs += secs
        if isinstance(outcome, Fault):
            tally.faults += 1
            self._keep(outcome)
        else:
            tally.accepted += outcome
            tally.refused += not outcome
        self._slowest.note(door.name, given, secs)

    def _keep(self, fault: Fault) -> None:
        before = self.faults.get(fault.kind)
        if before is None or len(fault.given) < len(before.given):
            self.faults[fault.kind] = fault

    def _say(self, name: str) -> None:
        tally = self._tallies[name]
        faults = f"{tally.faults:>6,} FAULTS" if tally.faults else ""
        counts = f"{tally.inputs:>8,} inputs{tally.accepted:>8,} accepted{tally.refused:>8,} refused"
        say(f"  {name:<34}{counts}{faults}")

    def _disproportion(self, door: Door, small: str | bytes, large: str | bytes) -> str | None:
        try:
            return disproportion(door, small, large)
        except Exception:  # a fault, and no matter of time
            for given in (small, large):
                outcome = fault_of(door, given)
                if isinstance(outcome, Fault):
                    self._keep(outcome)
                    return None
            raise

    def _sizes(self, door: Door) -> Iterator[tuple[str, str | bytes, str | bytes]]:
        """What is measured at this door, small and large."""
        for given, _ in self._slowest.timed(door.name):
            for small, large in repeated(given):
                yield f"{given[:300]!a} repeated", small, large
        shapes: Iterable[tuple[str, Any]] = (TEXT_SHAPES if door.takes_text else OCTET_SHAPES).items()
        size = SIZES[0] if door.takes_text else SIZES[1]
        for name, shape in shapes:
            yield name, shape(size), shape(size * TIMES_LARGER)


def _drawn(door: Door, count: int, seed: int) -> list[str | bytes]:
    """So many inputs that hypothesis draws, always the same for the same seed."""
    import hypothesis
    from hypothesis import HealthCheck, Phase, given, settings

    from tests.fuzz.drawn import inputs

    found: list[str | bytes] = []

    @hypothesis.seed(seed)
    @settings(
        max_examples=max(count, 1),
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(inputs(door))
    def keep(one: str | bytes) -> None:
        found.append(one)

    keep()
    return found[:count]


if __name__ == "__main__":
    sys.exit(main())
