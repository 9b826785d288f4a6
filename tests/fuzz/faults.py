"""What goes wrong at a door, and the smallest input with which it does."""

from __future__ import annotations

import shlex
import time
import traceback
from dataclasses import dataclass
from typing import Any

from tests.fuzz.doors import Door

__all__ = ["Fault", "fault_of", "smallest"]

SECONDS_TO_SHRINK = 15.0


@dataclass(frozen=True, slots=True)
class Fault:
    """An input that was neither refused nor came out as it went in."""

    door: str
    given: str | bytes
    error: str  # what was raised
    where: str  # the places in our code and the check, innermost last

    @property
    def kind(self) -> tuple[str, str, str]:
        """The same for the same fault found with another input."""
        return self.door, self.error.partition(":")[0], self.where

    @property
    def command(self) -> str:
        """What shows it again."""
        return f"python -m tests.fuzz --door {self.door!r} --input {_quoted(self.given)}"

    def __str__(self) -> str:
        told = f"FAULT {self.door}: {self.error}\n  at {self.where}"
        return f"{told}\n  input {self.given!a}\n  again: {self.command}"


def fault_of(door: Door, given: str | bytes) -> Fault | bool:
    """Whether the door accepted the input; the fault where it did neither."""
    enter: Any = door.enter
    try:
        return bool(enter(given))
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:
        text = ascii(f"{type(error).__name__}: {error}")[1:-1][:600]
        frames = traceback.extract_tb(error.__traceback__)
        named = [frame for frame in frames if "mailstrom" in frame.filename or "fuzz" in frame.filename][-2:]
        places = [f"{frame.filename.rpartition('/')[2]}:{frame.lineno} {frame.name}" for frame in named]
        return Fault(door.name, given, text, " > ".join(places))


def smallest(door: Door, fault: Fault) -> Fault:
    """The same fault with less input: pieces are taken out as long as it stays the same fault."""
    until = time.monotonic() + SECONDS_TO_SHRINK
    size = len(fault.given)
    while size >= 1 and time.monotonic() < until:
        shorter = _shorter(door, fault, size, until)
        size = size // 2 if shorter is fault else min(size, len(shorter.given))
        fault = shorter
    return _plainer(door, fault, until)


def _shorter(door: Door, fault: Fault, size: int, until: float) -> Fault:
    at = 0
    while at < len(fault.given) and time.monotonic() < until:
        given = fault.given[:at] + fault.given[at + size :]  # type: ignore[operator]
        found = fault_of(door, given)
        if isinstance(found, Fault) and found.kind == fault.kind:
            fault = found
        else:
            at += size
    return fault


def _plainer(door: Door, fault: Fault, until: float) -> Fault:
    """Each character an "a", where that makes no difference."""
    letter: Any = "a" if isinstance(fault.given, str) else b"a"
    for at in range(len(fault.given)):
        if time.monotonic() > until:
            break
        given: Any = fault.given[:at] + letter + fault.given[at + 1 :]
        found = fault_of(door, given)
        if isinstance(found, Fault) and found.kind == fault.kind:
            fault = found
    return fault


def _quoted(given: str | bytes) -> str:
    """The input as a literal of Python, for a shell."""
    literal = ascii(given)
    if literal.endswith("'") and '"' not in literal:
        prefix, _, text = literal[:-1].partition("'")
        literal = f'{prefix}"{text}"'.replace("\\'", "'")
    return shlex.quote(literal)
