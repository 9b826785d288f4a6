"""The host does not offer what the message needs: its size, 8-bit content, addresses beyond ASCII."""

from __future__ import annotations

import pytest

from mailstrom import Attachment, Cause, EnhancedCode
from mailstrom.status import Phase
from mailstrom.testing.script import Step, expect, send
from mailstrom.testing.smtp_server import DEFAULT_EXTENSIONS, ScriptedServer, SmtpServer
from tests.builders import a_config, an_email, with_mx
from tests.lone_engine import LoneEngine, simulate
from tests.scenarios.stages import YOU, outcome, visits
from tests.scenarios.tls_hosts import QUIT

PLAIN = DEFAULT_EXTENSIONS - {"8BITMIME", "SMTPUTF8"}
HEAD = (
    b"From: no-reply@sender.example\r\nTo: you@dest.example\r\nMessage-ID: <1@sender.example>\r\n"
    b"Date: Mon, 05 Jan 2026 10:00:00 +0000\r\nMIME-Version: 1.0\r\n"
    b"Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"
)
EIGHT_BIT = HEAD + "Grüße\r\n".encode()


def verbs(server: SmtpServer) -> list[str]:
    return [command.split()[0] for session in server.ledger.sessions for command in session.commands]


def offering(*offers: str) -> list[Step]:
    """A whole session in which these extensions are offered and everything is taken."""
    lines = ["250-mx", *(f"250-{offer}" for offer in offers[:-1]), f"250 {offers[-1]}"]
    taken = [step for verb in ("MAIL", "RCPT") for step in (expect(verb), send("250 ok"))]
    content = [expect("DATA"), send("354 go"), expect("<content>"), send("250 2.0.0 ok")]
    return [send("220 mx"), expect("EHLO"), send("\r\n".join(lines)), *taken, *content, *QUIT]


@pytest.mark.parametrize("limit", [10, 200])
def test_a_message_above_the_hosts_size_fails_before_mail(limit: int) -> None:
    """Row 29: SIZE below the message: no MAIL is sent (RFC 1870 6.1)."""
    server = SmtpServer(size_limit=limit)

    async def story(sim: LoneEngine) -> None:
        with_mx(sim, server)
        status = await sim.deliver(an_email())
        assert outcome(status) == ("failed", "5.3.4", False, 1)
        assert visits(status) == [("1", "mail", "failed")]
        assert status[YOU].result.cause is Cause.UNSUPPORTED
        assert f"{limit} allowed" in str(status[YOU].result)

    simulate(story, config=a_config())

    assert "MAIL" not in verbs(server)


def test_the_next_mx_may_take_larger_messages() -> None:
    """Row 29."""
    small, large = SmtpServer(size_limit=10), SmtpServer(size_limit=10_000)

    async def story(sim: LoneEngine) -> None:
        with_mx(sim, small, large)
        status = await sim.deliver(an_email())
        assert outcome(status) == ("delivered", "2.0.0", False, 1)
        assert visits(status) == [("1", "mail", "failed"), ("2", "dot", "delivered")]

    simulate(story, config=a_config())


@pytest.mark.parametrize(
    "offer",
    ["SIZE", "SIZE 0", "SIZE junk", "SIZE -1", "SIZE ١٠", "SIZE 1e1", f"SIZE {'9' * 400}", "SIZE 0x10"],
)
def test_a_size_that_says_nothing_limits_nothing(offer: str) -> None:
    """Row 29: RFC 1870 4: no value and 0 set no limit; neither does what is no number."""
    server = ScriptedServer(offering(offer))

    async def story(sim: LoneEngine) -> None:
        with_mx(sim, server)
        status = await sim.deliver(an_email())
        assert outcome(status) == ("delivered", "2.0.0", False, 1)

    simulate(story, config=a_config())

    (content,) = server.transcripts[0].contents
    assert b"MAIL FROM:<no-reply@sender.example> SIZE=%d\r\n" % len(content) in server.transcripts[0].received


