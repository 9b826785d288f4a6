"""The first program of the documents, word by word, against mail hosts and a name server of our own."""

from __future__ import annotations

import asyncio
import re
import ssl
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass

import pytest
import trustme

from mailstrom import (
    AsyncMailstrom,
    Config,
    Email,
    Event,
    Mailstrom,
    MemoryStorage,
    RemoteDeliveryConfig,
    ResolverSetup,
)
from tests.blackbox.sink import Names, Sink

RECORDS = {
    ("yourdomain.example", "MX"): ["10 mx.yourdomain.example."],
    ("mx.yourdomain.example", "A"): ["127.0.0.2"],
    ("frienddomain.example", "MX"): ["20 mx2.frienddomain.example.", "10 mx1.frienddomain.example."],
    ("mx1.frienddomain.example", "A"): ["127.0.0.9"],  # nobody listens there
    ("mx2.frienddomain.example", "A"): ["127.0.0.3"],
    ("mydomain.example", "MX"): ["10 mx.mydomain.example."],
    ("mx.mydomain.example", "A"): ["127.0.0.4"],
}
EMAIL = Email(
    from_="My Mailer <no-reply@mydomain.example>",
    to="You <you@yourdomain.example>, AndYou <andyou@yourdomain.example>",
    cc="Our Friend <friend@frienddomain.example>",
    bcc="myself@mydomain.example",
    subject="Hello Friend",
    text="Good to hear from you.\n",
)


@dataclass
class World:
    """Three mail hosts and the configuration that finds them."""

    config: Config
    yours: Sink
    friends: Sink
    mine: Sink


@pytest.fixture
def world() -> Iterator[World]:
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("somebody-else.example").configure_cert(tls)
    with ExitStack() as stack:
        yours = stack.enter_context(Sink("127.0.0.2", tls=tls))
        friends = stack.enter_context(Sink("127.0.0.3", yours.port))
        mine = stack.enter_context(Sink("127.0.0.4", yours.port))
        names = stack.enter_context(Names(RECORDS))
        delivery = RemoteDeliveryConfig(
            ResolverSetup.specific("127.0.0.1", names.port), port=yours.port, allow_private_addresses=True
        )
        yield World(Config("my.host.domainname.example", delivery=delivery), yours, friends, mine)


def test_every_recipient_gets_the_mail_and_an_answer(world: World) -> None:
    with Mailstrom(world.config, MemoryStorage()) as m:
        m.start()
        message_id = m.send_email(EMAIL)
        m.query_status(message_id)
        status = m.wait(message_id, timeout=30)

    assert [f"{r.recipient} {r.result}" for r in status.recipients] == [
        "You <you@yourdomain.example> delivered: mx.yourdomain.example took it over: 250 2.0.0 taken",
        "AndYou <andyou@yourdomain.example> delivered: mx.yourdomain.example took it over: 250 2.0.0 taken",
        (
            "Our Friend <friend@frienddomain.example> "
            "delivered: mx2.frienddomain.example took it over: 250 2.0.0 taken"
        ),
        "myself@mydomain.example delivered: mx.mydomain.example took it over: 250 2.0.0 taken",
    ]
    assert (status.state, status.succeeded, status.completed) == ("delivered", True, True)
    assert status.completed_at is not None
    assert status.completed_at >= status.submitted_at


def test_the_attempts_tell_host_address_phase_reply_and_encryption(world: World) -> None:
    with Mailstrom(world.config) as m:
        status = m.start().wait(m.send_email(EMAIL), timeout=30)

    [yours] = status["you@yourdomain.example"].attempts
    assert (yours.host, yours.ip, str(yours.reply)) == (
        "mx.yourdomain.example",
        "127.0.0.2",
        "250 2.0.0 taken",
    )
    assert yours.tls is not None
    assert (yours.tls.version, yours.tls.verified) == ("TLSv1.3", "unverified")
    first, second = status["friend@frienddomain.example"].attempts
    assert (first.host, first.state, first.phase) == ("mx1.frienddomain.example", "deferred", "connect")
    assert (second.host, second.state, second.phase) == ("mx2.frienddomain.example", "delivered", "dot")
    assert second.tls is None
    assert status["myself@mydomain.example"].attempts[0].ip == "127.0.0.4"


