"""Trouble with the storage is told, and so is its end."""

from __future__ import annotations

import asyncio

from mailstrom import StorageError, WorkerStatus
from mailstrom.engine.patience import PatientCalls
from mailstrom.engine.thread import run_inline


def test_the_trouble_of_a_write_that_is_made_once_ends_with_the_next_that_succeeds() -> None:
    told: list[tuple[str, WorkerStatus]] = []
    calls = PatientCalls(
        run_inline,
        lambda status: told.append(("trouble", status)),
        lambda status: told.append(("over", status)),
    )

    def fails() -> bool:
        raise StorageError("the disk is full")

    async def story() -> list[object]:
        return [await calls.try_to_write(fails), await calls.try_to_write(lambda: True)]

    assert asyncio.run(story()) == [None, True]
    assert told == [
        ("trouble", WorkerStatus.STORAGE_WRITE_FAILED),
        ("over", WorkerStatus.STORAGE_WRITE_FAILED),
    ]
