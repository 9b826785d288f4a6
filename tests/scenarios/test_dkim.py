"""Signatures from the call to the server: what was signed is what arrives, whatever happened on the way."""

from __future__ import annotations

import dataclasses
import logging
from datetime import timedelta
from email.message import EmailMessage, Message
from email.mime.multipart import MIMEMultipart
from email.mime.text import MIMEText
from typing import Any

import pytest

from mailstrom import Config, Email, IdempotencyConflict, Mailstrom, MemoryStorage, RelayConfig
from mailstrom.dkim import DkimSigner, verify
from mailstrom.submission import UNSIGNED_DOMAINS_TOLD, UnsignedDomains
from mailstrom.testing.smtp_server import LoopbackServer, SmtpServer
from tests.builders import a_config, an_email, with_mx
from tests.dkim_keys import ed25519_pem, ed25519_signer, records, rsa_pem, rsa_signer
from tests.lone_engine import LoneEngine, simulate
from tests.scenarios.stages import RELAY

SIGNERS = (rsa_signer("sender.example"), ed25519_signer("sender.example"))
BOTH_PASS = [("pass", "sender.example", "ed25519-sha256"), ("pass", "sender.example", "rsa-sha256")]
ODD_TEXT = ".\n..\n.hidden\nFrom here\ntrailing \n\ttab\t\n" + "long " * 400 + "\nlast\n\n \n\n"


def a_standard_message() -> EmailMessage:
    message = EmailMessage()
    message["From"], message["To"] = "Zoë <no-reply@sender.example>", "you@dest.example"
    message["Subject"] = "Grüße aus Köln"
    message.set_content(ODD_TEXT)
    message.add_attachment(bytes(range(256)) * 20, maintype="image", subtype="png", filename="größe.png")
    return message


def a_legacy_message() -> Message:
    message = MIMEMultipart("alternative")
    message["From"], message["To"] = "no-reply@sender.example", "you@dest.example"
    message["Subject"] = "Hello"
    message.attach(MIMEText("Grüße\n", "plain", "utf-8"))
    message.attach(MIMEText("<p>Grüße</p>\n", "html", "utf-8"))
    return message


def finished(body: bytes, header: bytes = b"") -> bytes:
    return b"From: no-reply@sender.example\r\nTo: you@dest.example\r\n" + header + b"\r\n" + body


EMAILS: dict[str, Email | Message | bytes] = {
    "text": an_email(text=ODD_TEXT),
    "html and text": an_email(text="Grüße, Ωμέγα 日本語\n", html="<p>Grüße &amp; mehr</p>"),
    "no body": an_email(text=None),
    "only a subject in another script": an_email(subject="Ω" * 200, text=""),
    "many recipients": an_email(
        to=[f"user{number}@dest.example" for number in range(40)], bcc="x@dest.example"
    ),
    "the standard library's": a_standard_message(),
    "the standard library's, legacy": a_legacy_message(),
    "finished": finished(b"text\r\n.\r\n..\r\n\r\n\r\n"),
    "finished, with Bcc": finished(b"text\r\n", b"Bcc: hidden@dest.example\r\n"),
    "finished, with LF": finished(b"text \n.\nmore\n").replace(b"\r\n", b"\n"),
    "finished, without body": finished(b""),
    "finished, header alone": finished(b"").removesuffix(b"\r\n"),
    "finished, without an end": finished(b"one\r\ntwo \t"),
    "finished, blanks for an end": finished(b"one\r\n \r\n\t"),
    "finished, folded": finished(b"x\r\n", b"Subject: a\r\n \tb\r\nMIME-Version: 1.0 (odd)\r\n"),
    "finished, in 8 bits": finished("Grüße\r\n".encode(), b"Content-Transfer-Encoding: 8bit\r\n"),
}


def verdicts(content: bytes, *signers: DkimSigner) -> list[tuple[str, str | None, str | None]]:
    """What comes of each signature, from the top."""
    found = verify(content, records(signers or SIGNERS).__getitem__)
    return [(str(each.result), each.domain, each.algorithm) for each in found]


