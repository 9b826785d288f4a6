"""Where the octets of a content lie: a small one in one row of `bodies`, a large one in several of `blocks`.

A row is what a database reads and writes at once: in a value of 50 MB SQLite walks through the first half to
come to the second, and drivers make copies of it. So what is large is stored in rows that are not, and who
stores or sends it has no more of it in memory than a few of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice

from ...abc import Claim
from . import rows
from .dialect import Dialect
from .script import Batch, Script, Statement

__all__ = ["Contents"]

BLOCK_OCTETS = 256 * 1024
BLOCKS_AT_ONCE = 4  # copied into one batch


class Contents:
    """The statements that write and read them; they are made once."""

    def __init__(self, dialect: Dialect) -> None:
        t = dialect.prefix
        self._insert_body = f"INSERT INTO {t}bodies (seq, content) VALUES (:seq, :content)"
        self._insert_block = f"INSERT INTO {t}blocks (seq, start, content) VALUES (:seq, :start, :content)"
        self._sizes = f"""
            SELECT b.seq, sum(length(b.content)) FROM {t}blocks AS b
            WHERE {dialect.among.format("b.seq", ":seqs")} GROUP BY b.seq"""
        self._of_claim = f"""
            SELECT b.start, b.content FROM {t}blocks AS b
            WHERE b.start <= :start AND b.seq = (
                SELECT r.seq FROM {t}recipients AS r
                WHERE r.token = :token AND r.owner = :owner AND r.lease_until IS NOT NULL LIMIT 1)
            ORDER BY b.start DESC LIMIT 1"""
        self._all = f"SELECT b.content FROM {t}blocks AS b WHERE b.seq = :seq ORDER BY b.start"

    def store(self, new: Sequence[tuple[int, bytes]]) -> Script[None]:
        """Writes the contents of new messages, each by `seq`."""
        small = [{"seq": seq, "content": content} for seq, content in new if not rows.is_large(content)]
        if small:
            yield Batch(self._insert_body, small)
        for seq, content in new:
            if rows.is_large(content):
                blocks = _blocks(seq, content)
                while some := list(islice(blocks, BLOCKS_AT_ONCE)):
                    yield Batch(self._insert_block, some)

    def sizes(self, seqs: Sequence[int]) -> Script[dict[int, int]]:
        """By `seq` how many octets there are in blocks; not there: none."""
        found = yield Statement(self._sizes, {"seqs": rows.as_json(seqs)})
        return {row[0]: row[1] for row in found}

    def whole(self, seq: int) -> Script[bytes]:
        """All that is in blocks."""
        return b"".join([content for (content,) in (yield Statement(self._all, {"seq": seq}))])

    def read(self, claim: Claim, start: int) -> Script[bytes | None]:
        """The rest of the block in which `start` lies; None: the claim was lost, or that block is gone."""
        given = {"start": start, "token": claim.token, "owner": claim.owner}
        for begin, content in (yield Statement(self._of_claim, given)):
            return bytes(content[start - begin :]) or None
        return None


def _blocks(seq: int, content: bytes) -> Iterator[dict[str, object]]:
    for start in range(0, len(content), BLOCK_OCTETS):
        yield {"seq": seq, "start": start, "content": content[start : start + BLOCK_OCTETS]}
