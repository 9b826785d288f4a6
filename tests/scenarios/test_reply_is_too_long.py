"""A reply that has no end, or no line end."""

from __future__ import annotations

import socket

import pytest

from mailstrom import Mailstrom
from mailstrom.testing.script import Step, expect, hang, send, send_for_ever
from mailstrom.testing.smtp_server import ScriptedServer, SmtpServer
from tests.builders import a_config, an_email, with_mx
from tests.lone_engine import LoneEngine, simulate
from tests.scenarios.raw_server import a_config_for_port, raw_server
from tests.scenarios.stages import YOU, a_message, open_connections, outcome, phase_of, visits

DIALOGUE = {
    "greeting": ("CONNECT", "220"),
    "ehlo": ("EHLO", "250"),
    "mail": ("MAIL", "250"),
    "rcpt": ("RCPT", "250"),
    "data": ("DATA", "354"),
    "content": ("<content>", "250"),
}
ONE_GB = 1_000_000_000


def server_that_at(stage: str, *faults: Step) -> ScriptedServer:
    """Correct up to the stage."""
    steps: list[Step] = []
    for name, (command, code) in DIALOGUE.items():
        if name == stage:
            return ScriptedServer([*steps, expect(command), *faults])
        steps += [expect(command), send(f"{code} ok")]
    raise ValueError(stage)


FAULTS = {
    "endless lines": lambda code: [send_for_ever(f"{code}-and more", every_secs=0.001)],
    "129 lines": lambda code: [send(f"{code}-x\r\n" * 128 + f"{code} ok"), hang()],
    "33 KB": lambda code: [send((f"{code}-{'x' * 1000}\r\n") * 33 + f"{code} ok"), hang()],
    "a line of 70 KB": lambda code: [send(f"{code} {'x' * 70_000}"), hang()],
    "a line without an end": lambda code: [send_for_ever(f"{code} {'x' * 500}".encode(), every_secs=0.001)],
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("stage", DIALOGUE)
def test_it_is_cut_off_and_the_mail_deferred(stage: str, fault: str) -> None:
    """Row 16: 128 lines or 32 KB a reply; row 17: 4 KB a line. 4.5.0, after the dot uncertain."""

    async def story(sim: LoneEngine) -> None:
        with_mx(sim, server_that_at(stage, *FAULTS[fault](DIALOGUE[stage][1])))
        status = await sim.first_try(a_message(), recipients=[YOU])
        assert outcome(status) == ("deferred", "4.5.0", stage == "content", 1)
        assert visits(status) == [("1", phase_of(stage), "deferred")]
        assert sim.loop.time() < 1.0
        assert await open_connections(sim) == 0

    simulate(story, config=a_config())


@pytest.mark.parametrize("fault", FAULTS)
def test_the_next_mx_is_asked(fault: str) -> None:
    """Row 16, row 17."""
    second = SmtpServer()

    async def story(sim: LoneEngine) -> None:
        with_mx(sim, server_that_at("ehlo", *FAULTS[fault]("250")), second)
        assert outcome(await sim.deliver(an_email())) == ("delivered", "2.0.0", False, 1)

    simulate(story, config=a_config())

    assert len(second.ledger.messages) == 1


@pytest.mark.parametrize(
    "reply",
    ["250-x\r\n" * 127 + "250 ok", f"250 {'x' * 4000}", (f"250-{'x' * 1000}\r\n") * 31 + "250 ok"],
    ids=["128 lines", "a line of 4 KB", "31 KB"],
)
def test_what_is_long_but_within_bounds_is_taken_and_stored_short(reply: str) -> None:
    """Row 16, row 17: a status keeps 1 KB of it."""

    async def story(sim: LoneEngine) -> None:
        with_mx(sim, SmtpServer(on_content=reply.encode() + b"\r\n"))
        status = await sim.deliver(an_email())
        assert status.succeeded
        assert status[YOU].result.reply is not None
        assert len(status[YOU].result.reply.text) <= 1024

    simulate(story, config=a_config())


@pytest.mark.parametrize("octets", [b"2" * 65536, b"250-and more\r\n" * 4096], ids=["one line", "lines"])
def test_of_a_gigabyte_from_a_real_host_only_what_was_on_its_way_is_ever_taken(octets: bytes) -> None:
    """Row 16, row 17: a bound on what is read, not only on what is kept."""
    sent = 0

    def serve(connection: socket.socket) -> None:
        nonlocal sent
        while sent < ONE_GB:
            sent += connection.send(octets)

    with raw_server(serve) as port, Mailstrom(a_config_for_port(port)) as m:
        status = m.start().wait(m.send_email(an_email()), timeout=30)

    assert outcome(status) == ("failed", "4.5.0", False, 1)
    assert sent < 20_000_000
