"""Inputs that atheris finds by watching which code they reach, in a process of its own.

    python -m tests.fuzz.guided RUNS SEED RESULT

atheris runs libFuzzer, which never returns: the process ends when it has done what it was asked
for, and leaves one JSON file. Its first octet says through which door an input goes.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass, field
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.fuzz.doors import Door
    from tests.fuzz.faults import Fault

__all__ = ["Tally", "is_available", "run"]

EXAMPLES_EACH = 6
LONGEST = 4096
WATCHED = ("mailstrom.message", "mailstrom.dkim", "mailstrom.errors", "mailstrom.files")
ROOT = Path(__file__).parents[2]


@dataclass(slots=True)
class Tally:
    """What came of the inputs at one door."""

    accepted: int = 0
    refused: int = 0
    faults: int = 0
    secs: float = 0.0

    @property
    def inputs(self) -> int:
        """All of them."""
        return self.accepted + self.refused + self.faults


@dataclass(slots=True)
class Found:
    """The tallies by door, the first input for each kind of fault, the slowest inputs."""

    tallies: dict[str, Tally] = field(default_factory=dict)
    faults: list[tuple[str, str | bytes]] = field(default_factory=list)
    slowest: list[tuple[str, str | bytes, float]] = field(default_factory=list)


def is_available() -> bool:
    """atheris is installed."""
    try:
        import atheris  # type: ignore[import-untyped]  # noqa: F401
    except ImportError:
        return False
    return True


def run(runs: int, seed: int) -> Found:
    """What came of so many inputs, in a process of its own; `RuntimeError` where that breaks down."""
    with tempfile.TemporaryDirectory() as folder:
        result = Path(folder, "result.json")
        command = [sys.executable, "-m", "tests.fuzz.guided", str(runs), str(seed), str(result)]
        paths = os.pathsep.join([str(ROOT), str(ROOT / "src"), os.environ.get("PYTHONPATH", "")])
        done = subprocess.run(
            command, cwd=folder, env={**os.environ, "PYTHONPATH": paths}, capture_output=True, text=True
        )
        if not result.exists():
            raise RuntimeError(f"atheris ended with {done.returncode}:\n{done.stderr[-3000:]}")
        read = json.loads(result.read_text())
    return Found(
        tallies={name: Tally(**tally) for name, tally in read["tallies"].items()},
        faults=[(name, _decoded(given)) for name, given in read["faults"]],
        slowest=[(name, _decoded(given), secs) for name, given, secs in read["slowest"]],
    )


def _encoded(given: str | bytes) -> list[Any]:
    is_text = isinstance(given, str)
    octets = given.encode("utf-8", "surrogatepass") if isinstance(given, str) else given
    return [is_text, octets.hex()]


def _decoded(given: list[Any]) -> str | bytes:
    octets = bytes.fromhex(given[1])
    return octets.decode("utf-8", "surrogatepass") if given[0] else octets


def main(runs: int, seed: int, result: Path) -> None:
    """Runs atheris over all doors, and never returns."""
    import atheris

    with atheris.instrument_imports(include=list(WATCHED)):
        for name in _modules():
            import_module(name)

    from tests.fuzz.inputs import TEXTS  # no module of ours before the watched ones

    guide = Guide(runs, result)
    _write_corpus(Path("corpus"), guide.rooms)
    Path("dictionary").write_text(_dictionary(TEXTS))
    limits = [f"-seed={seed % 2**31 or 1}", f"-max_len={LONGEST}", "-len_control=0"]
    options = [*limits, "-dict=dictionary", "-verbosity=0", "-artifact_prefix=./", "corpus"]
    atheris.Setup([sys.argv[0], *options], guide.enter)
    atheris.Fuzz()


class Guide:
    """Takes what atheris makes through the doors, so many times."""

    def __init__(self, runs: int, result: Path) -> None:
        from tests.fuzz.doors import doors
        from tests.fuzz.pace import Slowest

        self.rooms = doors()
        self._found = Found({door.name: Tally() for door in self.rooms})
        self._slowest = Slowest()
        self._kinds: set[tuple[str, str, str]] = set()
        self._left = runs
        self._result = result

    def enter(self, data: bytes) -> None:
        """Takes the octets through the door that the first one says; the last time ends the process."""
        from tests.fuzz.faults import fault_of

        door = self.rooms[data[0] % len(self.rooms)] if data else self.rooms[0]
        given = data[1:].decode("utf-8", "surrogateescape") if door.takes_text else data[1:]
        begin = time.thread_time()
        outcome = fault_of(door, given)
        secs = time.thread_time() - begin
        self._count(door.name, given, outcome, secs)
        self._slowest.note(door.name, given, secs)
        self._left -= 1
        if self._left <= 0:
            self._write()
            os._exit(0)

    def _count(self, name: str, given: str | bytes, outcome: Fault | bool, secs: float) -> None:
        tally = self._found.tallies[name]
        tally.secs += secs
        if isinstance(outcome, bool):
            tally.accepted += outcome
            tally.refused += not outcome
            return
        tally.faults += 1
        if outcome.kind not in self._kinds:
            self._kinds.add(outcome.kind)
            self._found.faults.append((name, given))

    def _write(self) -> None:
        slowest = [
            (name, _encoded(given), secs)
            for name in self._found.tallies
            for given, secs in self._slowest.timed(name)
        ]
        written = {
            "tallies": {name: asdict(tally) for name, tally in self._found.tallies.items()},
            "faults": [(name, _encoded(given)) for name, given in self._found.faults],
            "slowest": slowest,
        }
        self._result.write_text(json.dumps(written))


def _write_corpus(corpus: Path, rooms: Iterable[Door]) -> None:
    """Good inputs to begin with."""
    corpus.mkdir()
    for number, door in enumerate(rooms):
        for place, example in enumerate(door.examples[:EXAMPLES_EACH]):
            octets = example if isinstance(example, bytes) else str(example).encode()
            (corpus / f"{number}-{place}").write_bytes(bytes([number]) + octets[:LONGEST])


def _modules() -> list[str]:
    """All modules that are watched."""
    found = ["mailstrom.errors", "mailstrom.files"]
    for package in ("message", "dkim"):
        paths = sorted((ROOT / "src" / "mailstrom" / package).glob("*.py"))
        found += [f"mailstrom.{package}.{path.stem}" for path in paths if path.stem != "__init__"]
    return found


def _dictionary(texts: tuple[str, ...]) -> str:
    """The fragments as libFuzzer reads them."""
    octets = {text.encode("utf-8", "surrogatepass")[:60] for text in texts}
    lines = ["".join([f"\\x{octet:02x}" for octet in one]) for one in sorted(octets) if one]
    return "".join([f'"{line}"\n' for line in lines])


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]))
