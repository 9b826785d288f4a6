"""What `prepare` made at the call is what goes out: nothing is written anew later."""

from __future__ import annotations

from email import message_from_string, policy
from email.message import EmailMessage

import pytest

from mailstrom import Config, Email, Mailstrom, MessageError

GIVEN = {"from_": "a@b.example", "to": "c@d.example", "subject": "h\u00e9", "text": "h\u00e9llo\n"}


def test_p50_finished_octets_arrive_octet_by_octet() -> None:
    """P50: as_string() and as_bytes() of the `email` package differ: what is signed is not what is sent."""
    with Mailstrom(Config(mode="capture")) as m:
        m.start()
        m.wait(m.send_email(Email(**GIVEN, html="<p>h\u00e9llo</p>\n")), timeout=10)
        first = m.outbox[0].content
        second = first.replace(b"Message-ID: <", b"Message-ID: <again.")

        m.wait(m.send_email(second), timeout=10)

        assert [mail.content for mail in m.outbox] == [first, second]


@pytest.mark.parametrize("how", [policy.default, policy.SMTP])
def test_p51_what_cannot_be_encoded_is_refused_at_the_call(how: policy.EmailPolicy[EmailMessage]) -> None:
    """P51 (gh-131655): UnicodeEncodeError, when the `email` package is asked for octets at last."""
    message = message_from_string("From: a@b.example\nTo: c@d.example\n\n\udcff\n", policy=how)

    with Mailstrom(Config(mode="capture")) as m:
        with pytest.raises(MessageError):
            m.send_email(message)

        assert m.query_recent() == []
