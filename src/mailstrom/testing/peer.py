"""The server's side of one connection, the same over memory and over a real socket."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import ssl

READ_LIMIT = 64 * 1024  # octets kept unread before the client is made to wait
CRLF = b"\r\n"

_Told = Callable[["Peer"], None]


class Peer(asyncio.Protocol):
    """A client that connected: read from it, write to it, or treat it badly.

    A read returns `b""` once the client has ended its stream and all was read, and raises
    `ConnectionResetError` once the connection is lost.
    """

    def __init__(self, on_connected: _Told | None = None, on_lost: _Told | None = None) -> None:
        self._on_connected = on_connected
        self._on_lost = on_lost
        self._transport: asyncio.Transport | None = None
        self._buffer = bytearray()
        self._ended = False
        self._lost = False
        self._changed = asyncio.Event()
        self._writable = asyncio.Event()
        self._writable.set()
        self._deaf = False
        self._tap: Callable[[bytes], None] | None = None
        self.tls: ssl.SSLObject | None = None  # the session's TLS, once it is started

    # -- what asyncio calls ----------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        if self._on_connected is not None:
            self._on_connected(self)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        self._changed.set()
        if self._tap is not None:
            self._tap(data)
        if len(self._buffer) > READ_LIMIT:
            self.transport.pause_reading()

    def eof_received(self) -> bool:
        self._ended = True
        self._changed.set()
        return self.tls is None  # TLS knows no half-closed connection

    def connection_lost(self, exc: Exception | None) -> None:
        self._lost = True
        self._changed.set()
        self._writable.set()
        if self._on_lost is not None:
            self._on_lost(self)

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    # -- what a server calls ---------------------------------------------------------------

    @property
    def transport(self) -> asyncio.Transport:
        """The connection as asyncio knows it; inside TLS, the decrypted one."""
        assert self._transport is not None, "not connected yet"
        return self._transport

    @property
    def ip(self) -> str:
        """The client's address."""
        return str(self.transport.get_extra_info("peername")[0])

    @property
    def local_ip(self) -> str:
        """The address the client connected to."""
        return str(self.transport.get_extra_info("sockname")[0])

    @property
    def is_lost(self) -> bool:
        """The connection is gone, whoever ended it."""
        return self._lost

    async def read_some(self) -> bytes:
        """At least one octet."""
        await self._until(lambda: bool(self._buffer))
        return self._take(len(self._buffer))

    async def read_octets(self, count: int) -> bytes:
        """So many octets; fewer where the client has ended its stream before."""
        octets = bytearray()
        while len(octets) < count and (some := await self.read_some()):
            octets += some
        self.put_back(bytes(octets[count:]))
        return bytes(octets[:count])

    async def read_line(self, limit: int = READ_LIMIT) -> bytes:
        """A line with its CRLF; what there is without one, at `limit` octets or at the end."""
        await self._until(lambda: CRLF in self._buffer or len(self._buffer) >= limit)
        end = self._buffer.find(CRLF)
        return self._take(end + len(CRLF) if end >= 0 else len(self._buffer))

    def unread(self) -> bytes:
        """What has arrived and was not read yet."""
        return bytes(self._buffer)

    def tap(self, hear: Callable[[bytes], None]) -> None:
        """Lets `hear` have everything that arrives, beside the reads."""
        self._tap = hear
        if self._buffer:
            hear(bytes(self._buffer))

    def put_back(self, octets: bytes) -> None:
        """The next read gets these first."""
        self._buffer[:0] = octets

    async def write(self, octets: bytes) -> None:
        """Sends, and waits while the client is too slow in reading."""
        if self.is_lost or self.transport.is_closing():
            raise ConnectionResetError("the connection is lost")
        self.transport.write(octets)
        await self._writable.wait()

    async def start_tls(self, context: ssl.SSLContext, *, timeout_secs: float = 60.0) -> None:
        """Upgrades the connection; what arrived unread before stays to be read."""
        loop = asyncio.get_running_loop()
        try:
            upgraded = await loop.start_tls(
                self.transport, self, context, server_side=True, ssl_handshake_timeout=timeout_secs
            )
            if upgraded is None:
                raise ConnectionResetError("the connection was lost in the handshake")
        except BaseException:
            self.transport.abort()
            self.connection_lost(None)  # asyncio does not tell of a loss during the handshake
            raise
        self._transport = upgraded
        self.tls = upgraded.get_extra_info("ssl_object")

    def stop_reading(self) -> None:
        """From now on nothing is taken off the connection: the client's writes pile up."""
        self._deaf = True
        self.transport.pause_reading()

    def close(self) -> None:
        """Ends the connection politely (FIN)."""
        if not self.transport.is_closing():
            self.transport.close()

    def reset(self) -> None:
        """Ends the connection at once (RST); the client loses what it has not read."""
        real_socket = self.transport.get_extra_info("socket")
        if real_socket is not None and not self.is_lost:
            no_lingering = struct.pack("ii", 1, 0)
            real_socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, no_lingering)
        self.transport.abort()

    async def wait_lost(self) -> None:
        """Returns when the connection is lost."""
        while not self.is_lost:
            self._changed.clear()
            await self._changed.wait()

    async def wait_gone(self) -> None:
        """Returns when the client has ended its stream or the connection is lost."""
        while not self._ended and not self.is_lost:
            self._changed.clear()
            await self._changed.wait()

    async def _until(self, there: Callable[[], bool]) -> None:
        while not there() and not self._ended:
            if self.is_lost:
                raise ConnectionResetError("the connection is lost")
            self._changed.clear()
            await self._changed.wait()

    def _take(self, count: int) -> bytes:
        taken = bytes(self._buffer[:count])
        del self._buffer[:count]
        if not self._deaf and not self.transport.is_closing() and len(self._buffer) <= READ_LIMIT:
            self.transport.resume_reading()
        return taken


#: What answers connections: it is called once for each, and the connection ends when it returns.
Handler = Callable[[Peer], Awaitable[None]]


async def serve(handler: Handler, peer: Peer) -> None:
    """Runs a handler; a connection that breaks under it is an ordinary day."""
    try:
        await handler(peer)
    except OSError:
        peer.reset()
    finally:
        peer.close()