def test_a_message_of_exactly_the_hosts_size_is_sent_and_its_size_announced() -> None:
    """Row 29: the octets with CRLF, before dots are doubled (RFC 1870 3)."""
    email = an_email(text=".\n..\nthe end\n")
    server = SmtpServer()

    async def story(sim: LoneEngine) -> None:
        with_mx(sim, server)
        await sim.deliver(email)
        (message,) = server.ledger.messages
        exact = len(message.content)
        assert message.parameters["SIZE"] == str(exact)
        for number, (limit, state) in enumerate([(exact, "delivered"), (exact - 1, "failed")]):
            domain = f"{state}.example"
            with_mx(sim, SmtpServer(size_limit=limit), domain=domain)
            again = message.content.replace(b"Message-ID: <2", b"Message-ID: <%d" % number)
            status = await sim.deliver(again, recipients=[f"you@{domain}"])
            assert status.state == state

    simulate(story, config=a_config())


def test_a_size_refusal_in_words_fails_the_message_too() -> None:
    """Row 29: 552 to MAIL from a host whose EHLO gave no limit."""
    server = SmtpServer(on_mail="552 5.3.4 message too large")

    async def story(sim: LoneEngine) -> None:
        with_mx(sim, server)
        status = await sim.deliver(an_email())
        assert outcome(status) == ("failed", "5.3.4", False, 1)
        assert status[YOU].result.cause is Cause.REFUSED

    simulate(story, config=a_config())


@pytest.mark.parametrize("extensions", [PLAIN, DEFAULT_EXTENSIONS], ids=["without", "with"])
def test_an_email_is_seven_bit_whatever_the_host_offers(extensions: frozenset[str]) -> None:
    """Row 30: the same octets can go to any host, and signatures hold."""
    server = SmtpServer(extensions=extensions)
    email = an_email(
        subject="Grüße", text="Schöne Grüße, 你好 " * 40, html="<p>ä</p>",
        attachments=[Attachment("größe.bin", bytes(range(256)))],
    )  # fmt: skip

    async def story(sim: LoneEngine) -> None:
        with_mx(sim, server)
        assert (await sim.deliver(email)).succeeded

    simulate(story, config=a_config())

    (message,) = server.ledger.messages
    assert message.content.isascii()
    assert message.parameters.keys() == {"SIZE"}
    assert server.ledger.violations == ()


def test_finished_eight_bit_content_is_not_altered_and_fails_where_it_is_not_taken() -> None:
    """Row 30: RFC 6152; the crate sent it regardless."""
    server = SmtpServer(extensions=DEFAULT_EXTENSIONS - {"8BITMIME"})

    async def story(sim: LoneEngine) -> None:
        with_mx(sim, server)
        status = await sim.deliver(EIGHT_BIT)
        assert outcome(status) == ("failed", "5.6.3", False, 1)
        assert status[YOU].result.cause is Cause.UNSUPPORTED

    simulate(story, config=a_config())

    assert "MAIL" not in verbs(server)


def test_finished_eight_bit_content_goes_as_it_is_where_it_is_taken() -> None:
    """Row 30: the next MX, announced by BODY=8BITMIME, octet for octet."""
    second = SmtpServer()

    async def story(sim: LoneEngine) -> None:
        with_mx(sim, SmtpServer(extensions=PLAIN), second)
        status = await sim.deliver(EIGHT_BIT)
        assert visits(status) == [("1", "mail", "failed"), ("2", "dot", "delivered")]

    simulate(story, config=a_config())

    (message,) = second.ledger.messages
    assert message.content == EIGHT_BIT
    assert message.parameters["BODY"] == "8BITMIME"


@pytest.mark.parametrize("extensions", [PLAIN, DEFAULT_EXTENSIONS], ids=["without", "with"])
def test_a_domain_beyond_ascii_goes_as_its_a_label_and_needs_nothing(extensions: frozenset[str]) -> None:
    """Row 31: RFC 5890; the crate, and others, wanted SMTPUTF8 for it."""
    server = SmtpServer(extensions=extensions)

    async def story(sim: LoneEngine) -> None:
        with_mx(sim, server, domain="xn--bcher-kva.example")
        email = an_email(from_="Ä <no-reply@größe.example>", to="Käufer <you@bücher.example>")
        status = await sim.deliver(email)
        assert outcome(status, "you@xn--bcher-kva.example") == ("delivered", "2.0.0", False, 1)
        assert status["you@bücher.example"].address == "you@xn--bcher-kva.example"

    simulate(story, config=a_config())

    (message,) = server.ledger.messages
    assert message.recipients == ("you@xn--bcher-kva.example",)
    assert message.reverse_path == "no-reply@xn--gre-6ka8i.example"
    assert message.parameters.keys() == {"SIZE"}


