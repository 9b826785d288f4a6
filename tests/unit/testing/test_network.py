"""The network in memory: asyncio transports without sockets."""

from __future__ import annotations

import asyncio
import errno
import socket
import ssl
from itertools import chain, repeat

import pytest
import trustme

from mailstrom.testing.loop import run_virtual
from mailstrom.testing.network import Connect, Fate, MemoryNetwork
from mailstrom.testing.peer import Peer

MX = "192.0.2.25"


class Client(asyncio.Protocol):
    """Records everything a transport tells it."""

    def __init__(self) -> None:
        self.told: list[object] = []
        self.lost = asyncio.Event()
        self.writable = True

    @property
    def octets(self) -> bytes:
        return b"".join(chunk for chunk in self.told if isinstance(chunk, bytes))

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.told.append("made")

    def data_received(self, data: bytes) -> None:
        self.told.append(data)

    def eof_received(self) -> None:
        self.told.append("end")

    def connection_lost(self, exc: Exception | None) -> None:
        self.told.append(type(exc).__name__ if exc else "closed")
        self.lost.set()

    def pause_writing(self) -> None:
        self.writable = False

    def resume_writing(self) -> None:
        self.writable = True


async def greet(peer: Peer) -> None:
    await peer.write(b"220 hello\r\n")


async def greet_and_wait(peer: Peer) -> None:
    await greet(peer)
    await peer.wait_gone()


async def connected(network: MemoryNetwork, ip: str = MX) -> tuple[asyncio.Transport, Client]:
    client = Client()
    return await network.connect(lambda: client, ip, 25), client


def test_octets_then_the_end_of_the_stream_arrive_in_order() -> None:
    async def main() -> tuple[list[object], tuple[asyncio.Transport, ...]]:
        network = MemoryNetwork()
        network.listen(MX, 25, greet)

        _, client = await connected(network)
        await client.lost.wait()
        await asyncio.sleep(0)

        return client.told, network.open_transports

    assert run_virtual(main()) == (["made", b"220 hello\r\n", "end", "closed"], ())


def test_each_side_reads_what_the_other_wrote_and_knows_its_addresses() -> None:
    heard: list[object] = []

    async def echo(peer: Peer) -> None:
        heard.extend([peer.ip, peer.local_ip])
        while line := await peer.read_line():
            heard.append(line)
            await peer.write(line)

    async def main() -> tuple[bytes, object, object]:
        network = MemoryNetwork()
        network.listen(MX, 25, echo)
        transport, client = await connected(network)
        transport.writelines([b"one\r\nt", b"wo\r\n"])
        transport.write_eof()
        await client.lost.wait()
        return client.octets, transport.get_extra_info("peername"), transport.get_extra_info("sockname")

    assert run_virtual(main()) == (b"one\r\ntwo\r\n", (MX, 25), ("192.0.2.1", 49152))
    assert heard == ["192.0.2.1", MX, b"one\r\n", b"two\r\n"]


def test_latency_delays_connecting_and_every_octet_each_way_and_keeps_their_order() -> None:
    async def count_up(peer: Peer) -> None:
        for n in range(50):
            await peer.write(b"%d " % n)

    async def main() -> tuple[float, float, bytes]:
        network = MemoryNetwork()
        network.listen(MX, 25, count_up, latency_secs=0.25)
        loop = asyncio.get_running_loop()
        _, client = await connected(network)
        connected_at = loop.time()
        await client.lost.wait()
        return connected_at, loop.time(), client.octets

    counted = b"".join(b"%d " % n for n in range(50))
    assert run_virtual(main()) == (0.5, 0.75, counted)


