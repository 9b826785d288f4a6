"""One SMTP session with one host: opened, used for one message after another, ended.

    outcome = await open_session(network, hop, helo_name=..., timeouts=..., tls_context=...)
    match outcome:
        case OpenFailure():     # outcome.verdict holds for every recipient
        case Session():
            report = await outcome.deliver(email, recipients, before_dot=lease_is_ours)
            report.verdicts[address]
            await outcome.quit()

Trouble is a value, never an exception. Cancelling any of these calls leaves no socket behind.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from mailstrom.abc import Network
from mailstrom.config import SmtpAuth, SmtpTimeouts
from mailstrom.errors import MessageError
from mailstrom.message.prepared import ClaimedEmail
from mailstrom.schedule.verdict import (
    Fault,
    FaultKind,
    Verdict,
    judge_fault,
)
from mailstrom.status import Phase, TlsUsed

from .behind_dot import BehindDot, Envelope, NextEnvelope
from .conversation import BeforeDot, Conversation
from .habits import Habits
from .limits import Room, read_limits
from .opening import Hop, Opener, OpenFailure, Opening, TlsContext, TlsMode
from .protocol import DialogueError, StrictProtocol
from .stored_content import ReadContent
from .transaction import Transaction
from .unsendable import unsendable, unsendable_for

__all__ = [
    "BeforeDot",
    "DeliveryReport",
    "Envelope",
    "Habits",
    "Hop",
    "NextEnvelope",
    "OpenFailure",
    "ReadContent",
    "Session",
    "TlsContext",
    "TlsMode",
    "open_session",
]

#: Awaited with what a transaction brought where another one has to follow it: should that be cut
#: off, what is known already is not lost.
BetweenTransactions = Callable[[Mapping[str, Verdict]], Awaitable[None]]

WHOLE_OCTETS = 128 * 1024  # of content, that may be sent before anybody is accepted
FRESH_SECS = 1.0  # so long a silent connection is taken to stand; an EOF later may say either


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryReport:
    """What became of each recipient given to `Session.deliver`."""

    verdicts: Mapping[str, Verdict]  # of all but `left`, in the order given
    left: tuple[str, ...] = ()  # for whom the host's LIMITS leave no room in this session: another
    # one may take them at once
    stale: bool = False  # a reused session was dead before MAIL was answered: deliver again at
    # once over a new one; it says nothing of the host or the message
    duration_secs: float = 0.0


class Session:
    """An open session. Used in the worker's loop, by one task at a time.

    `ended` is set when it stops being usable, also when the peer closes or speaks while nothing
    was asked.
    """

    def __init__(self, opener: Opener, hop: Hop, timeouts: SmtpTimeouts, habits: Habits) -> None:
        self.hop = hop
        self.tls: TlsUsed | None = opener.tls  # None: in clear
        self._time = asyncio.get_running_loop().time
        self.opened_at = self._time()
        self.opening_secs: Mapping[Phase, float] = opener.phase_secs
        self.messages = 0  # transactions that ended with a reply to the final dot
        self.ended = asyncio.Event()
        self.on_end: Callable[[], object] | None = None  # called when that is set
        self._protocol: StrictProtocol = opener.protocol
        self._extensions = opener.extensions
        self._takes_whole = {"CHUNKING", "PIPELINING"} <= opener.extensions.keys()
        self._room = Room(read_limits(opener.extensions))
        self._habits = habits
        self._heard_at = self.opened_at
        self._under_way: Transaction | None = None
        self._read_content: ReadContent | None = None
        self._next_envelope: NextEnvelope | None = None
        self._timeouts = timeouts
        self._behind_dot = BehindDot(opener.protocol, habits, self._begin)
        self._conversation = Conversation(opener.protocol, timeouts, self._behind_dot)
        self._used = False
        self._needs_reset = False
        self._protocol.on_end = self._end
        if not self._protocol.is_connected:
            self.ended.set()

    def __repr__(self) -> str:
        state = "usable" if self.usable else "ended"
        return f"<Session {state} {self.hop.host} [{self.hop.ip}]:{self.hop.port} {self.tls or 'in clear'}>"

    @property
    def usable(self) -> bool:
        """The connection stands, and the dialogue is in step: another message may follow."""
        return self._protocol.is_connected

    @property
    def used(self) -> bool:
        """A message was offered over it."""
        return self._used

    @property
    def is_used_up(self) -> bool:
        """The host takes no further transaction in it (RFC 9422, MAILMAX)."""
        return self._room.is_limited and self._room.is_used_up

    @property
    def is_begun(self) -> bool:
        """The envelope that was next is out: that delivery has to follow, or the session ends."""
        return self._behind_dot.is_begun and self.usable

    @property
    def phase(self) -> Phase:
        """Where it stands; `Phase.DOT`: the content's end may be on its way, its reply is awaited."""
        return self._protocol.phase

    @property
    def verdicts_so_far(self) -> Mapping[str, Verdict]:
        """Those of the transaction that is under way, or was when `deliver` raised."""
        return {} if self._under_way is None else self._under_way.verdicts

    @property
    def extensions(self) -> Mapping[str, str]:
        """What the host offered in its last EHLO: keyword in upper case -> parameters."""
        return self._extensions

    async def deliver(
        self,
        email: ClaimedEmail,
        recipients: Sequence[str],
        *,
        before_dot: BeforeDot,
        between: BetweenTransactions | None = None,
        read_content: ReadContent | None = None,
        next_envelope: NextEnvelope | None = None,
    ) -> DeliveryReport:
        """A verdict for each of up to 100 recipients, after as many transactions as that takes.

        Where the host's LIMITS end that earlier, the others are `left`. `read_content` reads what a
        `StoredEmail` lacks; its exceptions are raised here, and end the session before the final dot.
        `next_envelope`: who is delivered over this session next; `is_begun` tells whether that began.
        """
        began_at = self._time()
        self._read_content, self._next_envelope = read_content, next_envelope
        try:
            verdicts, stale = await self._delivered(email, recipients, before_dot, between)
        except BaseException:
            self.abort()
            raise
        finally:
            self._read_content = self._next_envelope = None
        self._under_way = None  # an idle session needs no content and no verdicts
        ordered, left = {}, []
        for recipient in recipients:
            if recipient in verdicts:
                ordered[recipient] = verdicts[recipient]
            else:
                left.append(recipient)
        return DeliveryReport(
            verdicts=ordered, left=tuple(left), stale=stale, duration_secs=self._time() - began_at
        )

    async def quit(self) -> None:
        """Ends it politely: QUIT, its reply awaited for `quit_secs` at most, then closed."""
        await self._protocol.quit(self._timeouts.quit_secs)

    def abort(self) -> None:
        """Ends it now; what was not sent yet is dropped."""
        self._protocol.abort()

    def _end(self) -> None:
        self.ended.set()
        if self.on_end is not None:
            self.on_end()

    # -- one message -----------------------------------------------------------------------

    async def _delivered(
        self,
        email: ClaimedEmail,
        recipients: Sequence[str],
        before_dot: BeforeDot,
        between: BetweenTransactions | None,
    ) -> tuple[dict[str, Verdict], bool]:
        begun = self._behind_dot.take(email, recipients)
        if (verdict := unsendable(email)) is not None:
            if begun is not None:
                self.abort()
            return dict.fromkeys(recipients, verdict), False
        reused, self._used = self._used, True
        self._protocol.deadline += email.octets / self._timeouts.min_rate
        if reused and not await self._is_ready_again():
            return dict.fromkeys(recipients, self._lost_before_mail()), True
        verdicts: dict[str, Verdict] = {}
        waiting = recipients
        while named := self._next_named(waiting):
            transaction = self._under_way = begun or self._transaction(email, named)
            begun = None
            await self._converse(transaction, email, before_dot)
            if reused and not verdicts and not transaction.dot_answered and self._was_stale(transaction):
                return transaction.verdicts, True
            # every transaction by DATA but the last has an answer for somebody, so this comes to an end
            verdicts |= transaction.verdicts
            if len(verdicts) >= len(recipients):
                break
            if between is not None:
                await between(transaction.verdicts)
            await self._is_ready_again()
            waiting = [r for r in recipients if r not in verdicts]
        return verdicts, False

    def _next_named(self, waiting: Sequence[str]) -> Sequence[str]:
        """Who belongs into the next transaction; all where the session has ended: it answers for them."""
        return self._room.fitting(waiting) if self._room.is_limited and self.usable else waiting

    def _transaction(self, email: ClaimedEmail, recipients: Sequence[str]) -> Transaction:
        whole = self._takes_whole and self._habits.take_whole and email.octets <= WHOLE_OCTETS
        return Transaction(
            email,
            recipients,
            self._extensions,
            self.hop.host,
            is_relay=self.hop.is_relay,
            whole=whole and self._time() - self._heard_at <= FRESH_SECS,
        )

    def _may_go_behind(self, email: ClaimedEmail) -> bool:
        """Its end and the commands behind it go out in one write, and nothing stands in their way."""
        is_offered = "PIPELINING" in self._extensions and not self._room.is_limited
        return is_offered and email.octets <= WHOLE_OCTETS

    def _begin(self, envelope: Envelope) -> Transaction:
        hop = self.hop
        recipients = envelope.recipients
        return Transaction(envelope.email, recipients, self._extensions, hop.host, is_relay=hop.is_relay)

    async def _is_ready_again(self) -> bool:
        """True where a reused session can take MAIL, after RSET if something was left open."""
        if not self._needs_reset:
            return self._protocol.is_connected
        self._protocol.phase = Phase.RSET
        try:
            reply = await self._protocol.ask(b"RSET\r\n", self._timeouts.rset_secs)
        except DialogueError:
            return False
        if not reply.reply.is_positive:
            self.abort()
        self._needs_reset, self._heard_at = False, self._time()
        return self.usable

    def _lost_before_mail(self) -> Verdict:
        fault = self._protocol.fault or Fault(kind=FaultKind.CLOSED, phase=Phase.MAIL)
        return judge_fault(replace(fault, phase=Phase.MAIL), self.hop.host)

    def _was_stale(self, transaction: Transaction) -> bool:
        if any(verdict.uncertain for verdict in transaction.verdicts.values()):
            return False
        if transaction.mail_reply is not None:
            # RFC 5321 3.8: the host had closed before it read our MAIL, most likely for idleness
            return transaction.mail_reply.code == 421
        fault = self._protocol.fault
        return fault is not None and fault.kind is FaultKind.CLOSED

    async def _converse(self, transaction: Transaction, email: ClaimedEmail, before_dot: BeforeDot) -> None:
        """Runs a transaction to its end, or until the session fails."""
        if not self._protocol.is_connected:
            transaction.fail(self._lost_before_mail())
            return
        if self._room.is_limited:
            self._room.take(transaction.named)
        self._behind_dot.ask = self._next_envelope if self._may_go_behind(email) else None
        try:
            await self._conversation.run(transaction, email, before_dot, self._read_content)
        except DialogueError as error:
            misfit = error.fault.kind is FaultKind.PROTOCOL
            transaction.fail(judge_fault(error.fault, self.hop.host), misfit=misfit)
        except MessageError as error:  # in a content that is checked while it is read
            transaction.fail(unsendable_for(error))
        self._heard_at = self._time()
        self._needs_reset = transaction.needs_reset
        self.messages += transaction.dot_answered
        self._habits.learn(transaction)
        if transaction.out_of_step:
            self.abort()
        else:
            self._protocol.phase = Phase.MAIL


async def open_session(
    network: Network,
    hop: Hop,
    *,
    helo_name: str,
    timeouts: SmtpTimeouts,
    tls_context: TlsContext,
    auth: SmtpAuth | None = None,
    allow_cleartext_auth: bool = False,
    habits: Habits | None = None,
    connected: Callable[[], object] | None = None,
) -> Session | OpenFailure:
    """A session ready for MAIL, or why there is none.

    `habits`: what was learned of this host; the session goes by it and adds to it. `connected` is called
    when a connection is made: its greeting may take minutes.
    """
    opening = Opening(
        network=network,
        hop=hop,
        helo_name=helo_name,
        timeouts=timeouts,
        tls_context=tls_context,
        auth=auth,
        allow_cleartext_auth=allow_cleartext_auth,
        connected=connected,
    )
    opener = Opener(opening)
    failure = await opener.run()
    if opener.resumption_failed:
        opener = Opener(opening)
        failure = await opener.run()
    return Session(opener, hop, timeouts, habits or Habits()) if failure is None else failure
