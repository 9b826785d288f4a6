"""What stands between a simulated process and the world: there it is troubled, and cut off.

    StorageGate    every call to the storage passes here: it may fail, before or after it was done
    NetworkGate    every connection passes here: it may be kept from coming through
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from ..abc import Network, SharedStorage
from ..errors import StorageError
from .network import canonical_ip, no_answer
from .transport import MemoryTransport

if TYPE_CHECKING:
    import ssl

#: Told the name of each call before and after it is made ("settle", False), ("settle", True): may
#: raise, as a storage that fails, or whose reply is lost.
Trouble = Callable[[str, bool], object]

_ANYWHERE = "anywhere"


@dataclass(slots=True, kw_only=True)
class Dial:
    """One try of a process to connect: it lasts until `until`, and is given up where it did not end well."""

    ip: str
    since: float  # the loop's time
    until: float | None = None
    is_connected: bool = False


class _Gate(SharedStorage):
    """Passes every call of the contract on; see `StorageGate`."""

    never_blocks = True

    def __init__(self, storage: SharedStorage, trouble: Trouble) -> None:
        self.inner = storage
        self.durable = storage.durable
        self.poll_secs = storage.poll_secs
        self.identity = storage.identity
        self._trouble = trouble
        self._is_cut = False

    def cut(self) -> None:
        """From now on nothing comes through."""
        self._is_cut = True

    def close(self) -> None:
        """Closes the storage behind."""
        self.inner.close()

    def pass_on(self, name: str, args: Any, kwargs: Any) -> Any:
        """Makes the call, unless there is trouble."""
        if self._is_cut:
            raise StorageError("the process is dead")
        self._trouble(name, False)
        if self._is_cut:
            raise StorageError("the process is dead")
        result = getattr(self.inner, name)(*args, **kwargs)
        self._trouble(name, True)
        if self._is_cut:
            raise StorageError("the process is dead")
        return result


def _passing(name: str) -> Callable[..., Any]:
    def call(self: _Gate, *args: Any, **kwargs: Any) -> Any:
        return self.pass_on(name, args, kwargs)

    return call


_CALLS = sorted(SharedStorage.__abstractmethods__ - {"close"} | {"bind", "bind_async"})

#: A storage as one process sees it: `StorageGate(storage, trouble)`.
StorageGate = cast("type[_Gate]", type("StorageGate", (_Gate,), {name: _passing(name) for name in _CALLS}))


class NetworkGate(Network):
    """A network as one process sees it, with addresses of its own; `dials` tells what it tried."""

    def __init__(self, network: Network, addresses: frozenset[str]) -> None:
        self._network = network
        self._addresses = addresses
        self._open: dict[asyncio.Transport, None] = {}
        self._parted: Counter[str] = Counter()  # how often from each address
        self._is_cut = False
        self.dials: list[Dial] = []

    def cut(self) -> None:
        """The process is dead."""
        self._is_cut = True
        self.reset_all()

    def reset_all(self) -> None:
        """Every connection is reset, as by a router that forgot them."""
        for transport in tuple(self._open):
            transport.abort()

    def part(self, *ips: str) -> None:
        """Nothing comes through to these addresses, or to any where none is said, until as many `heal`s.

        What is open falls silent for good.
        """
        self._parted.update(_places(ips))
        for transport in tuple(self._open):
            if self._is_parted_from(transport.get_extra_info("peername")[0]):
                _silence(transport)

    def heal(self, *ips: str) -> None:
        """Ends one partition from each of these, or one from all."""
        self._parted -= Counter(_places(ips))

    @property
    def open_transports(self) -> tuple[asyncio.Transport, ...]:
        """Connections that this process has, and has not begun to close."""
        self._open = {transport: None for transport in self._open if not transport.is_closing()}
        return tuple(self._open)

    async def connect(
        self,
        protocol_factory: Callable[[], asyncio.Protocol],
        address: str,
        port: int,
        *,
        source_address: str | None = None,
    ) -> asyncio.Transport:
        time = asyncio.get_running_loop().time
        dial = Dial(ip=canonical_ip(address), since=time())
        self.dials.append(dial)
        try:
            transport = await self._connect(protocol_factory, dial.ip, port, source_address)
            dial.is_connected = True
            return transport
        finally:
            dial.until = time()

    async def _connect(
        self, protocol_factory: Callable[[], asyncio.Protocol], ip: str, port: int, source_address: str | None
    ) -> asyncio.Transport:
        await self._passage(ip)
        try:
            transport = await self._network.connect(protocol_factory, ip, port, source_address=source_address)
        except OSError:
            await self._passage(ip)
            raise
        if self._is_parted_from(ip):  # since it began
            _silence(transport)
            transport.abort()
            await no_answer()
        if self._is_cut:
            transport.abort()
        self._open[transport] = None
        return transport

    async def _passage(self, ip: str) -> None:
        if self._is_parted_from(ip):
            await no_answer()

    def _is_parted_from(self, ip: str) -> bool:
        return bool(self._parted[_ANYWHERE] or self._parted[ip])

    async def start_tls(
        self,
        transport: asyncio.Transport,
        protocol: asyncio.Protocol,
        context: ssl.SSLContext,
        *,
        server_hostname: str | None,
        timeout_secs: float,
    ) -> asyncio.Transport:
        return await self._network.start_tls(
            transport, protocol, context, server_hostname=server_hostname, timeout_secs=timeout_secs
        )

    async def resolve_host(self, name: str) -> tuple[str, ...]:
        return await self._network.resolve_host(name)

    async def own_fqdn(self) -> str:
        return await self._network.own_fqdn()

    async def own_addresses(self) -> frozenset[str]:
        return self._addresses


def _silence(transport: asyncio.Transport) -> None:
    if isinstance(transport, MemoryTransport):
        transport.silence()


def _places(ips: Iterable[str]) -> list[str]:
    return [canonical_ip(ip) for ip in ips] or [_ANYWHERE]
