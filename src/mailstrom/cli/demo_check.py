"""Whether the demo ended as it should: the statuses against the table, and the servers' ledgers."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

from ..message.prepared import PreparedEmail
from ..status import MessageStatus, RecipientStatus
from ..testing.ledger import Ledger
from .demo_world import EXPECTED, Expected


def complaints_of(status: MessageStatus, prepared: PreparedEmail, ledgers: Mapping[str, Ledger]) -> list[str]:
    """One line for each thing that is not as it should be; `ledgers` by the servers' names."""
    found = [line for expected in EXPECTED for line in _about_status(expected, status[expected.address])]
    found += [line for expected in EXPECTED for line in _about_ledgers(expected, prepared, ledgers.values())]
    found += [
        f"{name} was told what no client should say: {violation}"
        for name, ledger in ledgers.items()
        for violation in ledger.violations
    ]
    return found


def _about_status(expected: Expected, status: RecipientStatus) -> Iterator[str]:
    result = status.result
    seen = {
        "state": (result.state, expected.state),
        "tries": (result.tries, expected.tries),
        "cause": (result.cause, expected.cause),
        "reply code": (None if result.reply is None else result.reply.code, expected.code),
    }
    if expected.hosts:
        seen["hosts"] = (tuple(attempt.host for attempt in status.attempts), expected.hosts)
    for what, (is_so, should_be) in seen.items():
        if is_so != should_be:
            yield f"{expected.address}: {what} is {is_so}, expected {should_be}"
    if expected.needs_tls and (not status.attempts or status.attempts[-1].tls is None):
        yield f"{expected.address}: expected TLS, and it went in clear"


def _about_ledgers(expected: Expected, prepared: PreparedEmail, ledgers: Collection[Ledger]) -> Iterator[str]:
    copies = [
        message.content
        for ledger in ledgers
        for message in ledger.messages
        if expected.address in message.recipients
    ]
    wanted = 1 if expected.state == "delivered" else 0
    if len(copies) != wanted:
        yield f"{expected.address}: the servers took {len(copies)} copies, expected {wanted}"
    if any(content != prepared.content for content in copies):
        yield f"{expected.address}: what the server took is not what was prepared"
