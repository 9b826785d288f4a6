"""Two ends of a connection in memory: real asyncio transports without a socket.

Each direction is a `_Pipe`, which stands for what kernels and wires hold: it has a capacity and
a latency. What does not fit stays in the writer's own buffer and pauses its protocol, as with a
real transport. Write boundaries are kept: one write arrives as one `data_received`, unless the
pipe was too full for it.
"""

from __future__ import annotations

import asyncio
import errno
import os
from collections import deque
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

PIPE_CAPACITY = 256 * 1024
HIGH_WATER = 64 * 1024  # asyncio's own default

_Lost = Callable[["MemoryTransport"], None]


class _Pipe:
    """One direction: octets on their way to `receiver`, then an end of stream."""

    def __init__(self, latency_secs: float, capacity: int, delay: Callable[[], float] | None) -> None:
        self._latency_secs = latency_secs
        self._delay = delay
        self._is_free_at = 0.0  # what was sent until then has arrived
        self._is_silent = False
        self._capacity = capacity
        self._travelling: deque[Callable[[], None]] = deque()
        self._generation = 0  # tells the timers of what was dropped from those still wanted
        self._arrived: deque[bytes] = deque()
        self._end_arrived = False
        self._held = 0
        self.sender: MemoryTransport
        self.receiver: MemoryTransport

    def room(self) -> int:
        return self._capacity - self._held

    def put(self, chunk: bytes) -> None:
        self._held += len(chunk)
        self._send(partial(self._chunk_arrives, chunk))

    def put_end(self) -> None:
        self._send(self._end_arrives)

    def put_reset(self) -> None:
        self._send(self._reset_arrives)

    def silence(self) -> None:
        """Nothing arrives any more."""
        self.drop()
        self._is_silent = True

    def drop(self) -> None:
        """What is on its way never arrives."""
        self._generation += 1
        self._travelling.clear()
        self._arrived.clear()
        self._held = 0

    def deliver(self) -> None:
        """Hands over what has arrived, as far as the receiver reads."""
        while self._arrived and self.receiver.is_receiving():
            chunk = self._arrived.popleft()
            self._held -= len(chunk)
            self.receiver.take(chunk)
        if self._end_arrived and not self._arrived and self.receiver.is_receiving():
            self._end_arrived = False
            self.receiver.take_end()
        if self.sender.loop is self.receiver.loop:
            self.sender.fill_pipe()
        else:
            self.sender.loop.call_soon(self.sender.fill_pipe)

    def _send(self, arrival: Callable[[], None]) -> None:
        if self._is_silent:
            return
        self._travelling.append(arrival)
        if self._delay is not None:
            self._send_late(self._delay())
        elif self._latency_secs:
            self.receiver.loop.call_later(self._latency_secs, self._arrive, self._generation)
        else:
            self.receiver.loop.call_soon(self._arrive, self._generation)

    def _send_late(self, secs: float) -> None:
        loop = self.receiver.loop
        self._is_free_at = max(self._is_free_at, loop.time() + self._latency_secs + secs)
        loop.call_at(self._is_free_at, self._arrive, self._generation)

    def _arrive(self, generation: int) -> None:
        """The oldest arrives first: timers of one instant fire in any order."""
        if generation == self._generation:
            self._travelling.popleft()()

    def _chunk_arrives(self, chunk: bytes) -> None:
        self._arrived.append(chunk)
        self.deliver()

    def _end_arrives(self) -> None:
        self._end_arrived = True
        self.deliver()

    def _reset_arrives(self) -> None:
        self.receiver.take_reset()


