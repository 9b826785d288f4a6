"""What was learned of one host: whether a message may go to it as a whole, what it takes behind a dot.

A whole transaction (MAIL, RCPT ..., BDAT and the content) costs one round trip, but its content
is sent before anybody was accepted, and once it is sent only the host's reply tells. So it is for
hosts that mean their CHUNKING, that do not refuse often, and that answer.
"""

from __future__ import annotations

from .transaction import Transaction

VAIN_LIMIT = 0.1  # share of transactions with nobody accepted, from which on chunks are not worth it
MEMORY = 15 / 16  # how much of what was learned before is kept at each transaction


class Habits:
    """Of one host, shared by its sessions. Used in the worker's loop only."""

    __slots__ = ("_has_chunking", "_vain_share", "takes_behind_dot")

    def __init__(self) -> None:
        self.takes_behind_dot: bool | None = None  # commands in the same write; None: nobody has tried
        self._has_chunking = True  # until it shows otherwise
        self._vain_share = 0.0

    @property
    def take_whole(self) -> bool:
        """A message may go as a whole to a host that offers what that needs."""
        return self._has_chunking and self._vain_share < VAIN_LIMIT

    def learn(self, transaction: Transaction) -> None:
        """What a transaction that has ended tells of its host."""
        if transaction.mail_reply is not None:
            self.note_transaction(in_vain=not transaction.accepted)
        if not transaction.is_whole:
            return
        if transaction.lacks_chunking or transaction.in_disorder:
            self.note_no_chunking()
        elif any(verdict.uncertain for verdict in transaction.verdicts.values()):
            self.note_doubt()

    def note_transaction(self, *, in_vain: bool) -> None:
        """MAIL and RCPT were answered; `in_vain`: nobody was accepted."""
        self._vain_share = self._vain_share * MEMORY + (1 - MEMORY) * in_vain

    def note_doubt(self) -> None:
        """A whole transaction was not answered to its end: some forty go by DATA now.

        Else a host, or what stands before it, that falls silent at a chunk would leave every try
        uncertain.
        """
        self._vain_share = 1.0

    def note_no_chunking(self) -> None:
        """It offers CHUNKING, and does not have it."""
        self._has_chunking = False
