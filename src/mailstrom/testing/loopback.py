"""A test server on a real port of this machine, in a thread of its own."""

from __future__ import annotations

import asyncio
import threading
from types import TracebackType
from typing import Generic, Self, TypeVar

from .peer import Handler, Peer, serve

S = TypeVar("S", bound=Handler)

_START_SECS = 10.0
_END_SECS = 10.0


class LoopbackServer(Generic[S]):
    """Runs `server` on real sockets while the `with` block lasts.

        with LoopbackServer(SmtpServer()) as running:
            ... connect to running.host, running.port ...
            assert running.server.ledger.wait_for(lambda seen: seen.messages)

    Port 0 takes a free one. Leaving the block ends every connection, joins the thread and
    raises what a handler raised.
    """

    def __init__(self, server: S, host: str = "127.0.0.1", port: int = 0) -> None:
        self.server = server
        self.host = host
        self.port = port
        self._errors: list[BaseException] = []
        self._serving: set[asyncio.Task[None]] = set()
        self._peers: set[Peer] = set()  # a connection may outlast its handler while it is flushed
        self._ready = threading.Event()
        self._loop: asyncio.AbstractEventLoop
        self._stop: asyncio.Event
        self._thread = threading.Thread(target=self._run, name="mailstrom-loopback-server", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        started = self._ready.wait(_START_SECS)
        if self._errors or not started:
            self._thread.join()
            raise self._errors.pop() if self._errors else TimeoutError("the server did not start")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()
        if self._errors and error is None:
            raise self._errors[0]

    def _run(self) -> None:
        try:
            asyncio.run(self._serve_until_stopped())
        except BaseException as error:  # it is raised in the caller's thread
            self._errors.append(error)
        finally:
            self._ready.set()

    async def _serve_until_stopped(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        listening = await self._loop.create_server(self._accept, self.host, self.port)
        self.port = listening.sockets[0].getsockname()[1]
        self._ready.set()
        await self._stop.wait()
        listening.close()
        await self._end_connections()

    def _accept(self) -> Peer:
        return Peer(self._begin, self._peers.discard)

    def _begin(self, peer: Peer) -> None:
        task = self._loop.create_task(serve(self.server, peer))
        self._serving.add(task)
        self._peers.add(peer)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._serving.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._errors.append(error)

    async def _end_connections(self) -> None:
        """Stops the handlers, then waits for their connections to be gone."""
        serving = tuple(self._serving)
        for task in serving:
            task.cancel()
        await asyncio.gather(*serving, return_exceptions=True)
        async with asyncio.timeout(_END_SECS):
            for peer in tuple(self._peers):
                peer.transport.abort()
                await peer.wait_lost()
