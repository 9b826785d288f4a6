"""One address in, the same address out, or an error: whatever it reads like."""

from __future__ import annotations

import pytest

from mailstrom import Config, Mailstrom, MessageError
from mailstrom.testing.smtp_server import SmtpServer
from tests.builders import a_config, an_email, with_mx
from tests.lone_engine import LoneEngine, simulate

#: What is one mailbox of dest.example, however it reads.
ONE_MAILBOX = (
    r'"a@evil.example x"@dest.example',
    r'"a@evil.example> ORCPT=b"@dest.example',
    r'"a\"@evil.example"@dest.example',
    r'"a,b@evil.example"@dest.example',
    r'"<b@evil.example>"@dest.example',
    r'"(c)"@dest.example',
    r'" "@dest.example',
    r'"@evil.example:b"@dest.example',
    "a%evil.example@dest.example",
    "evil.example!a@dest.example",
    "a=evil.example@dest.example",
    "a+b/c'd{e}|f~g`h^i?j*k$l#m&n@dest.example",
)

#: What is no address, or more than one.
NO_SINGLE_MAILBOX = (
    "a@evil.example@dest.example",
    '"a"@evil.example@dest.example',
    "a@evil.example,b@dest.example",
    "a@evil.example;b@dest.example",
    "a@evil.example b@dest.example",
    "@evil.example:b@dest.example",
    "@evil.example,@relay.example:b@dest.example",
    "<@evil.example:b@dest.example>",
    "a@dest.example> ORCPT=rfc822;b",
    "a@dest.example>\r\nRCPT TO:<b@evil.example",
    "a@dest.example\r\nRCPT TO:<b@evil.example>",
    "a@dest.example\nDATA",
    "a@dest.example\0",
    "a@[dest.example]",
    "a@dest..example",
    "a@-dest.example",
    "a@.dest.example",
    "a@dest_.example ",
    "a b@dest.example",
    '"a\nb"@dest.example',
    'a"b"@dest.example',
    "a@",
    "@dest.example",
    "",
)

#: Domains that are not what they look like.
DISGUISED = (
    "a@de\u00adst.example",  # soft hyphen
    "a@de\u200bst.example",  # zero width space
    "a@de\u200dst.example",  # zero width joiner
    "a@dest\u3002example",  # ideographic full stop
    "a@dest\uff0eexample",  # full-width full stop
    "a@\uff44est.example",  # full-width d
    "a@dest\u202e.example",  # right-to-left override
    "a@\u2488example",  # "1."
    "a@xn--a.example",
    "a@xn--xn---.example",
)


@pytest.mark.parametrize("address", ONE_MAILBOX)
def test_what_is_routed_is_what_is_on_the_wire(address: str) -> None:
    """Threats S6 and S7: the routed domain comes from the same parse as the wire's address."""
    server, evil = SmtpServer(), SmtpServer()

    async def story(sim: LoneEngine) -> None:
        with_mx(sim, server)
        with_mx(sim, evil, domain="evil.example")
        status = await sim.deliver(an_email(to=[("Somebody", address)]))
        assert status.succeeded
        assert [recipient.address for recipient in status] == [address]

    simulate(story, config=a_config())

    (message,) = server.ledger.messages
    assert message.recipients == (address,)
    assert server.ledger.violations == ()
    assert evil.ledger.sessions == ()


@pytest.mark.parametrize("given", NO_SINGLE_MAILBOX)
@pytest.mark.parametrize("field", ["to", "recipients", "return_path", "from_"])
def test_what_is_not_one_mailbox_is_refused(given: str, field: str) -> None:
    """Threats S6 and S7: lists, routes and comments in one address; refused, not repaired."""
    with Mailstrom(Config(mode="capture")) as m:
        with pytest.raises(MessageError):
            if field == "to":
                m.send_email(an_email(to=[("Somebody", given)]))
            elif field == "recipients":
                m.send_email(an_email(), recipients=[("Somebody", given)])
            elif field == "return_path" and given:
                m.send_email(an_email(), return_path=given)
            else:
                m.send_email(an_email(from_=("Somebody", given)))

        assert m.query_recent() == []


@pytest.mark.parametrize(
    "header",
    ["To: a@dest.example>, <b@evil.example", "To: a@x.example@y.example", "To: @r.example:b@y.example"],
)
def test_a_finished_message_gets_no_other_reading(header: str) -> None:
    """Threats S6 and S7: the header of octets that somebody else wrote."""
    content = f"From: no-reply@sender.example\r\n{header}\r\n\r\nHi.\r\n".encode()
    with Mailstrom(Config(mode="capture")) as m, pytest.raises(MessageError):
        m.send_email(content)


@pytest.mark.parametrize("given", DISGUISED)
def test_a_domain_in_disguise_is_refused_or_shown_as_it_is(given: str) -> None:
    """Threat S8: characters that mapping would take away, labels that do not come back the same."""
    with Mailstrom(Config(mode="capture")) as m, pytest.raises(MessageError):
        m.send_email(an_email(to=[("Somebody", given)]))


def test_a_look_alike_shows_its_a_label_and_is_routed_by_it() -> None:
    """Threat S8: a Cyrillic letter is another domain."""
    real, other = SmtpServer(), SmtpServer()
    look_alike = "a@d\u0435st.example"

    async def story(sim: LoneEngine) -> None:
        with_mx(sim, real)
        with_mx(sim, other, domain="xn--dst-qdd.example")
        (recipient,) = await sim.deliver(an_email(to=look_alike))
        assert recipient.address.isascii()
        assert recipient.address.startswith("a@xn--")
        assert "dest.example" not in recipient.address
        assert recipient.result.state in ("delivered", "failed")

    simulate(story, config=a_config())

    assert real.ledger.sessions == ()


def test_case_and_spelling_of_a_domain_are_one_recipient() -> None:
    """Threat S8: the same domain as U-label and as A-label."""
    server = SmtpServer()

    async def story(sim: LoneEngine) -> None:
        with_mx(sim, server, domain="xn--bcher-kva.example")
        status = await sim.deliver(an_email(to="a@bücher.example, a@BÜCHER.example, a@xn--bcher-kva.EXAMPLE"))
        assert [recipient.address.lower() for recipient in status] == ["a@xn--bcher-kva.example"]
        assert status["a@bücher.example"].result.state == "delivered"

    simulate(story, config=a_config())
