"""Slips at the front door: what is handed in, the clock, how a worker begins and ends."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from mailstrom import Mailstrom, StorageError, intake, life
from mailstrom.engine.shared_clock import Deviation
from mailstrom.engine.tenure import Tenure
from mailstrom.life import Life

from . import replaces


@replaces(intake, "entry_for")
def the_idempotency_key_is_not_passed_on(right: Any, *args: Any) -> Any:
    email, status = right(*args)
    return email, replace(status, idempotency_key=None)


@replaces(intake, "entry_for")
def send_at_is_ignored(right: Any, *args: Any) -> Any:
    email, status = right(*args)
    now = status.submitted_at
    return email, replace(status, recipients=tuple(replace(each, due_at=now) for each in status.recipients))


@replaces(intake, "entry_for")
def expires_at_is_ignored(right: Any, *args: Any) -> Any:
    email, status = right(*args)
    return email, replace(status, expires_at=None)


@replaces(intake, "entry_for")
def the_last_recipient_is_left_out(right: Any, *args: Any) -> Any:
    email, status = right(*args)
    return email, replace(status, recipients=status.recipients[:-1] or status.recipients)


@replaces(intake, "entry_for")
def the_content_is_another_mails(right: Any, *args: Any) -> Any:
    email, status = right(*args)
    return replace(email, content=email.content.partition(b"\r\n\r\n")[0] + b"\r\n\r\n"), status


@replaces(Mailstrom, "_send")
def an_email_is_sent_again_when_the_storage_fails(right: Any, self: Any, *args: Any) -> Any:
    try:
        return right(self, *args)
    except StorageError:
        self._platform.timeline.block(lambda: False, 10.0)
        return right(self, *args)


@replaces(Mailstrom, "_send")
def trouble_of_the_storage_is_hidden(right: Any, self: Any, *args: Any) -> Any:
    try:
        return right(self, *args)
    except StorageError:
        return f"{self._platform.new_id()}@sender.example"


@replaces(Life, "store")
def what_is_stored_wakes_nobody(right: Any, self: Any, entries: Any) -> Any:
    return self.intake.store(entries)


@replaces(Life, "order")
def what_an_order_makes_due_waits(right: Any, self: Any, order: Any, selection: Any) -> Any:
    return self._steering.carry_out(order, selection)


@replaces(Deviation, "has_lasted")
def a_jump_of_the_clock_is_followed_at_once(right: Any, self: Any, monotonic: float) -> bool:
    return True


@replaces(Deviation, "has_lasted")
def a_jump_of_the_clock_is_never_followed(right: Any, self: Any, monotonic: float) -> bool:
    return False


@replaces(life, "queue_clock")
def the_queue_goes_by_the_wall_clock(right: Any, clock: Any, storage: Any) -> Any:
    return clock


@replaces(Tenure, "finish")
def a_worker_is_not_ended_by_close(right: Any, self: Any, **options: Any) -> None:
    pass


@replaces(Life, "_at_exit")
def nothing_is_done_at_the_exit(right: Any, self: Any) -> None:
    pass
