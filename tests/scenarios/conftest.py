"""`made`: a test that is given it runs twice, with the blocking face and with that for asyncio.

`made(...)` is a `Mailstrom`, or an `AsyncMailstrom` whose methods are awaited in a loop of the test.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, Self

import pytest

from mailstrom import AsyncMailstrom, Mailstrom


class Awaiting:
    """An AsyncMailstrom behind the methods of a Mailstrom: each is awaited in one loop."""

    def __init__(self, runner: asyncio.Runner, *args: Any, **kwargs: Any) -> None:
        self._runner = runner
        self._inner = AsyncMailstrom(*args, **kwargs)
        self._mailstrom = self._inner._mailstrom

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._inner, name)
        return (lambda *args, **kwargs: self._awaited(found(*args, **kwargs))) if callable(found) else found

    def events(self, *args: Any) -> list[Any]:
        events = self._inner.events(*args)

        async def listed() -> list[Any]:
            return [event async for event in events]

        return self._runner.run(listed())

    def __enter__(self) -> Self:
        self._awaited(self._inner.__aenter__())
        return self

    def __exit__(self, *error: object) -> None:
        self._awaited(self._inner.__aexit__(*error))

    def _awaited(self, awaitable: Any) -> Any:
        async def main() -> Any:
            return await awaitable

        found = self._runner.run(main())
        return self if found is self._inner else found


@pytest.fixture(params=["blocking", "asyncio"])
def made(request: pytest.FixtureRequest) -> Iterator[Callable[..., Any]]:
    """Makes a Mailstrom or an AsyncMailstrom."""
    if request.param == "blocking":
        yield Mailstrom
        return
    with asyncio.Runner() as runner:
        yield partial(Awaiting, runner)
