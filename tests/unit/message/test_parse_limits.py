"""`message.parse` against what nobody should send: any octets, and a great many of them."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailstrom.errors import MessageError
from mailstrom.message.attachment import Attachment
from mailstrom.message.prepare import prepare
from mailstrom.message.reading.parse import parsed_email
from tests.unit.message.proportion import assert_in_proportion

FROM, DATE = "From: Ann <ann@example.org>", "Date: Mon, 02 Mar 2026 09:30:00 +0100"
RECEIVED = "Received: from a.example by b.example; Mon, 2 Mar 2026 09:30 +0100"
RESENT = ("Resent-Date: 2 Mar 2026 09:30 +0100", "Resent-From: a@b.example")


def message(*fields: str, body: str = "Hi.\r\n", first: tuple[str, ...] = (FROM, DATE)) -> bytes:
    return "\r\n".join([*first, *fields, "", body]).encode()


def mime(*fields: str, body: str) -> bytes:
    return message("MIME-Version: 1.0", *fields, body=body)


@given(st.data())
def test_any_octets_are_read_or_refused_and_nothing_else(data: st.DataObject) -> None:
    """S21; and what the strict reader takes, the other takes as well."""
    content = data.draw(st.sampled_from(SAMPLES))
    for _ in range(data.draw(st.integers(1, 4))):
        at, lost = data.draw(st.integers(0, len(content))), data.draw(st.integers(0, 3))
        content = content[:at] + data.draw(st.sampled_from(BITS)) + content[at + lost :]

    found = {}
    for obsolete in (False, True):
        try:
            found[obsolete] = parsed_email(content, obsolete=obsolete, smtputf8=True)
        except MessageError:
            continue
        made = prepare(
            found[obsolete],
            recipients="bob@example.net",
            return_path="ann@example.org",
            default_from="ann@example.org",
            now=datetime(2026, 3, 2, 9, 30, tzinfo=UTC),
            random_id="1",
        )
        parsed_email(made.email.content, smtputf8=True)

    assert True in found or False not in found


BITS = (
    b"\r\n", b"\n", b"\r", b"\0", b" ", b"(", b'"', b"\\", b"<", b">", b"@", b",", b";", b":", b"=?utf-8?q?",
    b"?=", b"--b", b"*0*=", b"\xc3\xa9", b"\xff", b"[", b"Content-Type: multipart/x; boundary=b",
)  # fmt: skip
SAMPLES = (
    message("To: Ann <ann@example.org>, G: (c) bob@example.net;", "Subject: =?utf-8?Q?a?= b"),
    message("References: <1@a> <2@b>", "Keywords: a, b", first=(*RESENT, RECEIVED, FROM, DATE)),
    mime(
        "Content-Type: multipart/x; boundary=b",
        body="--b\r\n\r\nx\r\n--b\r\nContent-Type: text/html\r\n\r\n--b--",
    ),
    mime("Content-Type: text/plain; charset*=utf-8''utf-8", "Content-Transfer-Encoding: base64", body="w6k="),
)


def row(token: str, size: int) -> str:
    """The token many times, each on a line of its own."""
    return "\r\n ".join([token] * size)


@pytest.mark.parametrize(
    "make",
    (
        lambda size: message("To: " + ",\r\n ".join(["Ann (c) <ann@example.org>"] * size)),
        lambda size: message("To: " + row("(", size)),
        lambda size: message("To: " + row("a.", size)),
        lambda size: message("To: " + row('"', size)),
        lambda size: message("To: <" + row("@a,", size)),
        lambda size: message("To: " + row("=?utf-8?q?=41?=", size) + " <a@b.example>"),
        lambda size: message("Subject: " + row("=?a?q?", size)),
        lambda size: message("Subject: " + row("=?", size)),
        lambda size: message("Subject: " + row("=?utf-8?q?=41?=", size)),
        lambda size: message("References: " + row("<1@a>", size)),
        lambda size: message("References: " + row("<", size)),
        lambda size: message("Keywords: " + row("a,", size) + " a"),
        lambda size: message(*["X-A: b"] * size),
        lambda size: message(*["Resent-From: a@b.example"] * size),
        lambda size: message(first=(*[f"Resent-{n}: a" for n in range(size)], FROM, DATE)),
        lambda size: message(first=(FROM, "Date: 2 Mar 2026 09:30 +0000 " + row("(a)", size))),
        lambda size: mime("Content-Type: a/b" + "".join([f";\r\n a{n}=b" for n in range(size)]), body=""),
        lambda size: mime("Content-Type: a/b" + "".join([f";\r\n a*{n}=b" for n in range(size)]), body=""),
        lambda size: mime("Content-Type: a/b; a*0*=''"
                          + "".join([f";\r\n a*{n}*=%41" for n in range(1, size)]), body=""),
        lambda size: mime("Content-Type: multipart/x; boundary=b", body="--b\r\nX: y\r\n" * size),
        lambda size: mime("Content-Type: multipart/x; boundary=b", body="--c\r\n" * size),
        lambda size: mime("Content-Type: multipart/x; boundary=b", body="--b\r\n\r\n" * size + "--b--"),
        lambda size: mime("Content-Transfer-Encoding: quoted-printable", body="=20=\r\n" * size),
        lambda size: mime("Content-Transfer-Encoding: quoted-printable", body=" \r\n" * size),
        lambda size: mime("Content-Transfer-Encoding: base64", body="QUFB\r\n" * size),
        lambda size: message(body="a\r\n" * size),
        lambda size: message(body="\r" * size),
    ),
)  # fmt: skip
@pytest.mark.parametrize("obsolete", (False, True))
def test_ten_times_the_message_takes_about_ten_times_as_long(
    make: Callable[[int], bytes], obsolete: bool
) -> None:
    """S21."""
    assert_in_proportion(make, lambda content: parsed_email(content, obsolete=obsolete), 500)


def test_parts_can_be_nested_to_a_depth_that_is_bounded() -> None:
    def nested(depth: int) -> bytes:
        opening = [f"--b{n}\r\nContent-Type: multipart/x; boundary=b{n + 1}\r\n\r\n" for n in range(depth)]
        closing = [f"\r\n--b{n}--\r\n" for n in range(depth, -1, -1)]
        body = "".join(opening) + f"--b{depth}\r\n\r\nx" + "".join(closing)
        return mime("Content-Type: multipart/x; boundary=b0", body=body)

    assert parsed_email(nested(40)).text == "x"
    for obsolete in (False, True):
        with pytest.raises(MessageError, match="at most 50 of them nested"):
            parsed_email(nested(60), obsolete=obsolete)


def test_a_large_attachment_is_read_whole() -> None:
    octets = bytes(range(256)) * 4000
    lines = b64encode(octets)
    body = b"\r\n".join([lines[at : at + 76] for at in range(0, len(lines), 76)]).decode()
    content = mime("Content-Type: application/x-a", "Content-Transfer-Encoding: base64", body=body)

    assert parsed_email(content).attachments == (Attachment(None, octets, "application/x-a"),)
