"""The seams through which the engine reads the world: time, connections, the DNS. See `abc`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio
    import ssl

    from .route.mx import AddressAnswer, MxAnswer


class Clock(ABC):
    """Where time is read; nobody else does."""

    @abstractmethod
    def now(self) -> datetime:
        """The wall clock: aware UTC. It may jump; only due times and records use it."""

    @abstractmethod
    def monotonic(self) -> float:
        """Seconds that never go back. Timers use it; it agrees with the event loop's time."""


class ResumptionError(OSError):
    """A TLS handshake failed in which a kept session was offered; a new connection is offered none."""


class Network(ABC):
    """Where connections are made. Used in the worker's event loop only."""

    @abstractmethod
    async def connect(
        self,
        protocol_factory: Callable[[], asyncio.Protocol],
        address: str,
        port: int,
        *,
        source_address: str | None = None,
    ) -> asyncio.Transport:
        """A connected transport to an IP address, never a name.

        Raises `OSError` (with its errno: ECONNREFUSED, ENETUNREACH, ...). No time limit of its
        own: the caller cancels. A cancelled call leaves no socket behind.
        """

    @abstractmethod
    async def start_tls(
        self,
        transport: asyncio.Transport,
        protocol: asyncio.Protocol,
        context: ssl.SSLContext,
        *,
        server_hostname: str | None,
        timeout_secs: float,
    ) -> asyncio.Transport:
        """The same connection inside TLS; `protocol` hears nothing in clear from now on. Raises `OSError`."""

    @abstractmethod
    async def resolve_host(self, name: str) -> tuple[str, ...]:
        """A relay's IP addresses by the system's resolver (hosts file included); raises `OSError`."""

    @abstractmethod
    async def own_fqdn(self) -> str:
        """This host's full name as the system knows it; may take long, may have no dot."""

    @abstractmethod
    async def own_addresses(self) -> frozenset[str]:
        """The IP addresses of this host's interfaces, as far as they can be known."""


class Resolver(ABC):
    """Where the DNS is asked. An answer is a value, also when it is "no" or "not now".

    Calls may run at once; equal ones are coalesced and answers kept for their TTL. Names are A-labels
    without a final dot, compared without case. A call ends in time whatever the name servers do.
    """

    @abstractmethod
    async def mx(self, domain: str) -> MxAnswer:
        """The MX records of `domain`, aliases followed."""

    @abstractmethod
    async def addresses(self, host: str) -> AddressAnswer:
        """The A and AAAA records of `host`, aliases followed."""

    @abstractmethod
    async def close(self) -> None:
        """Ends what is under way; later calls are answered with "not now"."""
