"""The next envelope behind the final dot, in the same write: one round trip a message instead of two.

    … content, dot, MAIL, RCPT, DATA ──►
                                        ◄── 250, 250, 250, 354
      content, dot, MAIL, RCPT, DATA ──►

RFC 2920 section 3.1 allows it. Not every host takes it: what stands behind a dot may be refused, since it
could have been smuggled in, or is dropped. So it is learned host by host, with a RSET that has nothing to
lose, and forgotten as soon as a MAIL there is refused. All replies are read before that to the dot is
believed: where one does not fit, nobody knows which of them answered the dot.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from mailstrom.message.prepared import ClaimedEmail
from mailstrom.schedule.verdict import FaultKind, Meaning, read_reply
from mailstrom.status import Phase

from .habits import Habits
from .protocol import DialogueError, StrictProtocol
from .transaction import Step, Transaction
from .unsendable import unsendable

__all__ = ["BehindDot", "Envelope", "NextEnvelope"]

REPLIES_SECS = 10.0  # the reply to the dot is there: so long it waits for the others
RSET = b"RSET\r\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope:
    """Whose delivery over the session is next, and whom it names."""

    email: ClaimedEmail
    recipients: tuple[str, ...]


#: Asked immediately before a final dot is written; None: nobody is next.
NextEnvelope = Callable[[], Envelope | None]


class BehindDot:
    """What goes out behind the final dots of one session. Used by one task at a time."""

    def __init__(
        self, protocol: StrictProtocol, habits: Habits, begin: Callable[[Envelope], Transaction]
    ) -> None:
        self.ask: NextEnvelope | None = None  # while nothing else of this message may have to follow
        self._protocol = protocol
        self._habits = habits
        self._begin = begin
        self._time = asyncio.get_running_loop().time
        self._envelope: Envelope | None = None
        self._following: Transaction | None = None  # its commands went out behind a dot

    def take(self, email: ClaimedEmail, recipients: Sequence[str]) -> Transaction | None:
        """What was begun for this delivery; what was begun for another ends the session."""
        envelope, following = self._envelope, self._following
        self._envelope = self._following = None
        if envelope is None or following is None:
            return None
        if (envelope.email.message_id, envelope.recipients) != (email.message_id, tuple(recipients)):
            self._protocol.abort()
            return None
        return following

    @property
    def is_begun(self) -> bool:
        """A transaction waits to be taken."""
        return self._following is not None

    def octets(self, transaction: Transaction) -> tuple[bytes, int]:
        """What is to be written behind the dot of this transaction, and how many replies it gets."""
        takes = self._habits.takes_behind_dot
        if self.ask is None or transaction.left or takes is False:
            return b"", 0
        if takes is None:
            return RSET, 1
        if (envelope := self.ask()) is None or unsendable(envelope.email) is not None:
            return b"", 0
        following = self._begin(envelope)
        commands = following.take_commands()
        if commands:
            self._envelope, self._following = envelope, following
        return commands, len(following.awaited)

    async def hear(self, transaction: Transaction) -> None:
        """Takes the replies to that; where they do not fit, this transaction's own is not believed."""
        until = self._time() + REPLIES_SECS
        try:
            await (self._hear_reset(until) if self._following is None else self._hear(self._following, until))
        except DialogueError as error:
            if error.fault.kind is not FaultKind.CLOSED or self._following is None:
                self._habits.takes_behind_dot = False
            self._following = None
            if error.fault.kind is FaultKind.PROTOCOL:
                transaction.disbelieve()

    async def _hear_reset(self, until: float) -> None:
        reply = (self._protocol.take_reply() or await self._protocol.reply(until - self._time())).reply
        if read_reply(Phase.RSET, reply.code) is Meaning.UNEXPECTED:
            raise self._protocol.give_up(FaultKind.PROTOCOL)
        self._habits.takes_behind_dot = reply.is_positive
        if reply.code == 421:
            self._protocol.abort()

    async def _hear(self, following: Transaction, until: float) -> None:
        while following.awaited:
            reply = self._protocol.take_reply() or await self._protocol.reply(until - self._time())
            following.receive(reply.reply)
        if following.in_disorder:
            raise self._protocol.give_up(FaultKind.PROTOCOL)
        if following.out_of_step:
            raise self._protocol.give_up(FaultKind.CLOSED)
        if not following.started:
            # whatever the reason is: it is asked again by itself
            self._habits.takes_behind_dot, self._following = False, None
            if following.step is not Step.DONE:
                self._protocol.abort()