def test_a_local_part_beyond_ascii_fails_where_no_host_takes_it() -> None:
    """Row 31: RFC 6531 3.4."""
    first, second = SmtpServer(extensions=PLAIN), SmtpServer(extensions=PLAIN)

    async def story(sim: LoneEngine) -> None:
        with_mx(sim, first, second)
        status = await sim.deliver(an_email(to="käufer@dest.example"))
        address = "käufer@dest.example"
        assert outcome(status, address) == ("failed", "5.6.7", False, 1)
        assert visits(status, address) == [("1", "mail", "failed"), ("2", "mail", "failed")]
        assert status[address].result.cause is Cause.UNSUPPORTED

    simulate(story, config=a_config())

    assert "MAIL" not in verbs(first) + verbs(second)


def test_a_local_part_beyond_ascii_goes_to_the_mx_that_takes_it() -> None:
    """Row 31: the next MX."""
    second = SmtpServer()

    async def story(sim: LoneEngine) -> None:
        with_mx(sim, SmtpServer(extensions=PLAIN), second)
        status = await sim.deliver(an_email(to="käufer@dest.example"))
        assert status.succeeded

    simulate(story, config=a_config())

    (message,) = second.ledger.messages
    assert message.recipients == ("käufer@dest.example",)
    assert "SMTPUTF8" in message.parameters
    assert second.ledger.violations == ()


def test_a_bcc_beyond_ascii_does_not_harm_the_others() -> None:
    """Row 31: only that recipient needs SMTPUTF8, since it stands in no header field."""
    server = SmtpServer(extensions=PLAIN)

    async def story(sim: LoneEngine) -> None:
        with_mx(sim, server)
        status = await sim.deliver(an_email(bcc="käufer@dest.example"))
        assert outcome(status) == ("delivered", "2.0.0", False, 1)
        assert outcome(status, "käufer@dest.example") == ("failed", "5.6.7", False, 1)
        assert status["käufer@dest.example"].attempts[-1].phase is Phase.RCPT

    simulate(story, config=a_config())

    (message,) = server.ledger.messages
    assert message.recipients == (YOU,)
    assert "SMTPUTF8" not in message.parameters


def test_smtputf8_is_asked_for_only_where_it_is_needed() -> None:
    """Row 31: RFC 6531 3.4. The crate asked whenever it was offered, and a later hop bounced plain mail."""
    server = SmtpServer()

    async def story(sim: LoneEngine) -> None:
        with_mx(sim, server)
        await sim.deliver(an_email(subject="Grüße", text="Grüße\n"))
        await sim.deliver(an_email(from_="käufer@sender.example"))

    simulate(story, config=a_config())

    plain, needing = server.ledger.messages
    assert "SMTPUTF8" not in plain.parameters
    assert "SMTPUTF8" in needing.parameters


def test_what_this_host_lacks_says_nothing_of_the_next_message() -> None:
    """Rows 29 to 31: the session goes on."""
    server = SmtpServer(extensions=PLAIN)

    async def story(sim: LoneEngine) -> None:
        with_mx(sim, server)
        assert not (await sim.deliver(EIGHT_BIT)).succeeded
        assert (await sim.deliver(an_email())).succeeded

    simulate(story, config=a_config())

    assert len(server.ledger.sessions) == 1
    assert server.ledger.violations == ()


def test_a_failure_for_lack_of_an_extension_weighs_less_than_a_host_that_may_have_it_later() -> None:
    """Row 31: deferred at one MX beats failed at another."""

    async def story(sim: LoneEngine) -> None:
        busy = SmtpServer(on_greeting=["421 4.3.2 busy"])
        with_mx(sim, busy, SmtpServer(extensions=PLAIN))
        status = await sim.deliver(an_email(to="käufer@dest.example"))
        result = status["käufer@dest.example"].result
        assert (result.state, result.tries) == ("delivered", 2)
        first = status["käufer@dest.example"].attempts[0]
        assert first.reply is not None
        assert first.reply.enhanced == EnhancedCode(4, 3, 2)

    simulate(story, config=a_config())
