"""The strict receiving server, spoken to octet by octet."""

from __future__ import annotations

import asyncio
import base64
import hmac
import ssl
from collections.abc import Callable, Coroutine

import pytest
import trustme

from mailstrom.testing.loop import run_virtual
from mailstrom.testing.network import MemoryNetwork
from mailstrom.testing.peer import Peer
from mailstrom.testing.smtp_server import Action, ReceivedMessage, SmtpServer, greylist

IP = "192.0.2.25"
OFFERED = ("8BITMIME", "DSN", "ENHANCEDSTATUSCODES", "PIPELINING", "SMTPUTF8")
CONTENT = "Subject: x\r\n\r\n..dot\r\n"


class Client(Peer):
    """Speaks raw SMTP; a `Peer` seen from the other side is as good a client."""

    async def say(self, text: str) -> list[str]:
        """Sends lines and returns the replies that arrive within a virtual second."""
        await self.write(text.encode())
        return await self.hear()

    async def hear(self, secs: float = 1.0) -> list[str]:
        await asyncio.sleep(secs)
        heard = self.unread()
        self._take(len(heard))
        return heard.decode().splitlines()


async def connected(server: SmtpServer, network: MemoryNetwork | None = None) -> Client:
    network = network or MemoryNetwork()
    network.listen(IP, 25, server)
    client = Client()
    await network.connect(lambda: client, IP, 25)
    return client


def talk(server: SmtpServer, *said: str) -> list[list[str]]:
    """What the server answers to each, after the greeting."""

    async def main() -> list[list[str]]:
        client = await connected(server)
        greeting = await client.hear()
        answers = [await client.say(text) for text in said]
        client.close()
        return [greeting, *answers]

    return run_virtual(main())


def test_a_message_is_taken_and_stands_in_the_ledger() -> None:
    server = SmtpServer(name="mx.example")

    replies = talk(
        server,
        "EHLO me.example\r\n",
        "MAIL FROM:<a@x.example> SIZE=20\r\n",
        "RCPT TO:<b@y.example>\r\n",
        "DATA\r\n",
        CONTENT + ".\r\n",
        "QUIT\r\n",
    )

    assert replies == [
        ["220 mx.example ESMTP"],
        [*(f"250-{line}" for line in ("mx.example", *OFFERED)), "250 SIZE"],
        ["250 2.1.0 sender ok"],
        ["250 2.1.5 recipient ok"],
        ["354 end with a dot on a line of its own"],
        ["250 2.0.0 taken as 1"],
        ["221 2.0.0 goodbye"],
    ]
    assert server.ledger.messages == (
        ReceivedMessage(
            ordinal=1,
            reverse_path="a@x.example",
            recipients=("b@y.example",),
            parameters={"SIZE": "20"},
            content=b"Subject: x\r\n\r\n.dot\r\n",
            helo="me.example",
            tls=None,
            user=None,
            ip="192.0.2.1",
            session=1,
            at=5.0,
        ),
    )
    assert server.ledger.violations == ()
    assert server.ledger.sessions[0].ended_at == 6.0


def test_a_pipelined_group_is_answered_in_one_packet() -> None:
    """RFC 2920 3.2"""
    server = SmtpServer(on_rcpt=lambda address, _: "550 5.1.1 unknown" if address.startswith("no") else None)

    replies = talk(
        server,
        "EHLO me.example\r\n",
        "MAIL FROM:<>\r\nRCPT TO:<no@y.example>\r\nRCPT TO:<yes@y.example>\r\nDATA\r\n",
    )

    assert replies[2] == [
        "250 2.1.0 sender ok",
        "550 5.1.1 unknown",
        "250 2.1.5 recipient ok",
        "354 end with a dot on a line of its own",
    ]
    assert server.ledger.violations == ()


@pytest.mark.parametrize(
    ("said", "reply"),
    [
        ("MAIL FROM:<a@x.example>\n", []),
        (
            "MAIL FROM:<a@x.example>\rRSET\r\n",
            ["500 5.5.2 a line ends with CRLF, and has no CR, LF or NUL within"],
        ),
        ("MAIL FROM: <a@x.example>\r\n", ["501 5.5.4 not the syntax of MAIL"]),
        ("MAIL FROM:a@x.example\r\n", ["501 5.5.4 not the syntax of MAIL"]),
        ("MAIL FROM:<a b@x.example>\r\n", ["501 5.5.4 not the syntax of MAIL"]),
        ("MAIL FROM:<@r.example:a@x.example>\r\n", ["501 5.5.4 not the syntax of MAIL"]),
        ("MAIL FROM:<a@x.example> FOO=1\r\n", ["555 5.5.4 parameters not known: FOO"]),
        ("MAIL FROM:<ä@x.example>\r\n", ["553 5.6.7 address needs SMTPUTF8"]),
        ("RCPT TO:<>\r\n", ["501 5.5.4 not the syntax of RCPT"]),
        ("DATA now\r\n", ["501 5.5.4 DATA has no argument"]),
        ("STARTTLS\r\n", ["502 5.5.1 STARTTLS is not offered"]),
        ("AUTH PLAIN AGEAYg==\r\n", ["503 5.5.1 AUTH has no place here"]),
        ("NOOP\r\nMAIL FROM:<a@x.example>\r\n", ["421 5.5.0 wait for the reply first"]),
        ("EHLO me_too\r\n", ["501 5.5.4 EHLO wants a domain or an address literal"]),
    ],
)
def test_what_no_correct_client_sends_is_refused_and_noted(said: str, reply: list[str]) -> None:
    server = SmtpServer()

    replies = talk(server, "EHLO me.example\r\n", said)

    assert replies[2] == reply
    assert len(server.ledger.violations) == len(reply)