@pytest.mark.parametrize(
    ("lay", "code"),
    [
        ("refuse", errno.ECONNREFUSED),
        ("unreachable", errno.ENETUNREACH),
        ("nobody", errno.ECONNREFUSED),
    ],
)
def test_a_failed_connect_raises_its_errno_and_stands_in_the_ledger(lay: str, code: int) -> None:
    """Rows 1 and 44: refused, and no route."""

    async def main() -> tuple[int | None, list[Connect]]:
        network = MemoryNetwork()
        if lay != "nobody":
            getattr(network, lay)(MX)
        with pytest.raises(OSError) as raised:
            await connected(network)
        return raised.value.errno, network.connects

    fate = Fate.UNREACHABLE if lay == "unreachable" else Fate.REFUSED
    ledger = [Connect(ip=MX, port=25, source_ip="192.0.2.1", at=0.0, fate=fate)]
    assert run_virtual(main()) == (code, ledger)


def test_a_black_hole_lasts_until_the_caller_gives_up() -> None:
    """Row 2: nothing answers at all."""

    async def main() -> float:
        network = MemoryNetwork()
        network.black_hole(MX, 25)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(connected(network), timeout=30.0)
        assert network.open_transports == ()
        return asyncio.get_running_loop().time()

    assert run_virtual(main()) == 30.0


def test_while_the_network_is_lost_whoever_listens_is_not_reached() -> None:
    """Row 62: nobody at all can be reached, and then each host is as it was before."""

    async def main() -> list[Fate]:
        network = MemoryNetwork()
        network.listen(MX, 25, greet_and_wait)
        network.lose(Fate.UNREACHABLE)
        with pytest.raises(OSError, match="unreachable"):
            await connected(network)
        network.restore()
        await connected(network)
        await network.close()
        return [connect.fate for connect in network.connects]

    assert run_virtual(main()) == [Fate.UNREACHABLE, Fate.CONNECTED]


def test_a_peer_that_never_reads_pauses_the_writer_and_abort_frees_everything() -> None:
    """Row 15: 20 MB against a zero window."""

    async def main() -> tuple[bool, int, list[object], tuple[asyncio.Transport, ...]]:
        network = MemoryNetwork(pipe_capacity=1000)
        network.never_reads(MX, 25)
        transport, client = await connected(network)
        transport.write(b"x" * 20_000_000)
        await asyncio.sleep(3600)
        writable, waiting = client.writable, transport.get_write_buffer_size()
        transport.abort()
        await client.lost.wait()
        await asyncio.sleep(1)
        assert transport.get_write_buffer_size() == 0
        return writable, waiting, client.told, network.open_transports

    assert run_virtual(main()) == (False, 19_999_000, ["made", "closed"], ())


def test_a_slow_reader_lets_the_writer_go_on_when_it_reads() -> None:
    received = bytearray()

    async def slow(peer: Peer) -> None:
        while octets := await peer.read_some():
            received.extend(octets)
            await asyncio.sleep(1)

    async def main() -> list[bool]:
        network = MemoryNetwork(pipe_capacity=1000)
        network.listen(MX, 25, slow)
        transport, client = await connected(network)
        transport.write(b"y" * 500_000)
        states = [client.writable]
        transport.close()
        await client.lost.wait()
        await asyncio.sleep(10)
        states.append(client.writable)
        return states

    assert run_virtual(main()) == [False, True]
    assert received == b"y" * 500_000


def test_an_abort_resets_the_peer_and_undelivered_octets_vanish() -> None:
    heard: list[object] = []

    async def listen_on(peer: Peer) -> None:
        try:
            while octets := await peer.read_some():
                heard.append(octets)
        except ConnectionResetError:
            heard.append("reset")

    async def main() -> None:
        network = MemoryNetwork(latency_secs=1.0)
        network.listen(MX, 25, listen_on)
        transport, client = await connected(network)
        transport.write(b"arrives")
        await asyncio.sleep(1.5)
        transport.write(b"vanishes")
        transport.abort()
        await client.lost.wait()
        await asyncio.sleep(2)
        assert network.open_transports == ()

    run_virtual(main())

    assert heard == [b"arrives", "reset"]


