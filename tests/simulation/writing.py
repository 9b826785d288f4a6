"""A plan as Python, so that the small world in which something failed becomes a test with a name."""

from __future__ import annotations

from dataclasses import MISSING, Field, fields, is_dataclass
from typing import Any

from .plan import Plan

INDENT = 4

_TEST = """from .plan import {names}
from .story import run


def test_() -> None:  # its name: what must hold
    run({plan})
"""


def as_test(plan: Plan) -> str:
    """A module with one test, which tells the story of this plan."""
    text = written(plan, INDENT)
    names = sorted(
        name for name in ("Act", "DomainPlan", "During", "HostPlan", "MailPlan", "Plan") if f"{name}(" in text
    )
    return _TEST.format(names=", ".join(names), plan=text)


def written(value: object, indent: int = 0) -> str:
    """The value as an expression; of a dataclass what differs from its defaults."""
    inner, outer = " " * (indent + INDENT), " " * indent
    if is_dataclass(value) and not isinstance(value, type):
        given = [
            f"{each.name}={written(getattr(value, each.name), indent + INDENT)}"
            for each in fields(value)
            if getattr(value, each.name) != _default(each)
        ]
        line = f"{type(value).__name__}({', '.join(given)})"
        lines = "".join(f"{inner}{each},\n" for each in given)
        return line if "\n" not in line and len(line) < 90 else f"{type(value).__name__}(\n{lines}{outer})"
    if isinstance(value, tuple) and any(is_dataclass(each) for each in value):
        lines = "".join(f"{inner}{written(each, indent + INDENT)},\n" for each in value)
        return f"(\n{lines}{outer})"
    return repr(value)


def _default(field: Field[Any]) -> object:
    return MISSING if field.default is MISSING else field.default
