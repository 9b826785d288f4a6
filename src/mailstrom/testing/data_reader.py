"""The receiving side of DATA, strict and without input or output.

RFC 5321 4.1.1.4: only CRLF "." CRLF ends the content. RFC 5321 2.3.8: CR and LF stand only
together. A receiver that took LF "." LF for the end, or let a bare CR or LF through to one that
does, could be made to see a second message inside the first ("SMTP smuggling"). So nothing but
the true end ends the content here, and content with a bare CR or LF is refused as a whole.
RFC 5321 4.5.2: a dot that begins a line was doubled by the sender, and is taken away.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_END = b"\r\n.\r\n"
_BARE = re.compile(rb"\r(?!\n)|(?<!\r)\n")


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceivedData:
    """A message's content as it was before dots were doubled; `fault` when it must be refused."""

    content: bytes
    fault: str | None = None
    rest: bytes = b""  # what came after the final dot

    def fault_for(self, *, body: str) -> str | None:
        """The reply that refuses it where MAIL announced this BODY; None: nothing is wrong with it."""
        if self.fault:
            return f"550 5.6.0 {self.fault}"
        if not self.content.isascii() and body.upper() != "8BITMIME":
            return "554 5.6.1 8-bit content was not announced by BODY=8BITMIME"
        return None


class DataReader:
    """Collects octets until the final dot: `feed` them, then take the `result`."""

    def __init__(self) -> None:
        self._wire = bytearray(b"\r\n")  # the end of the DATA line: ".CRLF" may follow at once
        self._end = -1

    def feed(self, octets: bytes) -> bool:
        """True once the final dot has arrived."""
        start = max(0, len(self._wire) - len(_END) + 1)
        self._wire += octets
        if self._end < 0:
            self._end = self._wire.find(_END, start)
        return self._end >= 0

    @property
    def size(self) -> int:
        """Octets collected so far."""
        return len(self._wire) - 2

    def result(self) -> ReceivedData:
        """What was collected; without a final dot it has a fault."""
        ended = self._end >= 0
        stuffed = self._wire[: self._end + 2] if ended else self._wire
        content = bytes(stuffed.replace(b"\r\n.", b"\r\n")[2:])
        rest = bytes(self._wire[self._end + len(_END) :]) if ended else b""
        fault = line_end_fault(stuffed) if ended else "ended before the final dot"
        return ReceivedData(content=content, fault=fault, rest=rest)


def read_data(wire: bytes) -> ReceivedData:
    """What a strict server makes of the octets after DATA."""
    reader = DataReader()
    reader.feed(wire)
    return reader.result()


def line_end_fault(stuffed: bytes | bytearray) -> str | None:
    """Why content must be refused for its line ends; None: there is nothing wrong with them."""
    if stuffed.count(b"\r\n") == stuffed.count(b"\r") == stuffed.count(b"\n"):
        return None
    bare = _BARE.search(stuffed)
    assert bare is not None
    return "bare CR in content" if bare.group() == b"\r" else "bare LF in content"
