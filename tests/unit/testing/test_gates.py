"""What a simulated process's network gate lets through."""

from __future__ import annotations

import asyncio

import pytest

from mailstrom.testing.gates import Dial, NetworkGate
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


def a_network(*ips: str, latency_secs: float = 0.0) -> MemoryNetwork:
    network = MemoryNetwork(latency_secs=latency_secs)
    for ip in ips:
        network.listen(ip, 25, greets_later)
    return network


async def connects(gate: NetworkGate, ip: str) -> bool:
    try:
        await asyncio.wait_for(gate.connect(asyncio.Protocol, ip, 25), 60)
    except TimeoutError:
        return False
    return True


def test_a_gate_keeps_each_try_to_connect_with_its_time_and_its_end() -> None:
    async def story() -> list[Dial]:
        network = a_network("192.0.2.25")
        gate = NetworkGate(network, frozenset({"192.0.2.1"}))

        gate.part()
        await connects(gate, "192.0.2.25")
        gate.heal()
        await connects(gate, "192.0.2.25")
        await network.close()
        return gate.dials

    assert run_virtual(story()) == [
        Dial(ip="192.0.2.25", since=0.0, until=60.0),
        Dial(ip="192.0.2.25", since=60.0, until=60.0, is_connected=True),
    ]


@pytest.mark.parametrize("parted", ["2001:db8::25", "2001:0DB8:0:0::25"])
def test_a_partition_from_one_address_however_it_is_spelt_leaves_the_others(parted: str) -> None:
    async def story() -> list[bool]:
        network = a_network("2001:db8::25", "192.0.2.26")
        gate = NetworkGate(network, frozenset({"192.0.2.1"}))

        gate.part(parted)
        found = [await connects(gate, "2001:db8:0::25"), await connects(gate, "192.0.2.26")]
        gate.heal(parted)
        found.append(await connects(gate, "2001:db8::25"))
        await network.close()
        return found

    assert run_virtual(story()) == [False, True, True]


def test_who_heals_more_than_was_parted_is_not_parted_by_that() -> None:
    async def story() -> bool:
        network = a_network(MX)
        gate = NetworkGate(network, frozenset({"192.0.2.1"}))

        gate.heal()
        found = await connects(gate, MX)
        await network.close()
        return found

    assert run_virtual(story())


def test_the_connections_with_one_address_fall_silent_when_it_is_parted() -> None:
    async def story() -> list[bytes]:
        network = a_network(MX, "192.0.2.26")
        gate = NetworkGate(network, frozenset({"192.0.2.1"}))
        clients = [Peer(), Peer()]
        for ip, client in zip((MX, "192.0.2.26"), clients, strict=True):
            await gate.connect(lambda client=client: client, ip, 25)  # type: ignore[misc]

        gate.part(MX)
        await asyncio.sleep(60)
        await network.close()
        return [client.unread() for client in clients]

    assert run_virtual(story()) == [b"", b"220 hello\r\n"]


@pytest.mark.parametrize("is_refused", [False, True])
def test_no_answer_arrives_through_a_partition_that_began_while_connecting(is_refused: bool) -> None:
    async def story() -> tuple[bool, int]:
        network = a_network(MX, latency_secs=1.0)
        gate = NetworkGate(network, frozenset({"192.0.2.1"}))
        connecting = asyncio.create_task(connects(gate, MX))

        await asyncio.sleep(1.5)
        gate.part()
        if is_refused:
            network.refuse(MX, 25)
        found = await connecting
        left = len(gate.open_transports)
        await network.close()
        return found, left

    assert run_virtual(story()) == (False, 0)
