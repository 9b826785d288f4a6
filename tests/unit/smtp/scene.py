"""What the session tests say often: a network in memory, one host on it, a session with it."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import trustme

from mailstrom.config import SmtpAuth, SmtpTimeouts
from mailstrom.message.prepared import PreparedEmail
from mailstrom.net.tls import TlsContexts
from mailstrom.smtp.session import DeliveryReport, Habits, Hop, OpenFailure, Session, open_session
from mailstrom.testing.loop import VirtualLoop, run_virtual
from mailstrom.testing.network import Handler, MemoryNetwork
from mailstrom.testing.script import ScriptedServer, Step

HOST = "mx.dest.example"
IP = "192.0.2.25"
HELO = "sender.example"
A, B, C = "a@dest.example", "b@dest.example", "c@dest.example"
CONTENT = b"Subject: Hello\r\n\r\n.Hi.\r\n"


@cache
def authority() -> trustme.CA:
    """The throw-away certificate authority of the tests."""
    return trustme.CA()


def server_context(*names: str, ca: trustme.CA | None = None) -> ssl.SSLContext:
    """What a TLS server with a certificate for these names has."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    (ca or authority()).issue_cert(*(names or (HOST,))).configure_cert(context)
    return context


class TrustingContexts(TlsContexts):
    """The client's contexts; the verifying one trusts the tests' authority."""

    def __init__(self) -> None:
        with authority().cert_pem.tempfile() as ca_file:
            super().__init__(ca_file)
            self(True)


def an_email(**fields: Any) -> PreparedEmail:
    """A small prepared email, but for what is said."""
    given = {
        "message_id": "1@sender.example",
        "reverse_path": "me@sender.example",
        "recipients": (A,),
        "content": CONTENT,
    }
    return PreparedEmail(**{**given, **fields})


async def always(_: tuple[str, ...]) -> bool:
    """The claim is ours."""
    return True


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """How opening and delivering went."""

    report: DeliveryReport | None = None
    failure: OpenFailure | None = None
    secs: float = 0.0
    usable: bool = False
    session: Session | None = None

    @property
    def states(self) -> dict[str, str]:
        """The state of each recipient."""
        assert self.report is not None, f"no session: {self.failure}"
        return {address: verdict.state for address, verdict in self.report.verdicts.items()}


class Scene:
    """A host that speaks as `server` does, and a client beside it. Lives in virtual time."""

    def __init__(self, server: Handler | None = None, **network: Any) -> None:
        self.loop = VirtualLoop()
        self.network = MemoryNetwork(**network)
        self.contexts = TrustingContexts()
        if server is not None:
            self.network.listen(IP, 25, server)

    def run(self, coro: Awaitable[Any]) -> Any:
        """Its result; afterwards no connection of ours may be open."""

        async def closing() -> Any:
            result = await coro
            for _ in range(3):
                await asyncio.sleep(0)  # an abort is told in the next turn of the loop
            ours = [t for t in self.network.open_transports if t.get_extra_info("peername")[1] == 25]
            assert ours == [], "the client left a connection open"
            await self.network.close()
            return result

        return run_virtual(closing(), loop=self.loop)

    async def open(
        self,
        *,
        timeouts: SmtpTimeouts | None = None,
        helo_name: str = HELO,
        auth: SmtpAuth | None = None,
        allow_cleartext_auth: bool = False,
        habits: Habits | None = None,
        **hop: Any,
    ) -> Session | OpenFailure:
        """`open_session` with the host of the scene."""
        return await open_session(
            self.network,
            Hop(**{"host": HOST, "ip": IP, "port": 25, **hop}),
            helo_name=helo_name,
            timeouts=timeouts or SmtpTimeouts(),
            tls_context=self.contexts,
            auth=auth,
            allow_cleartext_auth=allow_cleartext_auth,
            habits=habits,
        )

    async def session(self, **options: Any) -> Session:
        """An open session; an `OpenFailure` fails the test."""
        opened = await self.open(**options)
        assert isinstance(opened, Session), opened
        return opened

    async def told(
        self,
        email: PreparedEmail | None = None,
        *recipients: str,
        before_dot: Callable[[tuple[str, ...]], Awaitable[bool]] = always,
        **options: Any,
    ) -> Told:
        """Opens, delivers one message, ends; how that went."""
        email = email or an_email()
        began_at = self.loop.time()
        opened = await self.open(**options)
        if isinstance(opened, OpenFailure):
            return Told(failure=opened, secs=self.loop.time() - began_at)
        report = await opened.deliver(email, recipients or email.recipients, before_dot=before_dot)
        told = Told(report=report, secs=self.loop.time() - began_at, usable=opened.usable, session=opened)
        await opened.quit()
        return told


def deliver_to(server: Handler, email: PreparedEmail | None = None, *recipients: str, **options: Any) -> Told:
    """How one message to a host that speaks as `server` does went."""
    scene = Scene(server)
    return scene.run(scene.told(email, *recipients, **options))


def scripted(*steps: Step) -> ScriptedServer:
    """A server that follows these steps."""
    return ScriptedServer(steps)
