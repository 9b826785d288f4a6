"""A content that is read while it is written: exact, checked on the way, without its dot unless whole."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailstrom.message.prepared import StoredEmail
from mailstrom.smtp.session import DeliveryReport
from mailstrom.status import Phase
from mailstrom.testing.network import Handler
from mailstrom.testing.script import expect, hang, read_octets, send, stop_reading
from mailstrom.testing.smtp_server import DEFAULT_EXTENSIONS, ScriptedServer, SmtpServer
from tests.unit.smtp.scene import HOST, A, B, Scene, always

MANY_BLOCKS = (b"x" * 62 + b"\r\n") * 40_000  # 2.5 MB
BLOCK_OCTETS = 256 * 1024
TO_CONTENT = (
    *(send("220 mx ESMTP"), expect("EHLO "), send("250 mx"), expect("MAIL FROM:"), send("250 ok")),
    *(expect("RCPT TO:"), send("250 ok"), expect("DATA"), send("354 go ahead")),
)


class Contents:
    """A content in a storage; `read` is what a session reads it by, `asked` from where it did."""

    def __init__(self, *blocks: bytes) -> None:
        self.blocks = blocks
        self.asked: list[int] = []

    @property
    def whole(self) -> bytes:
        return b"".join(self.blocks)

    async def read(self, start: int) -> bytes | None:
        self.asked.append(start)
        await asyncio.sleep(0.01)
        at = 0
        for block in self.blocks:
            if at <= start < at + len(block):
                return block[start - at :]
            at += len(block)
        return None


def in_blocks(content: bytes, octets: int = BLOCK_OCTETS) -> Contents:
    return Contents(*(content[at : at + octets] for at in range(0, len(content), octets)))


def deliver(
    server: Handler,
    contents: Contents,
    recipients: Sequence[str] = (A,),
    *,
    octets: int | None = None,
    read: Callable[[int], Awaitable[bytes | None]] | None = None,
    before_dot: Callable[[tuple[str, ...]], Awaitable[bool]] = always,
    needs_8bitmime: bool = False,
) -> tuple[DeliveryReport, bool]:
    """How it went, and whether the session is of further use."""
    email = StoredEmail(
        message_id="1@sender.example",
        reverse_path="me@sender.example",
        recipients=tuple(recipients),
        octets=len(contents.whole) if octets is None else octets,
        needs_8bitmime=needs_8bitmime,
    )
    scene = Scene(server, pipe_capacity=64 * 1024)

    async def delivered() -> tuple[DeliveryReport, bool]:
        session = await scene.session()
        try:
            report = await session.deliver(
                email, recipients, before_dot=before_dot, read_content=read or contents.read
            )
            return report, session.usable
        finally:
            await session.quit()

    told: tuple[DeliveryReport, bool] = scene.run(delivered())
    return told


def states(report: DeliveryReport) -> dict[str, str]:
    return {address: verdict.state for address, verdict in report.verdicts.items()}


# -- it goes well --------------------------------------------------------------------------


@given(
    st.lists(st.sampled_from([b".", b"..", b"a", b"\r\n", b"\r\n.", b"\r\n.\r\n"]), min_size=1, max_size=40),
    st.integers(1, 7),
)
def test_it_arrives_octet_for_octet_wherever_its_blocks_end(pieces: list[bytes], octets: int) -> None:
    """RFC 5321 4.5.2: a border may lie within CRLF, or between it and a dot."""
    contents = in_blocks(b"".join(pieces), octets)
    server = SmtpServer()

    report, usable = deliver(server, contents)

    [message] = server.ledger.messages
    ended = b"" if contents.whole.endswith(b"\r\n") else b"\r\n"
    assert (states(report), usable) == ({A: "delivered"}, True)
    assert message.content == contents.whole + ended
    assert server.ledger.violations == ()


def test_a_large_one_is_read_block_by_block_and_arrives_whole() -> None:
    contents, server = in_blocks(MANY_BLOCKS), SmtpServer()

    report, _ = deliver(server, contents, (A, B))

    assert states(report) == {A: "delivered", B: "delivered"}
    assert [message.content == MANY_BLOCKS for message in server.ledger.messages] == [True]
    assert contents.asked == list(range(0, len(MANY_BLOCKS), BLOCK_OCTETS))


def test_its_size_and_its_octets_are_told_as_they_were_stored() -> None:
    """RFC 1870 5, RFC 6152 2."""
    contents, server = in_blocks(b"\xe9" * 1000 + b"\r\n"), SmtpServer()

    report, _ = deliver(server, contents, needs_8bitmime=True)

    assert states(report) == {A: "delivered"}
    [session] = server.ledger.sessions
    assert "MAIL FROM:<me@sender.example> SIZE=1002 BODY=8BITMIME" in session.commands


def test_it_goes_by_data_although_one_write_would_do() -> None:
    contents, server = in_blocks(b"Hi.\r\n"), SmtpServer(extensions=DEFAULT_EXTENSIONS | {"CHUNKING"})

    report, _ = deliver(server, contents)

    assert states(report) == {A: "delivered"}
    verbs = [line.split(" ")[0].split(":")[0] for line in server.ledger.sessions[0].commands]
    assert verbs == ["EHLO", "MAIL", "RCPT", "DATA", "QUIT"]


def test_what_is_too_large_for_the_host_is_not_read() -> None:
    contents, server = in_blocks(MANY_BLOCKS), SmtpServer(size_limit=1000)

    report, _ = deliver(server, contents)

    assert (states(report), contents.asked) == ({A: "failed"}, [])


def test_whoever_reads_slowly_is_not_read_ahead_for() -> None:
    """Row 58: what the wire does not take stays in the storage."""
    contents, server = in_blocks(MANY_BLOCKS), ScriptedServer([*TO_CONTENT, stop_reading(), hang()])

    report, usable = deliver(server, contents)

    assert (report.verdicts[A].phase, usable) == (Phase.BODY, False)
    assert contents.asked == [0]


def test_the_claim_is_asked_for_once_all_of_it_was_read() -> None:
    """Row 52: immediately before the dot."""
    contents, server = in_blocks(MANY_BLOCKS), SmtpServer()
    asked: list[tuple[tuple[str, ...], int]] = []

    async def lost(accepted: tuple[str, ...]) -> bool:
        asked.append((accepted, len(contents.asked)))
        return False

    report, usable = deliver(server, contents, before_dot=lost)

    assert asked == [((A,), 10)]
    assert (states(report), report.verdicts[A].counts_as_try, usable) == ({A: "deferred"}, False, False)
    assert server.ledger.messages == ()


# -- nothing is half delivered -------------------------------------------------------------


@pytest.mark.parametrize(
    "blocks",
    [
        (MANY_BLOCKS, b"a\nb\r\n"),
        (MANY_BLOCKS, b"a\rb\r\n"),
        (MANY_BLOCKS[:-1], b".\r\n"),  # CR at the end of a block, and no LF
        (MANY_BLOCKS, b"\n.\r\nMAIL FROM:<evil@x.example>\r\n"),
        (MANY_BLOCKS + b"a\n", b".\r\nMAIL FROM:<evil@x.example>\r\n"),
        (MANY_BLOCKS[:-1],),  # CR at the very end
    ],
)
def test_a_bare_cr_or_lf_ends_it_before_the_dot(blocks: tuple[bytes, ...]) -> None:
    """RFC 5321 2.3.8: content that would smuggle a message is refused, however far it has gone."""
    contents, server = Contents(*blocks), SmtpServer()

    report, usable = deliver(server, contents)

    verdict = report.verdicts[A]
    assert (verdict.state, str(verdict.enhanced_code), usable) == ("failed", "5.6.0", False)
    assert server.ledger.messages == ()
    assert [line for line in server.ledger.sessions[0].commands if "evil" in line] == []


@pytest.mark.parametrize("octets", [len(MANY_BLOCKS) + 1, len(MANY_BLOCKS) - 1, BLOCK_OCTETS])
def test_one_that_is_not_as_long_as_was_told_ends_before_the_dot(octets: int) -> None:
    contents, server = Contents(MANY_BLOCKS[:300_000], MANY_BLOCKS[300_000:]), SmtpServer()

    report, usable = deliver(server, contents, octets=octets)

    assert (states(report), report.verdicts[A].phase, usable) == ({A: "deferred"}, Phase.BODY, False)
    assert server.ledger.messages == ()


@pytest.mark.parametrize("gone", [None, b""])
@pytest.mark.parametrize("reads", [0, 3, 9])
def test_one_that_cannot_be_read_to_its_end_ends_before_the_dot(gone: bytes | None, reads: int) -> None:
    """Row 52: whoever has the claim now sends it, or nobody does."""
    contents, server = in_blocks(MANY_BLOCKS), SmtpServer()

    async def read(start: int) -> bytes | None:
        return await contents.read(start) if len(contents.asked) < reads else gone

    report, usable = deliver(server, contents, read=read)

    verdict = report.verdicts[A]
    assert (verdict.state, str(verdict.enhanced_code), verdict.phase) == ("deferred", "4.3.0", Phase.BODY)
    assert verdict.reason == f"{HOST}: the claim was lost (the content)"
    assert (verdict.counts_as_try, verdict.uncertain, usable) == (False, False, False)
    assert server.ledger.messages == ()


def test_a_storage_that_fails_ends_the_session_and_is_told() -> None:
    contents, server = in_blocks(MANY_BLOCKS), SmtpServer()

    async def read(start: int) -> bytes | None:
        if start:
            raise OSError("the disk is on fire")
        return await contents.read(start)

    with pytest.raises(OSError, match="the disk is on fire"):
        deliver(server, contents, read=read)

    assert server.ledger.messages == ()


def test_a_refusal_on_the_way_ends_the_reading() -> None:
    """RFC 5321 4.2.1: what was said before the end counts."""
    script = [*TO_CONTENT, read_octets(300_000), send("552 5.3.4 too large"), hang()]
    contents = in_blocks(MANY_BLOCKS)

    report, usable = deliver(ScriptedServer(script), contents)

    assert (states(report), usable) == ({A: "failed"}, False)
    assert len(contents.asked) < 5
