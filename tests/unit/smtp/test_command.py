"""Command lines: nothing that comes in with an address makes a command of its own."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailstrom.smtp.command import CommandError, command, path, xtext

CONTROLS = [chr(code) for code in (*range(32), 127, 0x85, 0x2028, 0x2029)]


@pytest.mark.parametrize("control", CONTROLS, ids=lambda control: f"U+{ord(control):04X}")
@pytest.mark.parametrize("around", ["a{}b@x.example", '"a{}b"@x.example', "a@x.example{}"])
def test_no_control_character_gets_into_a_path(control: str, around: str) -> None:
    """Threat S4; RFC 5321 4.1.2."""
    with pytest.raises(CommandError):
        path(around.format(control))


@pytest.mark.parametrize(
    "address",
    [
        "a@x.example> NOTIFY=NEVER",
        "a@x.example SIZE=1",
        "<a@x.example>",
        '"a@evil.example x@good.example',
        '"a\\"@evil.example x@good.example',
        '"a"> RCPT TO:<b"@x.example ',
        "x@example.net>\r\nDATA\r\nspoof\r\n.\r\n",
        "\ud800@x.example",
    ],
)
def test_no_parameter_gets_in_with_an_address(address: str) -> None:
    """Threats S4, S6, S9."""
    with pytest.raises(CommandError):
        path(address)


@pytest.mark.parametrize(
    ("address", "octets"),
    [
        ("", b"<>"),
        ("a@x.example", b"<a@x.example>"),
        ('"a@evil x"@good.example', b'<"a@evil x"@good.example>'),
        ('"a> ORCPT=b"@x.example', b'<"a> ORCPT=b"@x.example>'),
        ('"a\\"<b"@x.example', b'<"a\\"<b"@x.example>'),
        ("a%b!c@[IPv6:2001:db8::1]", b"<a%b!c@[IPv6:2001:db8::1]>"),
        ("üser@x.example", "<üser@x.example>".encode()),
    ],
)
def test_an_address_goes_out_as_it_is(address: str, octets: bytes) -> None:
    """Threats S6, S7: one address in, the same address out."""
    assert path(address) == octets


@given(st.text(max_size=80))
def test_any_text_gives_one_path_or_an_error(address: str) -> None:
    """Threat S4."""
    try:
        octets = path(address)
    except CommandError:
        return

    outside_quotes = re.sub(rb'"(?:[^"\\]|\\.)*"', b"", octets[1:-1])
    assert not re.search(rb"[\x00-\x1f\x7f]", octets)
    assert not re.search(rb'[ <>"]', outside_quotes)


def test_an_error_does_not_repeat_what_was_given() -> None:
    """Threat S10."""
    with pytest.raises(CommandError) as caught:
        path("canary\r@x.example")

    assert "canary" not in str(caught.value)


def test_a_command_of_more_than_512_octets_is_refused() -> None:
    """RFC 5321 4.5.3.1.4; parameters come on top of that."""
    with pytest.raises(CommandError):
        command("RCPT TO:", path("a" * 491 + "@x.example"))

    assert len(command("RCPT TO:", path("a" * 490 + "@x.example"), parameters=[b"X=" + b"y" * 500])) == 1015


@pytest.mark.parametrize(
    ("value", "octets"),
    [
        ("QQ314159", b"QQ314159"),
        ("a+b=c@x.example", b"a+2Bb+3Dc@x.example"),
        ("two words", b"two+20words"),
        ("ü", b"+C3+BC"),
        ("~!", b"~!"),
    ],
)
def test_xtext_encodes_all_that_is_not_plain(value: str, octets: bytes) -> None:
    """Threat S9; RFC 3461 4."""
    assert xtext(value) == octets
