"""TCP's acknowledgement of a reply at once, where the kernel would wait for something to send with it."""

from __future__ import annotations

import asyncio
import socket
from contextlib import suppress

QUICK_ACK: int | None = getattr(socket, "TCP_QUICKACK", None)  # Linux


def acknowledge_now(transport: asyncio.BaseTransport | None) -> None:
    """Sends the acknowledgement of what was received last, where that can be asked for.

    A host that has its say on MAIL and RCPT while it reads the content may keep its next reply until
    that has been acknowledged (RFC 896); and we, who have nothing to send, would be 40 ms late with
    it (RFC 1122 4.2.3.2).
    """
    connection = None if transport is None else transport.get_extra_info("socket")
    if connection is not None and QUICK_ACK is not None:
        with suppress(OSError):  # lost meanwhile
            connection.setsockopt(socket.IPPROTO_TCP, QUICK_ACK, 1)
