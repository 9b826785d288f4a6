"""Real submission servers take mail after STARTTLS and a login, and from nobody else."""

from __future__ import annotations

import pytest

from mailstrom import Config, Mailstrom, MemoryStorage, RelayConfig, SmtpAuth
from tests.interop.mailbox import MailServer, until, without_trace
from tests.interop.messages import EMAILS


def mailstrom_over(relay: RelayConfig, storage: MemoryStorage) -> Mailstrom:
    return Mailstrom(Config(helo_name="client.sender.test", delivery=relay), storage)


def relay_at(server: MailServer, **changes: object) -> RelayConfig:
    settings: dict[str, object] = {
        "auth": SmtpAuth(server.username, server.password),
        "ca_file": str(server.ca_file),
        **changes,
    }
    return RelayConfig(server.host, server.relay_port, **settings)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", EMAILS)
def test_what_arrives_is_byte_for_byte_what_was_prepared(server: MailServer, name: str) -> None:
    """RFC 5321 4.5.2, RFC 6409."""
    storage = MemoryStorage()
    with mailstrom_over(relay_at(server), storage) as m:
        message_id = m.send_email(EMAILS[name])
        prepared, _ = storage.retrieve(message_id)

        status = m.start().wait(message_id, timeout=20)

    assert status.succeeded, status
    assert [without_trace(content) for content in server.wait_for(message_id)] == [prepared.content]


@pytest.mark.parametrize("mechanism", ["CRAM-MD5", "PLAIN", "LOGIN"])
def test_each_mechanism_is_understood(server: MailServer, mechanism: str) -> None:
    """RFC 4954, RFC 4616, RFC 2195."""
    auth = SmtpAuth(server.username, server.password, mechanism)

    with mailstrom_over(relay_at(server, auth=auth), MemoryStorage()) as m:
        status = m.start().wait(m.send_email(EMAILS["plain"]), timeout=20)

    (attempt,) = status["rob@mx.test"].attempts
    assert status.succeeded, status
    assert attempt.tls is not None
    assert attempt.tls.verified == "pkix"


def test_a_wrong_password_fails_no_mail(server: MailServer) -> None:
    """RFC 4954 6: 535; the mail waits for somebody to mend the password."""
    auth = SmtpAuth(server.username, "wrong")

    with mailstrom_over(relay_at(server, auth=auth), MemoryStorage()) as m:
        message_id = m.start().send_email(EMAILS["plain"])
        until(lambda: bool(m.query_status(message_id)["rob@mx.test"].attempts), 20, "an attempt")
        result = m.query_status(message_id)["rob@mx.test"].result
        m.die()

    assert not result.completed
    assert server.received(message_id) == []


def test_a_relay_with_a_strange_certificate_gets_neither_password_nor_mail(server: MailServer) -> None:
    """RFC 8314 3: the certificate of a submission server is verified."""
    with mailstrom_over(relay_at(server, ca_file=None), MemoryStorage()) as m:
        message_id = m.start().send_email(EMAILS["plain"])
        until(lambda: bool(m.query_status(message_id)["rob@mx.test"].attempts), 20, "an attempt")
        status = m.query_status(message_id)["rob@mx.test"]
        m.die()

    assert not status.result.completed
    assert {attempt.phase for attempt in status.attempts} == {"tls"}
    assert server.received(message_id) == []
