"""The stages of a session, and servers that go wrong at one of them."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Sequence
from typing import Any

from mailstrom import Config, MessageStatus, RelayConfig, SmtpAuth
from mailstrom.testing.network import Handler
from mailstrom.testing.script import Step, close, expect, hang, read_octets, reset, send
from mailstrom.testing.smtp_server import Action, Answer, ScriptedServer, SmtpServer
from tests.builders import a_config, with_mx
from tests.lone_engine import LoneEngine

YOU = "you@dest.example"
RELAY = "relay.example"

#: Where a server may go wrong before the final dot, in the order of the dialogue.
BEFORE_THE_DOT = ("greeting", "ehlo", "starttls", "auth", "mail", "rcpt", "data", "body")

#: More than the simulated network and our own buffers hold together.
BIG_TEXT = ("x" * 70 + "\n") * 9000

_HEAD = (
    "From: no-reply@sender.example\r\nTo: you@dest.example\r\nSubject: Dots\r\n"
    "Date: Mon, 05 Jan 2026 10:00:00 +0000\r\nMessage-ID: <{name}@sender.example>\r\n\r\n"
)
_DOTS = b".\r\n..\r\n.hidden\r\n\r\n.\r\nlast line\r\n"


def exchange(*pairs: tuple[str, str | bytes]) -> list[Step]:
    """What the client is expected to send, and the reply to it, in turn."""
    return [step for command, reply in pairs for step in (expect(command), send(reply))]


#: A dialogue without extensions, up to the content.
TO_CONTENT = exchange(
    ("CONNECT", "220 mx ESMTP"),
    ("EHLO ", "250 mx"),
    ("MAIL FROM:", "250 ok"),
    ("RCPT TO:", "250 ok"),
    ("DATA", "354 go ahead"),
)


def server_that(answer: Answer, stage: str, **settings: Any) -> Handler:
    """Correct up to the stage, where it gives this answer; "body" is inside a large content."""
    if stage == "body":
        return in_mid_body(*_steps(answer))
    if stage == "starttls":
        settings["tls_context"] = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)  # never gets to a handshake
    if stage == "auth":
        settings["credentials"] = {"user": "secret"}
    return SmtpServer(**settings, **{f"on_{stage}": answer})


def in_mid_body(*steps: Step) -> ScriptedServer:
    """Plays the steps when some of the content has come in."""
    return ScriptedServer([*TO_CONTENT, read_octets(100_000), *steps])


def a_config_for(stage: str, **settings: Any) -> Config:
    """Mail goes to MX hosts; to a relay where the stage is AUTH."""
    if stage == "auth":
        auth = SmtpAuth("user", "secret")
        relay = RelayConfig(RELAY, port=25, tls="none", auth=auth, allow_cleartext_auth=True)
        settings["delivery"] = relay
    return a_config(**settings)


def with_hosts(sim: LoneEngine, *handlers: Handler) -> None:
    """These MX hosts for dest.example, and as many addresses of the relay, in this order."""
    with_mx(sim, *handlers)
    sim.network.hosts[RELAY] = tuple(f"198.51.100.{1 + place}" for place in range(len(handlers)))


def a_message(stage: str = "", name: str = "1") -> bytes:
    """A finished message with dots where they hurt; large where the stage is inside of it."""
    head = _HEAD.format(name=name).encode()
    return head + _DOTS + (BIG_TEXT.replace("\n", "\r\n").encode() if stage == "body" else b"")


def phase_of(stage: str) -> str:
    """The `Phase` that stands for the stage."""
    return "dot" if stage == "content" else stage


def outcome(status: MessageStatus, address: str = YOU) -> tuple[str, str, bool, int]:
    """State, enhanced code, whether uncertain, and tries of a recipient."""
    result = status[address].result
    return result.state, str(result.enhanced_code), result.uncertain, result.tries


def visits(status: MessageStatus, address: str = YOU) -> list[tuple[str | None, str, str]]:
    """Address, phase and state of each attempt; addresses by their last number."""
    return [((a.ip or "").rpartition(".")[2], str(a.phase), a.state) for a in status[address].attempts]


async def open_connections(sim: LoneEngine) -> int:
    """How many ends of connections are open, once what is under way has arrived."""
    await asyncio.sleep(0.1)
    return len(sim.network.open_transports)


def _steps(answer: Answer) -> Sequence[Step]:
    actions = {Action.CLOSE: close, Action.RESET: reset, Action.HANG: hang}
    return [actions[answer]()] if isinstance(answer, Action) else [send(answer)]
