"""A content that is read while it is written: at most two blocks of it are in memory.

The stuffer checks each octet before it goes out, so that a bare CR or LF ends the transaction where it
stands; what cannot be read, or is not as long as it was told, ends it as well. Only behind its very last
octet comes the dot.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from mailstrom.message.prepared import StoredEmail
from mailstrom.message.wire import CHUNK_OCTETS, DotStuffer
from mailstrom.schedule.verdict import FaultKind

from .floor import Floor
from .protocol import StrictProtocol

__all__ = ["ReadContent", "write_stored"]

#: Awaited with a place in the content: octets from there on; None: the claim is not ours any more.
ReadContent = Callable[[int], Awaitable[bytes | None]]


async def write_stored(
    protocol: StrictProtocol, email: StoredEmail, read_content: ReadContent, floor: Floor
) -> bytes | None:
    """Writes the content; returns its end, the final dot, for the caller to write. None: a reply is there.

    Raises `MessageError` for a bare CR or LF, and what `read_content` raises.
    """
    stuffer, start = DotStuffer(), 0
    while start < email.octets:
        block = await read_content(start)
        if not block or start + len(block) > email.octets:
            raise protocol.give_up(FaultKind.LEASE_LOST)
        start += len(block)
        for at in range(0, len(block), CHUNK_OCTETS):
            octets = stuffer.stuffed(block[at : at + CHUNK_OCTETS])
            await protocol.write_block(octets, floor.secs_for(len(octets)))
            if protocol.has_reply:
                return None
    return stuffer.end()
