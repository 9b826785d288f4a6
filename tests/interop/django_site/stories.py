"""What the site does, and what comes of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress

from django.core.mail import EmailMessage, EmailMultiAlternatives, send_mail
from django.db import connection, transaction

from mailstrom.contrib.django import EmailBackend
from mailstrom.contrib.django.front_doors import front_door
from mailstrom.errors import MailstromError


class Wrong(Exception):
    """What rolls a transaction back."""


def send(to: str = "you@dest.example", subject: str = "Hello") -> int:
    return send_mail(subject, "Hi.\n", None, [to])


@contextmanager
def rolled_back() -> Iterator[None]:
    with suppress(Wrong), transaction.atomic():
        yield
        raise Wrong


def commits() -> object:
    with transaction.atomic():
        return send()


def commits_and_waits() -> object:
    commits()
    return front_door(None, {}).mailstrom.drain(timeout=20)


def rolls_back() -> object:
    with rolled_back():
        return send()


def rolls_back_a_savepoint() -> object:
    with transaction.atomic():
        with rolled_back():
            send(subject="Inside")
        return send(subject="Outside")


def has_no_transaction() -> object:
    return send()


def sends_in_a_broken_block() -> object:
    """What a view does that swallows an error of the database's."""
    with suppress(transaction.TransactionManagementError), transaction.atomic():
        transaction.set_rollback(True)
        try:
            send()
        except MailstromError as error:
            return type(error).__name__
    return None


def sends_three_of_which_one_has_nobody_to_go_to() -> object:
    messages = [
        EmailMessage("One", "Hi.\n", to=["one@dest.example"]),
        EmailMessage("Nobody", "Hi.\n"),
        EmailMessage("Two", "Hi.\n", bcc=["two@dest.example"]),
    ]
    return EmailBackend().send_messages(messages)


def sends_one_that_is_wrong() -> object:
    return send("not an address")


def sends_two_of_which_one_is_wrong_silently() -> object:
    messages = [EmailMessage("One", "Hi.\n", to=[to]) for to in ("not an address", "you@dest.example")]
    return EmailBackend(fail_silently=True).send_messages(messages)


def sends_everything() -> object:
    message = EmailMultiAlternatives(
        subject="Grüße – №\u00a01",
        body="Schöne Grüße\n",
        from_email="Jörg <joerg@sender.example>",
        to=["Ann <ann@dest.example>", "bob@dest.example"],
        cc=["cc@dest.example"],
        bcc=["hidden@dest.example"],
        reply_to=["help@sender.example"],
        headers={"X-Order": "4711", "Message-ID": "<order-4711@sender.example>"},
    )
    message.attach_alternative("<p>Schöne Grüße</p>", "text/html")
    message.attach("data.bin", bytes(range(256)), "application/octet-stream")
    message.attach("notes.txt", "Zeile 1\nZeile 2\n", "text/plain")
    return EmailBackend().send_messages([message])


def is_a_mailer() -> object:
    """As Django 6.1 makes one of the OPTIONS of a mailer."""
    options = {"helo_name": "mailer.sender.example", "role": "never"}
    return EmailBackend(alias="second", **options).send_messages(
        [EmailMessage("Hello", "Hi.\n", to=["you@dest.example"])]
    )


def is_a_mailer_with_an_unknown_option() -> object:
    return EmailBackend(alias="second", colour="red").send_messages(
        [EmailMessage("Hello", "Hi.\n", to=["you@dest.example"])]
    )


def inserts_and_fails_to_send() -> object:
    make_orders()
    with transaction.atomic():
        insert_order()
        with suppress(MailstromError):
            send("not an address")
    return count_orders()


def inserts_and_sends() -> object:
    """What a view does, and the first email of its process."""
    make_orders()
    with transaction.atomic():
        insert_order()
        return send()


def make_orders() -> None:
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE orders (number INTEGER)")


def insert_order() -> None:
    with connection.cursor() as cursor:
        cursor.execute("INSERT INTO orders VALUES (1)")


def count_orders() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM orders")
        (count,) = cursor.fetchone()
    return int(count)
