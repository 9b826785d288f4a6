"""What a caller gives for an address or a name stays an address or a name, or is refused."""

from __future__ import annotations

import re
import socket
from contextlib import suppress

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mailstrom import Config, ConfigError, Email, MessageError
from mailstrom.message.prepared import DsnOptions
from mailstrom.testing.smtp_server import SmtpServer
from tests.builders import a_config, an_email, with_mx
from tests.lone_engine import LoneEngine, simulate
from tests.scenarios.stages import YOU

#: What would end a command, an argument or a path, if it came through.
HOSTILE = [
    "\r\nRCPT TO:<evil@dest.example>\r\n", "\nDATA\n", "\rQUIT\r", "\0", "\x0b", "\x0c", "\x7f", "\x85",
    "\u2028", "\u2029", "\x1b[2J", "> NOTIFY=NEVER", "> SIZE=1", "><evil@dest.example", "> ORCPT=rfc822;evil",
    "<", ">", " ", "\t", " SIZE=1", "\ud800", "\u202e",
]  # fmt: skip
#: RFC 5321 4.1.2: printable characters end nothing inside a quoted string.
HARMLESS_INSIDE_QUOTES = [each for each in HOSTILE if each.isascii() and each.isprintable()]
PLACES = {
    "local part": "a{}b@dest.example",
    "quoted local part": '"a{}b"@dest.example',
    "domain": "ab@de{}st.example",
    "end": "ab@dest.example{}",
    "start": "{}ab@dest.example",
    "address literal": "ab@[192.0.2.{}25]",
}
ONE_COMMAND = re.compile(
    r"EHLO sender\.example|QUIT|DATA|RSET"
    r"|MAIL FROM:<[^\x00-\x1f\x7f]*>( SIZE=\d+)?( BODY=8BITMIME)?( SMTPUTF8)?"
    r"( RET=(FULL|HDRS))?( ENVID=[!-~]+)?"
    r"|RCPT TO:<[^\x00-\x1f\x7f]+@[^\x00-\x20<>\x7f]+>( NOTIFY=[A-Z,]+)?( ORCPT=rfc822;[!-~]+)?"
)


def said_to(server: SmtpServer) -> list[str]:
    return [command for session in server.ledger.sessions for command in session.commands]


def send_all(*emails: tuple[Email, dict[str, object]]) -> SmtpServer:
    """Sends each with its options to a strict server that is the host of dest.example."""
    server = SmtpServer()

    async def story(sim: LoneEngine) -> None:
        with_mx(sim, server)
        for email, options in emails:
            assert (await sim.deliver(email, **options)).completed

    simulate(story, config=a_config())
    assert server.ledger.violations == ()
    assert [command for command in said_to(server) if not ONE_COMMAND.fullmatch(command)] == []
    return server


@pytest.mark.parametrize("hostile", HOSTILE, ids=ascii)
@pytest.mark.parametrize("place", PLACES)
def test_an_address_is_one_address_or_none(place: str, hostile: str) -> None:
    """Threats S4 and S9: in each field that an envelope comes from."""
    address = PLACES[place].format(hostile)
    accepted = []
    for field in ("to", "cc", "bcc", "sender", "from_"):
        try:
            email = an_email(**{field: [address] if field != "sender" else address})
        except MessageError:
            continue
        accepted.append((email, {}))
    server = send_all(*accepted)

    inside_quotes = place == "quoted local part" and hostile in HARMLESS_INSIDE_QUOTES
    trimmed = re.fullmatch(r"[a-zA-Z0-9=]+@[a-z.]+", address.strip(" \t")) is not None
    assert bool(accepted) is (inside_quotes or trimmed), said_to(server)
    expected = address.strip(" \t")
    for message in server.ledger.messages:
        assert set(message.recipients) <= {YOU, expected}
        assert message.reverse_path in ("no-reply@sender.example", expected)


@pytest.mark.parametrize("hostile", HOSTILE, ids=ascii)
@pytest.mark.parametrize("place", PLACES)
def test_the_envelope_by_itself_is_no_way_in_either(place: str, hostile: str) -> None:
    """Threats S4 and S9: `recipients=` and `return_path=`."""
    address = PLACES[place].format(hostile)
    server = SmtpServer()

    async def story(sim: LoneEngine) -> None:
        with_mx(sim, server)
        for options in ({"recipients": [address]}, {"return_path": address}):
            with suppress(MessageError):
                await sim.deliver(an_email(), **options)

    simulate(story, config=a_config())

    assert server.ledger.violations == ()
    assert [command for command in said_to(server) if not ONE_COMMAND.fullmatch(command)] == []
    for message in server.ledger.messages:
        assert len(message.recipients) == 1
        assert message.parameters.keys() == {"SIZE"}


