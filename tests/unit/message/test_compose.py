"""The message that an `Email` becomes: its fields in order, the tree of its parts, its octets."""

from __future__ import annotations

import re
import string
import tracemalloc
from datetime import UTC, datetime, timedelta, timezone
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailstrom.errors import MessageError
from mailstrom.message import Attachment, Email, Group, Mailbox, parse_mailboxes
from mailstrom.message.prepare import prepare
from mailstrom.message.writing.body import file_part, laid_out, multipart, raw_part, text_part
from mailstrom.message.writing.written import Written, checked_octets, read_back

NOW = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
INVITATION = "BEGIN:VCALENDAR\r\nMETHOD:REQUEST\r\nEND:VCALENDAR\r\n"
LOGO = Attachment("logo.png", b"PNG", content_id="logo@x.example", disposition="inline")
PLAN = Attachment("plan.pdf", b"%PDF")


def an_email(**changes: Any) -> Email:
    return Email(**{"from_": "a@example.org", "to": "b@example.net"} | changes)


def written(email: Email) -> bytes:
    return prepare(email, now=NOW, random_id="x").email.content


def read(email: Email) -> EmailMessage:
    message = message_from_bytes(written(email), policy=policy.default)
    assert isinstance(message, EmailMessage)
    return message


Shape = str | tuple[str, list[Any]]


def shape(message: Any) -> Shape:
    """The tree by its content types."""
    kind = str(message.get_content_type())
    if not message.is_multipart():
        return kind
    return (kind.removeprefix("multipart/"), [shape(part) for part in message.get_payload()])


# --- the tree


@pytest.mark.parametrize(
    ("given", "expected"),
    (
        ({}, "text/plain"),
        ({"text": "t"}, "text/plain"),
        ({"html": "h"}, "text/html"),
        ({"calendar": INVITATION}, "text/calendar"),
        ({"text": "t", "html": "h"}, ("alternative", ["text/plain", "text/html"])),
        (
            {"text": "t", "html": "h", "calendar": INVITATION},
            ("alternative", ["text/plain", "text/html", "text/calendar"]),
        ),
        ({"html": "h", "attachments": LOGO}, ("related", ["text/html", "image/png"])),
        ({"text": "t", "attachments": LOGO}, ("mixed", ["text/plain", "image/png"])),
        ({"attachments": PLAN}, ("mixed", ["text/plain", "application/pdf"])),
        (
            {"text": "t", "html": "h", "calendar": INVITATION, "attachments": [PLAN, LOGO]},
            (
                "mixed",
                [
                    ("alternative", ["text/plain", ("related", ["text/html", "image/png"]), "text/calendar"]),
                    "application/pdf",
                ],
            ),
        ),
    ),
)
def test_a_level_with_one_member_is_left_out(given: dict[str, Any], expected: Shape) -> None:
    """RFC 2046 5.1.3, 5.1.4; RFC 2387."""
    assert shape(read(an_email(**given))) == expected


def test_the_whole_tree_is_written_like_this() -> None:
    email = an_email(text="t", html="h", calendar=INVITATION, attachments=[PLAN, LOGO])

    _, _, body = written(email).partition(b"\r\n\r\n")

    assert body.decode("ascii").split("\r\n") == [
        "--=_1_mixed",
        'Content-Type: multipart/alternative; boundary="=_2_alternative"',
        "",
        "--=_2_alternative",
        "Content-Type: text/plain; charset=utf-8",
        "Content-Transfer-Encoding: 7bit",
        "",
        "t",
        "",
        "--=_2_alternative",
        'Content-Type: multipart/related; type="text/html"; boundary="=_3_related"',
        "",
        "--=_3_related",
        "Content-Type: text/html; charset=utf-8",
        "Content-Transfer-Encoding: 7bit",
        "",
        "h",
        "",
        "--=_3_related",
        "Content-Type: image/png",
        "Content-Transfer-Encoding: base64",
        "Content-ID: <logo@x.example>",
        'Content-Disposition: inline; filename="logo.png"',
        "",
        "UE5H",
        "",
        "--=_3_related--",
        "",
        "--=_2_alternative",
        "Content-Type: text/calendar; charset=utf-8; method=REQUEST",
        "Content-Transfer-Encoding: 7bit",
        "",
        *INVITATION.split("\r\n"),
        "--=_2_alternative--",
        "",
        "--=_1_mixed",
        "Content-Type: application/pdf",
        "Content-Transfer-Encoding: base64",
        'Content-Disposition: attachment; filename="plan.pdf"',
        "",
        "JVBERg==",
        "",
        "--=_1_mixed--",
        "",
    ]