def test_a_reset_by_the_server_is_a_connection_reset_error() -> None:
    async def reset(peer: Peer) -> None:
        await peer.write(b"220 never read")
        peer.reset()

    async def main() -> list[object]:
        network = MemoryNetwork()
        network.listen(MX, 25, reset)
        _, client = await connected(network)
        await client.lost.wait()
        return client.told

    assert run_virtual(main()) == ["made", "ConnectionResetError"]


def test_writing_to_a_server_that_has_closed_is_answered_with_a_reset() -> None:
    class KeepsOpen(Client):
        def eof_received(self) -> bool:  # type: ignore[override]
            self.told.append("end")
            return True

    async def main() -> list[object]:
        network = MemoryNetwork()
        network.listen(MX, 25, greet)
        client = KeepsOpen()
        transport = await network.connect(lambda: client, MX, 25)
        await asyncio.sleep(1)
        transport.write(b"EHLO x\r\n")
        await client.lost.wait()
        return client.told

    assert run_virtual(main()) == ["made", b"220 hello\r\n", "end", "ConnectionResetError"]


@pytest.mark.parametrize("latency_secs", [0.0, 0.1])
def test_tls_over_memory_is_real_tls_on_both_sides(latency_secs: float) -> None:
    authority = trustme.CA()
    server_context, client_context = (
        ssl.create_default_context(ssl.Purpose.CLIENT_AUTH),
        ssl.create_default_context(),
    )
    authority.issue_cert("mx.dest.example").configure_cert(server_context)
    authority.configure_trust(client_context)
    heard: list[object] = []

    async def serve(peer: Peer) -> None:
        await peer.write(b"220 ready\r\n")
        await peer.start_tls(server_context)
        while octets := await peer.read_some():
            heard.append(octets)
            await peer.write(b"got " + octets)
        heard.append(peer.tls.version() if peer.tls else None)

    async def main() -> tuple[bytes, object, tuple[asyncio.Transport, ...]]:
        network = MemoryNetwork(latency_secs=latency_secs)
        network.listen(MX, 25, serve)
        transport, client = await connected(network)
        while not client.octets:
            await asyncio.sleep(0.1)
        secure = await network.start_tls(
            transport, client, client_context, server_hostname="mx.dest.example.", timeout_secs=120
        )
        secure.write(b"secret")
        await asyncio.sleep(1)
        subject = secure.get_extra_info("peercert")["subjectAltName"]
        secure.close()
        await client.lost.wait()
        await asyncio.sleep(1)
        return client.octets, subject, network.open_transports

    assert run_virtual(main()) == (
        b"220 ready\r\ngot secret",
        (("DNS", "mx.dest.example"),),
        (),
    )
    assert heard == [b"secret", "TLSv1.3"]


def test_a_handshake_that_fails_raises_and_leaves_nothing_open() -> None:
    """Rows 23 and 25: a certificate nobody vouches for, garbage, silence, a closed connection."""
    authority = trustme.CA()
    server_context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("other.example").configure_cert(server_context)

    async def untrusted(peer: Peer) -> None:
        await peer.start_tls(server_context)

    async def garbage(peer: Peer) -> None:
        await peer.write(b"554 what is this?\r\n")
        await peer.wait_gone()

    async def silent(peer: Peer) -> None:
        await peer.wait_gone()

    async def closes(peer: Peer) -> None:
        peer.close()

    async def resets(peer: Peer) -> None:
        peer.reset()

    async def attempt(handler: object) -> str:
        network = MemoryNetwork()
        network.listen(MX, 25, handler)  # type: ignore[arg-type]
        transport, client = await connected(network)
        try:
            await network.start_tls(
                transport, client, ssl.create_default_context(), server_hostname="mx.example", timeout_secs=9
            )
        except (ssl.SSLError, OSError) as error:
            await asyncio.sleep(1)
            assert (network.open_transports, client.octets) == ((), b"")
            return type(error).__name__
        return "connected"

    async def main() -> list[str]:
        return [await attempt(each) for each in (untrusted, garbage, silent, closes, resets)]

    assert run_virtual(main()) == [
        "SSLCertVerificationError",
        "SSLError",
        "ConnectionAbortedError",
        "ConnectionResetError",
        "ConnectionResetError",
    ]


