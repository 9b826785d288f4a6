"""A server that sends so slowly that it never quite hangs."""

from __future__ import annotations

import asyncio

import pytest

from mailstrom.testing.peer import Peer
from mailstrom.testing.script import drip, expect, hang, send
from mailstrom.testing.smtp_server import ScriptedServer, SmtpServer
from tests.builders import a_config, with_mx
from tests.lone_engine import LoneEngine, simulate
from tests.scenarios.stages import YOU, a_message, outcome, visits

DIALOGUE = {
    "greeting": ("CONNECT", "220 mx ESMTP"),
    "ehlo": ("EHLO", "250 mx"),
    "mail": ("MAIL", "250 ok"),
    "rcpt": ("RCPT", "250 ok"),
    "data": ("DATA", "354 go ahead"),
    "dot": ("<content>", "250 ok"),
}


def dripping(stage: str, every_secs: float) -> ScriptedServer:
    """Correct up to the stage, where the reply comes octet by octet."""
    steps = []
    for name, (command, reply) in DIALOGUE.items():
        steps.append(expect(command))
        if name == stage:
            return ScriptedServer([*steps, drip(reply[:4] + "x" * 400, every_secs=every_secs), hang()])
        steps.append(send(reply))
    raise ValueError(stage)


@pytest.mark.parametrize("every_secs", [1.5, 20.0, 100.0])
@pytest.mark.parametrize(
    ("stage", "secs"),
    [("greeting", 300), ("ehlo", 300), ("mail", 300), ("rcpt", 300), ("data", 120), ("dot", 600)],
)
def test_the_timer_covers_the_whole_reply(stage: str, secs: float, every_secs: float) -> None:
    """Row 14: octets that come in do not prolong it."""

    async def story(sim: LoneEngine) -> None:
        with_mx(sim, dripping(stage, every_secs))
        status = await sim.first_try(a_message(), recipients=[YOU])
        assert sim.loop.time() == pytest.approx(secs, abs=1)
        assert outcome(status) == ("deferred", "4.4.2", stage == "dot", 1)
        assert visits(status) == [("1", stage, "deferred")]

    simulate(story, config=a_config())


def test_a_whole_session_has_half_an_hour_and_what_its_size_takes() -> None:
    """Row 14: session cap of 30 minutes and size/500 octets a second, though each reply is in time."""
    slow = SmtpServer(extensions=(), delays={"greeting": 290.0, "ehlo": 290.0, "mail": 290.0, "rcpt": 290.0})
    second = SmtpServer()
    everybody = [f"r{number}@dest.example" for number in range(20)]
    cap = 1800 + len(a_message()) / 500

    async def story(sim: LoneEngine) -> None:
        with_mx(sim, slow, second)
        status = await sim.deliver(a_message(), recipients=everybody)
        assert sim.loop.time() == pytest.approx(cap, abs=1)
        assert {outcome(status, address) for address in everybody} == {("delivered", "2.0.0", False, 1)}

    simulate(story, config=a_config())

    assert not slow.ledger.messages
    assert [message.recipients for message in second.ledger.messages] == [tuple(everybody)]


def test_the_cap_never_cuts_the_wait_for_the_reply_to_the_dot_short() -> None:
    """Row 14: that would only make a duplicate."""
    delays = {"greeting": 290.0, "ehlo": 290.0, "mail": 290.0, "rcpt": 290.0, "data": 110.0, "content": 590.0}
    slow = SmtpServer(extensions=(), delays=delays)

    async def story(sim: LoneEngine) -> None:
        with_mx(sim, slow)
        status = await sim.deliver(a_message(), recipients=[YOU, "b@dest.example"])
        assert sim.loop.time() == sum(delays.values()) + 290.0
        assert {outcome(status, address) for address in (YOU, "b@dest.example")} == {
            ("delivered", "None", False, 1)
        }

    simulate(story, config=a_config())

    assert len(slow.ledger.messages) == 1


@pytest.mark.parametrize("octets_a_second", [100, 450])
def test_a_server_that_takes_the_content_in_sips_is_given_up(octets_a_second: int) -> None:
    """Row 14: a floor of 500 octets a second below all blocks; no dot was sent."""
    first, second = SipServer(octets_a_second), SmtpServer()

    async def story(sim: LoneEngine) -> None:
        with_mx(sim, first, second)
        status = await sim.deliver(a_message("body"), recipients=[YOU])
        size = len(a_message("body"))
        assert sim.loop.time() <= 1800 + size / 500
        assert outcome(status) == ("delivered", "2.0.0", False, 1)
        assert visits(status) == [("1", "body", "deferred"), ("2", "dot", "delivered")]

    simulate(story, config=a_config())

    assert b"\r\n.\r\n" not in first.received[-100:]


def test_a_server_that_takes_the_content_slowly_but_not_too_slowly_gets_it() -> None:
    """Row 14."""
    server = SipServer(2000)

    async def story(sim: LoneEngine) -> None:
        with_mx(sim, server)
        status = await sim.deliver(a_message("body"), recipients=[YOU])
        assert outcome(status) == ("delivered", "None", False, 1)

    simulate(story, config=a_config())


class SipServer:
    """Takes the content at so many octets a second."""

    def __init__(self, octets_a_second: int) -> None:
        self._rate = octets_a_second
        self.received = bytearray()

    async def __call__(self, peer: Peer) -> None:
        for reply in (b"220 mx", b"250 mx", b"250 ok", b"250 ok", b"354 go ahead"):
            await peer.write(reply + b"\r\n")
            self.received += await peer.read_line() if reply != b"354 go ahead" else b""
        while not self.received.endswith(b"\r\n.\r\n"):
            octets = await peer.read_some()
            if not octets:
                return
            self.received += octets
            await asyncio.sleep(len(octets) / self._rate)
        await peer.write(b"250 ok\r\n")
        await peer.wait_gone()
