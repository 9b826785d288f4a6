"""One DNS query to one name server, over UDP, TCP, TLS or HTTPS.

Over UDP anybody can throw packets at an open port (RFC 5452). So each query has a socket, and
with it a random source port, of its own; it is connected, so that other senders are not heard;
and what does not parse, or does not repeat the id and the question, is dropped while the valid
reply is waited for. A truncated reply (TC) is asked for again over TCP (RFC 7766).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import ssl

    from dns.message import Message

    from ..config import DnsProtocol


@dataclass(frozen=True, slots=True)
class NameServer:
    """Whom to ask, and how."""

    address: str
    port: int = 53
    protocol: DnsProtocol = "udp"
    tls_dns_name: str | None = None

    def __str__(self) -> str:
        return self.address


#: The reply to a query. Raises anything when there is none; waits as long as it is let.
Exchange = Callable[["Message", NameServer], Awaitable["Message"]]


class SocketExchange:
    """The exchange over real sockets. Used in one event loop; a cancelled call leaves no socket.

    `context` verifies name servers that are asked over TLS; default: the system's authorities.
    """

    def __init__(self, context: ssl.SSLContext | None = None) -> None:
        self._context = context

    async def __call__(self, query: Message, server: NameServer) -> Message:
        match server.protocol:
            case "udp":
                reply = await _ask_by_udp(query, server)
                return await _ask_by_stream(query, server) if _is_truncated(reply) else reply
            case "tcp":
                return await _ask_by_stream(query, server)
            case "tls":
                return await _ask_by_stream(query, server, self._verifying())
            case "https":
                return await _ask_by_https(query, server)

    def _verifying(self) -> ssl.SSLContext:
        import ssl

        if self._context is None:
            self._context = ssl.create_default_context()
        return self._context


class _UdpQuery(asyncio.DatagramProtocol):
    def __init__(self, query: Message, answered: asyncio.Future[Message]) -> None:
        self._query = query
        self._answered = answered

    def datagram_received(self, data: bytes, _addr: object) -> None:
        reply = _reply_in(data, self._query)
        if reply is not None and not self._answered.done():
            self._answered.set_result(reply)

    def error_received(self, exc: Exception) -> None:
        """Nobody listens there: an ICMP message says so long before a timer would."""
        if not self._answered.done():
            self._answered.set_exception(exc)


async def _ask_by_udp(query: Message, server: NameServer) -> Message:
    loop = asyncio.get_running_loop()
    answered: asyncio.Future[Message] = loop.create_future()
    transport, _ = await loop.create_datagram_endpoint(
        lambda: _UdpQuery(query, answered), remote_addr=(server.address, server.port)
    )
    try:
        transport.sendto(query.to_wire())
        return await answered
    finally:
        transport.abort()


def _reply_in(data: bytes, query: Message) -> Message | None:
    """The reply to `query` that these octets are, if they are one."""
    import dns.message

    try:
        reply = dns.message.from_wire(data, raise_on_truncation=True)
    except dns.message.Truncated as error:
        reply = error.message()  # type: ignore[no-untyped-call]
    except Exception:  # noqa: BLE001 - whatever a parser makes of hostile octets, they are no reply
        return None
    return reply if query.is_response(reply) else None


def _is_truncated(reply: Message) -> bool:
    import dns.flags

    return bool(reply.flags & dns.flags.TC)


async def _ask_by_stream(
    query: Message, server: NameServer, context: ssl.SSLContext | None = None
) -> Message:
    name = None if context is None else (server.tls_dns_name or server.address)
    reader, writer = await asyncio.open_connection(
        server.address, server.port, ssl=context, server_hostname=name
    )
    try:
        wire = query.to_wire()
        writer.write(len(wire).to_bytes(2, "big") + wire)
        length = int.from_bytes(await reader.readexactly(2), "big")
        reply = _reply_in(await reader.readexactly(length), query)
    finally:
        writer.transport.abort()
    if reply is None:
        raise ValueError("not a reply to the question")
    return reply


async def _ask_by_https(query: Message, server: NameServer) -> Message:
    import dns.asyncquery

    host = server.tls_dns_name or (f"[{server.address}]" if ":" in server.address else server.address)
    return await dns.asyncquery.https(
        query,
        f"https://{host}:{server.port}/dns-query",
        bootstrap_address=server.address,
    )
