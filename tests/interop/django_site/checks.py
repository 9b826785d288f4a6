"""The tests of the site, as `manage.py test` runs them."""

from __future__ import annotations

from django.core import mail
from django.test import TestCase, TransactionTestCase

from tests.interop.django_site.stories import commits, send


class Sending(TestCase):
    def test_mail_is_in_the_outbox(self) -> None:
        commits()

        assert [message.subject for message in mail.outbox] == ["Hello"]


class SendingForGood(TransactionTestCase):
    def test_the_outbox_is_empty_at_first(self) -> None:
        send()

        assert len(mail.outbox) == 1
