"""Real servers take what is sent to them by MX, over STARTTLS, and nothing in it changes."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from mailstrom import Config, Email, Mailstrom, MemoryStorage, RemoteDeliveryConfig, ResolverSetup
from mailstrom.testing.dns_server import DnsServer
from tests.interop.mailbox import MailServer, without_trace
from tests.interop.messages import EMAILS, SENDER

ZONE = {
    "mx.test": {"MX": [[10, "mx.mx.test."]]},
    "xn--bcher-kva.test": {"MX": [[10, "mx.mx.test."]]},
    "mx.mx.test": {"A": ["127.0.0.1"]},
}


@pytest.fixture
def dns_port() -> Iterator[int]:
    with DnsServer(ZONE) as dns:
        yield dns.port


def mailstrom_for(server: MailServer, dns_port: int, storage: MemoryStorage) -> Mailstrom:
    delivery = RemoteDeliveryConfig(
        ResolverSetup.specific("127.0.0.1", dns_port), port=server.port, allow_private_addresses=True
    )
    return Mailstrom(Config(helo_name="client.sender.test", delivery=delivery), storage)


@pytest.mark.parametrize("name", EMAILS)
def test_what_arrives_is_byte_for_byte_what_was_prepared(
    server: MailServer, dns_port: int, name: str
) -> None:
    """RFC 5321 4.5.2, 2.3.8."""
    storage = MemoryStorage()
    with mailstrom_for(server, dns_port, storage) as m:
        message_id = m.send_email(EMAILS[name])
        prepared, _ = storage.retrieve(message_id)

        status = m.start().wait(message_id, timeout=20)

    assert status.succeeded, status
    assert [without_trace(content) for content in server.wait_for(message_id)] == [prepared.content]


def test_the_session_is_encrypted_and_says_so(server: MailServer, dns_port: int) -> None:
    """RFC 3207: STARTTLS is used where it is offered; nobody vouches for an MX's certificate."""
    with mailstrom_for(server, dns_port, MemoryStorage()) as m:
        status = m.start().wait(m.send_email(EMAILS["plain"]), timeout=20)

    (attempt,) = status["rob@mx.test"].attempts
    assert attempt.tls is not None
    assert (attempt.host, attempt.ip, attempt.port) == ("mx.mx.test", "127.0.0.1", server.port)
    assert (attempt.tls.version, attempt.tls.verified) == ("TLSv1.3", "unverified")


def test_a_refused_recipient_does_not_touch_the_others(server: MailServer, dns_port: int) -> None:
    """RFC 5321 3.3: each RCPT has a reply of its own."""
    email = Email(
        from_=SENDER, to=["rob@mx.test", "refused@mx.test", "ann@mx.test"], subject="Hello", text="Hello\n"
    )

    with mailstrom_for(server, dns_port, MemoryStorage()) as m:
        status = m.start().wait(m.send_email(email), timeout=20)

    refusal = status["refused@mx.test"].result.reply
    assert [recipient.result.state for recipient in status] == ["delivered", "failed", "delivered"]
    assert refusal is not None
    assert refusal.code == 550


def test_an_address_in_unicode_arrives(server: MailServer, dns_port: int) -> None:
    """RFC 6531 3.4: MAIL with SMTPUTF8, the addresses in UTF-8."""
    storage = MemoryStorage()
    email = Email(from_="zoë@sender.test", to="jörg@bücher.test", subject="Grüße", text="Hallo\n")
    with mailstrom_for(server, dns_port, storage) as m:
        message_id = m.send_email(email)
        prepared, _ = storage.retrieve(message_id)

        status = m.start().wait(message_id, timeout=20)

    assert status.succeeded, status
    assert prepared.needs_smtputf8
    assert [without_trace(content) for content in server.wait_for(message_id)] == [prepared.content]


def test_many_emails_arrive_once_each(server: MailServer, dns_port: int) -> None:
    emails = [
        Email(from_=SENDER, to=f"user{number}@mx.test", subject=f"number {number}", text="Hello\n")
        for number in range(60)
    ]
    storage = MemoryStorage()
    with mailstrom_for(server, dns_port, storage) as m:
        ids = m.send_emails(emails)
        prepared = [storage.retrieve(message_id)[0].content for message_id in ids]

        m.start().drain(timeout=30)

        states = [m.query_status(message_id).state for message_id in ids]
    assert states == ["delivered"] * 60
    assert sorted(without_trace(content) for content in server.wait_for(*ids)) == sorted(prepared)