@pytest.mark.parametrize(
    ("line", "method"),
    (
        ("METHOD:REQUEST", "REQUEST"),
        ("method;X-A=b:Cancel", "Cancel"),
        ("METHOD:REPLY  ", "REPLY"),
        (" METHOD:REQUEST", None),
        ("X-METHOD:REQUEST", None),
        ("METHOD:a b", None),
    ),
)
def test_a_calendar_says_its_method_in_both_places(line: str, method: str | None) -> None:
    """RFC 6047 2.4."""
    for end in ("\r\n", "\n"):
        part = read(an_email(calendar=end.join(["BEGIN:VCALENDAR", line, "END:VCALENDAR", ""])))

        assert part["Content-Type"].params.get("method") == method


def test_a_message_that_goes_along_stands_as_it_is() -> None:
    """RFC 2046 5.2.1, P47."""
    inner = b"From: c@example.org\r\nSubject: =_1_mixed\r\n\r\n--=_2_mixed\r\n"

    content = written(an_email(attachments=Attachment("a.eml", inner, "message/rfc822")))

    assert b"\r\n\r\n" + inner + b"\r\n--=_3_mixed--" in content
    assert b"Content-Type: message/rfc822\r\nContent-Transfer-Encoding: 7bit\r\n" in content


def test_an_empty_file_has_the_empty_line_behind_its_fields_like_any_other() -> None:
    empty = [Attachment("a.bin", b""), Attachment("b.eml", b"", "message/rfc822")]

    content = written(an_email(text="x", attachments=empty))

    assert content.count(b'.bin"\r\n\r\n\r\n--=_1_mixed\r\n') == 1
    assert content.endswith(b'.eml"\r\n\r\n\r\n--=_1_mixed--\r\n')


def test_a_message_in_a_file_is_checked_when_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.eml"
    path.write_bytes(b"Subject: a\r\n\r\nx\r\n")
    email = an_email().attach(path, content_type="message/rfc822")
    assert b"Subject: a\r\n\r\nx\r\n" in written(email)

    path.write_bytes(b"Subject: \xc3\xa4\r\n\r\n")

    with pytest.raises(MessageError, match="expected a message in ASCII"):
        written(email)


def test_the_parameters_of_a_type_are_kept() -> None:
    email = an_email(attachments=Attachment("a.csv", b"\xff", 'text/csv; charset=utf-16; header="a b"'))

    (part,) = read(email).iter_attachments()

    assert dict(part["Content-Type"].params) == {"charset": "utf-16", "header": "a b"}
    assert part.get_payload(decode=True) == b"\xff"