def test_what_arrives_is_the_email_and_its_bcc_stays_at_home(world: World) -> None:
    with Mailstrom(world.config) as m:
        message_id = m.send_email(EMAIL)
        m.start().wait(message_id, timeout=30)

    [yours], [friends], [mine] = world.yours.mails, world.friends.mails, world.mine.mails
    assert yours.recipients == ["<you@yourdomain.example>", "<andyou@yourdomain.example>"]
    assert (friends.recipients, mine.recipients) == (
        ["<friend@frienddomain.example>"],
        ["<myself@mydomain.example>"],
    )
    assert yours.content == friends.content == mine.content
    assert {mail.sender for mail in (yours, friends, mine)} == {"<no-reply@mydomain.example>"}
    assert (yours.encrypted, friends.encrypted) == (True, False)
    header, _, body = yours.content.partition(b"\r\n\r\n")
    fields = [line.partition(b":")[0] for line in header.split(b"\r\n")]
    assert sorted(fields)[:4] == [b"Cc", b"Content-Transfer-Encoding", b"Content-Type", b"Date"]
    assert b"myself" not in yours.content
    assert f"Message-ID: <{message_id}>\r\n".encode() in yours.content
    assert message_id.endswith("@mydomain.example")
    assert body == b"Good to hear from you.\r\n"


def test_the_host_is_greeted_with_the_configured_name(world: World) -> None:
    with Mailstrom(world.config) as m:
        m.start().wait(m.send_email(EMAIL), timeout=30)

    assert world.friends.lines[0] == "EHLO my.host.domainname.example"
    assert world.friends.lines[-1] == "QUIT"


def test_nothing_is_asked_or_sent_before_start(world: World) -> None:
    with Mailstrom(world.config) as m:
        message_id = m.send_email(EMAIL)
        status = m.query_status(message_id)
        m.cancel(message_id)

    assert {str(r.result) for r in status.recipients} == {"queued"}
    assert world.yours.connections + world.friends.connections + world.mine.connections == 0


def test_leaving_the_block_gives_what_is_queued_its_first_try(world: World) -> None:
    with Mailstrom(world.config) as m:
        m.start().send_email(EMAIL)

    assert m.close() == ()
    assert len(world.yours.mails) == len(world.friends.mails) == len(world.mine.mails) == 1


def test_observers_are_told_of_every_step_in_order(world: World) -> None:
    events: list[Event] = []

    with Mailstrom(world.config, observers=[events.append, lambda event: 1 / 0]) as m:
        message_id = m.send_email(EMAIL)
        m.start().wait(message_id, timeout=30)

    friends = [str(e.kind) for e in events if e.address == "friend@frienddomain.example"]
    assert friends == ["attempt", "attempt", "delivered"]
    assert [str(e.worker_status) for e in events if e.kind == "worker status"] == [
        "ok",
        "stopping",
        "terminated",
    ]
    assert [e.kind for e in events if e.kind == "accepted"] == ["accepted"]
    assert {e.message_id for e in events} == {message_id, None}


def test_the_asyncio_face_does_the_same_with_every_call_awaited(world: World) -> None:
    async def program() -> list[str]:
        async with AsyncMailstrom(world.config, MemoryStorage()) as m:
            assert await m.start() is m
            message_id = await m.send_email(EMAIL)
            await m.query_status(message_id)
            status = await m.wait(message_id, timeout=30)
            assert await m.drain(timeout=30)
            recent = [each.message_id async for each in m.query_recent()]
            assert recent == [message_id]
            assert str(await m.worker_status()) == "ok"
        assert await m.close() == ()
        return [r.result.state for r in status.recipients]

    assert asyncio.run(program()) == ["delivered"] * 4


def test_the_date_that_is_added_is_one_that_others_can_read(world: World) -> None:
    with Mailstrom(world.config) as m:
        m.start().wait(m.send_email(EMAIL), timeout=30)

    assert re.search(
        rb"\r\n?Date: [A-Z][a-z]{2}, \d{1,2} [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d [+-]\d{4}\r\n",
        b"\r\n" + world.mine.mails[0].content,
    )
