"""A signature outlives the trip through Postfix: what it stored is what was signed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from mailstrom import (
    Config,
    Email,
    Mailstrom,
    MemoryStorage,
    RemoteDeliveryConfig,
    ResolverSetup,
    Submission,
)
from mailstrom.testing.dns_server import DnsServer
from tests.dkim_keys import ed25519_signer, records, rsa_signer
from tests.interop.dkim_judges import (
    has_field_without_space,
    judged_by_dkimpy,
    judged_by_opendkim,
    skip_unless_opendkim_can_run,
)
from tests.interop.generated import generated_emails
from tests.interop.mailbox import MailServer
from tests.interop.messages import EMAILS
from tests.interop.test_delivery_by_mx import ZONE

PASSED = {"rsa-sha256": "pass", "ed25519-sha256": "pass"}
MANY = 500
HEADER = b"From: ann@sender.test\r\nTo: rob@mx.test\r\nSubject: end\r\n"
ODD_ENDS = (HEADER, HEADER + b"\r\n", *(HEADER + b"\r\nx" + end for end in (b"", b" ", b"\r\n \t", b"\r\n.")))


@pytest.fixture
def postfix(postfix_server: MailServer) -> MailServer:
    """Postfix with an empty mailbox."""
    postfix_server.forget()
    return postfix_server


@pytest.fixture
def dns_port() -> Iterator[int]:
    with DnsServer(ZONE) as dns:
        yield dns.port


def stored_by(
    server: MailServer, dns_port: int, emails: list[Email | bytes], canonicalization: str
) -> list[bytes]:
    """What the server has put away, with the fields that it put on top."""
    delivery = RemoteDeliveryConfig(
        ResolverSetup.specific("127.0.0.1", dns_port), port=server.port, allow_private_addresses=True
    )
    signers = [
        make(canonicalization=canonicalization, every_author=True) for make in (rsa_signer, ed25519_signer)
    ]
    config = Config(helo_name="client.sender.test", delivery=delivery, dkim=signers)
    with Mailstrom(config, MemoryStorage()) as m:
        ids = m.send_emails(Submission(email, recipients="rob@mx.test") for email in emails)
        m.start().drain(timeout=40)
        states = {m.query_status(message_id).state for message_id in ids}
    assert states == {"delivered"}
    return server.wait_for(*ids)


@pytest.mark.parametrize("canonicalization", ["relaxed/relaxed", "simple/simple"])
def test_what_postfix_stored_is_accepted_by_others(
    postfix: MailServer, dns_port: int, tmp_path: Path, canonicalization: str
) -> None:
    """RFC 6376 5: signing is the last thing that is done to a message."""
    skip_unless_opendkim_can_run()
    first = MANY if canonicalization == "simple/simple" else 0
    emails: list[Email | bytes] = [*EMAILS.values(), *ODD_ENDS, *generated_emails(MANY, first=first)]

    stored = stored_by(postfix, dns_port, emails, canonicalization)

    published = records([rsa_signer(), ed25519_signer()])
    assert len(stored) == len(emails)
    assert [verdict for verdict in judged_by_dkimpy(stored, published) if verdict != PASSED] == []
    if canonicalization == "simple/simple":
        stored = [message for message in stored if not has_field_without_space(message)]
    by_opendkim = judged_by_opendkim(stored, published, tmp_path)
    assert [verdict for verdict in by_opendkim if verdict != PASSED] == []
