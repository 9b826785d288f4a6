"""The receiving side of BDAT (RFC 3030 section 2), strict and without input or output.

    BDAT 86        a chunk of 86 octets follows, and more of them
    BDAT 0 LAST    the message ends here

The octets belong to the command and are taken whatever it is answered. After a chunk that was
refused nothing is sure but RSET, and DATA has no place beside chunks.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from .data_reader import ReceivedData, line_end_fault

_ARGUMENT = re.compile(r"(?P<size>[0-9]{1,10})(?P<last> LAST)?", re.IGNORECASE)

#: What is understood after a refused chunk.
ANY_TIME = frozenset({"RSET", "NOOP", "EHLO", "HELO", "QUIT", "BDAT"})


@dataclass(frozen=True, slots=True, kw_only=True)
class ChunkArgument:
    """How many octets follow, and whether they are the last of the message."""

    size: int
    is_last: bool


def read_bdat(argument: str) -> ChunkArgument | None:
    """None: not the syntax of BDAT."""
    match = _ARGUMENT.fullmatch(argument)
    return None if match is None else ChunkArgument(size=int(match["size"]), is_last=bool(match["last"]))


class Chunks:
    """The chunks of one transaction."""

    def __init__(self) -> None:
        self._octets = bytearray()
        self.begun = False  # one was accepted
        self.refused = False  # one was refused: RSET comes next

    def add(self, octets: bytes) -> None:
        """Another accepted one."""
        self._octets += octets
        self.begun = True

    def result(self) -> ReceivedData:
        """All of them together."""
        return ReceivedData(content=bytes(self._octets), fault=line_end_fault(self._octets))