def test_closing_the_network_ends_what_servers_still_do() -> None:
    async def sleeps(peer: Peer) -> None:
        await asyncio.sleep(1_000_000)

    async def main() -> tuple[float, tuple[asyncio.Transport, ...]]:
        network = MemoryNetwork()
        network.listen(MX, 25, sleeps)
        _, client = await connected(network)
        await network.close()
        await client.lost.wait()
        return asyncio.get_running_loop().time(), network.open_transports

    assert run_virtual(main()) == (0.0, ())


def test_the_names_the_network_knows_are_those_it_was_told() -> None:
    async def main() -> tuple[object, ...]:
        network = MemoryNetwork(
            hosts={"relay.example": ("192.0.2.7",), "broken.example": TimeoutError("no answer")},
            fqdn="me.example",
            addresses=frozenset({"2001:db8::7", "192.0.2.9"}),
        )
        network.listen("2001:DB8:0::25", 25, greet)
        with pytest.raises(socket.gaierror):
            await network.resolve_host("unknown.example")
        with pytest.raises(TimeoutError):
            await network.resolve_host("broken.example")
        _, client = await connected(network, "2001:db8::25")
        await client.lost.wait()
        found = await network.resolve_host("Relay.example")
        return found, await network.own_fqdn(), await network.own_addresses(), network.connects[0].source_ip

    assert run_virtual(main()) == (
        ("192.0.2.7",),
        "me.example",
        frozenset({"2001:db8::7", "192.0.2.9"}),
        "2001:db8::7",
    )


def test_a_host_that_goes_resets_its_connections_and_no_others() -> None:
    async def story() -> tuple[list[object], list[object]]:
        network = MemoryNetwork()
        for ip in (MX, "192.0.2.26"):
            network.listen(ip, 25, greet_and_wait)
        _, gone = await connected(network)
        _, other = await connected(network, "192.0.2.26")
        await asyncio.sleep(1)

        network.reset(MX)
        await asyncio.sleep(1)

        await network.close()
        return gone.told, other.told[:2]

    gone, other = run_virtual(story())
    assert gone == ["made", b"220 hello\r\n", "ConnectionResetError"]
    assert other == ["made", b"220 hello\r\n"]


def test_from_a_host_that_falls_silent_nothing_comes_not_even_an_end() -> None:
    async def story() -> list[object]:
        network = MemoryNetwork()
        network.listen(MX, 25, greet_and_wait)
        transport, client = await connected(network)
        await asyncio.sleep(1)

        network.silence(MX)
        transport.write(b"QUIT\r\n")
        await asyncio.sleep(3600)

        told = list(client.told)
        transport.abort()
        await network.close()
        return told

    assert run_virtual(story()) == ["made", b"220 hello\r\n"]


def test_what_is_written_after_something_that_is_late_arrives_after_it() -> None:
    delays = chain([5.0], repeat(0.0))
    arrived: list[tuple[float, bytes]] = []

    async def says_two_things(peer: Peer) -> None:
        await peer.write(b"one")
        await peer.write(b"two")
        await peer.wait_gone()

    class Noting(Client):
        def data_received(self, data: bytes) -> None:
            arrived.append((asyncio.get_running_loop().time(), data))

    async def story() -> None:
        network = MemoryNetwork()
        network.listen(MX, 25, says_two_things, latency_secs=1.0, delay=lambda: next(delays))
        await network.connect(Noting, MX, 25)
        await asyncio.sleep(60)
        await network.close()

    run_virtual(story())
    assert arrived == [(8.0, b"one"), (8.0, b"two")]