class MemoryTransport(asyncio.Transport):
    """One end of a connection in memory."""

    _start_tls_compatible = True  # loop.start_tls works over it

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        incoming: _Pipe,
        outgoing: _Pipe,
        extra: dict[str, Any],
        on_lost: _Lost,
    ) -> None:
        super().__init__(extra)
        self.loop = loop
        self._incoming = incoming
        self._outgoing = outgoing
        self._on_lost = on_lost
        self._protocol: asyncio.BaseProtocol = asyncio.Protocol()
        self._buffer: deque[memoryview] = deque()
        self._buffered = 0
        self._high, self._low = HIGH_WATER, HIGH_WATER // 4
        self._reading_paused = True  # until the protocol is there
        self._writing_paused = False
        self._eof_written = False
        self._closing = False
        self._lost = False
        incoming.receiver = self
        outgoing.sender = self

    def __repr__(self) -> str:
        state = "closed" if self._lost else "closing" if self._closing else "open"
        here, there = self.get_extra_info("sockname"), self.get_extra_info("peername")
        return f"<MemoryTransport {state} {here} -> {there}>"

    # -- life ------------------------------------------------------------------------------

    def start(self, protocol: asyncio.BaseProtocol) -> None:
        """Gives the protocol its transport and lets octets in."""
        self._protocol = protocol
        protocol.connection_made(self)
        self.resume_reading()

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self._protocol = protocol

    def get_protocol(self) -> asyncio.BaseProtocol:
        return self._protocol

    def is_closing(self) -> bool:
        return self._closing

    def close(self) -> None:
        """Stops reading; writes what is buffered, then the end of the stream."""
        if self._closing:
            return
        self._closing = True
        if not self._buffer:
            self._finish()

    def abort(self) -> None:
        """Ends at once: what has not arrived never will, and the peer sees a reset."""
        self._force_close(None)

    def silence(self) -> None:
        """From now on nothing arrives at either end, not even that the other one is gone."""
        self._incoming.silence()
        self._outgoing.silence()

    def _force_close(self, exc: BaseException | None) -> None:
        """asyncio's TLS calls this too: with an exception after a failure, with None to abort."""
        if self._lost:
            return
        self._closing = True
        self._drop_buffer()
        if exc is None:
            self._outgoing.drop()
            self._outgoing.put_reset()
        else:
            self._outgoing.put_end()
        self._lose(exc)

    def take_reset(self) -> None:
        """The peer is gone: nothing written here arrives any more."""
        if self._lost:
            return
        self._closing = True
        self._drop_buffer()
        self._incoming.drop()
        self._outgoing.drop()
        self._lose(ConnectionResetError(errno.ECONNRESET, os.strerror(errno.ECONNRESET)))

    def _finish(self) -> None:
        if not self._eof_written:
            self._outgoing.put_end()
        self._lose(None)

    def _lose(self, exc: BaseException | None) -> None:
        self._lost = True
        self.loop.call_soon(self._tell_lost, exc)
        self.loop.call_soon(self._incoming.deliver)  # what was never read is answered with a reset

    def _tell_lost(self, exc: BaseException | None) -> None:
        self._on_lost(self)
        self._protocol.connection_lost(exc if isinstance(exc, Exception) else None)

    # -- reading ---------------------------------------------------------------------------

    def is_reading(self) -> bool:
        return not self._closing and not self._reading_paused

    def is_receiving(self) -> bool:
        """Takes octets off the pipe: it reads, or is closed and answers them with a reset."""
        return self._closing or not self._reading_paused

    def pause_reading(self) -> None:
        self._reading_paused = True

    def resume_reading(self) -> None:
        if self._closing or not self._reading_paused:
            return
        self._reading_paused = False
        self.loop.call_soon(self._incoming.deliver)

    def take(self, chunk: bytes) -> None:
        """Octets arrived."""
        if self._lost:
            self._outgoing.put_reset()
        elif not self._closing:
            self._call(_feed, self._protocol, chunk)

    def take_end(self) -> None:
        """The peer's stream ended."""
        if not self._closing and not self._call(_feed_end, self._protocol):
            self.close()

    def _call(self, feed: Callable[..., object], *args: object) -> object:
        """Calls the protocol; what it raises ends the connection, as with a real transport."""
        try:
            return feed(*args)
        except Exception as error:  # as asyncio's own transports do
            self.loop.call_exception_handler(
                {"message": "a protocol failed", "exception": error, "transport": self}
            )
            self._force_close(error)
            return True

    # -- writing ---------------------------------------------------------------------------

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if self._eof_written:
            raise RuntimeError("Cannot call write() after write_eof()")
        if self._closing or not data:
            return
        self._buffer.append(memoryview(bytes(data)))
        self._buffered += len(data)
        self.fill_pipe()
        self._pause_writing_if_full()

    def writelines(self, list_of_data: Iterable[bytes | bytearray | memoryview]) -> None:
        self.write(b"".join(list_of_data))

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        if self._closing or self._eof_written:
            return
        self._eof_written = True
        if not self._buffer:
            self._outgoing.put_end()

    def get_write_buffer_size(self) -> int:
        return self._buffered

    def get_write_buffer_limits(self) -> tuple[int, int]:
        return self._low, self._high

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        if high is None:
            high = HIGH_WATER if low is None else 4 * low
        self._high, self._low = high, high // 4 if low is None else low
        self._pause_writing_if_full()

    def fill_pipe(self) -> None:
        """Moves octets from the buffer to the pipe as there is room."""
        if self._lost:
            return
        had = bool(self._buffer)
        while self._buffer and (room := self._outgoing.room()) > 0:
            chunk = self._buffer.popleft()
            if len(chunk) > room:
                self._buffer.appendleft(chunk[room:])
                chunk = chunk[:room]
            self._buffered -= len(chunk)
            self._outgoing.put(bytes(chunk))
        self._resume_writing_if_low()
        if had and not self._buffer:
            self._buffer_emptied()

    def _buffer_emptied(self) -> None:
        if self._eof_written:
            self._outgoing.put_end()
        if self._closing:
            self._finish()

    def _drop_buffer(self) -> None:
        self._buffer.clear()
        self._buffered = 0

    def _pause_writing_if_full(self) -> None:
        if self._buffered > self._high and not self._writing_paused:
            self._writing_paused = True
            self._protocol.pause_writing()

    def _resume_writing_if_low(self) -> None:
        if self._writing_paused and self._buffered <= self._low:
            self._writing_paused = False
            self._protocol.resume_writing()


