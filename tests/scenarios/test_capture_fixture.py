"""The pytest fixtures for captured mail."""

from __future__ import annotations

import threading

from mailstrom import Mailstrom
from mailstrom.testing.capture import CapturedMail
from mailstrom.testing.pytest_plugin import captured_mailstrom, mailstrom_outbox
from tests.builders import an_email

__all__ = ["captured_mailstrom", "mailstrom_outbox"]


def test_mail_is_in_the_outbox_as_soon_as_the_test_looks(
    captured_mailstrom: Mailstrom, mailstrom_outbox: CapturedMail
) -> None:
    message_id = captured_mailstrom.send_email(
        an_email(to="a@one.example", bcc="b@two.example", subject="Grüße")
    )

    [mail] = mailstrom_outbox
    assert (mail.message_id, mail.recipients) == (message_id, ("a@one.example", "b@two.example"))
    assert b"two.example" not in mail.content


def test_an_entry_can_be_read_as_a_message(
    captured_mailstrom: Mailstrom, mailstrom_outbox: CapturedMail
) -> None:
    captured_mailstrom.send_email(an_email(subject="Grüße", text="Schön.\n"))

    assert [message["Subject"] for message in mailstrom_outbox.parsed] == ["Grüße"]
    assert mailstrom_outbox.texts == ("Schön.\n",)


def test_where_there_is_only_html_that_is_the_text(
    captured_mailstrom: Mailstrom, mailstrom_outbox: CapturedMail
) -> None:
    captured_mailstrom.send_email(an_email(text=None, html="<p>Hi.</p>\n"))

    assert mailstrom_outbox.texts == ("<p>Hi.</p>\n",)


def test_mail_sent_by_other_threads_is_seen(
    captured_mailstrom: Mailstrom, mailstrom_outbox: CapturedMail
) -> None:
    threads = [threading.Thread(target=captured_mailstrom.send_email, args=(an_email(),)) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(mailstrom_outbox) == 5


def test_the_status_of_captured_mail_is_delivered(
    captured_mailstrom: Mailstrom, mailstrom_outbox: CapturedMail
) -> None:
    message_id = captured_mailstrom.send_email(an_email())

    assert len(mailstrom_outbox) == 1
    assert captured_mailstrom.query_status(message_id).succeeded


def test_a_cleared_outbox_holds_what_comes_after(
    captured_mailstrom: Mailstrom, mailstrom_outbox: CapturedMail
) -> None:
    captured_mailstrom.send_email(an_email(subject="before"))
    mailstrom_outbox.clear()
    captured_mailstrom.send_email(an_email(subject="after"))

    assert [message["Subject"] for message in mailstrom_outbox.parsed] == ["after"]


def test_each_test_begins_with_an_empty_outbox(mailstrom_outbox: CapturedMail) -> None:
    assert list(mailstrom_outbox) == []
