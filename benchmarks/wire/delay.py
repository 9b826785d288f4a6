"""A long way to a server, in a process of its own: what comes is passed on, but later.

    python -m benchmarks.wire.delay PORT SECS

It prints its own port, and takes connections for PORT on this machine. Every octet waits for so many
seconds, in either direction, in which any number are on their way. It ends when its standard input does.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
from asyncio import StreamReader, StreamWriter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

__all__ = ["delayed"]

BLOCK = 1 << 16


@contextmanager
def delayed(port: int, round_trip_secs: float) -> Iterator[int]:
    """The port that leads to this one, from far away."""
    command = [sys.executable, "-m", "benchmarks.wire.delay", str(port), str(round_trip_secs / 2)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        yield int(process.stdout.readline())
        process.stdin.close()


async def main(port: int, secs: float) -> None:
    """Passes on until nobody wants it any more."""

    async def connected(reader: StreamReader, writer: StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", port)
        async with asyncio.TaskGroup() as group:
            group.create_task(_carry(reader, far_writer, secs))
            group.create_task(_carry(far_reader, writer, secs))

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.to_thread(sys.stdin.read)


async def _carry(reader: StreamReader, writer: StreamWriter, secs: float) -> None:
    """One direction, until its end."""
    clock = asyncio.get_running_loop().time
    held: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()
    async with asyncio.TaskGroup() as group:
        group.create_task(_take(reader, held, lambda: clock() + secs))
        while octets := await _due(held, clock):
            writer.write(octets)
    writer.close()


async def _take(
    reader: StreamReader, held: asyncio.Queue[tuple[float, bytes]], due_at: Callable[[], float]
) -> None:
    octets = b"any"
    while octets:
        try:
            octets = await reader.read(BLOCK)
        except ConnectionError:
            octets = b""
        held.put_nowait((due_at(), octets))


async def _due(held: asyncio.Queue[tuple[float, bytes]], clock: Callable[[], float]) -> bytes:
    """What came next, when its time has come; nothing at the end."""
    due_at, octets = await held.get()
    await asyncio.sleep(due_at - clock())
    return octets


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), float(sys.argv[2])))
