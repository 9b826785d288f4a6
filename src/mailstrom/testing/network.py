"""Hosts and connections in memory, behind the `Network` seam.

    network = MemoryNetwork()
    network.listen("192.0.2.25", 25, SmtpServer())
    network.black_hole("192.0.2.26")

An address that nobody listens at refuses connections. TLS over these connections is real TLS.
"""

from __future__ import annotations

import asyncio
import errno
import ipaddress
import os
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from itertools import count
from typing import TYPE_CHECKING, Any

from ..abc import Network
from ..net.tcp import upgrade_to_tls
from .peer import Handler, Peer, serve
from .transport import PIPE_CAPACITY, MemoryTransport, connected_pair

if TYPE_CHECKING:
    import ssl

__all__ = ["Connect", "Fate", "Handler", "MemoryNetwork", "canonical_ip", "no_answer"]

_Extra = dict[str, Any]


class Fate(StrEnum):
    """What becomes of an attempt to connect."""

    CONNECTED = "connected"
    REFUSED = "refused"
    UNREACHABLE = "unreachable"
    BLACK_HOLE = "black hole"  # no answer at all


@dataclass(frozen=True, slots=True, kw_only=True)
class Connect:
    """One attempt to connect, as the network saw it."""

    ip: str
    port: int
    source_ip: str
    at: float  # the loop's time
    fate: Fate  # as it stood then; it may change while octets travel


@dataclass(frozen=True, slots=True, kw_only=True)
class _Host:
    fate: Fate
    handler: Handler | None = None
    latency_secs: float = 0.0
    delay: Callable[[], float] | None = None


_ERRORS = {Fate.REFUSED: errno.ECONNREFUSED, Fate.UNREACHABLE: errno.ENETUNREACH}