def test_without_pipelining_a_client_must_wait_for_each_reply() -> None:
    server = SmtpServer(extensions={"8BITMIME"})

    replies = talk(server, "EHLO me.example\r\n", "MAIL FROM:<>\r\nRCPT TO:<b@y.example>\r\n")

    assert replies[1:] == [["250-mx.dest.example", "250 8BITMIME"], ["421 wait for the reply first"]]


@pytest.mark.parametrize(
    ("content", "reply"),
    [
        ("a\nb\r\n.\r\n", "550 5.6.0 bare LF in content"),
        ("a\rb\r\n.\r\n", "550 5.6.0 bare CR in content"),
        ("ä\r\n.\r\n", "554 5.6.1 8-bit content was not announced by BODY=8BITMIME"),
    ],
)
def test_content_that_must_not_be_sent_is_refused_as_a_whole(content: str, reply: str) -> None:
    server = SmtpServer()

    replies = talk(
        server,
        "EHLO me.example\r\n",
        "MAIL FROM:<>\r\nRCPT TO:<b@y.example>\r\nDATA\r\n",
        content,
        "MAIL FROM:<>\r\n",
    )

    assert replies[3:] == [[reply], ["250 2.1.0 sender ok"]]
    assert server.ledger.messages == ()
    assert len(server.ledger.violations) == 1


def test_a_limit_of_recipients_is_452_and_of_size_552() -> None:
    """Rows 8 and 29"""
    server = SmtpServer(recipient_limit=1, size_limit=10)

    replies = talk(
        server,
        "EHLO me.example\r\n",
        "MAIL FROM:<> SIZE=11\r\n",
        "MAIL FROM:<>\r\nRCPT TO:<a@y.example>\r\nRCPT TO:<b@y.example>\r\nDATA\r\n",
        CONTENT + ".\r\n",
    )

    assert "250 SIZE 10" in replies[1]
    assert replies[2] == ["552 5.3.4 message size exceeds 10"]
    assert replies[3][1:3] == ["250 2.1.5 recipient ok", "452 4.5.3 too many recipients"]
    assert replies[4] == ["552 5.3.4 message size exceeds 10"]


def test_a_greylisted_recipient_is_taken_at_its_second_try() -> None:
    """Row 7"""
    server = SmtpServer(on_rcpt=greylist())
    rcpt = "RCPT TO:<a@y.example>\r\n"

    replies = talk(server, "EHLO me.example\r\n", "MAIL FROM:<>\r\n", rcpt, rcpt, "RCPT TO:<b@y.example>\r\n")

    deferred = ["450 4.2.0 greylisted, try again later"]
    assert replies[3:] == [deferred, ["250 2.1.5 recipient ok"], deferred]


def test_answers_by_turn_are_used_up_and_a_yes_has_its_effect() -> None:
    """Row 12: any 2xx is a yes."""
    server = SmtpServer(
        on_rcpt=["251 2.1.5 will forward"], on_content="200 fine", on_mail=["451 4.3.0 busy", None]
    )

    replies = talk(
        server,
        "EHLO me.example\r\n",
        "MAIL FROM:<>\r\n",
        "MAIL FROM:<>\r\nRCPT TO:<a@y.example>\r\nRCPT TO:<b@y.example>\r\nDATA\r\n",
        ".\r\n",
    )

    assert replies[2] == ["451 4.3.0 busy"]
    assert replies[3][1:3] == ["251 2.1.5 will forward", "250 2.1.5 recipient ok"]
    assert replies[4] == ["200 fine"]
    assert server.ledger.messages[0].recipients == ("a@y.example", "b@y.example")