@pytest.mark.parametrize("canonicalization", ["relaxed/relaxed", "simple/simple"])
@pytest.mark.parametrize("email", EMAILS.values(), ids=EMAILS)
def test_the_octets_that_arrive_are_the_octets_that_were_signed(
    email: Email | Message | bytes, canonicalization: str
) -> None:
    """RFC 6376 5: nothing changes a message after it was signed. The first try fails, the second does not."""
    signers = [
        make("sender.example", canonicalization=canonicalization) for make in (rsa_signer, ed25519_signer)
    ]
    server = SmtpServer(on_rcpt=lambda address, count: "451 4.7.1 later" if count == 1 else None)
    storage, stored = MemoryStorage(), []

    async def story(sim: LoneEngine) -> None:
        with_mx(sim, server)
        message_id = sim.send_email(email)
        stored.append(storage.retrieve(message_id)[0].content)
        status = await sim.wait(message_id)
        assert status.succeeded
        assert status.recipients[0].result.tries == 2

    simulate(story, config=a_config(dkim=signers), storage=storage)

    (content,) = stored
    on_the_wire = content if content.endswith(b"\r\n") else content + b"\r\n"  # RFC 5321 4.1.1.4
    arrived = {message.content for message in server.ledger.messages}
    assert arrived == {on_the_wire}
    assert verdicts(on_the_wire) == BOTH_PASS
    assert b"hidden@" not in content


def test_a_real_server_on_a_real_socket_gets_what_was_signed() -> None:
    server = SmtpServer()
    with LoopbackServer(server) as running:
        relay = RelayConfig("127.0.0.1", running.port, tls="none")
        config = Config(helo_name="a.sender.example", delivery=relay, dkim=SIGNERS)
        with Mailstrom(config) as m:
            m.start()
            ids = m.send_emails([email for email in EMAILS.values() if isinstance(email, Email)])
            assert all(m.wait(message_id, timeout=30).succeeded for message_id in ids)

    assert len(server.ledger.messages) == len(ids)
    assert [verdicts(message.content) for message in server.ledger.messages] == [BOTH_PASS] * len(ids)


@pytest.mark.parametrize(
    ("settings", "via_relay"),
    [({}, True), ({"redirect_to": "staging@dest.example"}, False), ({"mode": "capture"}, False)],
    ids=["by a relay", "redirected", "captured"],
)
def test_however_it_is_delivered_it_is_signed(settings: dict[str, Any], via_relay: bool) -> None:
    server = SmtpServer()
    config = a_config(dkim=SIGNERS, **settings)
    if via_relay:
        config = a_config(dkim=SIGNERS, delivery=RelayConfig(RELAY, port=25, tls="none"))

    async def story(sim: LoneEngine) -> None:
        with_mx(sim, server)
        sim.network.hosts[RELAY] = ("198.51.100.1",)
        await sim.deliver(an_email())
        delivered = [message.content for message in (*server.ledger.messages, *sim.outbox)]
        assert [verdicts(content) for content in delivered] == [BOTH_PASS]

    simulate(story, config=config)


# --- who signs


def content_of(email: Email | Message | bytes, *signers: DkimSigner, **settings: Any) -> bytes:
    storage = MemoryStorage()
    with Mailstrom(Config(mode="capture", dkim=signers, **settings), storage) as m:
        return storage.retrieve(m.send_email(email))[0].content


@pytest.mark.parametrize(
    ("fields", "signs"),
    [
        ({"from_": "ann@sender.example"}, ["sender.example"]),
        ({"from_": "ann@SENDER.Example"}, ["sender.example"]),
        ({"from_": "ann@news.sender.example"}, ["sender.example"]),
        ({"from_": "ann@notsender.example"}, []),
        ({"from_": "ann@other.example"}, ["other.example"]),
        ({"from_": "ann@bücher.example"}, ["xn--bcher-kva.example"]),
        ({"from_": "ann@third.example", "sender": "bulk@sender.example"}, []),
        ({"from_": "ann@sender.example", "sender": "bulk@other.example"}, ["sender.example"]),
        ({"from_": "a@other.example, b@sender.example", "sender": "c@third.example"}, ["other.example"]),
    ],
)
def test_the_domain_of_from_decides_who_signs(fields: dict[str, str], signs: list[str]) -> None:
    """RFC 7489 3.1.1: DMARC goes by From; Sender does not count."""
    domains = ("sender.example", "other.example", "bücher.example")
    signers = [ed25519_signer(domain) for domain in domains]

    content = content_of(an_email(**fields), *signers)

    assert verdicts(content, *signers) == [("pass", domain, "ed25519-sha256") for domain in signs]


@pytest.mark.parametrize(
    "email",
    [an_email(from_=None), b"To: you@dest.example\r\n\r\ntext\r\n"],
    ids=["an Email", "finished"],
)
def test_mail_that_gets_its_from_from_the_settings_is_signed_for_it(email: Email | bytes) -> None:
    content = content_of(email, *SIGNERS, default_from="Robot <robot@sender.example>")

    assert verdicts(content) == BOTH_PASS