class MemoryNetwork(Network):
    """A network in memory; `connects` and `open_transports` tell what was done with it.

    `hosts` is what `resolve_host` knows: addresses, or the `OSError` to raise. `fqdn`,
    `addresses` and `source_ips` describe the sending host itself. Servers run in `loop`, or else in
    that of the client.
    """

    def __init__(
        self,
        *,
        hosts: Mapping[str, tuple[str, ...] | OSError] | None = None,
        fqdn: str = "sender.example",
        addresses: frozenset[str] = frozenset({"192.0.2.1", "2001:db8::1"}),
        latency_secs: float = 0.0,
        pipe_capacity: int = PIPE_CAPACITY,
        loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        self.hosts: dict[str, tuple[str, ...] | OSError] = dict(hosts or {})
        self.fqdn = fqdn
        self.addresses = addresses
        self.connects: list[Connect] = []
        self._latency_secs = latency_secs
        self._pipe_capacity = pipe_capacity
        self._loop = loop
        self._known: dict[tuple[str, int | None], _Host] = {}
        self._lost: _Host | None = None
        self._open: dict[MemoryTransport, None] = {}
        self._handling: set[asyncio.Task[None]] = set()
        self._ports = count(49152)

    # -- setting the scene -----------------------------------------------------------------

    def listen(
        self,
        ip: str,
        port: int,
        handler: Handler,
        *,
        latency_secs: float | None = None,
        delay: Callable[[], float] | None = None,
    ) -> None:
        """From now on `handler` answers at that address; octets travel `latency_secs` each way.

        `delay` is asked at each write by how many seconds more it comes late, as where packets are
        lost; what is written after it comes after it.
        """
        latency = self._latency_secs if latency_secs is None else latency_secs
        self._set(ip, port, _Host(fate=Fate.CONNECTED, handler=handler, latency_secs=latency, delay=delay))

    def refuse(self, ip: str, port: int | None = None) -> None:
        """Connections are refused, at one port or at all that nothing else is said of."""
        self._set(ip, port, _Host(fate=Fate.REFUSED))

    def unreachable(self, ip: str, port: int | None = None) -> None:
        """There is no route to that address."""
        self._set(ip, port, _Host(fate=Fate.UNREACHABLE))

    def black_hole(self, ip: str, port: int | None = None) -> None:
        """Connecting never comes to an end."""
        self._set(ip, port, _Host(fate=Fate.BLACK_HOLE))

    def never_reads(self, ip: str, port: int) -> None:
        """Connections are accepted, then nothing is read or written."""
        self.listen(ip, port, _ignore)

    def reset(self, ip: str) -> None:
        """The connections with that host are reset by it; new ones are as before."""
        for transport in self._of(ip):
            transport.abort()

    def silence(self, ip: str | None = None) -> None:
        """On the connections with that host, or on all, nothing arrives any more, at neither end."""
        for transport in self._open if ip is None else self._of(ip):
            transport.silence()

    def lose(self, fate: Fate) -> None:
        """Whoever connects to any host meets this fate, until `restore`; what is open stays so."""
        self._lost = _Host(fate=fate)

    def restore(self) -> None:
        """Each host is as it is again."""
        self._lost = None

    # -- what was done with it -------------------------------------------------------------

    @property
    def open_transports(self) -> tuple[asyncio.Transport, ...]:
        """The ends of connections, both sides, that are not closed yet."""
        return tuple(self._open)

    async def close(self) -> None:
        """Ends what servers still do and resets what is still open."""
        for task in tuple(self._handling):
            task.cancel()
        await asyncio.gather(*self._handling, return_exceptions=True)
        for transport in tuple(self._open):
            transport.abort()
        await asyncio.sleep(0)

    # -- the Network seam ------------------------------------------------------------------

    async def connect(
        self,
        protocol_factory: Callable[[], asyncio.Protocol],
        address: str,
        port: int,
        *,
        source_address: str | None = None,
    ) -> asyncio.Transport:
        ip = canonical_ip(address)
        host = self._host(ip, port)
        source_ip = source_address or self._source_ip(ip)
        at = asyncio.get_running_loop().time()
        self.connects.append(Connect(ip=ip, port=port, source_ip=source_ip, at=at, fate=host.fate))
        await _travel(host)
        host = self._host(ip, port)  # it may have gone down meanwhile
        if host.fate is Fate.BLACK_HOLE:
            await no_answer()
        if host.handler is None:
            code = _ERRORS[host.fate]
            raise OSError(code, f"{os.strerror(code)}: {ip} port {port}")
        ends = _ends(source_ip, next(self._ports), ip, port)
        return self._join(protocol_factory(), host, host.handler, ends)

    async def start_tls(
        self,
        transport: asyncio.Transport,
        protocol: asyncio.Protocol,
        context: ssl.SSLContext,
        *,
        server_hostname: str | None,
        timeout_secs: float,
    ) -> asyncio.Transport:
        return await upgrade_to_tls(
            transport, protocol, context, server_hostname=server_hostname, timeout_secs=timeout_secs
        )

    async def resolve_host(self, name: str) -> tuple[str, ...]:
        found = self.hosts.get(name.rstrip(".").lower(), ())
        if isinstance(found, OSError):
            raise found
        if not found:
            raise socket.gaierror(socket.EAI_NONAME, f"name not known: {name}")
        return found

    async def own_fqdn(self) -> str:
        return self.fqdn

    async def own_addresses(self) -> frozenset[str]:
        return self.addresses

    # -- helpers ---------------------------------------------------------------------------

    def _set(self, ip: str, port: int | None, host: _Host) -> None:
        self._known[canonical_ip(ip), port] = host

    def _of(self, ip: str) -> list[MemoryTransport]:
        """The host's ends of connections with it."""
        own = canonical_ip(ip)
        return [each for each in self._open if each.get_extra_info("sockname")[0] == own]

    def _host(self, ip: str, port: int) -> _Host:
        if self._lost is not None:
            return self._lost
        nobody = _Host(fate=Fate.REFUSED)
        return self._known.get((ip, port)) or self._known.get((ip, None)) or nobody

    def _source_ip(self, ip: str) -> str:
        """One of our own addresses, of the same family where there is one."""
        own = sorted(self.addresses)
        return next((address for address in own if (":" in address) == (":" in ip)), "192.0.2.1")

    def _join(
        self, protocol: asyncio.Protocol, host: _Host, handler: Handler, ends: tuple[_Extra, _Extra]
    ) -> asyncio.Transport:
        here = asyncio.get_running_loop()
        there = self._loop or here
        client, server = connected_pair(
            here,
            there,
            client_extra=ends[0],
            server_extra=ends[1],
            on_lost=self._forget,
            latency_secs=host.latency_secs,
            delay=host.delay,
            capacity=self._pipe_capacity,
        )
        self._open |= {client: None, server: None}
        peer = Peer()
        server.start(peer)
        client.start(protocol)
        task = there.create_task(serve(handler, peer), name=f"server {ends[1]['sockname'][:2]}")
        self._handling.add(task)
        task.add_done_callback(self._served)
        return client

    def _forget(self, transport: MemoryTransport) -> None:
        self._open.pop(transport, None)

    def _served(self, task: asyncio.Task[None]) -> None:
        self._handling.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            task.get_loop().call_exception_handler({"message": "a server failed", "exception": error})


async def _ignore(peer: Peer) -> None:
    peer.stop_reading()
    await peer.wait_gone()


def _ends(source_ip: str, source_port: int, ip: str, port: int) -> tuple[_Extra, _Extra]:
    client, server = _endpoint(source_ip, source_port), _endpoint(ip, port)
    return {"sockname": client, "peername": server}, {"sockname": server, "peername": client}


def _endpoint(ip: str, port: int) -> tuple[str | int, ...]:
    return (ip, port, 0, 0) if ":" in ip else (ip, port)


async def _travel(host: _Host) -> None:
    """There and back."""
    if host.fate is Fate.BLACK_HOLE:
        await no_answer()
    await asyncio.sleep(2 * host.latency_secs)


async def no_answer() -> None:
    """What never comes."""
    await asyncio.get_running_loop().create_future()


def canonical_ip(ip: str) -> str:
    """The shortest spelling of an IP address; raises ValueError for anything else."""
    return str(ipaddress.ip_address(ip))
