"""One mail transaction, MAIL to the content's end, without I/O: what to write next, what a reply means.

RFC 5321 section 3.3: MAIL opens it, each RCPT adds a forward-path and is answered for itself,
DATA asks to send the content, a lone dot ends it, and the reply to the dot decides for all
recipients that were accepted. RFC 2920: where PIPELINING is offered MAIL, RCPT ... and DATA
go out in one write, and their replies come back in that order; then 354 may come although
nobody was accepted, and a lone dot is all that may follow.

RFC 3030: with CHUNKING as well, the whole of it may go out in one write: MAIL, RCPT ..., `BDAT n
LAST` and the content's n octets. Then the host may have taken the message before any reply is
read: what is not answered is uncertain, and replies in disorder are believed for nobody.

    step                    the caller
    WHOLE                   writes `take_commands()`, then passes all replies to `receive`
    COMMANDS                writes `take_commands()`, then passes each reply to `receive`
    CONTENT                 writes the content and the dot, then passes the reply
    LONE_DOT                writes `.CRLF`, then passes the reply
    DONE                    reads `verdicts`; `left` belongs into another transaction

`fail` ends it at any point: a fault, or a reply before the dot, for all who have no verdict yet.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from enum import Enum, unique
from typing import NamedTuple

from mailstrom.message.prepared import ClaimedEmail, PreparedEmail
from mailstrom.message.wire import whole_chunk
from mailstrom.schedule.verdict import (
    Fault,
    FaultKind,
    Meaning,
    Scope,
    Verdict,
    judge_fault,
    judge_reply,
    read_reply,
)
from mailstrom.status import Cause, EnhancedCode, Phase, Reply

from .command import CommandError, command, mail_dsn_parameters, path, rcpt_dsn_parameters
from .limits import size_limit

LONE_DOT = b".\r\n"
TOO_MANY_RECIPIENTS = (452, 552)  # RFC 5321 4.5.3.1.10
CHUNKS_NOT_KNOWN = (500, 501, 502, 503, 504, 555)  # to BDAT, although recipients were accepted
CREDENTIALS_WANTED = (530, 534, 535, 538)  # RFC 4954 6

BAD_SENDER_SYNTAX = EnhancedCode(5, 1, 7)  # RFC 3463 3.2
BAD_RECIPIENT_SYNTAX = EnhancedCode(5, 1, 3)


@unique
class Step(Enum):
    """What the transaction waits for."""

    WHOLE = "whole"
    COMMANDS = "commands"
    CONTENT = "content"
    LONE_DOT = "lone dot"
    DONE = "done"


class Awaited(NamedTuple):
    """A reply that is to come: to which command, and for whom."""

    phase: Phase
    recipient: str | None = None


MAIL, DATA, DOT = Awaited(Phase.MAIL), Awaited(Phase.DATA), Awaited(Phase.DOT)
DATA_LINE = command("DATA")


class Transaction:
    """One message to up to 100 recipients over one session.

    `extensions` is what the last EHLO offered. `whole`: everything in one write, which needs
    PIPELINING and CHUNKING, and the content at hand, in which CR and LF stand only together: its user
    has looked (`unsendable.py`). `verdicts` grows as replies come in; a verdict
    that is there is never replaced, unless the replies turn out to be in disorder.
    """

    def __init__(
        self,
        email: ClaimedEmail,
        recipients: Sequence[str],
        extensions: Mapping[str, str],
        host: str,
        *,
        is_relay: bool = False,
        whole: bool = False,
    ) -> None:
        self.is_whole = whole and isinstance(email, PreparedEmail)
        self.verdicts: dict[str, Verdict] = {}
        self.accepted: list[str] = []  # by their RCPT; their verdict is the dot's
        self.left: list[str] = []  # for another transaction over the same session
        self.mail_reply: Reply | None = None
        self.started = False  # MAIL was accepted
        self.dot_answered = False  # or BDAT
        self.lacks_chunking = False  # BDAT is not known: the accepted belong into another one by DATA
        self.in_disorder = False  # a reply did not fit
        self._is_taken = False  # the content was accepted for somebody
        self._has_orphans = False  # RCPT was accepted although MAIL was refused
        self.out_of_step = False  # the session is of no more use: closing, or not understood
        self._email = email
        self._recipients = recipients
        self._extensions = extensions
        self._host = host
        self._is_relay = is_relay
        self.awaited: deque[Awaited] = deque()  # the replies that are to come
        self._too_many: Reply | None = None  # to the recipients in `left`
        self._lines = deque(self._prepared())
        first = Step.WHOLE if self.is_whole else Step.COMMANDS
        self.step = first if self._lines else Step.DONE  # what is to be done next

    @property
    def awaiting(self) -> Awaited | None:
        """The reply that comes next."""
        return self.awaited[0] if self.awaited else None

    @property
    def needs_reset(self) -> bool:
        """What MAIL began was not ended: RSET before another."""
        if self.is_whole:  # RFC 3030 2: after a failed BDAT nothing is sure but RSET
            return self.mail_reply is not None and not self._is_taken
        return self.started and not self.dot_answered

    @property
    def named(self) -> tuple[str, ...]:
        """The forward-paths in what is still to be written."""
        return tuple([awaited.recipient for awaited, _ in self._lines if awaited.recipient is not None])

    def take_commands(self) -> bytes:
        """The octets to write now: everything with PIPELINING, else the next command; b"" while
        replies are outstanding."""
        if self.awaited or self.step not in (Step.WHOLE, Step.COMMANDS):
            return b""
        if "PIPELINING" not in self._extensions:
            awaited, line = self._lines.popleft()
            self.awaited.append(awaited)
            return line
        all_awaited, lines = zip(*self._lines, strict=True)
        self._lines.clear()
        self.awaited.extend(all_awaited)
        return b"".join(lines)

    def dot_written(self) -> None:
        """The content, or the lone dot, was written: its reply comes next."""
        self.awaited.append(DOT)

    @property
    def outstanding(self) -> int:
        """How many replies are to come."""
        return len(self.awaited)

    def receive(self, reply: Reply) -> None:
        """Takes the reply to what was awaited."""
        phase, recipient = self.awaited.popleft()
        if phase is Phase.MAIL:
            self.mail_reply = reply
        if read_reply(phase, reply.code) is Meaning.UNEXPECTED:
            self.fail(self._judge(Phase.DOT if self.is_whole else phase, reply), misfit=True)
            return
        if reply.code == 421:
            self.out_of_step = True  # RFC 5321 3.8: it closes the channel whatever it answers
            # but of those whom the content was sent to already, only its own reply tells
            if not (self.is_whole and self.accepted and phase is Phase.RCPT):
                self.fail(self._judge(phase, reply))
                return
        if phase is Phase.MAIL:
            self._mail_answered(reply)
        elif phase is Phase.RCPT:
            self._rcpt_answered(recipient or "", reply)
        elif phase is Phase.DATA:
            self._data_answered(reply)
        elif self.is_whole:
            self._chunk_answered(reply)
        else:
            self._dot_answered(reply)

    def receive_early(self, reply: Reply) -> None:
        """Takes a reply to the content that came before all of it had left us, and ends the session.

        The host will not read the rest: a 2yz would be a lie, anything else is its answer.
        """
        judged = judge_reply(Phase.BODY, reply, self._host)
        if self._says_no_chunking(reply):  # which is no word on the message
            fault = Fault(kind=FaultKind.PROTOCOL, phase=Phase.BODY, detail=f"BDAT was answered {reply}")
            judged = judge_fault(fault, self._host)
        self.fail(judged)
        self.lacks_chunking = self.is_whole and (reply.code < 400 or self._says_no_chunking(reply))

    def fail(self, verdict: Verdict, *, misfit: bool = False) -> None:
        """Ends it, and the session with it: `verdict` for all who have none yet.

        `misfit`: a reply did not fit its command. Then nobody knows which of the commands sent
        together the replies before it answered either, and none of them is believed.
        """
        self.in_disorder = misfit
        sent_together = self.step in (Step.WHOLE, Step.COMMANDS) and "PIPELINING" in self._extensions
        if misfit and sent_together:
            self._too_many = None
            self.verdicts = {r: known for r, known in self.verdicts.items() if known.reply is None}
        self.out_of_step = True
        self._left_behind()
        self._judged(self._recipients, verdict)
        self._finish()

    def disbelieve(self) -> None:
        """What was said behind the reply to its dot does not fit: nobody knows what that one answered."""
        detail = "what was said behind the reply does not fit"
        fault = Fault(kind=FaultKind.PROTOCOL, phase=Phase.DOT, detail=detail)
        self.verdicts |= dict.fromkeys(self.accepted, judge_fault(fault, self._host))
        self.in_disorder = self.out_of_step = True

    # -- before the first command ----------------------------------------------------------

    def _prepared(self) -> list[tuple[Awaited, bytes]]:
        """The commands for those who can be sent to at all; verdicts for the others."""
        email, octets = self._email, self._email.octets
        is_8bit = email.needs_8bitmime or (isinstance(email, PreparedEmail) and not email.content.isascii())
        needs_smtputf8 = email.needs_smtputf8 or not email.reverse_path.isascii()
        fault = self._lacking(octets, is_8bit, needs_smtputf8)
        if fault is not None:
            self._judged(self._recipients, judge_fault(fault, self._host))
            return []
        try:
            lines = [(MAIL, self._mail_line(octets, is_8bit, needs_smtputf8))]
        except CommandError as error:
            self._judged(self._recipients, _unwritable(Phase.MAIL, error, BAD_SENDER_SYNTAX))
            return []
        for recipient in self._recipients:
            lines += self._rcpt_line(recipient)
        return [*lines, self._content_line()] if len(lines) > 1 else []

    def _content_line(self) -> tuple[Awaited, bytes]:
        if not (self.is_whole and isinstance(self._email, PreparedEmail)):
            return DATA, DATA_LINE
        chunk = whole_chunk(self._email.content, checked=True)
        return DOT, command("BDAT ", b"%d LAST" % len(chunk)) + chunk

    def _lacking(self, octets: int, is_8bit: bool, needs_smtputf8: bool) -> Fault | None:
        """What this host does not offer, or not enough of, and the message needs."""
        if (limit := size_limit(self._extensions)) and octets > limit:
            detail = f"{octets} octets, {limit} allowed"
            return Fault(kind=FaultKind.TOO_BIG, phase=Phase.MAIL, detail=detail)
        # RFC 6531 3.1: SMTPUTF8 brings 8BITMIME along, so its lack is the reason where both are lacking
        if needs_smtputf8 and "SMTPUTF8" not in self._extensions:
            return Fault(kind=FaultKind.NO_SMTPUTF8, phase=Phase.MAIL)
        if is_8bit and "8BITMIME" not in self._extensions:
            return Fault(kind=FaultKind.NO_8BITMIME, phase=Phase.MAIL)
        return None

    def _mail_line(self, octets: int, is_8bit: bool, needs_smtputf8: bool) -> bytes:
        parameters, offered = [], self._extensions
        if "SIZE" in offered:
            parameters.append(b"SIZE=%d" % octets)  # RFC 1870 5
        if is_8bit:
            parameters.append(b"BODY=8BITMIME")  # RFC 6152 2
        if needs_smtputf8 or ("SMTPUTF8" in offered and not all(map(str.isascii, self._recipients))):
            parameters.append(b"SMTPUTF8")  # RFC 6531 3.4: only where it is needed
        if self._email.dsn is not None and "DSN" in offered:
            parameters += mail_dsn_parameters(self._email.dsn)
        return command("MAIL FROM:", path(self._email.reverse_path), parameters=parameters)

    def _rcpt_line(self, recipient: str) -> Sequence[tuple[Awaited, bytes]]:
        if not recipient.isascii() and "SMTPUTF8" not in self._extensions:
            fault = Fault(kind=FaultKind.NO_SMTPUTF8, phase=Phase.RCPT)
            self._judged([recipient], judge_fault(fault, self._host))
            return ()
        parameters: list[bytes] = []
        if self._email.dsn is not None and "DSN" in self._extensions:
            parameters = rcpt_dsn_parameters(self._email.dsn, recipient)
        try:
            line = command("RCPT TO:", path(recipient), parameters=parameters)
        except CommandError as error:
            self._judged([recipient], _unwritable(Phase.RCPT, error, BAD_RECIPIENT_SYNTAX))
            return ()
        return ((Awaited(Phase.RCPT, recipient), line),)

    # -- replies ---------------------------------------------------------------------------

    def _mail_answered(self, reply: Reply) -> None:
        if reply.is_positive:
            self.started = True
            return
        self._judged(self._recipients, self._judge(Phase.MAIL, reply))
        if not self.awaited:
            self._finish()

    def _rcpt_answered(self, recipient: str, reply: Reply) -> None:
        if not self.started:
            self._has_orphans |= reply.is_positive
            return  # the refusal of MAIL stands for all
        if reply.is_positive:
            self.accepted.append(recipient)
        elif reply.code in TOO_MANY_RECIPIENTS and self.accepted:
            self._postpone(recipient, reply)
        else:
            self._judged([recipient], self._judge(Phase.RCPT, reply))
        only_data_is_left = len(self._lines) == 1 and not self.awaited
        if only_data_is_left and not self.accepted:
            self._finish()

    def _postpone(self, recipient: str, reply: Reply) -> None:
        """RFC 5321 4.5.3.1.10: too many recipients; those not yet named wait as well."""
        self._too_many = reply
        self.left.append(recipient)
        while len(self._lines) > 1:
            awaited, _ = self._lines.popleft()
            self.left.append(awaited.recipient or "")

    def _data_answered(self, reply: Reply) -> None:
        if reply.is_intermediate:
            if self._has_orphans:
                self._fail_over_orphans(Phase.DATA)
                return
            # RFC 2920 3.1: 354 although nobody was accepted: end it with a lone dot
            self.step = Step.CONTENT if self.accepted else Step.LONE_DOT
            return
        self._judged(self.accepted, self._judge(Phase.DATA, reply))
        self._left_behind()
        self._finish()

    def _dot_answered(self, reply: Reply) -> None:
        if self.step is Step.CONTENT:
            self.dot_answered = True
            self._judged(self.accepted, self._judge(Phase.DOT, reply))
            if not reply.is_positive:
                self._left_behind()
        self._finish()

    def _chunk_answered(self, reply: Reply) -> None:
        if reply.is_positive and self._has_orphans:
            self._fail_over_orphans(Phase.DOT)
            return
        self.dot_answered = True
        self._is_taken = reply.is_positive and bool(self.accepted)
        self.lacks_chunking = self._says_no_chunking(reply)
        if not self.lacks_chunking:
            self._judged(self.accepted, self._judge(Phase.DOT, reply))
            if not reply.is_positive:
                self._left_behind()
        self._finish()

    def _says_no_chunking(self, reply: Reply) -> bool:
        return self.is_whole and bool(self.accepted) and reply.code in CHUNKS_NOT_KNOWN

    def _fail_over_orphans(self, phase: Phase) -> None:
        """RFC 5321 4.1.4: no recipient without MAIL: what seemed to refuse it answered another."""
        detail = "MAIL was refused, RCPT and the content accepted"
        fault = Fault(kind=FaultKind.PROTOCOL, phase=phase, detail=detail)
        self.fail(judge_fault(fault, self._host), misfit=True)

    def _left_behind(self) -> None:
        """Nothing was delivered, so another transaction would hardly do better: deferred."""
        if self._too_many is not None:
            verdict = Verdict(
                state="deferred",
                scope=Scope.RECIPIENT,
                phase=Phase.RCPT,
                reason=f"{self._host} takes no more recipients in one transaction: {self._too_many}",
                reply=self._too_many,
                enhanced_code=self._too_many.enhanced if self._too_many.is_transient else None,
            )
            self._judged(self.left, verdict)
        self.left.clear()

    def _judge(self, phase: Phase, reply: Reply) -> Verdict:
        # a relay that asks for credentials at MAIL or RCPT refuses ours; the mail is not at fault
        if self._is_relay and phase is not Phase.DOT and reply.code in CREDENTIALS_WANTED:
            return judge_reply(Phase.AUTH, reply, self._host)
        return judge_reply(phase, reply, self._host)

    def _judged(self, recipients: Sequence[str], verdict: Verdict) -> None:
        for recipient in recipients:
            self.verdicts.setdefault(recipient, verdict)

    def _finish(self) -> None:
        self.step = Step.DONE
        self._lines.clear()
        self.awaited.clear()


def _unwritable(phase: Phase, error: CommandError, code: EnhancedCode) -> Verdict:
    return Verdict(
        state="failed",
        scope=Scope.RECIPIENT if phase is Phase.RCPT else Scope.MESSAGE,
        phase=phase,
        reason=f"not sent: {error}",
        enhanced_code=code,
        cause=Cause.POLICY,
    )
