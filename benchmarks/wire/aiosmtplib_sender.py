"""aiosmtplib: several connections, which take the next message as soon as they are free."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import aiosmtplib

from .turn import Letter, Task, take_turn


@contextmanager
def prepared(task: Task) -> Iterator[Callable[[], None]]:
    """Sends finished octets over so many connections as the task says."""
    yield lambda: asyncio.run(_send(task))


async def _send(task: Task) -> None:
    waiting = task.ready()
    async with asyncio.TaskGroup() as group:
        for _ in range(task.options["connections"]):
            group.create_task(_connection(task.port, waiting))


async def _connection(port: int, waiting: Iterator[tuple[Letter, bytes]]) -> None:
    async with aiosmtplib.SMTP(hostname="127.0.0.1", port=port, start_tls=False) as client:
        for letter, content in waiting:
            await client.sendmail(letter["sender"], [letter["recipient"]], content)


if __name__ == "__main__":
    take_turn(prepared)
