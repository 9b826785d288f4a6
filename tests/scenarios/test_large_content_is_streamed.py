"""A large content rests in the storage until it goes out, block by block: all of it, or nothing arrives."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from mailstrom.abc import Claim, StoredEmail, Terms
from mailstrom.errors import StorageError
from mailstrom.status import MessageStatus
from mailstrom.storage.sqlite import SqliteStorage
from mailstrom.testing.dns import FakeResolver
from mailstrom.testing.script import hang, read_octets
from mailstrom.testing.smtp_server import ScriptedServer, SmtpServer
from tests.builders import a_config, with_mx
from tests.lone_engine import LoneEngine, simulate
from tests.scenarios.stages import TO_CONTENT, YOU, outcome

HEAD = (
    b"From: no-reply@sender.example\r\nTo: you@dest.example\r\n"
    b"Date: Mon, 05 Jan 2026 10:00:00 +0000\r\nMessage-ID: <large@sender.example>\r\n\r\n"
)
LARGE = HEAD + (b"." + b"x" * 61 + b"\r\n") * 30_000  # 1.9 MB, a dot before each line
BLOCKS = 8

Trouble = Callable[[Claim], object]


class Queue(SqliteStorage):
    """In virtual time; `trouble` is met where so many blocks were asked for, once."""

    def __init__(self, folder: Path, trouble_at: int = 0) -> None:
        def now() -> float:
            return asyncio.get_running_loop().time()

        super().__init__(folder / "mail.db", durability="normal", poll_secs=3600.0, lease_clock=now)
        self.claims: list[Claim] = []
        self.reads: list[int] = []
        self.trouble: Trouble = print
        self._trouble_at = trouble_at

    def claim_many(self, now: datetime, terms: Terms) -> list[Claim]:
        claims = super().claim_many(now, terms)
        self.claims += claims
        return claims

    def read_content(self, claim: Claim, start: int) -> bytes | None:
        self.reads.append(start)
        if len(self.reads) == self._trouble_at:
            self.trouble(claim)
        return super().read_content(claim, start)


def run(story: Callable[[LoneEngine], Any], storage: Queue, **settings: Any) -> Any:
    try:
        return simulate(story, config=a_config(**settings), storage=storage)
    finally:
        storage.close()


def delivered_to(server: SmtpServer, storage: Queue, **options: Any) -> MessageStatus:
    """The status of a large message to this host, once it is completed."""

    async def story(sim: LoneEngine) -> MessageStatus:
        with_mx(sim, server)
        return await sim.deliver(LARGE, **options)

    status: MessageStatus = run(story, storage)
    return status


def contents(server: SmtpServer) -> list[bool]:
    """Of each message that arrived whether it is what was sent."""
    return [message.content == LARGE for message in server.ledger.messages]


# -- it goes well --------------------------------------------------------------------------


def test_it_is_read_while_it_is_sent(tmp_path: Path) -> None:
    """Row 58."""
    server, storage = SmtpServer(), Queue(tmp_path)

    assert delivered_to(server, storage).succeeded

    assert contents(server) == [True]
    assert [type(claim.email) for claim in storage.claims] == [StoredEmail]
    assert len(storage.reads) == BLOCKS
    [session] = server.ledger.sessions
    assert f"MAIL FROM:<no-reply@sender.example> SIZE={len(LARGE)}" in session.commands


def test_of_many_that_are_due_at_once_none_is_in_memory(tmp_path: Path) -> None:
    """Memory goes by what is on its way, not by what is claimed."""
    server, storage = SmtpServer(delays={"greeting": 10.0}), Queue(tmp_path)

    async def story(sim: LoneEngine) -> None:
        with_mx(sim, server)
        ids = [sim.send_email(LARGE.replace(b"large", b"large%02d" % number)) for number in range(20)]
        await asyncio.sleep(5.0)
        assert {type(claim.email) for claim in storage.claims} == {StoredEmail}
        assert storage.reads == []
        for message_id in ids:
            assert (await sim.wait(message_id)).succeeded

    run(story, storage)


def test_recipients_at_two_hosts_each_get_all_of_it(tmp_path: Path) -> None:
    here, there, storage = SmtpServer(), SmtpServer(), Queue(tmp_path)

    async def story(sim: LoneEngine) -> None:
        with_mx(sim, here)
        with_mx(sim, there, domain="other.example")
        assert (await sim.deliver(LARGE, recipients=[YOU, "you@other.example"])).succeeded

    run(story, storage)

    assert contents(here) == contents(there) == [True]


def test_octets_beyond_ascii_are_announced_though_nobody_looks_at_them(tmp_path: Path) -> None:
    """RFC 6152 2."""
    server, storage = SmtpServer(), Queue(tmp_path)
    content = LARGE + "Grüße\r\n".encode()

    async def story(sim: LoneEngine) -> None:
        with_mx(sim, server)
        assert (await sim.deliver(content)).succeeded

    run(story, storage)

    assert [message.content == content for message in server.ledger.messages] == [True]
    assert [line for line in server.ledger.sessions[0].commands if "BODY=8BITMIME" in line] != []


def test_a_mode_that_sends_nothing_has_all_of_it(tmp_path: Path) -> None:
    storage = Queue(tmp_path)

    async def story(sim: LoneEngine) -> None:
        assert (await sim.deliver(LARGE)).succeeded
        assert [email.content == LARGE for email in sim.outbox] == [True]

    run(story, storage, mode="capture")


# -- it is tried again ---------------------------------------------------------------------


def test_after_4yz_to_the_dot_it_is_read_anew(tmp_path: Path) -> None:
    answers = iter(["451 4.3.0 later"])
    server, storage = SmtpServer(on_content=lambda *_: next(answers, None)), Queue(tmp_path)

    assert delivered_to(server, storage)[YOU].result.tries == 2

    assert contents(server) == [True]
    assert len(storage.reads) == 2 * BLOCKS


def test_a_host_that_hangs_in_the_middle_is_left_and_the_next_gets_all_of_it(tmp_path: Path) -> None:
    """Rows 15 and 58: and no block is read that the first does not take."""
    first = ScriptedServer([*TO_CONTENT, read_octets(300_000), hang()])
    second, storage = SmtpServer(), Queue(tmp_path)

    async def story(sim: LoneEngine) -> MessageStatus:
        with_mx(sim, first, second)
        return await sim.deliver(LARGE)

    status = run(story, storage)

    assert [(each.host, each.state) for each in status[YOU].attempts] == [
        ("mx1.dest.example", "deferred"),
        ("mx2.dest.example", "delivered"),
    ]
    assert contents(second) == [True]
    assert BLOCKS < len(storage.reads) < 2 * BLOCKS


# -- and never half of it ------------------------------------------------------------------


@pytest.mark.parametrize("at", [1, 4, BLOCKS])
def test_a_storage_that_fails_in_the_middle_costs_no_try(tmp_path: Path, at: int) -> None:
    """Row 56: aborted before the dot, a fault of ours; soon after it goes out whole."""

    def fail(_: Claim) -> None:
        raise StorageError("the disk is on fire")

    server, storage = SmtpServer(), Queue(tmp_path, at)
    storage.trouble = fail

    async def story(sim: LoneEngine) -> MessageStatus:
        with_mx(sim, server)
        deferred = await sim.first_try(LARGE)
        assert deferred[YOU].result.reason == "an internal error ended the try (1 in a row); see the log"
        assert server.ledger.messages == ()
        return await sim.wait(deferred.message_id)

    status = run(story, storage)

    assert (status.succeeded, status[YOU].result.tries) == (True, 1)
    assert contents(server) == [True]


@pytest.mark.parametrize("at", [1, 4, BLOCKS])
def test_a_claim_that_is_lost_in_the_middle_ends_the_delivery_there(tmp_path: Path, at: int) -> None:
    """Row 52: whoever has the claim now sends it, once."""
    server, storage = SmtpServer(), Queue(tmp_path, at)
    storage.trouble = storage.give_back

    assert delivered_to(server, storage)[YOU].result.tries == 1

    assert contents(server) == [True]
    assert len(storage.reads) == at + BLOCKS


@pytest.mark.parametrize("at", [1, 4, BLOCKS])
def test_what_is_cancelled_in_the_middle_is_not_delivered(tmp_path: Path, at: int) -> None:
    server, storage = SmtpServer(), Queue(tmp_path, at)

    async def story(sim: LoneEngine) -> MessageStatus:
        with_mx(sim, server)
        message_id = sim.send_email(LARGE)
        storage.trouble = lambda _: sim.cancel(message_id)
        return await sim.wait(message_id)

    status = run(story, storage)

    assert outcome(status)[0] == "failed"
    assert server.ledger.messages == ()


def test_a_worker_that_dies_in_the_middle_leaves_all_of_it_to_the_next(tmp_path: Path) -> None:
    """Row 48: nothing was completed, so it goes out whole, once."""
    server, storage = SmtpServer(), Queue(tmp_path, 4)
    reached = asyncio.Event()
    storage.trouble = lambda _: reached.set()

    async def story(sim: LoneEngine) -> MessageStatus:
        with_mx(sim, server)
        message_id = sim.send_email(LARGE)
        await reached.wait()
        await sim.die()
        assert server.ledger.messages == ()
        sim.resolver = FakeResolver(sim.zone)
        sim.start()
        return await sim.wait(message_id)

    assert run(story, storage).succeeded
    assert contents(server) == [True]
