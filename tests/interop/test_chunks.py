"""A real Postfix takes messages whole, in one write by BDAT, as it offers by default."""

from __future__ import annotations

import re

import pytest

from mailstrom import Config, Mailstrom, MemoryStorage, RelayConfig
from tests.interop.mailbox import MailServer, until, without_trace
from tests.interop.messages import EMAILS

HEAD = b"From: zoe@sender.test\r\nTo: %s\r\nSubject: chunks\r\nDate: Sun, 01 Mar 2026 10:00:00 +0000\r\n"
BODY = b"\r\n.\r\n..\r\nBDAT 0 LAST\r\n.\r\nRSET\r\nMAIL FROM:<evil@sender.test>\r\nDATA\r\n.\r\n"


@pytest.fixture
def postfix(postfix_server: MailServer) -> MailServer:
    postfix_server.forget()
    return postfix_server


def a_message(name: str, to: str = "rob@mx.test", body: bytes = BODY) -> bytes:
    return HEAD % to.encode() + f"Message-ID: <{name}@sender.test>\r\n".encode() + body


def mailstrom_to(server: MailServer, storage: MemoryStorage) -> Mailstrom:
    """In clear and without a login: the port that takes mail for its own domains."""
    relay = RelayConfig(server.host, server.port, tls="none")
    return Mailstrom(Config(helo_name="client.sender.test", delivery=relay), storage)


def sessions(server: MailServer) -> list[dict[str, str]]:
    """How often each command was given, by Postfix's log, for each session with mail that has ended."""
    log = (server.folder.parents[1] / "maillog").read_text(encoding="utf-8", errors="replace")
    told = re.findall(r"disconnect from \S+ (.*)", log)
    return [dict(re.findall(r"(\S+)=(\S+)", line)) for line in told if "mail=" in line]


def next_session(server: MailServer, earlier: int) -> dict[str, str]:
    """The first that has ended after so many others."""
    until(lambda: len(sessions(server)) > earlier, 20, "the end of a session")
    return sessions(server)[earlier]


def test_what_looks_like_commands_arrives_octet_for_octet(postfix: MailServer) -> None:
    """RFC 3030 2; threat S5."""
    earlier = len(sessions(postfix))
    with mailstrom_to(postfix, MemoryStorage()) as m:
        message_id = m.send_email(a_message("commands"))
        m.start().drain(timeout=20)

    received = [without_trace(content) for content in postfix.wait_for(message_id)]
    given = next_session(postfix, earlier)
    assert received == [a_message("commands")]
    assert (given.get("bdat"), given.get("data")) == ("1", None)


def test_a_large_message_goes_by_data(postfix: MailServer) -> None:
    earlier = len(sessions(postfix))
    with mailstrom_to(postfix, MemoryStorage()) as m:
        m.start().wait(m.send_email(EMAILS["much"]), timeout=20)

    given = next_session(postfix, earlier)
    assert (given.get("data"), given.get("bdat")) == ("1", None)


def test_a_message_for_nobody_is_refused_and_the_session_goes_on(postfix: MailServer) -> None:
    """RFC 3030 2: RSET after a chunk that was sent in vain."""
    earlier = len(sessions(postfix))
    with mailstrom_to(postfix, MemoryStorage()) as m:
        m.start()
        refused = m.wait(m.send_email(a_message("refused", to="refused@mx.test")), timeout=20)
        taken = m.wait(m.send_email(a_message("taken")), timeout=20)

    reply = refused["refused@mx.test"].result.reply
    assert (refused.state, taken.state) == ("failed", "delivered")
    assert reply is not None
    assert reply.code == 550
    assert next_session(postfix, earlier)["rset"] == "1"
