"""Emails of each kind, handed in by a caller and read octet by octet at a mail host of our own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from email import message_from_bytes, policy
from email.message import EmailMessage, Message
from email.mime.text import MIMEText
from typing import Any

import pytest

from mailstrom import (
    Cause,
    Config,
    DuplicateMessage,
    Email,
    IdempotencyConflict,
    Mailstrom,
    MessageStatus,
    RelayConfig,
)
from tests.blackbox.sink import Mail, Sink

RAW = (
    b"From: Me <me@s.example>\n"
    b"To: you@dest.example\n"
    b"Bcc: secret@dest.example,\n third@dest.example\n"
    b"Message-ID: <kept.as.it.is@s.example>\n"
    b"Subject: dots\n"
    b"\n"
    b".\n..\n.three\nlast line without an end"
)


@dataclass
class Host:
    """A mailstrom that sends everything to one sink."""

    m: Mailstrom
    sink: Sink

    def takes(self, email: Any, **options: Any) -> tuple[MessageStatus, Mail]:
        """The final status, and the mail that came in."""
        status = self.m.wait(self.m.send_email(email, **options), timeout=30)
        return status, self.sink.mails[-1]


@pytest.fixture
def host() -> Iterator[Host]:
    with Sink() as sink:
        relay = RelayConfig("127.0.0.1", sink.port, tls="none")
        with Mailstrom(Config("h.example", delivery=relay)) as m:
            yield Host(m.start(), sink)


def modern() -> EmailMessage:
    message = EmailMessage()
    message["From"] = "J\u00f6rg <me@s.example>"
    message["To"] = "Team: a@dest.example, B <b@dest.example>;, c@dest.example"
    message["Cc"] = "a@DEST.example, d@dest.example"
    message["Bcc"] = "secret@dest.example"
    message["Subject"] = "Gr\u00fc\u00dfe"
    message.set_content("Sch\u00f6n!\n")
    return message


def legacy() -> Message:
    message = MIMEText("Sch\u00f6n!\n", "plain", "utf-8")
    message["From"] = "me@s.example"
    message["To"] = "a@dest.example"
    message["Bcc"] = "secret@dest.example"
    message["Subject"] = "Gr\u00fc\u00dfe"
    return message


def built() -> Email:
    return Email(
        from_="J\u00f6rg <me@s.example>",
        to="Team: a@dest.example, B <b@dest.example>;, c@dest.example",
        cc=["a@DEST.example", "d@dest.example"],
        bcc=("Someone", "secret@dest.example"),
        subject="Gr\u00fc\u00dfe",
        text="Sch\u00f6n!\n",
    )


@pytest.mark.parametrize("make", [modern, legacy, built])
def test_each_kind_of_email_arrives_readable_and_without_its_bcc(host: Host, make: Callable[[], Any]) -> None:
    _, mail = host.takes(make())

    read = message_from_bytes(mail.content, policy=policy.default)
    assert read["Subject"] == "Gr\u00fc\u00dfe"
    assert read.get_content().strip() == "Sch\u00f6n!"
    assert (read["Bcc"], b"secret" in mail.content) == (None, False)
    assert "<secret@dest.example>" in mail.recipients
    assert (read.defects, mail.sender) == ([], "<me@s.example>")
    assert {"Date", "Message-ID", "From", "To"} <= set(read.keys())
    assert mail.content.replace(b"\r\n", b"").find(b"\n") == -1


@pytest.mark.parametrize("make", [modern, built])
def test_recipients_stand_in_the_order_to_cc_bcc_groups_expanded_duplicates_collapsed(
    host: Host, make: Callable[[], Any]
) -> None:
    status, mail = host.takes(make())

    wanted = [f"{name}@dest.example" for name in ("a", "b", "c", "d", "secret")]
    assert [recipient.address for recipient in status.recipients] == wanted
    assert mail.recipients == [f"<{address}>" for address in wanted]
    assert status.recipients[1].recipient == "B <b@dest.example>"


def test_finished_bytes_arrive_as_they_are_but_for_line_ends_bcc_and_a_missing_date(host: Host) -> None:
    status, mail = host.takes(RAW)

    header, _, body = mail.content.partition(b"\r\n\r\n")
    assert status.message_id == "kept.as.it.is@s.example"
    assert body == b".\r\n..\r\n.three\r\nlast line without an end\r\n"
    assert header.split(b"\r\n")[:4] == [
        b"From: Me <me@s.example>",
        b"To: you@dest.example",
        b"Message-ID: <kept.as.it.is@s.example>",
        b"Subject: dots",
    ]
    assert header.split(b"\r\n")[4].startswith(b"Date: ")
    assert mail.recipients == [f"<{name}@dest.example>" for name in ("you", "secret", "third")]


def test_the_callers_message_is_left_as_it_was(host: Host) -> None:
    message = modern()
    before = message.as_bytes()

    host.takes(message)

    assert message.as_bytes() == before


@pytest.mark.parametrize(
    ("options", "sender", "recipients"),
    [
        ({"recipients": ["x@other.example"]}, "<me@s.example>", ["<x@other.example>"]),
        (
            {"recipients": "x@other.example, y@z.example"},
            "<me@s.example>",
            ["<x@other.example>", "<y@z.example>"],
        ),
        ({"return_path": "bounces@s.example"}, "<bounces@s.example>", None),
        ({"return_path": ""}, "<>", None),
        ({"return_path": "<>"}, "<>", None),
    ],
)
def test_the_envelope_is_the_callers_to_choose(
    host: Host, options: dict[str, Any], sender: str, recipients: list[str] | None
) -> None:
    _, mail = host.takes(RAW, **options)

    everybody = [f"<{name}@dest.example>" for name in ("you", "secret", "third")]
    assert (mail.sender.split(" ")[0], mail.recipients) == (sender, recipients or everybody)


def test_bounces_go_to_the_sender_where_there_is_one(host: Host) -> None:
    _, mail = host.takes(b"Sender: secretary@s.example\n" + RAW)

    assert mail.sender.split(" ")[0] == "<secretary@s.example>"


def test_a_message_id_is_taken_once(host: Host) -> None:
    host.takes(RAW)

    with pytest.raises(DuplicateMessage, match=r"kept\.as\.it\.is@s\.example"):
        host.m.send_email(RAW)
    assert len(host.sink.mails) == 1


def test_an_idempotency_key_sends_once_and_refuses_other_content(host: Host) -> None:
    first, _ = host.takes(built(), idempotency_key="order 7")

    again = host.m.send_email(built(), idempotency_key="order 7")
    with pytest.raises(IdempotencyConflict, match="order 7"):
        host.m.send_email(built().replace(text="Other.\n"), idempotency_key="order 7")
    with pytest.raises(IdempotencyConflict):
        host.m.send_email(built(), recipients="x@dest.example", idempotency_key="order 7")

    assert host.m.drain(timeout=30)
    assert again == first.message_id
    assert len(host.sink.mails) == 1


def test_an_address_beyond_ascii_is_asked_for_with_smtputf8(host: Host) -> None:
    status, mail = host.takes(built(), recipients="j\u00f6rg@m\u00fcller.example")

    assert "SMTPUTF8" in mail.sender
    assert mail.recipients == ["<j\u00f6rg@xn--mller-kva.example>"]
    assert status.recipients[0].recipient == "j\u00f6rg@m\u00fcller.example"


def test_each_recipient_has_the_answer_that_was_his() -> None:
    answers = {"no": "550 5.1.1 nobody here", "later": "451 4.7.1 come back", "yes": "250 2.1.5 welcome"}
    with Sink(on_rcpt=lambda address: answers[address.partition("@")[0]]) as sink:
        relay = RelayConfig("127.0.0.1", sink.port, tls="none")
        m = Mailstrom(Config("h.example", delivery=relay)).start()
        m.send_email(RAW, recipients=[f"{name}@dest.example" for name in answers])
        [status] = m.close()

    no, later, yes = (recipient.result for recipient in status.recipients)
    assert (no.state, no.cause, str(no.reply)) == ("failed", Cause.REFUSED, answers["no"])
    assert (later.state, later.tries, str(later.reply)) == ("deferred", 1, answers["later"])
    assert later.next_attempt_at is not None
    wait = (later.next_attempt_at - status.submitted_at).total_seconds()
    assert 180 <= wait < 200  # the crate's 3 minutes, and a tenth of jitter
    assert (yes.state, str(yes.reply)) == ("delivered", "250 2.0.0 taken")
    assert [mail.recipients for mail in sink.mails] == [["<yes@dest.example>"]]


def test_mail_is_sent_over_the_connection_that_is_there() -> None:
    with Sink() as sink:
        relay = RelayConfig("127.0.0.1", sink.port, tls="none")
        with Mailstrom(Config("h.example", delivery=relay, max_sessions_per_lane=1)) as m:
            m.send_emails([built() for _ in range(10)])
            assert m.start().drain(timeout=30)

    assert (len(sink.mails), sink.connections) == (10, 1)
