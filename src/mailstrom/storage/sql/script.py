"""SQL without a connection: a script asks, and whoever has a connection answers.

    def stored(dialect, message_id) -> Script[bool]:
        sql = f"SELECT 1 FROM {dialect.prefix}messages WHERE message_id = :id"
        rows = yield Statement(sql, {"id": message_id})
        return bool(rows)

One script serves every driver, blocking or asyncio, ours or a caller's: a driver runs each
statement it is handed inside the transaction it is in, and sends the rows back.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar

__all__ = ["Batch", "Row", "Script", "Statement", "perform", "perform_async"]

T = TypeVar("T")

Row: TypeAlias = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement; its parameters stand as `:name` in the text. Values are str, int, bytes or None."""

    sql: str
    params: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Batch:
    """One statement for many sets of parameters; answered with no rows."""

    sql: str
    params: Sequence[Mapping[str, object]]


Script: TypeAlias = Generator["Statement | Batch", Sequence[Row], T]


def perform(script: Script[T], execute: Callable[[Statement | Batch], Sequence[Row]]) -> T:
    """The script's result, each of its statements executed in turn."""
    rows: Sequence[Row] | None = None
    while True:
        try:
            statement = next(script) if rows is None else script.send(rows)
        except StopIteration as end:
            result: T = end.value
            return result
        rows = execute(statement)


async def perform_async(
    script: Script[T], execute: Callable[[Statement | Batch], Awaitable[Sequence[Row]]]
) -> T:
    """The same with statements that are awaited."""
    rows: Sequence[Row] | None = None
    while True:
        try:
            statement = next(script) if rows is None else script.send(rows)
        except StopIteration as end:
            result: T = end.value
            return result
        rows = await execute(statement)
