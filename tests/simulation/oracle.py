"""What must hold of every story, judged from outside: by what hosts took and what callers were told."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

from mailstrom.event import Event, EventKind
from mailstrom.status import MessageStatus, RecipientStatus
from mailstrom.testing.smtp_server import SmtpServer

from .plan import MailPlan, Plan
from .smooth import PROMPT_SECS, SmoothWays
from .taken import Taken, taken_by

if TYPE_CHECKING:
    from .story import Slot


LONGEST_PASS_SECS = 7200.0  # what had begun before it expired may end well


class Oracle:
    """Knows what was promised, told and taken; raises AssertionError with what does not hold."""

    def __init__(self, plan: Plan, now: Callable[[], float], servers: Mapping[str, SmtpServer]) -> None:
        self.events: list[Event] = []
        self._plan = plan
        self._now = now
        self._servers = servers
        self._mails = {mail.number: mail for mail in plan.mails}
        self._smooth = SmoothWays(plan)
        # by a person, or by a clock that was set
        self._is_hastened = any(act.what in ("retry", "release", "jump") for act in plan.acts)
        self._ids: dict[int, str] = {}
        self._unanswered: set[int] = set()  # sent with an error: stored, or not
        self._final: dict[tuple[str, str], str] = {}
        self._ended_at: dict[tuple[str, str], float] = {}
        self._last: dict[str, MessageStatus] = {}

    @property
    def ids(self) -> Sequence[str]:
        """Of what was promised to be delivered."""
        return tuple(self._ids.values())

    def id_of(self, number: int) -> str | None:
        """The message id of a mail."""
        return self._ids.get(number)

    # --- told by the story

    def promised(self, mail: MailPlan, message_id: str) -> None:
        """`send_email` has returned."""
        first = self._ids.setdefault(mail.number, message_id)
        assert first == message_id, f"mail {mail.number} was sent twice with one key: {first}, {message_id}"

    def refused(self, mail: MailPlan) -> None:
        """`send_email` has raised."""
        if mail.number not in self._ids:
            self._unanswered.add(mail.number)

    def told(self, status: MessageStatus) -> None:
        """A caller saw this status."""
        self._last[status.message_id] = status
        for recipient in status:
            place = (status.message_id, recipient.address)
            state = recipient.result.state
            assert self._final.get(place, state) == state, f"{place} was {self._final[place]}, and is {state}"
            if recipient.result.completed:
                self._final[place] = state

    def cancelled(self, status: MessageStatus) -> None:
        """`cancel` has returned this."""
        self.told(status)
        for recipient in status:
            if recipient.result.cause == "cancelled":
                self._ended_at.setdefault((status.message_id, recipient.address), self._now())

    # --- at every step

    def look(self, slots: Sequence[Slot]) -> None:
        """What must hold at any time."""
        for slot in slots:
            count = len(slot.process.network.open_transports)
            assert count <= self._plan.max_sessions, f"{slot.process.name} has {count} connections open"

    # --- at the end

    def check_the_end(self) -> None:
        """What must hold when the queue is at rest."""
        taken = taken_by(self._servers, self._plan)
        for number, message_id in self._ids.items():
            status = self._last[message_id]
            assert {each.address for each in status} == {*self._mails[number].to}, f"not all of it: {status}"
            for recipient in status:
                times = [each.at for each in taken[number, recipient.address]]
                self._check_recipient(number, message_id, recipient, times)
        self._check_that_nothing_else_was_taken(taken)
        self._check_events()
        wrong = [each for server in self._servers.values() for each in server.ledger.violations]
        assert not wrong, wrong

    def _check_recipient(
        self, number: int, message_id: str, recipient: RecipientStatus, taken: Sequence[float]
    ) -> None:
        result, what = recipient.result, f"mail {number} ({message_id}): {recipient}"
        assert result.completed or result.next_attempt_at is None, f"neither ended nor held: {what}"
        perhaps = sum(attempt.uncertain for attempt in recipient.attempts) + self._crashed_at_the_dot(
            message_id, recipient.address
        )
        delivered = result.state == "delivered"
        assert len(taken) <= delivered + perhaps, f"taken {len(taken)} times: {what}"
        assert taken or not delivered, f"never taken: {what}"
        if taken and not delivered:
            assert result.uncertain, f"taken, and said not to be: {what}"
        if self._plan.tries is not None:  # who is released by a person gets another try
            releases = sum(act.what == "release" for act in self._plan.acts)
            assert result.tries <= self._plan.tries + releases, f"tried too often: {what}"
        self._check_pace(number, recipient, taken, what)
        ended_at = self._ended_at.get((message_id, recipient.address))
        if ended_at is not None:
            assert not [at for at in taken if at > ended_at], f"taken after cancel() had returned: {what}"

    def _check_pace(self, number: int, recipient: RecipientStatus, taken: Sequence[float], what: str) -> None:
        """Who has nothing in the way is delivered at once, whatever becomes of others."""
        mail = self._mails[number]
        due = mail.at + (mail.send_in_secs or 0.0)
        if not self._is_hastened:
            assert all(at >= due - 1.0 for at in taken), f"due at {due:g}, taken before: {what}"
        if mail.expires_in_secs is not None and not self._is_hastened:
            last = mail.at + mail.expires_in_secs + LONGEST_PASS_SECS
            assert all(at < last for at in taken), f"taken long after it had expired: {what}"
        if self._smooth.is_smooth(mail, recipient.address, due):
            assert taken, f"nothing was in the way of it: {what}"
            assert taken[0] < due + PROMPT_SECS, f"due at {due:g}, taken at {taken[0]:g}: {what}"

    def _crashed_at_the_dot(self, message_id: str, address: str) -> int:
        """Attempts that died with their process: an event is all that tells of each."""
        return sum(
            event.message_id == message_id
            and event.address == address
            and event.result is not None
            and event.result.uncertain
            and "crashed after the final dot" in (event.result.reason or "")
            for event in self.events
        )

    def _check_that_nothing_else_was_taken(self, taken: Mapping[tuple[int, str], list[Taken]]) -> None:
        for number, address in taken:
            assert number in self._ids or number in self._unanswered, f"mail {number} was never sent"
            assert address in self._mails[number].to, f"{address} is no recipient of mail {number}"

    def _check_events(self) -> None:
        cursors = [event.cursor for event in self.events]
        assert all(a is not None and b is not None and a < b for a, b in pairwise(cursors))
        told: dict[tuple[str | None, str | None], list[Event]] = defaultdict(list)
        for event in self.events:
            told[event.message_id, event.address].append(event)
        for message_id in self._ids.values():
            accepted = told.pop((message_id, None), [])
            assert [event.kind for event in accepted] == [EventKind.ACCEPTED], f"{message_id}: {accepted}"
            for recipient in self._last[message_id]:
                events = told.pop((message_id, recipient.address), [])
                ends = [event for event in events if event.result is not None and event.result.completed]
                assert len(ends) == recipient.result.completed, f"{message_id} {recipient}: {events}"
                assert not ends or events[-1] is ends[0], f"told after its end: {events}"
