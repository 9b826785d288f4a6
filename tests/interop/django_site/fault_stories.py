"""What the site does where something is in the way."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import TypeVar

from asgiref.sync import sync_to_async
from django.core.mail import EmailMessage
from django.db import connection, connections, transaction
from django.db.transaction import TransactionManagementError

from mailstrom import Config, Mailstrom
from mailstrom.contrib.django import EmailBackend
from mailstrom.contrib.django.front_doors import FrontDoor, FrontDoors
from mailstrom.contrib.django.settings import Settings
from mailstrom.errors import MailstromError
from tests.interop.django_site.stories import (
    commits,
    commits_and_waits,
    count_orders,
    insert_order,
    make_orders,
    send,
)

H = TypeVar("H", bound=logging.Handler)

LARGE = ("y" * 70 + "\n") * 3000


def send_by_backend(text: str = "Hi.\n", *, silently: bool) -> int:
    """Django 6.1 warns of the argument of its own functions."""
    message = EmailMessage("Hello", text, to=["you@dest.example"])
    return EmailBackend(fail_silently=silently).send_messages([message])


# --- tables


def inserts_and_sends_silently() -> object:
    make_orders()
    with transaction.atomic():
        insert_order()
        return send_by_backend(silently=True)


# --- a full disk


def fills_the_disk_with_an_email() -> object:
    return fills_the_disk(silently=False)


def fills_the_disk_with_an_email_silently() -> object:
    return fills_the_disk(silently=True)


def fills_the_disk(*, silently: bool) -> object:
    """What the view hears of it and of its next row; how many rows are there at last."""
    make_orders()
    heard: list[str] = []
    with suppress(TransactionManagementError), transaction.atomic():
        insert_order()
        leave_pages(5)
        try:
            send_by_backend(LARGE, silently=silently)
        except MailstromError as error:
            heard.append(type(error).__name__)
        try:
            insert_order()
        except TransactionManagementError as error:
            heard.append(type(error).__name__)
    return [heard, count_orders()]


def fails_silently_outside_of_a_transaction() -> object:
    send()
    leave_pages(5)
    return send_by_backend(LARGE, silently=True)


def leave_pages(count: int) -> None:
    with connection.cursor() as cursor:
        cursor.execute("PRAGMA page_count")
        (there,) = cursor.fetchone()
        cursor.execute(f"PRAGMA max_page_count={there + count}")


# --- settings


def is_silently_a_mailer_with_an_unknown_option() -> object:
    return EmailBackend(fail_silently=True, alias="second", colour="red").send_messages(
        [EmailMessage("Hello", "Hi.\n", to=["you@dest.example"])]
    )


# --- asyncio


def sends_in_an_async_function() -> object:
    return asyncio.run(sends_itself(silently=False))


def sends_in_an_async_function_silently() -> object:
    return asyncio.run(sends_itself(silently=True))


async def sends_itself(*, silently: bool) -> object:
    return send_by_backend(silently=silently)


def sends_by_sync_to_async() -> object:
    async def view() -> int:
        try:
            return await sync_to_async(send)()
        finally:
            await sync_to_async(connections.close_all)()

    return asyncio.run(view())


# --- a log that is mailed


class MailedLog(logging.Handler):
    """As `AdminEmailHandler`, of all that mailstrom says; how many of the emails were accepted, each time."""

    def __init__(self) -> None:
        super().__init__()
        self.accepted: list[int] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.accepted.append(send(subject=f"The log: {record.getMessage()}"))


class KeptLog(logging.Handler):
    """What the backend says."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        if record.name == "mailstrom.django":
            self.lines.append(record.getMessage())


def mails_its_log() -> object:
    """What a view could send, and the log; what was said of that."""
    mailed, kept = logged_to(MailedLog()), logged_to(KeptLog())
    return [commits(), sorted(set(mailed.accepted)), sorted(set(kept.lines))]


def mails_its_log_and_delivers() -> object:
    """Whether all was delivered; what the log could send, and what was said of that."""
    logging.getLogger("mailstrom").setLevel(logging.INFO)
    mailed, kept = logged_to(MailedLog()), logged_to(KeptLog())
    return [commits_and_waits(), sorted(set(mailed.accepted)), sorted(set(kept.lines))]


def logged_to(handler: H) -> H:
    logging.getLogger("mailstrom").addHandler(handler)
    return handler


# --- forked processes


def forks_after_its_first_email() -> object:
    """As a server that loads the project, and then makes its processes."""
    send(subject="Parent")
    connections.close_all()
    return exit_code_of_child(lambda: send(subject="Child"))


def forks_while_a_thread_opens_the_queue() -> object:
    is_opening, may_open = threading.Event(), threading.Event()

    def make(_: Mapping[str, object]) -> FrontDoor:
        if threading.current_thread() is not threading.main_thread():
            is_opening.set()
            may_open.wait()
        return a_door()

    doors = FrontDoors(make, turn_secs=3600.0)
    thread = threading.Thread(target=doors.of, args=(None, {}))
    thread.start()
    is_opening.wait()
    code = exit_code_of_child(lambda: doors.of(None, {}))
    may_open.set()
    thread.join()
    return code


def exit_code_of_child(work: Callable[[], object]) -> int:
    child = os.fork()
    if child == 0:
        signal.alarm(20)  # one that waits for ever ends, too
        code = 1
        try:
            work()
            code = 0
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def a_door() -> FrontDoor:
    settings = Settings(config=Config(), is_outbox=False, on_commit=False, role="never")
    return FrontDoor(settings=settings, mailstrom=Mailstrom())
