"""What a simulated process's network gate lets through."""

from __future__ import annotations

import asyncio

import pytest

from mailstrom.testing.gates import NetworkGate
from mailstrom.testing.loop import run_virtual
from mailstrom.testing.network import MemoryNetwork
from mailstrom.testing.peer import Peer

MX = "192.0.2.25"


async def greets_later(peer: Peer) -> None:
    await asyncio.sleep(5)
    await peer.write(b"220 hello\r\n")
    await peer.wait_gone()


def test_in_a_partition_nothing_comes_through_until_as_many_have_ended_as_began() -> None:
    async def story() -> None:
        network = MemoryNetwork()
        network.listen(MX, 25, greets_later)
        gate = NetworkGate(network, frozenset({"192.0.2.1"}))

        gate.part()
        gate.part()
        gate.heal()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(gate.connect(asyncio.Protocol, MX, 25), 60)

        gate.heal()
        transport = await gate.connect(asyncio.Protocol, MX, 25)
        assert gate.open_transports == (transport,)
        await network.close()

    run_virtual(story())


def test_a_connection_falls_silent_in_a_partition() -> None:
    async def story() -> bytes:
        network = MemoryNetwork()
        network.listen(MX, 25, greets_later)
        gate = NetworkGate(network, frozenset({"192.0.2.1"}))
        client = Peer()
        transport = await gate.connect(lambda: client, MX, 25)

        gate.part()
        gate.heal()
        await asyncio.sleep(60)

        assert not transport.is_closing()
        await network.close()
        return client.unread()

    assert run_virtual(story()) == b""
