"""The end of a connection of which nothing more may be sent."""

from __future__ import annotations

import asyncio
import socket
from contextlib import suppress


def drop_unsent(transport: asyncio.BaseTransport) -> None:
    """Keeps what waits in our own buffers from being sent once the connection is aborted.

    asyncio drops it at once. uvloop closes the connection a round of its loop later, and writes in that
    round what the host has made room for: the rest of a message whose failure was reported already.
    """
    connection = transport.get_extra_info("socket")
    if connection is not None:
        with suppress(OSError), connection.dup() as same:  # OSError: lost meanwhile
            same.shutdown(socket.SHUT_WR)
