"""Asking the kernel for an acknowledgement at once."""

from __future__ import annotations

import asyncio
import socket

import pytest

from mailstrom.smtp.acknowledge import QUICK_ACK, acknowledge_now


class Connection:
    """Keeps what it is asked for; one that is lost refuses it."""

    def __init__(self, lost: bool = False) -> None:
        self.asked: list[tuple[int, int, int]] = []
        self._lost = lost

    def setsockopt(self, level: int, option: int, value: int) -> None:
        self.asked.append((level, option, value))
        if self._lost:
            raise OSError("bad file descriptor")


@pytest.mark.parametrize("lost", [False, True])
def test_it_is_asked_for_where_the_kernel_knows_it(lost: bool) -> None:
    """RFC 1122 4.2.3.2."""
    connection = Connection(lost)

    acknowledge_now(asyncio.Transport({"socket": connection}))

    assert connection.asked == ([] if QUICK_ACK is None else [(socket.IPPROTO_TCP, QUICK_ACK, 1)])


def test_nothing_is_asked_of_a_transport_without_a_socket() -> None:
    acknowledge_now(asyncio.Transport({}))
    acknowledge_now(None)
