"""A network between a program and its PostgreSQL server that fails when told to.

    with running_proxy(dsn) as proxy:
        storage = PostgresStorage(proxy.dsn)
        proxy.cut_commit()             the next COMMIT is performed, and its reply lost
        proxy.cut_commit("before")     the next COMMIT never arrives
        proxy.cut_commit(refused=3)    ... and the next 3 connections are broken at once
        proxy.cut_commit("silent")     the next COMMIT is performed, and nothing is said of it
        proxy.freeze_at(b"BEGIN")      whoever says so next is heard no more, and none who comes
        proxy.thaw()                   until now
        proxy.cut()                    every connection breaks now; new ones are let through
        with proxy.closed():           ... and none is let through
            ...

What it cuts, it cuts on both sides, so that the server sees its client gone.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Literal

from psycopg.conninfo import conninfo_to_dict, make_conninfo

_COMMIT = b"COMMIT\0"  # a message of its own, however the statement is sent
_READY = b"Z\0\0\0\5I"  # ReadyForQuery, outside of a transaction

_Cut = Literal["before", "after", "silent"]


class PostgresProxy:
    """Hands octets on in both directions; may be told to fail from any thread."""

    def __init__(self, dsn: str) -> None:
        server = conninfo_to_dict(dsn)
        self._server = (str(server["host"]), int(str(server["port"])))
        self._listener = socket.create_server(("127.0.0.1", 0))
        port = self._listener.getsockname()[1]
        self.dsn = make_conninfo(dsn, host="127.0.0.1", port=port)
        self.commits_cut = 0
        self._next_cut: tuple[_Cut, int] | None = None
        self._refused = 0  # connections that will be
        self._open = True
        self._frozen_at: bytes | None = None
        self._flows = threading.Event()
        self._flows.set()
        self._lock = threading.Lock()
        self._links: set[_Link] = set()
        self._threads: list[threading.Thread] = []
        self._run(self._accept)

    def cut_commit(self, when: _Cut = "after", *, refused: int = 0) -> None:
        """Cuts the connection of whoever commits next, after the server has, or before; or says no more."""
        with self._lock:
            self._next_cut = when, refused

    def freeze_at(self, words: bytes) -> None:
        """Hands nothing on any more, from the next request with these words on."""
        self._frozen_at = words

    def thaw(self) -> None:
        """Hands on what has come meanwhile, and all that comes."""
        self._frozen_at = None
        self._flows.set()

    @property
    def is_frozen(self) -> bool:
        """Somebody has said so."""
        return not self._flows.is_set()

    def wait_to_flow(self, request: bytes = b"") -> None:
        """Returns as soon as something may be handed on."""
        if self._frozen_at is not None and self._frozen_at in request:
            self._flows.clear()
        self._flows.wait()

    def cut(self) -> None:
        """Breaks every connection that is there."""
        with self._lock:
            links = set(self._links)
        for link in links:
            link.cut()

    @contextmanager
    def closed(self) -> Iterator[None]:
        """Breaks every connection, and each new one, until the block ends."""
        self._open = False
        self.cut()
        yield
        self._open = True

    def end(self) -> None:
        """Breaks everything and waits for its threads."""
        self._open = False
        self.thaw()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut()
        for thread in self._threads:
            thread.join()

    def take_cut(self) -> _Cut | None:
        """What is to be done to the COMMIT that came now."""
        with self._lock:
            if self._next_cut is None:
                return None
            (cut, self._refused), self._next_cut = self._next_cut, None
            self.commits_cut += 1
            return cut

    def _lets_in(self) -> bool:
        with self._lock:
            is_refused, self._refused = self._refused > 0, max(0, self._refused - 1)
            return self._open and not is_refused

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            if not self._lets_in() or (link := self._linked(client)) is None:
                client.close()
                continue
            with self._lock:
                self._links.add(link)
            if not self._open:  # closed while this link was made
                link.cut()
            self._run(lambda link=link: self._carry(link))  # type: ignore[misc]

    def _linked(self, client: socket.socket) -> _Link | None:
        try:
            return _Link(self, client, socket.create_connection(self._server))
        except OSError:
            return None

    def _carry(self, link: _Link) -> None:
        link.carry()
        with self._lock:
            self._links.discard(link)

    def _run(self, target: Callable[[], None]) -> None:
        thread = threading.Thread(target=target, name="postgres-proxy")
        self._threads.append(thread)
        thread.start()


class _Link:
    """One connection of a client, and the one to the server that belongs to it."""

    def __init__(self, proxy: PostgresProxy, client: socket.socket, server: socket.socket) -> None:
        self._proxy, self._client, self._server = proxy, client, server
        self._drops_reply = self._stays_silent = False

    def carry(self) -> None:
        """Hands on what comes until one side ends, then ends both."""
        back = threading.Thread(target=self._carry_replies, name="postgres-proxy-replies")
        back.start()
        self._carry_requests()
        back.join()
        self._client.close()
        self._server.close()

    def cut(self) -> None:
        """Breaks it."""
        for end in (self._client, self._server):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def _carry_requests(self) -> None:
        with suppress(OSError):
            while octets := self._client.recv(65536):
                if _COMMIT in octets:
                    match self._proxy.take_cut():
                        case "before":
                            break
                        case "after" | "silent" as cut:
                            self._drops_reply = True
                            self._stays_silent = cut == "silent"
                self._proxy.wait_to_flow(octets)
                self._server.sendall(octets)
        self.cut()

    def _carry_replies(self) -> None:
        with suppress(OSError):
            while octets := self._server.recv(65536):
                if not self._drops_reply:
                    self._proxy.wait_to_flow()
                    self._client.sendall(octets)
                elif _READY in octets and not self._stays_silent:
                    break
        self.cut()


@contextmanager
def running_proxy(dsn: str) -> Iterator[PostgresProxy]:
    """A proxy before the server of this DSN for the block."""
    proxy = PostgresProxy(dsn)
    try:
        yield proxy
    finally:
        proxy.end()
