"""What must hold of every story, judged from outside: by what hosts took and what callers were told.

    pace.py        when a recipient is tried, how long it waits, by when it is over
    promises.py    what is promised happens, in its time
    causes.py      what is said of it follows from what hosts answered, and from the policy
    directions.py  it goes where the DNS says
    replies.py     what is said of a reply is what a host said
    doubt.py       deliveries, doubts, and the claims that were lost
    obedience.py   orders are carried out, and only those
    audience.py    events against statuses, and what observers hear
    clocks.py      the time that a queue goes by
    limits.py      connections, messages over one of them, work that comes to nothing
    ramp.py        how many deliveries a lane takes at once
    unvisited.py   what is said of a host that was not visited
    network.py     when a network is said to be lost, and what that costs

The rules are the functions of these; here is what they are told, and when they are asked.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from mailstrom.event import Event
from mailstrom.status import MessageStatus, RecipientStatus
from mailstrom.testing.smtp_server import SmtpServer

from . import (
    audience,
    causes,
    directions,
    doubt,
    limits,
    network,
    obedience,
    pace,
    promises,
    ramp,
    replies,
    unvisited,
)
from .case import Case
from .clocks import Clocks
from .orders import Asked, Orders
from .plan import Act, MailPlan, Plan
from .smooth import SmoothWays
from .taken import Taken, taken_by
from .traffic import Traffic
from .witness import Ask, Witness

if TYPE_CHECKING:
    from mailstrom.testing.process import Process

    from .story import Slot

Rule = Callable[[Case], None]
Told = Mapping[tuple[str | None, str | None], Sequence[Event]]

RULES: tuple[Rule, ...] = (
    doubt.each_delivery_beyond_the_first_is_explained,
    doubt.what_is_delivered_was_taken,
    doubt.what_was_taken_is_not_denied,
    doubt.a_doubt_stays_until_it_is_delivered,
    doubt.a_crash_is_only_told_where_a_claim_was_lost,
    causes.no_pass_ends_by_an_error_of_ours,
    causes.tries_never_go_beyond_the_policy,
    causes.each_pass_that_came_to_a_host_counts_as_a_try,
    causes.nobody_is_given_up_before_the_last_try,
    causes.only_a_permanent_reply_refuses,
    causes.a_permanent_reply_fails_at_that_host,
    causes.what_one_host_puts_off_another_does_not_refuse,
    causes.who_is_refused_or_served_goes_no_further,
    causes.what_is_uncertain_goes_as_the_policy_says,
    directions.only_the_dns_says_that_there_is_no_such_domain,
    replies.the_reply_of_a_result_is_that_of_a_visit,
    replies.a_result_names_the_reply_that_it_comes_from,
    promises.what_has_expired_is_ended,
    obedience.nothing_is_taken_after_cancel_has_returned,
    obedience.nothing_is_begun_after_cancel_has_returned,
    obedience.only_cancel_cancels,
    obedience.what_is_held_is_not_tried,
    obedience.what_is_left_is_held_for_a_reason,
    pace.nothing_is_taken_before_it_is_due,
    pace.nothing_is_taken_long_after_it_has_expired,
    pace.no_pass_begins_after_it_has_expired,
    pace.each_wait_is_the_policys,
    pace.nobody_waits_beyond_the_end,
    audience.the_end_is_told_once_and_last,
    audience.the_last_event_is_the_status,
)

RULES_OF_TRAFFIC: tuple[Callable[[Case, Traffic], None], ...] = (
    directions.hosts_are_asked_in_the_order_of_the_dns,
    replies.each_reply_of_a_visit_was_said_then,
)

RULES_OF_TELLERS: tuple[Callable[[Case, Witness], None], ...] = (
    directions.the_dns_is_only_blamed_for_trouble_of_its_own,
    unvisited.an_answer_without_a_visit_is_that_of_a_visit,
    unvisited.nobody_who_could_be_reached_is_said_to_be_down,
    ramp.a_lane_that_is_open_takes_more_than_one,
)

RULES_OF_PROCESSES: tuple[Callable[[Witness, Orders], None], ...] = (
    ramp.each_lane_has_room_for_as_many_as_it_takes,
    network.a_network_is_only_lost_where_nobody_is_reached,
    network.a_lost_network_is_back_as_soon_as_somebody_is_reached,
    network.a_lost_network_spends_no_tries,
    network.a_lost_network_is_noticed,
)


class Oracle:
    """Knows what was promised, told and taken; raises AssertionError with what does not hold."""

    def __init__(self, plan: Plan, now: Callable[[], float], servers: Mapping[str, SmtpServer]) -> None:
        self.events: list[Event] = []
        self._plan = plan
        self._now = now
        self._servers = servers
        self._mails = {mail.number: mail for mail in plan.mails}
        self._ids: dict[int, str] = {}
        self._sent_at: dict[int, float] = {}
        self._unanswered: list[int] = []  # sent with an error: stored, or not
        self._final: dict[tuple[str, str], str] = {}
        self._cancelled_at: dict[tuple[str, str], float] = {}
        self._last: dict[str, MessageStatus] = {}
        self._seen_at: dict[str, float] = {}
        self._heard: dict[tuple[str | None, str | None], list[Event]] = defaultdict(list)
        self._witness = Witness(plan)
        self._orders = Orders()
        self._pauses = obedience.Pauses()
        self._clocks = Clocks(self._orders, is_shared=plan.queue != "memory")
        self._connections = limits.Connections(plan)
        self._effort = limits.Effort(plan)
        self._alarm: AssertionError | None = None

    @property
    def ids(self) -> Sequence[str]:
        """Of what was promised to be delivered."""
        return tuple(self._ids.values())

    @property
    def statuses(self) -> Sequence[MessageStatus]:
        """What callers saw last."""
        return tuple(self._last.values())

    @property
    def is_alarmed(self) -> bool:
        """Something does not hold already: `look` tells."""
        return self._alarm is not None

    def id_of(self, number: int) -> str | None:
        """The message id of a mail."""
        return self._ids.get(number)

    # --- told by the story

    def promised(self, mail: MailPlan, message_id: str) -> None:
        """`send_email` has returned."""
        self._sent_at.setdefault(mail.number, self._now())
        first = self._ids.setdefault(mail.number, message_id)
        assert first == message_id, f"mail {mail.number} was sent twice with one key: {first}, {message_id}"

    def refused(self, mail: MailPlan) -> None:
        """`send_email` has raised."""
        self._unanswered.append(mail.number)

    def told(self, status: MessageStatus) -> None:
        """A caller saw this status."""
        audience.completed_messages_say_when(status)
        self._last[status.message_id] = status
        self._seen_at[status.message_id] = self._now()
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
                self._cancelled_at.setdefault((status.message_id, recipient.address), self._now())

    def begins(self, act: Act) -> Asked | None:
        """An operator is about to do this; None: it concerns a mail that nobody knows of."""
        if act.what in ("cancel", "hold") and act.number not in self._ids:
            return None
        return self._orders.begins(act, self._now())

    def has_done(self, asked: Asked | None, process: Process) -> None:
        """That was done, without an error."""
        if asked is not None:
            asked.done_at = self._now()
            if asked.act.what == "pause":
                self._pauses.begins(process.name, self._now(), asked.act.secs)
            if asked.act.what == "jump":
                self._clocks.was_set(process, self._now())

    # --- at every step; what does not hold is told by `look`: here a process would hear it

    def heard(self, name: str, event: Event) -> None:
        """An observer of the process was told."""
        self._heard[event.message_id, event.address].append(event)
        self._witness.heard(name, event, self._now())
        with self._alarming():
            self._clocks.check(name, event, self._now())

    def called(self, process: Process, call: str) -> None:
        """A process calls its storage."""
        if call in ("claim_many", "next_due"):
            self._clocks.looks(process.name, self._now())
        with self._alarming():
            self._effort.note(process.name, self._now())
            self._pauses.check(process.name, call, self._now())
            self._connections.check(process, self._now())

    @contextmanager
    def _alarming(self) -> Iterator[None]:
        try:
            yield
        except AssertionError as error:
            self._alarm = self._alarm or error

    def look(self, slots: Sequence[Slot]) -> None:
        """What must hold at any time."""
        if self._alarm is not None:
            raise self._alarm
        for slot in slots:
            self._connections.check(slot.process, self._now())

    # --- at the end

    def check_the_end(self, processes: Iterable[Process], asks: Mapping[str, Sequence[Ask]]) -> None:
        """What must hold when the queue is at rest, after all that processes tried and asked the DNS."""
        self._witness.saw(processes, asks)
        taken = taken_by(self._servers, self._plan)
        ways = SmoothWays(self._plan, self._orders.acts)
        cases = tuple(self._cases(taken))
        unknown = [mail for mail in self._plan.mails if mail.number in {*self._unanswered} - {*self._ids}]
        traffic = Traffic(self._plan, cases, unknown, self._servers)
        for case in cases:
            self._check(case, ways, traffic)
        for process_rule in RULES_OF_PROCESSES:
            process_rule(self._witness, self._orders)
        self._check_that_nothing_else_was_taken(taken)
        self._check_what_was_stored()
        limits.sessions_carry_no_more_messages_than_allowed(self._plan, self._servers)
        wrong = [each for server in self._servers.values() for each in server.ledger.violations]
        assert not wrong, wrong

    def _cases(self, taken: Mapping[tuple[int, str], Sequence[Taken]]) -> Iterator[Case]:
        told: dict[tuple[str | None, str | None], list[Event]] = defaultdict(list)
        for event in self.events:
            told[event.message_id, event.address].append(event)
        for number, message_id in self._ids.items():
            status = self._last[message_id]
            assert {each.address for each in status} == {*self._mails[number].to}, f"not all of it: {status}"
            for recipient in status:
                yield self._case(number, message_id, recipient, told, taken)

    def _case(
        self,
        number: int,
        message_id: str,
        recipient: RecipientStatus,
        told: Told,
        taken: Mapping[tuple[int, str], Sequence[Taken]],
    ) -> Case:
        place = (message_id, recipient.address)
        return Case(
            plan=self._plan,
            mail=self._mails[number],
            sent_at=self._sent_at[number],
            message_id=message_id,
            recipient=recipient,
            events=tuple(told.get(place, ())),
            taken=tuple(taken.get((number, recipient.address), ())),
            orders=self._orders,
            cancelled_at=self._cancelled_at.get(place),
            seen_at=self._seen_at[message_id],
        )

    def _check(self, case: Case, ways: SmoothWays, traffic: Traffic) -> None:
        for rule in RULES:
            rule(case)
        for told_rule in RULES_OF_TELLERS:
            told_rule(case, self._witness)
        for traffic_rule in RULES_OF_TRAFFIC:
            traffic_rule(case, traffic)
        promises.what_is_due_is_tried(case, traffic, self._witness)
        pace.all_is_over_within_the_time_of_the_policy(case, traffic, self._witness)
        pace.who_has_nothing_in_the_way_is_delivered_at_once(case, ways)
        pace.who_has_nothing_in_the_way_needs_one_visit(case, ways)
        heard = self._heard[case.message_id, case.recipient.address]
        audience.observers_hear_only_what_is_so(case, heard)
        audience.observers_hear_of_each_result(case, heard)

    def _check_that_nothing_else_was_taken(self, taken: Mapping[tuple[int, str], Sequence[Taken]]) -> None:
        for number, address in taken:
            assert number in self._ids or number in self._unanswered, f"mail {number} was never sent"
            assert address in self._mails[number].to, f"{address} is no recipient of mail {number}"

    def _check_what_was_stored(self) -> None:
        audience.cursors_rise(self.events)
        audience.each_message_is_accepted_once(self.events, [self._last[each] for each in self.ids])
        stored = {event.message_id for event in self.events if event.message_id is not None}
        unknown = stored - {*self.ids}
        assert len(unknown) <= len(self._unanswered), f"nobody has sent {sorted(unknown)}"
