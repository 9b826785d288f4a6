"""Real connections over TCP, TLS over them, and what the system knows of host names.

Nothing here uses the event loop's default executor: executors stop working when the main
thread has ended, and mail must still go out then. A blocking call of the system's resolver
gets a short-lived daemon thread of its own. (Python 3.12 refuses that one too at its exit.)
"""

from __future__ import annotations

import asyncio
import errno
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from ..abc import Network

if TYPE_CHECKING:
    import ssl

T = TypeVar("T")

#: In clear at a time. asyncio allocates as much for each read: its 256 KiB may come from the system and go
#: back there every time, which takes several times as long as the read does.
READ_OCTETS = 16 * 1024

_ELSEWHERE = {socket.AF_INET: "192.0.2.1", socket.AF_INET6: "2001:db8::1"}  # RFC 5737, RFC 3849


class TcpNetwork(Network):
    """The network as it is. Has no state: any number of loops may use one."""

    async def connect(
        self,
        protocol_factory: Callable[[], asyncio.Protocol],
        address: str,
        port: int,
        *,
        source_address: str | None = None,
    ) -> asyncio.Transport:
        loop = asyncio.get_running_loop()
        connected = await _connected_socket(loop, address, port, source_address)
        try:
            transport, _ = await loop.create_connection(protocol_factory, sock=connected)
        except BaseException:
            _let_go(connected, loop)
            raise
        if hasattr(transport, "max_size"):  # asyncio's; uvloop reads into a buffer that it keeps
            transport.max_size = READ_OCTETS
        return transport

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
        return await in_own_thread(lambda: _look_up(name), "mailstrom-resolve-host")

    async def own_fqdn(self) -> str:
        return await in_own_thread(socket.getfqdn, "mailstrom-own-fqdn")

    async def own_addresses(self) -> frozenset[str]:
        return await in_own_thread(_local_addresses, "mailstrom-own-addresses")


async def upgrade_to_tls(
    transport: asyncio.Transport,
    protocol: asyncio.Protocol,
    context: ssl.SSLContext,
    *,
    server_hostname: str | None,
    timeout_secs: float,
) -> asyncio.Transport:
    """The transport inside TLS. On any failure the connection is aborted.

    Raises `ssl.SSLError`, `ResumptionError` or `OSError`. asyncio does not always call `connection_lost`
    of the protocol when the connection ends in the handshake: the exception tells it.
    """
    import ssl

    from .tls_sessions import resuming

    name = server_hostname.rstrip(".") if server_hostname else None  # certificates carry no final dot
    try:
        if context.check_hostname and not name:  # OpenSSL would then take a certificate of any name
            raise ValueError("there is no name to check the certificate against")
        if name:
            name.encode("idna")  # as it will be anyway; but uvloop would log what cannot be
        with resuming(context, name, transport.get_extra_info("peername")):
            upgraded = await asyncio.get_running_loop().start_tls(
                transport, protocol, context, server_hostname=name, ssl_handshake_timeout=timeout_secs
            )
            if upgraded is None:
                raise ConnectionResetError("the connection ended in the TLS handshake")
    except ssl.SSLError:
        transport.abort()
        raise
    except ValueError as error:
        transport.abort()
        raise ssl.SSLError(f"no TLS handshake with {server_hostname!r}: {error}") from error
    except BaseException:
        transport.abort()
        raise
    return upgraded


async def _connected_socket(
    loop: asyncio.AbstractEventLoop, address: str, port: int, source_address: str | None
) -> socket.socket:
    family, target = _numeric(address, port)
    connecting = socket.socket(family, socket.SOCK_STREAM)
    try:
        connecting.setblocking(False)
        connecting.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if source_address is not None:
            connecting.bind(_numeric(source_address, 0)[1])
        await loop.sock_connect(connecting, target)
    except BaseException:
        connecting.close()
        raise
    return connecting


def _let_go(given: socket.socket, loop: asyncio.AbstractEventLoop) -> None:
    """Closes a socket that was given to the loop, and failed there."""
    if isinstance(loop, asyncio.BaseEventLoop):
        given.close()
    else:
        given.detach()  # uvloop has closed it, and before 0.23 left us a number that may be another's by now


def _numeric(address: str, port: int) -> tuple[socket.AddressFamily, tuple[object, ...]]:
    """The family and socket address of an IP address; a name is an error, never looked up."""
    flags = socket.AI_NUMERICHOST | socket.AI_NUMERICSERV
    found = socket.getaddrinfo(address, port, type=socket.SOCK_STREAM, flags=flags)
    family, _, _, _, (host, *rest) = found[0]
    return family, (str(host).partition("%")[0], *rest)  # the zone stands in the scope id as well


async def in_own_thread(call: Callable[[], T], name: str) -> T:
    """The result of a blocking call, made in a daemon thread that ends with it.

    A cancelled caller leaves at once; the thread ends when the call does, and its result is
    dropped. Raises what the call raises, and `OSError` where no thread can be had any more.
    """
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[T] = loop.create_future()

    def run() -> None:
        try:
            tell = partial(answer.set_result, call())
        except Exception as error:  # noqa: BLE001  it is raised to the caller
            tell = partial(answer.set_exception, error)
        with suppress(RuntimeError):  # the loop was closed while the call went on
            loop.call_soon_threadsafe(_unless_done, answer, tell)

    try:
        threading.Thread(target=run, name=name, daemon=True).start()
    except RuntimeError as error:  # Python 3.12 starts no thread once the interpreter is ending
        raise OSError(errno.EAGAIN, f"no thread for {name}: {error}") from error
    return await answer


def _unless_done(answer: asyncio.Future[T], tell: Callable[[], None]) -> None:
    if not answer.done():
        tell()


def _look_up(name: str) -> tuple[str, ...]:
    """Addresses of a name in the system's order, each once."""
    try:
        found = socket.getaddrinfo(name.rstrip("."), None, type=socket.SOCK_STREAM)
    except UnicodeError as error:  # an empty or too long label
        raise socket.gaierror(socket.EAI_NONAME, f"not a host name: {name!r}") from error
    return tuple(dict.fromkeys(str(target[0]) for *_, target in found))


def _local_addresses() -> frozenset[str]:
    """Loopback, what the host's own name stands for, and what packets to elsewhere come from."""
    found = {"127.0.0.1", "::1"}
    with suppress(OSError):
        found.update(_look_up(socket.gethostname()))
    for family, elsewhere in _ELSEWHERE.items():
        with suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((elsewhere, 9))  # connecting UDP sends nothing, it only picks a route
            found.add(probe.getsockname()[0])
    return frozenset(address.partition("%")[0] for address in found)