texts = st.text(st.characters(min_codepoint=0, max_codepoint=0x2FFF) | st.sampled_from('\r\n\0 <>"\\@,;:()'))


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(local_part=texts, quoted=st.booleans())
def test_whatever_stands_before_the_at_sign_one_line_is_one_command(local_part: str, quoted: bool) -> None:
    """Threats S4 and S9: fuzzed."""
    address = f'"{local_part}"@dest.example' if quoted else f"{local_part}@dest.example"
    emails = []
    for options in ({"recipients": [address]}, {"return_path": address}):
        email = an_email()
        try:
            email.replace(to=[address])
        except MessageError:
            continue
        emails.append((email, options))

    server = send_all(*emails)

    for message in server.ledger.messages:
        assert len(message.recipients) == 1


@pytest.mark.parametrize("hostile", [*HOSTILE, "", "a b", "é", "a" * 300, "[192.0.2.1\r\n]"], ids=ascii)
def test_a_helo_name_is_one_name_or_none(hostile: str) -> None:
    """Threat S4: EHLO."""
    with pytest.raises(ConfigError, match="helo_name"):
        Config(helo_name=hostile and f"sender{hostile}.example")


@pytest.mark.parametrize("fqdn", ["evil\r\nMAIL FROM:<a@b>", "a b.example", "", "é.example", "x" * 300])
def test_what_the_system_says_our_name_is_does_not_reach_ehlo_unless_it_is_one(fqdn: str) -> None:
    """Threat S4: the name that is looked up where none is configured."""
    server = SmtpServer()

    async def story(sim: LoneEngine) -> None:
        sim.network.fqdn = fqdn
        with_mx(sim, server)
        assert (await sim.deliver(an_email())).succeeded

    simulate(story, config=Config())

    greeting = said_to(server)[0]
    expected = "EHLO localhost" if "." not in socket.gethostname() else f"EHLO {socket.gethostname()}"
    assert greeting == expected
    assert server.ledger.violations == ()


@pytest.mark.parametrize("envid", ["a b", "a+b=c", "x> NOTIFY=NEVER", "%41", "\\", "a,b;c", "=+" * 50])
def test_an_envid_is_encoded_so_that_it_stays_one_value(envid: str) -> None:
    """Threat S9: xtext (RFC 3461 4), with `+` and `=` encoded as well."""
    server = send_all((an_email(dsn=DsnOptions(envid=envid, ret="HDRS")), {}))

    (message,) = server.ledger.messages
    wire = message.parameters["ENVID"]
    assert not set(wire) & set(" =")
    assert re.sub(r"\+([0-9A-F]{2})", lambda found: chr(int(found[1], 16)), wire) == envid
    assert message.parameters["RET"] == "HDRS"


@pytest.mark.parametrize("envid", ["\r\n", "a\nb", "a\0b", "é", "", "x" * 101, "a\x7f"])
def test_an_envid_that_cannot_be_one_is_refused(envid: str) -> None:
    """Threats S4 and S9."""
    with pytest.raises(MessageError, match="envid"):
        an_email(dsn=DsnOptions(envid=envid))


@pytest.mark.parametrize(
    "dsn",
    [
        {"ret": "FULL SIZE=1"},
        {"ret": "full"},
        {"notify": ("NEVER", "SUCCESS")},
        {"notify": ("SUCCESS ORCPT=x",)},
        {"notify": "NEVER"},
    ],
)
def test_dsn_options_are_what_the_standard_knows(dsn: dict[str, object]) -> None:
    """Threat S9: parameters come from typed fields only."""
    with pytest.raises(MessageError, match="dsn"):
        an_email(dsn=DsnOptions(**dsn))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("address", "orcpt"),
    [
        ("user+tag=x@dest.example", "rfc822;user+2Btag+3Dx@dest.example"),
        ('"a b"@dest.example', 'rfc822;"a+20b"@dest.example'),
        ('"a> NOTIFY=NEVER"@dest.example', 'rfc822;"a>+20NOTIFY+3DNEVER"@dest.example'),
    ],
)
def test_the_original_recipient_is_encoded(address: str, orcpt: str) -> None:
    """Threat S9: ORCPT."""
    server = send_all((an_email(to=[address], dsn=DsnOptions(notify=("FAILURE", "DELAY"))), {}))

    (rcpt,) = [command for command in said_to(server) if command.startswith("RCPT")]
    assert rcpt == f"RCPT TO:<{address}> NOTIFY=FAILURE,DELAY ORCPT={orcpt}"
    assert server.ledger.messages[0].recipients == (address,)