def test_a_file_goes_as_it_is_when_the_message_is_made(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    path.write_bytes(b"first")
    email = an_email().attach(path)
    content = bytes(range(256)) * 500
    path.write_bytes(content)  # larger than it was: what was expected is a hint only

    (part,) = read(email).iter_attachments()

    assert part.get_payload(decode=True) == content
    path.write_bytes(b"")
    assert written(email).endswith(b'filename="a.bin"\r\n\r\n\r\n--=_1_mixed--\r\n')


# --- boundaries


PIECES = st.lists(
    st.sampled_from(["=_", "--", "1", "2", "12", "_mixed", "_alternative", "\r\n", "x"]), max_size=12
)
LEAVES = st.builds(lambda words: text_part("".join(words), "plain"), PIECES) | st.builds(
    lambda words: raw_part("".join(words).encode(), ["Content-Type: x/y"]), PIECES
)
TREES = st.recursive(
    LEAVES,
    lambda trees: st.builds(
        multipart, st.sampled_from(["mixed", "alternative", "x-a+b"]), st.lists(trees, min_size=1, max_size=4)
    ),
    max_leaves=8,
)


@given(TREES)
def test_no_boundary_begins_another_or_stands_in_a_part(tree: Any) -> None:
    """RFC 2046 5.1, 5.1.1."""
    part = laid_out(tree)
    whole = b"".join(["\r\n".join(part.head).encode(), b"\r\n\r\n", *part.pieces])
    boundaries = [found.decode() for found in re.findall(rb'boundary="([^"]+)"', whole)]

    assert [a for a in boundaries for b in boundaries if a is not b and b.startswith(a)] == []
    for boundary in boundaries:
        lines = re.findall(rb"^--" + re.escape(boundary.encode()) + rb"(?:--)?\r?$", whole, re.MULTILINE)
        assert whole.count(boundary.encode()) == len(lines) + 1
        assert lines[-1].startswith(f"--{boundary}--".encode())
        assert len(boundary) <= 70
    assert part.size == sum(map(len, part.pieces))


def test_a_text_full_of_boundaries_takes_no_longer_than_another() -> None:
    text = "\n".join(f"--=_{number}_alternative" for number in range(30_000))

    assert b'boundary="=_30000_alternative"' in written(an_email(text=text, html="h"))


@given(st.binary(max_size=400) | st.integers(0, 30_000).map(bytes))
def test_the_size_of_a_file_in_base64_is_known_before_it_is_written(content: bytes) -> None:
    part = file_part(content, "a/b")

    assert part.size == sum(map(len, part.pieces)) == sum(map(len, part.pieces))


# --- fields


def test_every_field_has_its_place() -> None:
    """RFC 5322 3.6."""
    email = an_email(
        sender=Group(name="Robots", members=(Mailbox(local_part="r", domain="example.org"),)),
        subject="S",
        comments=["one", "two \u00e4"],
        keywords=["a, b", "c d", "\u00fc"],
        headers=[
            ("X-Tag", "v"),
            ("Received", "from a by b; Mon, 02 Mar 2026 09:30:00 +0000"),
            ("Resent-From", "J\u00f6rg <j@example.org>"),
            ("Resent-Date", "Mon, 02 Mar 2026 09:30:00 +0000"),
        ],
        message_id="1@x.example",
        date=NOW,
    )

    found = prepare(email, now=NOW, random_id="x", recipients="z@example.net").email

    header, _, _ = found.content.partition(b"\r\nMIME-Version")
    assert header.decode("ascii").split("\r\n") == [
        "Received: from a by b; Mon, 02 Mar 2026 09:30:00 +0000",
        "Resent-From: =?utf-8?b?SsO2cmc=?= <j@example.org>",
        "Resent-Date: Mon, 02 Mar 2026 09:30:00 +0000",
        "Date: Mon, 02 Mar 2026 09:30:00 +0000",
        "Message-ID: <1@x.example>",
        "From: a@example.org",
        "Sender: Robots: r@example.org;",
        "To: b@example.net",
        "Subject: S",
        "Comments: one",
        "Comments: =?utf-8?b?dHdvIMOk?=",
        'Keywords: "a, b", c d, =?utf-8?b?w7w=?=',
        "X-Tag: v",
    ]


def test_a_signature_of_another_message_is_not_written_into_this_one() -> None:
    """P29."""
    for name in ("DKIM-Signature", "ARC-Seal"):
        with pytest.raises(MessageError, match="written anew") as caught:
            an_email(headers={name: "v=1; b=abc"})
        assert caught.value.field == f"headers[{name!r}]"


LONG = "x" * 200


@pytest.mark.parametrize(
    "changes",
    (
        {"to": [f"Reader {number} <reader{number}@example.net>" for number in range(100)]},
        {"to": [f"{LONG[:60]}{number}@{'d' * 60}.example" for number in range(100)]},
        {"references": [f"{LONG}{number}@{LONG}.example" for number in range(100)]},
        {"message_id": f"{LONG * 4}@x.example"},
        {"subject": f"{LONG} {LONG}"},
        {"subject": LONG * 10},
        {"comments": "word " * 500 + "end"},
        {"keywords": ["word " * 40 + "end"] * 20},
        {"headers": {"X-Long": LONG, "List-ID": f"<{LONG}.example>"}},
        {"attachments": Attachment("\u4e2d" * 255, b"")},
        {"html": f"<p>{LONG * 10}</p>"},
    ),
)
def test_no_line_is_too_long_and_those_with_encoded_words_have_76_characters(changes: dict[str, Any]) -> None:
    """RFC 5322 2.1.1, RFC 2047 2; P21, P26, P27, P31, P33."""
    lines = written(an_email(**changes)).split(b"\r\n")

    assert max(map(len, lines)) <= 998
    assert max([len(line) for line in lines if b"=?utf-8?" in line], default=0) <= 76
    header = lines[: lines.index(b"")]
    assert all(line.strip() and not line.endswith(b":") for line in header)


# --- what is written is what is read


READ_OTHERWISE = pytest.mark.parametrize(
    "field",
    (
        Written("X-A", "X-A: b\r\nBcc: c@example.org", "headers", None),
        Written("X-A", "X-B: b", "headers", None),
        Written("X-A", "X-A: b\r\n\r\nBody", "headers", None),
        Written("X-A", "X-A: b\r\n ", "headers", "b"),
        Written("X-A", "X-A: b\nBcc: c", "headers", None),
        Written("X-A", "X-A: =?utf-8?q?b?=", "headers", "=?utf-8?q?b?=", is_text=True),
        Written("List-ID", "List-ID: =?utf-8?q?b?=", "headers", "b"),
        Written("To", "To: a@b.example, c@d.example", "to", parse_mailboxes("a@b.example")),
        Written("To", "To: =?utf-8?q?b?= <a@b.example>", "to", parse_mailboxes("a@b.example")),
        Written("To", "To: a@b.example,", "to", parse_mailboxes("a@b.example")),
    ),
)


@READ_OTHERWISE
def test_a_header_that_is_read_otherwise_is_an_error(field: Written) -> None:
    """S1: whatever our writer got wrong, it does not leave."""
    with pytest.raises(MessageError):
        read_back([field])


@READ_OTHERWISE
def test_no_octets_are_made_of_a_header_that_is_read_otherwise(field: Written) -> None:
    """S1."""
    other = Written("Subject", "Subject: Hi", "subject", "Hi", is_text=True)

    for fields in ([field], [other, field], [field, other]):
        with pytest.raises(MessageError):
            checked_octets(fields)


def test_no_octets_are_made_of_a_header_with_a_second_subject() -> None:
    subjects = [Written(name, f"{name}: Hi", "subject", "Hi") for name in ("Subject", "subject")]

    with pytest.raises(MessageError):
        checked_octets(subjects)


CHARACTERS = st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"], exclude_characters="\u0085")
TEXTS = st.text(CHARACTERS | st.sampled_from(list(' "\\()<>@,;:.=?_')), max_size=120)
NAMES = TEXTS.map(str.strip).map(lambda text: text.strip(" ") or None)
ATOMS = st.text(string.ascii_letters + string.digits + "+-_", min_size=1, max_size=20)
LOCAL_PARTS = ATOMS | st.text(string.printable[:95], min_size=1, max_size=20)
MAILBOXES = st.builds(
    Mailbox,
    name=NAMES,
    local_part=LOCAL_PARTS,
    domain=ATOMS.map(lambda _: "mail.example") | st.just("b\u00fccher.example"),
)
ADDRESSES = MAILBOXES | st.builds(
    Group, name=NAMES.map(lambda name: name or "g"), members=st.lists(MAILBOXES, max_size=3).map(tuple)
)
IDS = st.builds("{}@{}.example".format, ATOMS, ATOMS)
BODIES = st.none() | st.text(CHARACTERS | st.sampled_from(list("\n\t =.-")), max_size=300).map("x{}\n".format)
DATES = st.builds(
    lambda at, minutes: at.replace(microsecond=0, tzinfo=timezone(timedelta(minutes=minutes))),
    st.datetimes(datetime(1900, 1, 2), datetime(9999, 12, 30)),
    st.integers(-1439, 1439),
)
FILES = st.builds(
    Attachment,
    TEXTS.map(lambda text: f"x{text}.bin"),
    st.binary(max_size=200),
    st.sampled_from(["application/pdf", "application/octet-stream", "font/ttf"]),
)
EMAILS = st.builds(
    Email,
    from_=MAILBOXES,
    sender=st.none() | ADDRESSES,
    reply_to=st.lists(ADDRESSES, max_size=2),
    to=st.lists(ADDRESSES, max_size=8),
    cc=st.lists(ADDRESSES, max_size=3),
    subject=st.none() | TEXTS,
    comments=st.lists(TEXTS, max_size=2),
    keywords=st.lists(NAMES.filter(bool), max_size=4),
    date=DATES,
    message_id=IDS,
    in_reply_to=st.lists(IDS, max_size=2),
    references=st.lists(IDS, max_size=8),
    text=BODIES,
    html=BODIES,
    attachments=st.lists(FILES, max_size=2),
    headers=st.lists(st.tuples(ATOMS.map("X-{}".format), TEXTS), max_size=3),
)


@settings(deadline=None)
@given(EMAILS)
def test_an_email_is_read_as_it_was_written(email: Email) -> None:
    """S1, S6; P01-P41."""
    found = prepare(email, now=NOW, random_id="x", recipients="z@example.net").email

    read_again = Email.parse(found.content, smtputf8=found.needs_smtputf8)

    text = "" if email.text is email.html is None else email.text
    sender = None if email.from_ == (email.sender,) else email.sender
    assert read_again.replace(text=read_again.text or text) == email.replace(text=text, sender=sender)


# --- memory


class Seal:
    """Twelve octets that look at all others."""

    def room(self, header: bytes) -> int:
        return 12

    def fields(self, header: bytes, body: memoryview) -> bytes:
        assert len(bytes(body[-4:])) == 4
        return b"X-Seal: ab\r\n"


def peak_of(make: Any) -> int:
    make()
    tracemalloc.start()
    try:
        make()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("seal", (None, lambda domain: Seal()), ids=("bare", "sealed"))
def test_a_large_file_stands_in_memory_once_and_once_encoded(seal: Any) -> None:
    """P52."""
    content = bytes(1 << 20)
    email = an_email(text="t", html="h", attachments=Attachment("a.bin", content))

    peak = peak_of(lambda: prepare(email, now=NOW, random_id="x", seal=seal))

    assert peak + len(content) <= 2.5 * len(content)


@pytest.mark.parametrize("seal", (None, lambda domain: Seal()), ids=("bare", "sealed"))
@pytest.mark.parametrize("end", (b"\r\n", b"\n"), ids=("crlf", "lf"))
def test_finished_octets_are_copied_once_at_most(end: bytes, seal: Any) -> None:
    """P52."""
    line = b"x" * 70 + b"\n"
    octets = (b"From: a@example.org\nTo: b@example.net\nBcc: c@example.net\n\n" + line * 15_000).replace(
        b"\n", end
    )

    peak = peak_of(lambda: prepare(octets, now=NOW, random_id="x", seal=seal))

    assert peak <= 1.2 * len(octets)
