"""A server that takes nothing off the wire any more."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from pathlib import Path

import pytest

from mailstrom import Mailstrom
from mailstrom.testing.script import hang, stop_reading
from mailstrom.testing.smtp_server import ScriptedServer
from tests.builders import a_config, an_email, with_mx
from tests.leaks import _sockets
from tests.lone_engine import LoneEngine, simulate
from tests.scenarios.raw_server import REPLIES_TO_CONTENT, a_config_for_port, raw_server, talk
from tests.scenarios.stages import TO_CONTENT, YOU, a_message, open_connections, outcome, visits

TWENTY_MB = 20_000_000


def test_writes_stand_under_a_deadline_and_nothing_stays_open() -> None:
    """Row 15: zero window, 4.4.2."""
    server = ScriptedServer([*TO_CONTENT, stop_reading(), hang()])

    async def story(sim: LoneEngine) -> None:
        with_mx(sim, server)
        status = await sim.first_try(a_message("body"), recipients=[YOU])
        assert sim.loop.time() == pytest.approx(180.0, abs=1)
        assert outcome(status) == ("deferred", "4.4.2", False, 1)
        assert visits(status) == [("1", "body", "deferred")]
        await sim.network.close()
        assert await open_connections(sim) == 0

    simulate(story, config=a_config())


def test_a_host_that_accepts_and_says_nothing_and_reads_nothing_is_given_up() -> None:
    """Row 15, row 13: silent from the first octet."""

    async def story(sim: LoneEngine) -> None:
        with_mx(sim, ScriptedServer([hang()]))
        sim.network.never_reads("198.51.100.1", 25)
        status = await sim.first_try(an_email())
        assert sim.loop.time() == pytest.approx(300.0, abs=1)
        assert outcome(status) == ("deferred", "4.4.2", False, 1)
        assert visits(status) == [("1", "greeting", "deferred")]
        await sim.network.close()

    simulate(story, config=a_config())


def test_of_20_mb_to_a_real_host_that_does_not_read_only_the_kernels_buffer_ever_arrives() -> None:
    """Row 15: abort() drops the rest. asyncio's close() would still send all of it, dot and all."""
    given_up = threading.Event()
    arrived = bytearray()

    def serve(connection: socket.socket) -> None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 * 1024)
        talk(connection, REPLIES_TO_CONTENT)
        given_up.wait(30)
        with suppress(ConnectionError):
            while octets := connection.recv(1 << 20):
                arrived.extend(octets)
        gone.set()

    gone = threading.Event()
    email = an_email(text=("x" * 70 + "\n") * (TWENTY_MB // 71))
    with raw_server(serve) as port, Mailstrom(a_config_for_port(port, block_secs=0.3)) as m:
        m.start()
        status = m.wait(m.send_email(email), timeout=30)
        given_up.set()
        assert gone.wait(30)

        assert outcome(status) == ("failed", "4.4.2", False, 1)
        assert visits(status) == [("1", "body", "deferred")]
        assert len(arrived) < TWENTY_MB
        assert not arrived.endswith(b"\r\n.\r\n")
        assert _connected_to(port) == set()


def _connected_to(port: int) -> set[str]:
    """Our own sockets whose other end is this port of 127.0.0.1; none where there is no /proc."""
    table = Path("/proc/self/net/tcp")
    rows = [row.split() for row in table.read_text().splitlines()[1:]] if table.exists() else []
    return {f"socket:[{row[9]}]" for row in rows if row[2] == f"0100007F:{port:04X}"} & _sockets()
