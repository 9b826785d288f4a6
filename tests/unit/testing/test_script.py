"""The server that follows a script."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from mailstrom.testing import script as play
from mailstrom.testing.loop import run_virtual
from mailstrom.testing.network import MemoryNetwork
from mailstrom.testing.peer import Peer
from mailstrom.testing.script import ScriptedServer, ScriptError, Step

IP = "192.0.2.25"


class Client(asyncio.Protocol):
    """Keeps what arrives, with the time of each arrival."""

    def __init__(self) -> None:
        self.arrived: list[tuple[float, bytes]] = []
        self.end: str | None = None

    def data_received(self, data: bytes) -> None:
        self.arrived.append((asyncio.get_running_loop().time(), data))

    def connection_lost(self, exc: Exception | None) -> None:
        self.end = type(exc).__name__ if exc else "closed"


def against(server: ScriptedServer, *said: bytes, secs: float = 100.0) -> Client:
    """A client that says its lines, a second apart, and leaves after `secs`."""

    async def main() -> Client:
        network = MemoryNetwork()
        network.listen(IP, 25, server)
        client = Client()
        transport = await network.connect(lambda: client, IP, 25)
        for octets in said:
            await asyncio.sleep(1)
            transport.write(octets)
        await asyncio.sleep(secs)
        transport.abort()
        await asyncio.sleep(1)
        assert network.open_transports == ()
        return client

    return run_virtual(main())


def test_a_script_is_played_and_its_transcript_kept() -> None:
    server = ScriptedServer(
        [
            play.send("220 mx"),
            play.expect("HELO |EHLO "),
            play.send("250-mx\r\n250 PIPELINING"),
            play.expect("MAIL FROM:+RCPT TO:+DATA"),
            play.send(b"250 ok\r\n550 no\r\n354 go\r\n"),
            play.expect("<just a dot>"),
        ]
    )

    client = against(server, b"ehlo x\r\n", b"MAIL FROM:<>\r\nRCPT TO:<a@b>\r\nDATA\r\n", b".\r\n")

    assert client.arrived == [
        (0.0, b"220 mx\r\n"),
        (1.0, b"250-mx\r\n250 PIPELINING\r\n"),
        (2.0, b"250 ok\r\n550 no\r\n354 go\r\n"),
    ]
    assert client.end == "closed"
    assert server.transcripts[0].received == b"ehlo x\r\nMAIL FROM:<>\r\nRCPT TO:<a@b>\r\nDATA\r\n.\r\n"
    assert (server.transcripts[0].contents, server.transcripts[0].played) == ([b""], 6)


@pytest.mark.expects_loop_errors
def test_a_line_that_does_not_fit_fails_the_run() -> None:
    server = ScriptedServer([play.expect("EHLO ")])

    with pytest.raises(ScriptError, match="expected 'EHLO ', the client sent"):
        against(server, b"QUIT\r\n")


def test_a_client_that_leaves_early_ends_the_script() -> None:
    server = ScriptedServer([play.send("220 mx"), play.expect("EHLO ")])

    against(server)

    assert (server.transcripts[0].played, server.transcripts[0].ended) == (1, True)


def test_each_connection_has_its_script_and_the_last_one_repeats() -> None:
    server = ScriptedServer([play.send("421 busy")], [play.send("220 mx")])

    first_words = [against(server).arrived[0][1] for _ in range(3)]

    assert first_words == [b"421 busy\r\n", b"220 mx\r\n", b"220 mx\r\n"]


@pytest.mark.parametrize(
    ("steps", "arrived", "end"),
    [
        ([play.drip("220", size=2, every_secs=10)], [(0.0, b"22"), (10.0, b"0\r"), (20.0, b"\n")], "closed"),
        ([play.send_split("250 x", at=3, pause_secs=5)], [(0.0, b"250"), (5.0, b" x\r\n")], "closed"),
        ([play.pause(9), play.send("220 late")], [(9.0, b"220 late\r\n")], "closed"),
        ([play.hang()], [], "closed"),
        ([play.send("220 lost"), play.reset()], [], "ConnectionResetError"),
        ([play.send("220 kept"), play.close()], [(0.0, b"220 kept\r\n")], "closed"),
    ],
)
def test_steps_send_and_end_as_they_say(steps: Sequence[Step], arrived: list[object], end: str) -> None:
    """Rows 3, 13, 14, 22"""
    client = against(ScriptedServer(steps))

    assert (client.arrived, client.end) == (arrived, end)


def test_what_is_sent_for_ever_ends_when_the_client_goes() -> None:
    """Row 16"""
    server = ScriptedServer([play.send_for_ever("250-more", every_secs=1.0)])

    client = against(server, secs=9.5)

    assert client.arrived == [(float(n), b"250-more\r\n") for n in range(10)]
    assert server.transcripts[0].ended


def test_a_server_that_stops_reading_makes_the_client_wait() -> None:
    """Row 15"""
    server = ScriptedServer([play.read_octets(5), play.stop_reading(), play.hang()])

    async def main() -> int:
        network = MemoryNetwork(pipe_capacity=100)
        network.listen(IP, 25, server)
        transport = await network.connect(Client, IP, 25)
        transport.write(b"DATA\r\n")
        await asyncio.sleep(1)
        transport.write(b"x" * 1100)
        await asyncio.sleep(1)
        waiting = transport.get_write_buffer_size()
        transport.abort()
        await asyncio.sleep(1)
        return waiting

    assert run_virtual(main()) == 1000
    assert server.transcripts[0].received == b"DATA\r\n"


def test_what_a_peer_reads_line_by_line_may_come_in_any_pieces() -> None:
    heard: list[bytes] = []

    async def handler(peer: Peer) -> None:
        while line := await peer.read_line(limit=10):
            heard.append(line)

    async def main() -> None:
        network = MemoryNetwork()
        network.listen(IP, 25, handler)
        transport = await network.connect(Client, IP, 25)
        for piece in (b"a\r", b"\nb", b"c\r\n0123456789no end"):
            transport.write(piece)
            await asyncio.sleep(1)
        transport.write_eof()
        await asyncio.sleep(1)

    run_virtual(main())

    assert heard == [b"a\r\n", b"bc\r\n", b"0123456789no end"]


def test_a_chunk_is_a_line_and_its_octets() -> None:
    server = ScriptedServer([play.expect("MAIL+<chunk>+QUIT"), play.send("221 bye")])

    client = against(server, b"MAIL FROM:<>\r\nBDAT 9 LAST\r\nQU", b"IT\r\n.\r\nQUIT\r\n")

    assert server.transcripts[0].contents == [b"QUIT\r\n.\r\n"]
    assert client.arrived[0][1] == b"221 bye\r\n"


@pytest.mark.expects_loop_errors
@pytest.mark.parametrize("line", [b"DATA\r\n", b"BDAT x\r\n", b"BDATA 1\r\n"])
def test_what_is_no_chunk_is_refused(line: bytes) -> None:
    with pytest.raises(ScriptError, match="expected a chunk"):
        against(ScriptedServer([play.expect("<chunk>")]), line)
