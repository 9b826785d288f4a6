"""How long a line of a message may be (RFC 5322 section 2.1.1)."""

from __future__ import annotations

__all__ = ["LINE_LIMIT", "long_line_at"]

LINE_LIMIT = 998  # octets without CRLF


def long_line_at(octets: bytes) -> int | None:
    """Where the first line begins that is longer than the limit; None where there is none."""
    start = 0
    while len(octets) - start > LINE_LIMIT:
        end = octets.rfind(b"\n", start, start + LINE_LIMIT + 2)
        if end < 0:
            return start
        start = end + 1
    return None
