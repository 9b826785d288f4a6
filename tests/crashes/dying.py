"""A storage and connections that end their process at one point: at once, as a kill does."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NoReturn, TypeVar, cast

from mailstrom.storage.sql.queue import SqlStorage
from mailstrom.storage.sql.script import Script
from tests.crashes.points import Point, Side

DIED = 77  # the exit code of who came to its point

_MAY_FIND_NOTHING = frozenset({"claim_many", "purge"})
_BLOCK_OCTETS = 64 * 1024
_FINAL_DOT = b"\r\n.\r\n"
_LAST_CHUNK = b" LAST\r\n"  # behind MAIL and RCPT, with its octets

S = TypeVar("S", bound=SqlStorage)
T = TypeVar("T")


def die() -> NoReturn:
    """Runs no handler, flushes nothing, gives nothing back."""
    os._exit(DIED)


def dying(storage_class: type[S], point: Point) -> type[S]:
    """A storage of this class that dies at the first call of that name which finds something to do."""
    if not hasattr(storage_class, point.call):  # its point is on the wire
        return storage_class

    def performed(self: Any, *args: Any, **kwargs: Any) -> Any:
        if point.side is Side.BEFORE:
            die()
        self.is_at_point = point.side is Side.COMMIT
        result = getattr(storage_class, point.call)(self, *args, **kwargs)
        self.is_at_point = False
        _die_if_done(point, result)
        return result

    bases = (_DyingAtCommit, storage_class)
    return cast("type[S]", type("Dying", bases, {"point": point, point.call: performed}))


class _DyingAtCommit(SqlStorage):
    point: Point
    is_at_point = False

    def _write(self, script: Callable[[], Script[T]], **how: Any) -> T:
        return super()._write(self._up_to_commit(script) if self.is_at_point else script, **how)

    def _up_to_commit(self, script: Callable[[], Script[T]]) -> Callable[[], Script[T]]:
        def fatal() -> Script[T]:
            result = yield from script()
            _die_if_done(self.point, result)
            return result

        return fatal


def _die_if_done(point: Point, result: object) -> None:
    if result or point.call not in _MAY_FIND_NOTHING:
        die()


class DyingConnections(asyncio.DefaultEventLoopPolicy):
    """Gives this process event loops that are real, until the point. `mail_written`: MAIL was said."""

    def __init__(self, point: Point) -> None:
        super().__init__()
        self.mail_written = threading.Event()
        self._point = point

    def new_event_loop(self) -> asyncio.AbstractEventLoop:
        """One whose connections are listened to."""
        return _Loop(self)

    @contextmanager
    def passing(self, call: str) -> Iterator[None]:
        """Dies before or after the block, if it is the point's."""
        if (call, Side.BEFORE) == (self._point.call, self._point.side):
            die()
        yield
        if (call, Side.AFTER) == (self._point.call, self._point.side):
            die()
        if call == "MAIL":
            self.mail_written.set()


class _Loop(asyncio.SelectorEventLoop):
    def __init__(self, connections: DyingConnections) -> None:
        super().__init__()
        self._connections = connections

    async def create_connection(self, protocol_factory: Callable[[], Any], *args: Any, **kwargs: Any) -> Any:
        return await super().create_connection(
            lambda: cast("asyncio.Protocol", _Ear(protocol_factory(), self._connections)), *args, **kwargs
        )


class _Ear:
    """Stands before a protocol, and hears what it is told."""

    def __init__(self, protocol: asyncio.Protocol, connections: DyingConnections) -> None:
        self._protocol = protocol
        self._connections = connections
        self._mouth: _Mouth

    def __getattr__(self, name: str) -> Any:
        return getattr(self._protocol, name)

    def connection_made(self, transport: asyncio.Transport) -> None:
        self._mouth = _Mouth(transport, self._connections)
        self._protocol.connection_made(cast("asyncio.Transport", self._mouth))

    def data_received(self, octets: bytes) -> None:
        with self._connections.passing("reply" if self._mouth.last_said == "dot" else ""):
            self._protocol.data_received(octets)


class _Mouth:
    """Stands before a transport, and hears what is written."""

    def __init__(self, transport: asyncio.Transport, connections: DyingConnections) -> None:
        self.last_said = ""
        self._transport = transport
        self._connections = connections

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, octets: bytes) -> None:
        self.last_said = _named(octets)
        with self._connections.passing(self.last_said):
            self._transport.write(octets)


def _named(octets: bytes) -> str:
    if octets.endswith(_FINAL_DOT) or _LAST_CHUNK in octets:
        return "dot"
    if len(octets) >= _BLOCK_OCTETS:
        return "block"
    return "MAIL" if octets.startswith(b"MAIL FROM:") else ""
