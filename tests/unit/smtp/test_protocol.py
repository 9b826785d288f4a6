"""`smtp.protocol`: what a write that has to wait says of the content before it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from mailstrom.smtp.protocol import StrictProtocol
from mailstrom.status import Phase
from mailstrom.testing.loop import run_virtual


class Transport(asyncio.Transport):
    """Takes everything, and keeps its limits."""

    def __init__(self) -> None:
        super().__init__()
        self.limits: list[int | None] = []

    def write(self, data: object) -> None:
        pass

    def is_closing(self) -> bool:
        return False

    def get_write_buffer_size(self) -> int:
        return 0

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        self.limits.append(high)


async def no_tls(*_: Any) -> asyncio.Transport:
    raise AssertionError("there is no TLS here")


async def a_content(protocol: StrictProtocol, *blocks: bytes) -> None:
    """Is written and answered."""
    protocol.begin_content()
    for block in blocks:
        await protocol.write_block(block, 10)
    await protocol.write_last_block(b".\r\n", 10)
    protocol.data_received(b"250 ok\r\n")
    await protocol.content_reply(10)


def the_limits_after(*contents: tuple[bytes, ...]) -> list[int | None]:
    async def story() -> list[int | None]:
        protocol, transport = StrictProtocol(no_tls, 1e9), Transport()
        protocol.connection_made(transport)
        for blocks in contents:
            await a_content(protocol, *blocks)
        return transport.limits

    limits: list[int | None] = run_virtual(story())
    return limits


def test_commands_that_wait_behind_a_content_are_no_final_dot() -> None:
    """What is lost with them is not uncertain."""

    async def story() -> Phase:
        protocol = StrictProtocol(no_tls, 1e9)
        protocol.connection_made(Transport())
        await a_content(protocol)
        protocol.send(b"MAIL FROM:<>\r\n", replies=1)
        protocol.pause_writing()
        protocol.resume_writing()
        return protocol.phase

    assert run_virtual(story()) is Phase.MAIL


@pytest.mark.parametrize(
    ("contents", "limits"),
    [
        ([(), (), ()], [0]),
        ([(b"a",), ()], [0]),
        ([(), (b"a", b"b"), ()], [0, 65536, 0]),
    ],
)
def test_only_a_last_block_must_leave_at_once(contents: list[tuple[bytes, ...]], limits: list[int]) -> None:
    """Then `resume_writing` tells when nothing of it is left; the others may wait in the buffer."""
    assert the_limits_after(*contents) == limits