@pytest.mark.parametrize(
    ("action", "lost_at"), [(Action.CLOSE, 2.0), (Action.RESET, 2.0), (Action.HANG, None)]
)
def test_an_action_takes_the_place_of_a_reply(action: Action, lost_at: float | None) -> None:
    async def main() -> tuple[list[str], float | None]:
        network = MemoryNetwork()
        client = await connected(SmtpServer(on_mail=action), network)
        await client.hear()
        await client.say("EHLO me.example\r\n")
        await client.write(b"MAIL FROM:<>\r\n")
        ended: float | None = None
        try:
            async with asyncio.timeout(100):
                await client.wait_gone()
                ended = asyncio.get_running_loop().time()
        except TimeoutError:
            pass
        client.close()
        await asyncio.sleep(1)
        assert network.open_transports == ()
        return await client.hear(0), ended

    assert run_virtual(main()) == ([], lost_at)


def test_a_slow_reply_comes_after_its_delay_and_an_idle_session_ends_with_421() -> None:
    async def main() -> tuple[float, float]:
        client = await connected(SmtpServer(delays={"ehlo": 7.0}, idle_secs=60.0))
        await client.hear()
        await client.write(b"EHLO me.example\r\n")
        loop = asyncio.get_running_loop()
        await client.read_line()
        replied_at = loop.time()
        while not (await client.read_line()).startswith(b"421"):
            continue
        client.close()
        return replied_at, loop.time()

    assert run_virtual(main()) == (8.0, 68.0)


def test_a_refused_greeting_lets_nothing_but_quit_follow() -> None:
    """RFC 5321 3.1"""
    server = SmtpServer(on_greeting="554 5.7.1 not you")

    replies = talk(server, "EHLO me.example\r\n", "QUIT\r\n")

    assert replies == [["554 5.7.1 not you"], ["503 5.5.1 no service here"], ["221 2.0.0 goodbye"]]


def tls_contexts() -> tuple[ssl.SSLContext, ssl.SSLContext]:
    authority = trustme.CA()
    server, client = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH), ssl.create_default_context()
    authority.issue_cert("mx.dest.example").configure_cert(server)
    authority.configure_trust(client)
    return server, client


def test_after_starttls_everything_said_before_is_forgotten() -> None:
    """RFC 3207 4.2"""
    server_context, client_context = tls_contexts()
    server = SmtpServer(tls_context=server_context, credentials={"user": "secret"}, extensions=())

    async def main() -> list[list[str]]:
        network = MemoryNetwork()
        client = await connected(server, network)
        await client.hear()
        heard = [await client.say("EHLO me.example\r\n"), await client.say("STARTTLS\r\n")]
        client.connection_made(
            await network.start_tls(
                client.transport, client, client_context, server_hostname="mx.dest.example", timeout_secs=9
            )
        )
        heard += [await client.say(text) for text in ("MAIL FROM:<>\r\n", "EHLO me.example\r\n", "QUIT\r\n")]
        client.close()
        await client.wait_lost()
        await asyncio.sleep(1)
        assert network.open_transports == ()
        return heard

    assert run_virtual(main()) == [
        ["250-mx.dest.example", "250 STARTTLS"],
        ["220 go ahead"],
        ["503 MAIL has no place here"],
        ["250-mx.dest.example", "250 AUTH CRAM-MD5 PLAIN LOGIN"],
        ["221 goodbye"],
    ]
    assert server.ledger.sessions[0].tls == "TLSv1.3"


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


async def log_in_plain(client: Client, password: str) -> str:
    return (await client.say(f"AUTH PLAIN {encoded(f'{chr(0)}user{chr(0)}{password}')}\r\n"))[0]


async def log_in_login(client: Client, password: str) -> str:
    assert await client.say("AUTH LOGIN\r\n") == [f"334 {encoded('Username:')}"]
    assert await client.say(f"{encoded('user')}\r\n") == [f"334 {encoded('Password:')}"]
    return (await client.say(f"{encoded(password)}\r\n"))[0]


async def log_in_cram_md5(client: Client, password: str) -> str:
    challenge = base64.b64decode((await client.say("AUTH CRAM-MD5\r\n"))[0].removeprefix("334 "))
    digest = hmac.new(password.encode(), challenge, "md5").hexdigest()
    return (await client.say(f"{encoded(f'user {digest}')}\r\n"))[0]


@pytest.mark.parametrize("log_in", [log_in_plain, log_in_login, log_in_cram_md5])
def test_auth_takes_the_right_password_and_no_other(
    log_in: Callable[[Client, str], Coroutine[object, object, str]],
) -> None:
    """Row 32"""
    server = SmtpServer(credentials={"user": "secret"})

    async def main() -> list[str]:
        client = await connected(server)
        await client.hear()
        await client.say("EHLO me.example\r\n")
        replies = await client.say("MAIL FROM:<>\r\n")
        replies += [await log_in(client, "wrong"), await log_in(client, "secret")]
        replies += await client.say("MAIL FROM:<>\r\n")
        client.close()
        return replies

    assert run_virtual(main()) == [
        "530 5.7.0 authentication required",
        "535 5.7.8 authentication credentials invalid",
        "235 2.7.0 welcome",
        "250 2.1.0 sender ok",
    ]
    assert (server.ledger.sessions[0].user, server.ledger.violations) == ("user", ())
