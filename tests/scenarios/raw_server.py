"""A server on a real socket that does nothing but what its script says, in a thread."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from mailstrom import Config, RelayConfig, RetryPolicy, SmtpTimeouts

REPLIES_TO_CONTENT = (b"220 mx ESMTP", b"250 mx", b"250 ok", b"250 ok", b"354 go ahead")


@contextmanager
def raw_server(serve: Callable[[socket.socket], None]) -> Iterator[int]:
    """The port at which `serve` is called with one connection, which ends with the block."""

    def run() -> None:
        with suppress(OSError):  # the client went away
            connection, _ = listening.accept()
            with connection:
                connection.settimeout(30)
                serve(connection)

    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(10)
        thread = threading.Thread(target=run)
        thread.start()
        try:
            yield listening.getsockname()[1]
        finally:
            thread.join()


def talk(connection: socket.socket, replies: tuple[bytes, ...]) -> None:
    """Says the first reply, then the next after each line."""
    for place, reply in enumerate(replies):
        if place:
            connection.recv(4096)
        connection.sendall(reply + b"\r\n")


def a_config_for_port(port: int, **timers: float) -> Config:
    """One try, at that port of this machine."""
    return Config(
        helo_name="sender.example",
        delivery=RelayConfig("127.0.0.1", port, tls="none"),
        retry=RetryPolicy(tries=1),
        timeouts=SmtpTimeouts(**timers),
    )