def test_signatures_that_are_there_already_are_kept() -> None:
    """A mailing list signs what others have signed; RFC 6376 5.4 leaves theirs alone."""
    first = content_of(an_email(), ed25519_signer("sender.example"))

    second = content_of(first, rsa_signer("sender.example"))

    assert verdicts(second) == [*reversed(BOTH_PASS)]
    assert second.endswith(first)


@pytest.mark.parametrize("every_author", [False, True])
def test_a_from_without_an_address_is_signed_only_by_who_signs_for_everybody(every_author: bool) -> None:
    """RFC 6854: a group without members; there is no domain that DMARC could go by."""
    signer = ed25519_signer("sender.example", every_author=every_author)

    content = content_of(an_email(from_="undisclosed:;", sender="ann@sender.example"), signer)

    assert len(verdicts(content, signer)) == every_author


def test_without_signers_nothing_is_added() -> None:
    assert b"DKIM-Signature" not in content_of(an_email())


# --- whom nobody signs for


def unsigned(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What the log says of mail that is not signed."""
    return [record.getMessage() for record in caplog.records if "unsigned" in record.getMessage()]


def test_a_domain_that_nobody_signs_for_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "mailstrom"), Mailstrom(Config(mode="capture", dkim=SIGNERS)) as m:
        for address in ("a@x.example", "b@x.example", "c@y.example", "d@sender.example", "e@X.example"):
            m.send_email(an_email(from_=address))

    told = unsigned(caplog)
    assert [text for text in told if "x.example" in text] == told[:1]
    assert [text for text in told if "y.example" in text] == told[1:]
    assert len(told) == 2


def test_a_flood_of_domains_does_not_flood_the_log(caplog: pytest.LogCaptureFixture) -> None:
    """Nor the memory: From may come from strangers."""
    note = UnsignedDomains()

    for number in range(UNSIGNED_DOMAINS_TOLD + 100):
        note(f"d{number}.example")

    assert len(unsigned(caplog)) == UNSIGNED_DOMAINS_TOLD


def test_without_signers_nobody_is_told(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "mailstrom"), Mailstrom(Config(mode="capture")) as m:
        m.send_email(an_email())

    assert unsigned(caplog) == []


# --- the key


@pytest.mark.parametrize("pem", [rsa_pem(), ed25519_pem()], ids=["RSA", "Ed25519"])
def test_a_delivery_shows_the_key_nowhere(pem: str, caplog: pytest.LogCaptureFixture) -> None:
    """Threat S10: in no log, status, event, dump or stored message."""
    caplog.set_level(logging.DEBUG)
    caplog.set_level(logging.DEBUG, logger="mailstrom")
    events: list[object] = []
    config = Config(mode="capture", dkim=DkimSigner("sender.example", "s", pem))
    with Mailstrom(config, observers=[events.append]) as m:
        message_id = m.start().send_email(an_email())
        status = m.wait(message_id, timeout=10)
        seen = [m, vars(m), config, dataclasses.asdict(config), status, status.to_dict(), m.outbox]
        shown = [repr(each) for each in (*seen, *events)] + [repr(vars(each)) for each in caplog.records]
    secret = [line for line in pem.splitlines() if not line.startswith("-----")]

    assert b"DKIM-Signature" in m.outbox[0].content
    assert [line for line in secret for text in shown if line in text] == []


# --- repeats


def test_a_repeat_is_a_repeat_though_its_signature_is_of_another_time() -> None:
    """The fingerprint leaves out what signing adds: t= and with it b= are never the same."""
    server = SmtpServer()

    async def story(sim: LoneEngine) -> None:
        with_mx(sim, server)
        first = sim.send_email(an_email(), idempotency_key="order-4711")
        sim.clock.jump(timedelta(hours=1))
        assert sim.send_email(an_email(), idempotency_key="order-4711") == first
        with pytest.raises(IdempotencyConflict):
            sim.send_email(an_email(text="Other.\n"), idempotency_key="order-4711")

    simulate(story, config=a_config(dkim=SIGNERS))


def test_a_repeat_is_a_repeat_after_the_key_was_changed() -> None:
    storage = MemoryStorage()
    ids = set()
    for signers in (SIGNERS, SIGNERS[:1], ()):
        with Mailstrom(Config(mode="capture", dkim=signers), storage) as m:
            ids.add(m.send_email(an_email(), idempotency_key="order-4711"))

    assert len(ids) == 1
