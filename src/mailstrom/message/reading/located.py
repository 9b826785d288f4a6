"""Reading one field of a message so that a refusal says where in the message it stands."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from ...errors import MessageError
from .finished import Field

__all__ = ["located"]

_Value = TypeVar("_Value")


def located(
    content: bytes, field: Field, reader: Callable[..., _Value], *, label: str | None = None
) -> _Value:
    """What `reader(value, field=label)` makes of the field; `at` of its refusal is the octet."""
    label = field.label if label is None else label
    try:
        return reader(field.value, field=label)
    except MessageError as error:
        error.at = field.octet(content, error.at or 0)
        raise
