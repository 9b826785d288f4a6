"""Django's mail through mailstrom, stored in the transaction of the view that sends it.

    EMAIL_BACKEND = "mailstrom.contrib.django.EmailBackend"
    INSTALLED_APPS = [..., "mailstrom.contrib.django"]        for manage.py migrate and mailstrom_worker

`settings.py` tells what else can be set.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import partial
from typing import TYPE_CHECKING

from django.core.mail.backends.base import BaseEmailBackend
from django.db import transaction

from ...errors import ConfigError, MailstromError, StorageError
from ...message.address import parse_mailbox
from ...submission import Entry, Submission
from .at_work import at_work, tell_of_refusal
from .callers import callers_transaction, check_may_block
from .front_doors import FrontDoor, front_door

if TYPE_CHECKING:
    from django.core.mail import EmailMessage

__all__ = ["EmailBackend"]


class EmailBackend(BaseEmailBackend):  # type: ignore[misc]  # Django has no types
    """Takes what Django's functions send, and counts what was accepted.

    On the default database an email is stored by its connection, in its transaction. On another
    storage it is stored when that transaction has committed.
    """

    def __init__(
        self,
        fail_silently: bool = False,
        *,
        alias: str | None = None,
        _ignore_unknown_kwargs: Collection[str] = (),
        **options: object,
    ) -> None:
        super().__init__(alias=alias)
        self.alias = alias  # Django 5.2 knows none
        self.fail_silently = fail_silently
        # Without an alias they are those of Django's own SMTP backend: username, password, ...
        given = {} if alias is None else options
        self._options = {name: given[name] for name in given if name not in _ignore_unknown_kwargs}

    def send_messages(self, email_messages: Sequence[EmailMessage]) -> int:
        """How many were accepted: all, or it raises; with `fail_silently` those that could be.

        Also then it raises `ConfigError`, and a `StorageError` that has rolled back the caller's
        transaction. Of a log handler that mails what this call has logged, none is accepted.
        """
        with at_work() as was_at_work:
            if was_at_work:
                tell_of_refusal()
                return 0
            check_may_block()
            messages = [each for each in email_messages if each.recipients()]
            if not self.fail_silently:
                return self._accept(messages)
            return sum(self._accept_silently(each) for each in messages)

    def _accept_silently(self, message: EmailMessage) -> int:
        try:
            return self._accept([message])
        except ConfigError:
            raise
        except MailstromError as error:
            if isinstance(error, StorageError) and error.transaction_lost:
                raise
            return 0

    def _accept(self, messages: Sequence[EmailMessage]) -> int:
        door = front_door(self.alias, self._options)
        submissions = [_submission(each) for each in messages]
        if not door.settings.on_commit:
            door.mailstrom.send_emails(submissions)
        elif door.settings.is_outbox:
            with callers_transaction() as connection:
                door.mailstrom.send_emails(submissions, connection=connection)
        else:
            # checked now, where the caller hears of it
            entries = door.mailstrom._entries(submissions)
            transaction.on_commit(partial(_store, door, entries), robust=self.fail_silently)
        return len(messages)


def _submission(message: EmailMessage) -> Submission:
    """The content as Django writes it; the envelope apart, since Bcc is in it alone."""
    sender = parse_mailbox(message.from_email, field="from_email")
    return Submission(message.message(), recipients=message.recipients(), return_path=sender.address)


def _store(door: FrontDoor, entries: Sequence[Entry]) -> None:
    with at_work():
        door.mailstrom._store(entries, None)
