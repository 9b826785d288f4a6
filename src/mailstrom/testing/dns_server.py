"""A real DNS server over a `Zone`: UDP and TCP on a loopback port, in a thread of its own.

with DnsServer(zone) as server:
    setup = ResolverSetup.specific("127.0.0.1", server.port)
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Self, cast

from .dns import Zone, reply_to

if TYPE_CHECKING:
    import ssl

    from dns.message import Message


@dataclass(frozen=True, slots=True, kw_only=True)
class DnsServerFaults:
    """What a DnsServer does wrong.

    `junk_first`: before each UDP reply, packets that are none (random octets, a wrong id, a
    wrong question, the right id with a broken end). `truncate`: UDP replies are cut short (TC).
    `silent`: no reply at all. `silent_to_edns`, `formerr_to_edns`: an old server or firewall.
    `no_tcp`: TCP connections are closed at once.
    """

    junk_first: bool = False
    truncate: bool = False
    silent: bool = False
    silent_to_edns: bool = False
    formerr_to_edns: bool = False
    no_tcp: bool = False


class DnsServer:
    """The server; `port` is known inside the `with` block. `transports` lists "udp" and "tcp" as used.

    With `tls` the TCP side speaks DNS over TLS.
    """

    def __init__(
        self,
        zone: Zone | Mapping[str, Mapping[str, object]],
        *,
        address: str = "127.0.0.1",
        faults: DnsServerFaults | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.zone = zone if isinstance(zone, Zone) else Zone(zone)
        self.faults = faults or DnsServerFaults()
        self.address = address
        self._tls = tls
        self.port = 0
        self.transports: list[str] = []
        self._ready = threading.Event()
        self._trouble: BaseException | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._thread = threading.Thread(target=self._run, name="mailstrom-test-dns", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        self._ready.wait()
        if self._trouble is not None:
            self._thread.join()
            raise self._trouble
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._loop is not None
        assert self._stop is not None
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except BaseException as error:  # handed to the thread that waits for us
            self._trouble = error
        finally:
            self._ready.set()

    async def _serve(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        udp, tcp = await self._bind()
        self._ready.set()
        try:
            await self._stop.wait()
        finally:
            udp.close()
            tcp.close()
            await asyncio.sleep(0)

    async def _bind(self) -> tuple[asyncio.BaseTransport, asyncio.Server]:
        loop = asyncio.get_running_loop()
        for _ in range(20):  # a free UDP port may be taken for TCP
            udp, _protocol = await loop.create_datagram_endpoint(
                lambda: _Udp(self), local_addr=(self.address, 0)
            )
            self.port = udp.get_extra_info("sockname")[1]
            try:
                return udp, await asyncio.start_server(
                    self._serve_tcp, self.address, self.port, ssl=self._tls
                )
            except OSError:
                udp.close()
        raise OSError("no port that is free for both UDP and TCP")

    async def _serve_tcp(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            if not self.faults.no_tcp:
                await self._answer_tcp(reader, writer)
        except (OSError, EOFError):
            pass
        finally:
            writer.transport.abort()

    async def _answer_tcp(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        import dns.message

        while True:
            size = int.from_bytes(await reader.readexactly(2), "big")
            query = dns.message.from_wire(await reader.readexactly(size))
            self.transports.append("tcp")
            reply = self.reply(query)
            if reply is not None:
                wire = reply.to_wire(max_size=65535)
                writer.write(len(wire).to_bytes(2, "big") + wire)
                await writer.drain()

    def reply(self, query: Message) -> Message | None:
        """The reply over either transport, with what is wrong with it."""
        import dns.message
        import dns.rcode

        if self.faults.silent or (query.edns >= 0 and self.faults.silent_to_edns):
            return None
        if query.edns >= 0 and self.faults.formerr_to_edns:
            refused = dns.message.make_response(query)
            refused.use_edns(False)
            refused.set_rcode(dns.rcode.FORMERR)
            return refused
        return reply_to(query, self.zone)


class _Udp(asyncio.DatagramProtocol):
    def __init__(self, server: DnsServer) -> None:
        self._server = server

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        import dns.message

        query = dns.message.from_wire(data)
        self._server.transports.append("udp")
        reply = self._server.reply(query)
        if reply is None:
            return
        if self._server.faults.junk_first:
            for junk in _junk(query):
                self._transport.sendto(junk, addr)
        self._transport.sendto(_udp_wire(reply, query, cut=self._server.faults.truncate), addr)


def _udp_wire(reply: Message, query: Message, *, cut: bool) -> bytes:
    import dns.exception
    import dns.flags

    limit = query.payload if query.edns >= 0 else 512
    if not cut:
        try:
            return reply.to_wire(max_size=max(limit, 512))
        except dns.exception.TooBig:
            pass
    reply.flags |= dns.flags.TC
    reply.answer.clear()
    reply.authority.clear()
    return reply.to_wire()


def _junk(query: Message) -> list[bytes]:
    import dns.message

    right = dns.message.make_response(query)
    wrong_id = dns.message.make_response(query)
    wrong_id.id = query.id ^ 1
    other = dns.message.make_query("elsewhere.invalid.", "A")
    other.id = query.id
    wrong_question = dns.message.make_response(other)
    return [
        b"\xff" * 40,
        b"",
        wrong_id.to_wire(),
        wrong_question.to_wire(),
        right.to_wire()[:-3],
        query.to_wire(),
    ]
