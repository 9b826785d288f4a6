"""What becomes of a connection that is being made while its host changes."""

from __future__ import annotations

import asyncio

import pytest

from mailstrom.testing.loop import run_virtual
from mailstrom.testing.network import MemoryNetwork
from mailstrom.testing.peer import Peer

MX = "192.0.2.25"


async def _connected_while(change: str) -> str:
    """How it ends for a client whose host changes when the first octets are on their way back."""
    network = MemoryNetwork()
    network.listen(MX, 25, Peer.wait_gone, latency_secs=1.0)
    connecting = asyncio.create_task(network.connect(asyncio.Protocol, MX, 25))
    await asyncio.sleep(1.5)
    getattr(network, change)(MX, 25)
    try:
        await asyncio.wait_for(connecting, 60)
    except (OSError, TimeoutError) as error:
        return type(error).__name__
    finally:
        await network.close()
    return "connected"


@pytest.mark.parametrize(
    ("change", "ends"),
    [("refuse", "ConnectionRefusedError"), ("unreachable", "OSError"), ("black_hole", "TimeoutError")],
)
def test_nobody_connects_with_a_host_that_went_down_meanwhile(change: str, ends: str) -> None:
    assert run_virtual(_connected_while(change)) == ends
