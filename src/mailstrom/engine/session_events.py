"""What observers are told of connections: sessions that open and end, and what is carried over them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from functools import partial

from ..abc import ClaimedEmail, Clock
from ..event import Event, EventKind, SessionEnded, SessionOpened, Transaction
from ..schedule.verdict import Verdict
from ..smtp.session import BeforeDot, BetweenTransactions, DeliveryReport, NextEnvelope, ReadContent, Session
from .events import Tell

OUTCOMES = ("delivered", "deferred", "failed")  # of a transaction: the first that somebody has


class SessionEvents:
    """Watches sessions where somebody observes. Used in the worker's loop only."""

    def __init__(self, clock: Clock, tell: Tell | None) -> None:
        self._clock = clock
        self._tell = tell
        self._open = 0

    def opened(self, session: Session) -> None:
        """Tells of it now, and of its end then."""
        if (tell := self._tell) is None:
            return
        loop = asyncio.get_running_loop()
        self._open += 1
        opened = SessionOpened(
            host=session.hop.host,
            ip=session.hop.ip,
            port=session.hop.port,
            tls=session.tls,
            phase_secs=session.opening_secs,
            open_now=self._open,
        )
        tell(Event(kind=EventKind.SESSION_OPENED, at=self._clock.now(), session_opened=opened))
        # soon: a reply that came together with the end is taken before it
        session.on_end = lambda: loop.call_soon(self._ended, session, tell)
        if session.ended.is_set():
            session.on_end()

    def deliver(
        self,
        session: Session,
        email: ClaimedEmail,
        recipients: Sequence[str],
        *,
        before_dot: BeforeDot,
        between: BetweenTransactions,
        read_content: ReadContent,
        next_envelope: NextEnvelope | None = None,
    ) -> Coroutine[object, object, DeliveryReport]:
        """As `Session.deliver`, and tells of each transaction that came to its end."""
        if self._tell is None:
            return session.deliver(
                email,
                recipients,
                before_dot=before_dot,
                between=between,
                read_content=read_content,
                next_envelope=next_envelope,
            )
        deliver = partial(
            session.deliver, email, recipients, read_content=read_content, next_envelope=next_envelope
        )
        return self._told(self._tell, deliver, session, email, before_dot, between)

    async def _told(
        self,
        tell: Tell,
        deliver: Callable[..., Awaitable[DeliveryReport]],
        session: Session,
        email: ClaimedEmail,
        before_dot: BeforeDot,
        between: BetweenTransactions,
    ) -> DeliveryReport:
        def ended(transaction: Transaction) -> None:
            kind, now = EventKind.TRANSACTION, self._clock.now()
            tell(Event(kind=kind, at=now, message_id=email.message_id, transaction=transaction))

        watch = _Watch(session, email.octets, before_dot, between, ended)
        report = await deliver(before_dot=watch.before_dot, between=watch.between)
        if not report.stale and not report.left:  # of those before who is left `between` was told
            watch.judged(report.verdicts)
        return report

    def _ended(self, session: Session, tell: Tell) -> None:
        self._open -= 1
        ended = SessionEnded(
            host=session.hop.host,
            ip=session.hop.ip,
            port=session.hop.port,
            messages=session.messages,
            age_secs=asyncio.get_running_loop().time() - session.opened_at,
            open_now=self._open,
        )
        tell(Event(kind=EventKind.SESSION_ENDED, at=self._clock.now(), session_ended=ended))


class _Watch:
    """Measures the transactions of one `Session.deliver`. Used by one task."""

    def __init__(
        self,
        session: Session,
        octets: int,
        before_dot: BeforeDot,
        between: BetweenTransactions,
        ended: Callable[[Transaction], None],
    ) -> None:
        self._ended = ended
        self._time = asyncio.get_running_loop().time
        self._host = session.hop.host
        self._octets = octets
        self._reused = session.used
        self._ask = before_dot
        self._hand_on = between
        self._known: set[str] = set()  # who has a verdict of an earlier transaction
        self._began_at = self._time()
        self._dot_at: float | None = None

    async def before_dot(self, accepted: tuple[str, ...]) -> bool:
        may_be_sent = await self._ask(accepted)
        if may_be_sent:
            self._dot_at = self._time()
        return may_be_sent

    async def between(self, verdicts: Mapping[str, Verdict]) -> None:
        self.judged(verdicts)
        await self._hand_on(verdicts)
        self._began_at, self._dot_at = self._time(), None

    def judged(self, verdicts: Mapping[str, Verdict]) -> None:
        """A transaction ended: these are its verdicts, beside what is known already."""
        now = self._time()
        dot_at = now if self._dot_at is None else self._dot_at
        states = [verdict.state for path, verdict in verdicts.items() if path not in self._known]
        self._known.update(verdicts)
        self._ended(
            Transaction(
                host=self._host,
                recipients=len(states),
                octets=self._octets,
                reused=self._reused,
                before_dot_secs=dot_at - self._began_at,
                after_dot_secs=None if self._dot_at is None else now - dot_at,
                outcome=min(states, key=OUTCOMES.index, default="failed"),
            )
        )