def _feed(protocol: asyncio.BaseProtocol, chunk: bytes) -> None:
    if isinstance(protocol, asyncio.BufferedProtocol):
        _fill_buffers(protocol, memoryview(chunk))
    elif isinstance(protocol, asyncio.Protocol):
        protocol.data_received(chunk)


def _fill_buffers(protocol: asyncio.BufferedProtocol, rest: memoryview) -> None:
    """Fills the buffers the protocol gives, as often as it takes."""
    while rest:
        room = memoryview(protocol.get_buffer(len(rest))).cast("B")
        count = min(len(room), len(rest))
        if not count:
            raise RuntimeError("get_buffer() returned an empty buffer")
        room[:count] = rest[:count]
        protocol.buffer_updated(count)
        rest = rest[count:]


def _feed_end(protocol: asyncio.BaseProtocol) -> object:
    """What the protocol says to the end of the stream: true keeps its own side open."""
    if isinstance(protocol, (asyncio.Protocol, asyncio.BufferedProtocol)):
        return protocol.eof_received()
    return False


def connected_pair(
    client_loop: asyncio.AbstractEventLoop,
    server_loop: asyncio.AbstractEventLoop,
    *,
    client_extra: dict[str, Any],
    server_extra: dict[str, Any],
    on_lost: _Lost,
    latency_secs: float = 0.0,
    delay: Callable[[], float] | None = None,
    capacity: int = PIPE_CAPACITY,
) -> tuple[MemoryTransport, MemoryTransport]:
    """Both ends of a new connection, client first, each in its loop; call `start` on each."""
    up = _Pipe(latency_secs, capacity, delay)
    down = _Pipe(latency_secs, capacity, delay)
    client = MemoryTransport(client_loop, down, up, client_extra, on_lost)
    server = MemoryTransport(server_loop, up, down, server_extra, on_lost)
    return client, server
