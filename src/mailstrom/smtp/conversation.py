"""Transactions over a connection: what `Transaction` has to say goes out, the replies come back to it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from mailstrom.config import SmtpTimeouts
from mailstrom.message.prepared import ClaimedEmail, StoredEmail
from mailstrom.message.wire import dot_stuffed_chunks
from mailstrom.schedule.verdict import FaultKind
from mailstrom.status import Phase

from .behind_dot import BehindDot
from .floor import Floor
from .protocol import StrictProtocol
from .stored_content import ReadContent, write_stored
from .transaction import LONE_DOT, Step, Transaction

__all__ = ["BeforeDot", "Conversation"]

#: Awaited immediately before the last octets of the content are written, with the addresses that
#: may get it: the accepted ones; where all goes out in one write, those who are named in it.
#: False: the claim is not ours any more; nothing of the message is completed.
BeforeDot = Callable[[tuple[str, ...]], Awaitable[bool]]


class Conversation:
    """Has one transaction after another over one connection. Used by one task at a time."""

    def __init__(self, protocol: StrictProtocol, timeouts: SmtpTimeouts, behind_dot: BehindDot) -> None:
        self._protocol = protocol
        self._behind_dot = behind_dot
        self._time = asyncio.get_running_loop().time
        self._timeouts = timeouts
        self._secs_for = {
            Phase.MAIL: timeouts.mail_secs,
            Phase.RCPT: timeouts.rcpt_secs,
            Phase.DATA: timeouts.data_secs,
        }

    async def run(
        self,
        transaction: Transaction,
        email: ClaimedEmail,
        before_dot: BeforeDot,
        read_content: ReadContent | None,
    ) -> None:
        """Brings it to its end; raises `DialogueError`, `MessageError` for the content, what hooks raise."""
        while (step := transaction.step) is not Step.DONE:
            if step is Step.COMMANDS:
                await self._commands(transaction)
            elif step is Step.CONTENT:
                await self._content(transaction, email, before_dot, read_content)
            elif step is Step.WHOLE:
                await self._whole(transaction, before_dot)
            else:
                transaction.dot_written()
                transaction.receive((await self._protocol.ask(LONE_DOT, self._timeouts.rset_secs)).reply)

    async def _whole(self, transaction: Transaction, before_dot: BeforeDot) -> None:
        """Writes all of it, and takes all replies."""
        self._protocol.phase = Phase.MAIL
        if not await before_dot(transaction.named):
            raise self._protocol.give_up(FaultKind.LEASE_LOST)
        octets = transaction.take_commands()
        self._protocol.begin_content(replies=len(transaction.awaited))
        await self._protocol.write_last_block(octets, self._timeouts.block_secs)
        # RFC 2920 3.2: a host may keep every reply until it has read all that was sent together;
        # one that tells them one by one and late does not keep the session for ever
        now, secs = self._time(), self._timeouts.dot_secs
        until = max(self._protocol.deadline, now + 2 * secs)
        while transaction.step is Step.WHOLE:
            left = secs if len(transaction.awaited) == 1 else until - self._time()
            reply, early = await self._protocol.content_reply(min(secs, left))
            (transaction.receive_early if early else transaction.receive)(reply.reply)

    async def _commands(self, transaction: Transaction) -> None:
        """Writes what is to be written, and takes the replies to it."""
        protocol, commands, awaited = self._protocol, transaction.take_commands(), transaction.awaited
        protocol.phase = awaited[0].phase
        protocol.send(commands, replies=len(awaited))
        while transaction.step is Step.COMMANDS and awaited:
            phase = protocol.phase = awaited[0].phase
            reply = protocol.take_reply() or await protocol.reply(self._secs_for[phase])
            transaction.receive(reply.reply)

    async def _content(
        self,
        transaction: Transaction,
        email: ClaimedEmail,
        before_dot: BeforeDot,
        read_content: ReadContent | None,
    ) -> None:
        """Writes the content with its final dot, and takes the reply."""
        protocol, floor, replies = self._protocol, Floor(self._timeouts), 0
        protocol.begin_content()
        last = await self._write_but_the_last(email, read_content, floor)
        if last is not None:
            if not await before_dot(tuple(transaction.accepted)):
                raise protocol.give_up(FaultKind.LEASE_LOST)
            behind, replies = self._behind_dot.octets(transaction)
            await protocol.write_last_block(last, floor.secs_for(len(last)), behind, replies)
        transaction.dot_written()
        reply, early = await protocol.content_reply(self._timeouts.dot_secs)
        if early and replies:
            transaction.disbelieve()  # who could say what had left us
        (transaction.receive_early if early else transaction.receive)(reply.reply)
        if replies and not transaction.out_of_step:
            await self._behind_dot.hear(transaction)

    async def _write_but_the_last(
        self, email: ClaimedEmail, read_content: ReadContent | None, floor: Floor
    ) -> bytes | None:
        """The last block, with the final dot, which is not written yet; None: a reply is there already."""
        if isinstance(email, StoredEmail):
            assert read_content is not None
            return await write_stored(self._protocol, email, read_content, floor)
        blocks = dot_stuffed_chunks(email.content, checked=True)
        block = next(blocks)
        for following in blocks:
            await self._protocol.write_block(block, floor.secs_for(len(block)))
            if self._protocol.has_reply:
                return None
            block = following
        return block
