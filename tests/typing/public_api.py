"""Type-checked only: the public signatures cannot drift unseen."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from email.message import EmailMessage, Message
from pathlib import Path
from typing import assert_never, assert_type

from mailstrom import (
    AsyncMailstrom,
    Attachment,
    Attempt,
    Cause,
    Config,
    Deferred,
    Delivered,
    DeliveryResult,
    Email,
    EnhancedCode,
    Event,
    Failed,
    Group,
    Mailbox,
    Mailstrom,
    MemoryStorage,
    MessageStatus,
    PreparedEmail,
    Queued,
    RecipientStatus,
    RelayConfig,
    RemoteDeliveryConfig,
    Reply,
    ResolverSetup,
    RetryPolicy,
    SmtpAuth,
    SqliteStorage,
    Storage,
    Submission,
    WorkerStatus,
)
from mailstrom.abc import Overview
from mailstrom.dkim import DkimSigner
from mailstrom.explanation import Explanation, Gate
from mailstrom.metrics import Family, Metrics, QueueGauges, Snapshot
from mailstrom.plan import Plan


def making(storage: Storage, observer: Callable[[Event], None]) -> None:
    assert_type(Mailstrom(), Mailstrom)
    assert_type(Mailstrom(Config(helo_name="a.example"), storage, observers=[observer, print]), Mailstrom)
    assert_type(Mailstrom("smtps://relay.example", MemoryStorage()), Mailstrom)
    assert_type(Mailstrom().start(), Mailstrom)
    assert_type(Mailstrom(storage="sqlite:///mail.db").start(role="never"), Mailstrom)
    assert_type(Mailstrom(storage=SqliteStorage("mail.db")).start("always"), Mailstrom)


def composing(path: Path, original: Message, finished: bytes) -> None:
    email = Email(attachments=[path, Attachment("a", b"")], keywords="a, b", sender=Group(name="g"))
    assert_type(Email.parse(finished, obsolete=True, smtputf8=True), Email)
    assert_type(email.attach(path).attach(b"", filename="a"), Email)
    assert_type(email.inline(path, "logo@x.example"), Email)
    assert_type(email.list_unsubscribe("https://x.example/", "off@x.example").bulk().auto_submitted(), Email)
    for other in (email, original, finished, "1@x.example"):
        assert_type(email.reply_to(other), Email)
    reply_to: tuple[Mailbox | Group, ...] = email.reply_to
    assert_type((email.to, reply_to), tuple[tuple[Mailbox | Group, ...], tuple[Mailbox | Group, ...]])


def sending(m: Mailstrom, at: datetime, legacy: Message, modern: EmailMessage, finished: bytes) -> None:
    email = Email(from_="a@x.example", to=["b@y.example", ("C", "c@y.example")], text="t")
    assert_type(m.send_email(email), str)
    assert_type(
        m.send_email(
            email,
            recipients=["b@y.example"],
            return_path="",
            send_at=at,
            expires_at=at,
            idempotency_key="k",
            metadata={"order": "1"},
            stream="orders",
            priority="high",
        ),
        str,
    )
    for other in (legacy, modern, finished):
        assert_type(m.send_email(other), str)
    assert_type(m.send_emails([email, finished, Submission(email, send_at=at)]), list[str])


def asking(m: Mailstrom) -> None:
    assert_type(m.query_status("id"), MessageStatus)
    assert_type(m.query_recent(), list[MessageStatus])
    assert_type(m.wait("id", timeout=1.0), MessageStatus)
    assert_type(m.drain(timeout=1.0), bool)
    assert_type(m.cancel("id"), MessageStatus)
    assert_type(m.hold("id", address="a@x.example"), MessageStatus)
    assert_type(m.release(domain="x.example", held=True), int)
    assert_type(m.retry_now(everything=True), int)
    assert_type(m.forget("a@x.example"), int)
    assert_type(list(m.events(after=4711)), list[Event])
    assert_type(m.overview(), Overview)
    assert_type(m.explain("id"), Explanation)
    assert_type(m.explain("id")["you@x.example"].gate, Gate)
    assert_type(m.plan("a@x.example, b@y.example", timeout=5), Plan)
    assert_type(m.plan(["a@x.example", ("B", "b@y.example")]), Plan)
    assert_type(m.plan(Email()), Plan)
    assert_type(m.worker_status(), WorkerStatus)
    assert_type(m.close(timeout=1.0), tuple[MessageStatus, ...])
    assert_type(m.outbox[0], PreparedEmail)
    m.pause()
    m.die()


def reading(status: MessageStatus) -> str:
    assert_type(status.message_id, str)
    assert_type(status.recipients, tuple[RecipientStatus, ...])
    assert_type(status.submitted_at, datetime)
    assert_type(status.completed_at, datetime | None)
    assert_type(status.metadata, Mapping[str, str])
    assert_type((status.state, status.succeeded, status.completed), tuple[str, bool, bool])
    assert_type(MessageStatus.from_dict(status.to_dict()), MessageStatus)
    recipient = status["you@x.example"]
    assert_type(recipient.attempts, tuple[Attempt, ...])
    assert_type(recipient.result, DeliveryResult)
    return telling(recipient.result)


def telling(result: DeliveryResult) -> str:
    assert_type(result.reply, Reply | None)
    assert_type(result.enhanced_code, EnhancedCode | None)
    assert_type(result.next_attempt_at, datetime | None)
    assert_type(result.cause, Cause | None)
    match result:
        case Queued() | Deferred():
            return "waiting"
        case Delivered(reply=reply):
            return str(reply)
        case Failed(cause=cause, reason=reason):
            return f"{cause}: {reason}"
        case _:
            assert_never(result)


def configuring(key: Path) -> Sequence[Config]:
    relay = RelayConfig("relay.example", auth=SmtpAuth("me", "pw"), ca_file=None)
    remote = RemoteDeliveryConfig(ResolverSetup.specific("192.0.2.53", 5353), port=2525)
    assert_type(RelayConfig.from_url("smtps://relay.example"), RelayConfig)
    signer = DkimSigner("sender.example", "s1", key, expires_after_secs=86_400)
    assert_type(RetryPolicy.rfc5321(), RetryPolicy)
    assert_type(Config(dkim=signer).dkim_signers, tuple[DkimSigner, ...])
    return [
        Config(delivery=relay, retry=RetryPolicy(tries=5, max_age=timedelta(days=1))),
        Config(delivery=remote, mode="file", allow_domains=("x.example",)),
        Config(dkim=[signer, DkimSigner("sender.example", "s2", "-----BEGIN PRIVATE KEY-----...")]),
        Config.from_dict({"helo_name": "a.example"}),
        Config.from_toml("mailstrom.toml"),
        Config.from_env(),
    ]


async def awaiting(m: AsyncMailstrom, email: Email) -> None:
    async with m:
        assert_type(await m.start(), AsyncMailstrom)
        assert_type(await m.send_email(email), str)
        assert_type(await m.wait("id", timeout=1.0), MessageStatus)
        assert_type(await m.query_recent(), list[MessageStatus])
        async for status in m.query_recent():
            assert_type(status, MessageStatus)
        assert_type(await m.cancel("id"), MessageStatus)
        assert_type(await m.hold(domain="x.example"), int)
        assert_type(await m.overview(), Overview)
        assert_type(await m.explain("id"), Explanation)
        assert_type(await m.plan(email), Plan)
        async for event in m.events():
            assert_type(event, Event)
        assert_type(await m.drain(), bool)


def counting(m: Mailstrom) -> None:
    metrics = Metrics()
    assert_type(Mailstrom(observers=[metrics]).start(), Mailstrom)
    assert_type(metrics.snapshot(), Snapshot)
    assert_type(metrics.snapshot()["attempts"].total(outcome="delivered"), float)
    assert_type(QueueGauges(m.overview, destinations=20).families(), tuple[Family, ...])
