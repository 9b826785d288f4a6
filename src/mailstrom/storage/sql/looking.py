"""What an operator sees of messages beside their statuses: whose they are, and who is being tried."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ...abc import Trying
from . import rows
from .dialect import Dialect
from .script import Script, Statement

__all__ = ["Details", "Looking"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Details:
    """What is known of a message beside its status."""

    sender: str = ""  # the reverse-path in lower case; empty: the null one
    size: int | None = None  # octets of the content; None: it was purged
    trying: Mapping[str, Trying] = field(default_factory=dict)  # by address


class Looking:
    """The statements that tell it; they are made once."""

    def __init__(self, dialect: Dialect) -> None:
        t = dialect.prefix
        these = f"m.message_id IN ({dialect.each_text.format(':message_ids')})"
        is_claimed = f"r.place = 'claimed' AND r.lease_until > {dialect.lease_now}"
        self._messages = f"""
            SELECT m.message_id, m.sender, coalesce(
                length(b.content), (SELECT sum(length(c.content)) FROM {t}blocks AS c WHERE c.seq = m.seq))
            FROM {t}messages AS m LEFT JOIN {t}bodies AS b ON b.seq = m.seq WHERE {these}"""
        self._trying = f"""
            SELECT m.message_id, r.address, r.lease_until - {dialect.lease_now}, r.mark
            FROM {t}messages AS m JOIN {t}recipients AS r ON r.seq = m.seq WHERE {these} AND {is_claimed}"""
        self._claimed = f"""
            SELECT m.message_id FROM {t}messages AS m
            WHERE m.seq IN (SELECT r.seq FROM {t}recipients AS r WHERE {is_claimed}) ORDER BY m.seq"""

    def details(self, message_ids: Sequence[str]) -> Script[dict[str, Details]]:
        """By message id; who is not known is not there."""
        given = {"message_ids": rows.as_json(message_ids)}
        trying = yield from self.trying(message_ids)
        return {
            message_id: Details(sender=sender, size=size, trying=trying.get(message_id, {}))
            for message_id, sender, size in (yield Statement(self._messages, given))
        }

    def trying(self, message_ids: Sequence[str]) -> Script[Mapping[str, Mapping[str, Trying]]]:
        """By message id and address; of whom nobody is being tried is not there."""
        given = {"message_ids": rows.as_json(message_ids)}
        trying: defaultdict[str, dict[str, Trying]] = defaultdict(dict)
        for message_id, address, micros, mark in (yield Statement(self._trying, given)):
            trying[message_id][address] = Trying(lease_secs=micros / 1_000_000, mark=rows.mark_of(mark))
        return trying

    def claimed(self) -> Script[list[str]]:
        """The ids of messages of whose recipients any is being tried, oldest first."""
        return [message_id for (message_id,) in (yield Statement(self._claimed, {}))]
