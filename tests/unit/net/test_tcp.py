"""Real connections on loopback."""

from __future__ import annotations

import asyncio
import errno
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import pytest
import trustme

from mailstrom.net.clock import SystemClock
from mailstrom.net.tcp import READ_OCTETS, TcpNetwork, in_own_thread
from mailstrom.testing import script as play
from mailstrom.testing.smtp_server import LoopbackServer, ScriptedServer
from tests.loops import run, run_on

HOST = "127.0.0.1"


class Client(asyncio.Protocol):
    """Collects what arrives until the end."""

    def __init__(self) -> None:
        self.octets = b""
        self.heard = asyncio.Event()
        self.lost: asyncio.Future[Exception | None] = asyncio.get_running_loop().create_future()

    def data_received(self, data: bytes) -> None:
        self.octets += data
        self.heard.set()

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost.set_result(exc)


@contextmanager
def full_backlog() -> Iterator[int]:
    """A port where connecting never comes to an end: its queue is full and nobody accepts."""
    with socket.socket() as listening:
        listening.bind((HOST, 0))
        listening.listen(0)
        port = listening.getsockname()[1]
        fillers = [socket.socket() for _ in range(4)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex((HOST, port))
        try:
            yield port
        finally:
            for filler in fillers:
                filler.close()


def test_a_connection_is_made_from_the_source_address_without_delay() -> None:
    server = ScriptedServer([play.send("220 mx")])

    async def main(port: int) -> tuple[bytes, object, int]:
        client = Client()
        network = TcpNetwork()
        transport = await network.connect(lambda: client, HOST, port, source_address="127.0.0.2")
        no_delay = transport.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        await client.lost
        return client.octets, transport.get_extra_info("peername"), no_delay

    with LoopbackServer(server) as running:
        octets, peername, no_delay = run(main(running.port))

    assert (octets, peername, bool(no_delay)) == (b"220 mx\r\n", (HOST, running.port), True)
    assert server.transcripts[0].ip == "127.0.0.2"


def test_asyncio_reads_little_at_a_time() -> None:
    """For each read it allocates as much as it may get."""
    pieces: list[int] = []

    class Measuring(Client):
        def data_received(self, data: bytes) -> None:
            pieces.append(len(data))

    async def main(listening: socket.socket) -> None:
        client = Measuring()
        transport = await TcpNetwork().connect(lambda: client, HOST, listening.getsockname()[1])
        accepted, _ = listening.accept()
        with accepted:
            accepted.sendall(bytes(3 * READ_OCTETS))
        await client.lost
        transport.abort()

    with socket.create_server((HOST, 0)) as listening:
        run_on("asyncio", main(listening))

    assert (sum(pieces), max(pieces)) == (3 * READ_OCTETS, READ_OCTETS)


def test_a_refused_connection_raises_its_errno() -> None:
    """Row 1: a closed port."""
    with socket.socket() as unused:
        unused.bind((HOST, 0))

        with pytest.raises(ConnectionRefusedError) as raised:
            run(TcpNetwork().connect(asyncio.Protocol, HOST, unused.getsockname()[1]))

    assert raised.value.errno == errno.ECONNREFUSED


@pytest.mark.parametrize("name", ["localhost", "mx.example", ""])
def test_a_name_is_an_error_and_never_looked_up(name: str) -> None:
    with pytest.raises(OSError, match=r"."):
        run(TcpNetwork().connect(asyncio.Protocol, name, 25))


def test_a_cancelled_connect_leaves_no_socket() -> None:
    """Row 2; the watch over every test fails it when a socket is left."""

    async def main(port: int) -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await TcpNetwork().connect(asyncio.Protocol, HOST, port)

    with full_backlog() as port:
        run(main(port))


def test_start_tls_verifies_the_name_without_its_final_dot() -> None:
    authority = trustme.CA()
    server_context, client_context = (
        ssl.create_default_context(ssl.Purpose.CLIENT_AUTH),
        ssl.create_default_context(),
    )
    authority.issue_cert("mx.example").configure_cert(server_context)
    authority.configure_trust(client_context)
    server = ScriptedServer([play.start_tls(server_context), play.send("250 secret")])

    async def main(port: int) -> bytes:
        network, client = TcpNetwork(), Client()
        transport = await network.connect(lambda: client, HOST, port)
        await network.start_tls(
            transport, client, client_context, server_hostname="mx.example.", timeout_secs=10
        )
        await client.lost
        return client.octets

    with LoopbackServer(server) as running:
        assert run(main(running.port)) == b"250 secret\r\n"


@pytest.mark.parametrize(
    ("step", "name", "error"),
    [
        (play.send("554 no"), "mx.example", ssl.SSLError),
        (play.hang(), "mx.example", ConnectionAbortedError),
        (play.close(), "mx.example", OSError),
        (play.reset(), "mx.example", OSError),
        (play.hang(), ".bad", ssl.SSLError),
        (play.hang(), None, ssl.SSLError),
    ],
)
def test_a_handshake_that_fails_raises_and_leaves_no_socket(
    step: play.Step, name: str | None, error: type[Exception]
) -> None:
    """Row 23: garbage, silence, FIN, RST; and names that no certificate can bear."""
    server = ScriptedServer([play.read_octets(1), step])

    async def main(port: int) -> bytes:
        network, client = TcpNetwork(), Client()
        transport = await network.connect(lambda: client, HOST, port)
        with pytest.raises(error):
            await network.start_tls(
                transport, client, ssl.create_default_context(), server_hostname=name, timeout_secs=0.3
            )
        return client.octets

    with LoopbackServer(server) as running:
        heard_in_clear = run(main(running.port))

    assert heard_in_clear == b""


def test_the_system_resolves_a_relay_and_knows_this_host() -> None:
    async def main() -> tuple[tuple[str, ...], str, frozenset[str]]:
        network = TcpNetwork()
        return (
            await network.resolve_host("localhost."),
            await network.own_fqdn(),
            await network.own_addresses(),
        )

    resolved, name, addresses = run(main())

    assert set(resolved) <= {"127.0.0.1", "::1"}
    assert resolved
    assert name
    assert addresses >= {"127.0.0.1", "::1"}


@pytest.mark.parametrize("name", ["no-such-host.invalid", "a" * 64 + ".example", "two..dots", ""])
def test_a_name_that_cannot_be_resolved_is_an_os_error(name: str) -> None:
    with pytest.raises(socket.gaierror):
        run(TcpNetwork().resolve_host(name))


def test_a_caller_that_gives_up_does_not_wait_for_the_blocking_call() -> None:
    release = threading.Event()

    async def main() -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await in_own_thread(release.wait, "slow-call")

    run(main())

    release.set()


def test_after_the_main_thread_has_ended_a_look_up_is_answered_or_an_os_error() -> None:
    """Row 54: the default executor raises RuntimeError once the interpreter is on its way out."""
    program = """if True:
        import threading
        from mailstrom.net.tcp import TcpNetwork
        from tests.loops import run
        def late():
            threading.main_thread().join()
            try:
                print(run(TcpNetwork().resolve_host("localhost")))
            except OSError as error:
                print(error)
        threading.Thread(target=late).start()
    """

    ended = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        timeout=30,
        env={"PYTHONPATH": ":".join(sys.path)},
    )

    answers = ("127.0.0.1", "::1", "no thread for mailstrom-resolve-host")
    assert any(answer in ended.stdout for answer in answers), ended.stderr
    assert ended.stderr == ""


def test_the_clock_is_aware_utc_and_agrees_with_the_loop() -> None:
    async def main() -> float:
        return abs(SystemClock().monotonic() - asyncio.get_running_loop().time())

    assert run(main()) < 1.0
    assert abs(SystemClock().now() - datetime.now(UTC)).total_seconds() < 10
    assert SystemClock().now().tzinfo is UTC
