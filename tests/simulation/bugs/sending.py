"""Slips on the way to a host: sessions, transactions, the pool, one host after the other."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from mailstrom.engine import delivery
from mailstrom.engine.ahead import Ahead
from mailstrom.engine.delivery import Delivery
from mailstrom.engine.follower import Follower
from mailstrom.engine.pool import Pool
from mailstrom.schedule.verdict import FaultKind, Verdict
from mailstrom.smtp import conversation, session, transaction
from mailstrom.smtp.conversation import Conversation
from mailstrom.smtp.session import Session
from mailstrom.smtp.transaction import Transaction

from . import replaces

# --- the pool


@replaces(Pool, "take")
def a_session_with_another_host_is_used(right: Any, self: Any, lane: str) -> Any:
    return next(filter(None, (right(self, each) for each in list(self._idle))), None)


@replaces(Pool, "make_room")
def idle_sessions_make_no_room(right: Any, self: Any, busy: int) -> None:
    pass


@replaces(Pool, "__init__")
def idle_sessions_are_never_ended(right: Any, self: Any, config: Any) -> None:
    right(self, config)
    self._idle_secs = 1e9


@replaces(Pool, "_is_good")
def a_session_carries_any_number_of_messages(right: Any, self: Any, session: Any) -> bool:
    return bool(session.usable)


@replaces(Pool, "end")
def a_session_is_ended_without_being_closed(right: Any, self: Any, session: Any) -> None:
    pass


# --- who follows behind a dot


@replaces(Ahead, "put_back")
def who_was_set_apart_is_forgotten(right: Any, self: Any, lane: str, job: Any) -> bool:
    self._apart.pop(job, None)
    return False


@replaces(Follower, "hand_on")
def a_session_that_is_handed_on_is_anybodys(right: Any, self: Any, session: Any, *, is_last: bool) -> bool:
    right(self, session, is_last=is_last)
    return False


# --- the session


@replaces(Session, "_is_ready_again")
async def nothing_is_reset_before_the_next_message(right: Any, self: Any) -> bool:
    return bool(self.usable)


@replaces(Session, "_was_stale")
def a_dead_idle_session_counts_as_a_try(right: Any, self: Any, transaction: Any) -> bool:
    return False


@replaces(Session, "_was_stale")
def a_session_is_always_taken_for_stale(right: Any, self: Any, transaction: Any) -> bool:
    return not transaction.dot_answered


@replaces(Conversation, "_content")
async def the_mark_comes_after_the_dot(
    right: Any, self: Any, transaction: Any, email: Any, before_dot: Any, read_content: Any
) -> None:
    async def not_yet(accepted: Any) -> bool:
        return True

    await right(self, transaction, email, not_yet, read_content)
    if not await before_dot(tuple(transaction.accepted)):
        raise self._protocol.give_up(FaultKind.LEASE_LOST)


@replaces(conversation, "dot_stuffed_chunks")
def dots_are_not_doubled(right: Any, content: bytes, **how: bool) -> Iterator[bytes]:
    yield content + b".\r\n"


@replaces(conversation, "dot_stuffed_chunks")
def the_end_of_a_long_message_is_lost(right: Any, content: bytes, **how: bool) -> Iterator[bytes]:
    end = content.rindex(b"\r\n", 0, 16_000) + 2 if len(content) > 16_000 else len(content)
    yield from right(content[:end], **how)


@replaces(session, "judge_fault")
def what_is_uncertain_is_called_deferred(right: Any, *args: Any) -> Verdict:
    return replace(right(*args), uncertain=False)


@replaces(Conversation, "_whole")
async def what_goes_out_in_one_write_has_no_mark(
    right: Any, self: Any, transaction: Any, before_dot: Any
) -> None:
    async def always(named: Any) -> bool:
        return True

    await right(self, transaction, always)


@replaces(session, "Room")
def limits_of_a_session_are_passed(right: Any, limits: Any) -> Any:
    return right(replace(limits, mails=None, domains=None))


@replaces(session, "Room")
def limits_of_a_transaction_are_passed(right: Any, limits: Any) -> Any:
    return right(replace(limits, recipients=None))


# --- the transaction


@replaces(Transaction, "receive")
def a_session_goes_on_after_421(right: Any, self: Any, reply: Any) -> None:
    right(self, reply)
    if reply.code == 421:
        self.out_of_step = False


@replaces(Transaction, "_rcpt_answered")
def a_reply_is_taken_for_another_recipients(right: Any, self: Any, recipient: str, reply: Any) -> None:
    place = self._recipients.index(recipient)
    right(self, self._recipients[-1 - place], reply)


@replaces(Transaction, "_rcpt_answered")
def a_transient_refusal_of_one_holds_for_all(right: Any, self: Any, recipient: str, reply: Any) -> None:
    right(self, recipient, reply)
    if self.started and reply.is_transient:
        self._judged(self._recipients, self._judge(transaction.Phase.RCPT, reply))


@replaces(Transaction, "_dot_answered")
def the_reply_to_the_dot_holds_for_all(right: Any, self: Any, reply: Any) -> None:
    self._judged(self._recipients, self._judge(transaction.Phase.DOT, reply))
    right(self, reply)


@replaces(Transaction, "_chunk_answered")
def the_reply_to_the_last_chunk_holds_for_all(right: Any, self: Any, reply: Any) -> None:
    self._judged(self._recipients, self._judge(transaction.Phase.DOT, reply))
    right(self, reply)


@replaces(Transaction, "fail")
def whom_a_lost_chunk_was_for_is_put_off(right: Any, self: Any, verdict: Any, **how: Any) -> None:
    right(self, replace(verdict, uncertain=verdict.uncertain and not self.is_whole), **how)


@replaces(transaction, "whole_chunk")
def a_chunk_has_its_dots_doubled(right: Any, content: bytes, **how: bool) -> bytes:
    return bytes(right(content, **how).replace(b"\r\n.", b"\r\n.."))


@replaces(Transaction, "_postpone")
def who_is_one_too_many_counts_as_accepted(right: Any, self: Any, recipient: str, reply: Any) -> None:
    self.accepted.append(recipient)


@replaces(Transaction, "_data_answered")
def the_content_follows_a_refused_data(right: Any, self: Any, reply: Any) -> None:
    if reply.is_transient and self.accepted:
        self.step = transaction.Step.CONTENT
    else:
        right(self, reply)


# --- one host after the other


@replaces(Delivery, "_stops")
def the_backup_is_asked_first(right: Any, self: Any) -> Iterator[Any]:
    return reversed(list(right(self)))


@replaces(Delivery, "_stops")
def only_the_first_host_is_asked(right: Any, self: Any) -> Iterator[Any]:
    return iter(list(right(self))[:1])


@replaces(delivery, "combine")
def the_last_host_has_the_last_word(right: Any, earlier: Any, later: Any) -> Any:
    return later


@replaces(Verdict, "ends_the_pass")
def what_may_be_delivered_goes_on_to_the_next_host(right: Any, self: Any) -> bool:
    return bool(right(self)) and not self.uncertain


@replaces(Verdict, "ends_the_pass")
def who_is_refused_by_name_goes_on_to_the_next_host(right: Any, self: Any) -> bool:
    return bool(right(self)) and self.state != "failed"


@replaces(Verdict, "ends_the_pass")
def who_has_it_goes_on_to_the_next_host(right: Any, self: Any) -> bool:
    return bool(right(self)) and self.state != "delivered"


@replaces(delivery, "_settle_unrouted")
async def trouble_in_the_dns_fails_the_mail(
    right: Any, job: Any, slot: Any, recipients: Any, failure: Any, *more: Any
) -> bool:
    return bool(await right(job, slot, recipients, replace(failure, state="failed"), *more))
