"""`message.mime` and `message.bodies`: the tree of parts, and which of them are the body."""

from __future__ import annotations

import pytest

from mailstrom.errors import MessageError
from mailstrom.message.reading.bodies import bodies
from mailstrom.message.reading.content_type import ContentType
from mailstrom.message.reading.finished import split_header
from mailstrom.message.reading.mime import Entity, read_tree, walk

MIXED = "Content-Type: multipart/mixed; boundary=b"


def tree(*lines: str, obsolete: bool = False) -> Entity:
    content = "\r\n".join(lines).encode("latin-1")
    return read_tree(content, split_header(content, obsolete=obsolete), obsolete=obsolete)


def refusal(*lines: str, obsolete: bool = False) -> MessageError:
    with pytest.raises(MessageError) as caught:
        tree(*lines, obsolete=obsolete)
    return caught.value


def leaves(entity: Entity) -> list[tuple[str, bytes]]:
    return [(part.essence, part.octets()) for part in walk(entity) if not part.is_multipart]


# --- the tree


def test_a_message_without_mime_is_one_part_of_plain_text() -> None:
    """RFC 2045 5.2."""
    found = tree("Subject: x", "", "a", "b")

    assert (found.facts.content_type, found.facts.has_type) == (
        ContentType(maintype="text", subtype="plain"),
        False,
    )
    assert (found.facts.encoding, found.octets(), found.parts) == ("7bit", b"a\r\nb", ())


@pytest.mark.parametrize(
    ("lines", "expected"),
    (
        (("--b", "", "x", "--b--"), [b"x"]),
        (("preamble", "--b", "", "x", "--b--", "epilogue", "--b", "", "y"), [b"x"]),
        (("--b", "", "", "--b", "", "y", "", "--b--", ""), [b"", b"y\r\n"]),
        (("--b \t", "", "x", "--b-- "), [b"x"]),
        (("--b", "", "--bb", "-- b", " --b", "x--b", "--b-", "--b---", "--b--"),
         [b"--bb\r\n-- b\r\n --b\r\nx--b\r\n--b-\r\n--b---"]),
        (("--b", "X-A: b", "--c: d", "", "x", "--b--"), [b"x"]),
        (("--b", "", "x", "--b", "Content-Type: a/b", "", "", "--b--"), [b"x", b""]),
    ),
)  # fmt: skip
def test_parts_stand_between_lines_that_are_their_delimiter(
    lines: tuple[str, ...], expected: list[bytes]
) -> None:
    """RFC 2046 5.1.1."""
    assert [octets for _, octets in leaves(tree(MIXED, "", *lines))] == expected


def test_an_outer_delimiter_ends_what_is_inside() -> None:
    """RFC 2046 5.1.2."""
    lines = (
        MIXED,
        "",
        "--b",
        "Content-Type: multipart/x; boundary=c",
        "",
        "--c",
        "",
        "x",
        "--b",
        "",
        "y",
        "--b--",
    )

    assert "--c--" in refusal(*lines).expected
    assert leaves(tree(*lines, obsolete=True)) == [("text/plain", b"x"), ("text/plain", b"y")]


def test_a_boundary_may_begin_with_another() -> None:
    lines = (
        MIXED, "", "--b", "Content-Type: multipart/x; boundary=bb", "", "--bb", "", "x", "--bb--", "after",
        "--b", "", "y", "--b--",
    )  # fmt: skip

    assert leaves(tree(*lines)) == [("text/plain", b"x"), ("text/plain", b"y")]


def test_a_message_inside_stays_octets_and_a_digest_is_made_of_messages() -> None:
    """RFC 2046 5.1.5, 5.2.1."""
    inner = ("Content-Type: multipart/x; boundary=i", "", "--i", "", "z", "--i--")
    found = tree(
        "Content-Type: multipart/digest; boundary=b", "", "--b", "", *inner,
        "--b", "Content-Type: text/plain",
        "", "x", "--b--",
    )  # fmt: skip

    assert leaves(found) == [("message/rfc822", "\r\n".join(inner).encode()), ("text/plain", b"x")]
    assert [part.facts.has_type for part in found.parts] == [False, True]


def test_of_a_part_its_content_fields_count() -> None:
    """RFC 2183, RFC 2392, RFC 2045 6."""
    found = tree(
        'Content-type: IMAGE/Png; name="a.png"; x=y', "Content-transfer-encoding: (c) BASE64",
        "content-disposition: Inline; filename=b.png", "CONTENT-ID: <1@a>", "", "AAEC",
    )  # fmt: skip

    assert found.facts.content_type == ContentType(
        maintype="image", subtype="png", parameters=(("name", "a.png"), ("x", "y"))
    )
    assert (found.facts.encoding, found.facts.content_id, found.filename) == ("base64", "1@a", "b.png")
    assert found.facts.disposition is not None
    assert (found.facts.disposition.kind, found.octets()) == ("inline", b"\0\1\2")


@pytest.mark.parametrize(
    ("lines", "field", "expected"),
    (
        (("Content-Type: multipart/x", "", "--", "", "x", "----"), "content_type", "1 to 70"),
        (('Content-Type: multipart/x; boundary="b "', "", "x"), "content_type", "no blank at its end"),
        (('Content-Type: multipart/x; boundary="a*b"', "", "x"), "content_type", "1 to 70"),
        ((f"Content-Type: multipart/x; boundary={'b' * 71}", "", "x"), "content_type", "1 to 70"),
        ((MIXED, "", "x"), "content", "--b--"),
        ((MIXED, "", "--b--"), "content", "--b--"),
        ((MIXED, "", "--b", "", "x"), "content", "--b--"),
        ((MIXED, "", "--b", "--b--"), "content", "an empty line"),
        ((MIXED, "", "--b", "Content-Type: a/b", "--b--"), "content", "an empty line"),
        ((MIXED, "", "--b", "no field", "", "x", "--b--"), "content", "name, colon, value"),
        ((MIXED, "", "--b", "Content-Type: a/b", "Content-Type: c/d", "", "--b--"), "content_type", "one"),
        ((MIXED, "", "--b", "X-A: \xe9", "", "x", "--b--"), "x_a", "UTF-8"),
        ((MIXED, "", "--b", "X-A: \xc3\xa9", "", "x", "--b--"), "content", "ASCII in a header"),
        ((MIXED, "", "--b", "Content-Type: a", "", "x", "--b--"), "content_type", "'/'"),
        ((MIXED, "", "--b", MIXED, "", "--b", "", "x", "--b--"), "content_type", "a boundary of its own"),
        ((MIXED, "Content-Transfer-Encoding: base64", "", "LS1i"), "content_transfer_encoding", "7bit"),
        ((MIXED, "", "--b", "Content-Transfer-Encoding: 8bit", "", "\xe9", "--b--"),
         "content", "ASCII in a body"),
        (("Content-Type: message/rfc822", "Content-Transfer-Encoding: base64", "", "QQ=="),
         "content_transfer_encoding", "7bit"),
        (("Content-Transfer-Encoding: 7bit 8bit", "", "x"), "content_transfer_encoding", "nothing after it"),
        (("Content-Transfer-Encoding: ", "", "x"), "content_transfer_encoding", "base64"),
        (("Content-ID: 1@a", "", "x"), "content_id", "angle brackets"),
        (("", "\xe9"), "content", "ASCII in a body"),
    ),
)  # fmt: skip
def test_what_mime_does_not_have_is_refused(lines: tuple[str, ...], field: str, expected: str) -> None:
    """RFC 2045 5, 6.4; RFC 2046 5.1, 5.2."""
    error = refusal(*lines)

    assert error.field == field
    assert expected in error.expected


@pytest.mark.parametrize(
    "lines",
    (
        ("Content-Type: multipart/x", "", "x"),
        (MIXED, "Content-Transfer-Encoding: base64", "", "LS1i"),
        ("Content-Type: text", "", "x"),
    ),
)
def test_some_things_nobody_can_read(lines: tuple[str, ...]) -> None:
    assert refusal(*lines, obsolete=True)


def test_the_number_of_parts_is_bounded() -> None:
    """S21."""
    lines = (MIXED, "", *("--b", "", "x") * 10_001, "--b--")

    assert "at most 10000 parts" in refusal(*lines).expected


# --- which parts are the body


def part(essence: str, *fields: str) -> tuple[str, ...]:
    return ("Content-Type: " + essence, *fields, "", essence)


def multipart(subtype: str, boundary: str, *parts: tuple[str, ...]) -> tuple[str, ...]:
    lines = [line for each in parts for line in (f"--{boundary}", *each)]
    return (f"Content-Type: multipart/{subtype}; boundary={boundary}", "", *lines, f"--{boundary}--")


INLINE, ATTACHED = "Content-Disposition: inline", "Content-Disposition: attachment"


def test_the_example_of_jmap_is_sorted_as_it_says() -> None:
    """RFC 8621 4.1.4."""
    a, b, d, k = (part("text/plain", INLINE, f"Content-ID: <{name}@x>") for name in "abdk")
    c = part("image/jpeg", INLINE, "Content-ID: <c@x>")
    e = part("text/html", "Content-ID: <e@x>")
    f = part("image/jpeg", "Content-ID: <f@x>")
    g = part("image/jpeg", ATTACHED, "Content-ID: <g@x>")
    h = part("application/x-excel", "Content-ID: <h@x>")
    j = part("message/rfc822", "Content-ID: <j@x>")
    alternative = multipart(
        "alternative", "3", multipart("mixed", "4", b, c, d), multipart("related", "5", e, f)
    )
    found = bodies(tree(*multipart("mixed", "1", a, multipart("mixed", "2", alternative, g, h, j), k)))

    assert names(found.text) == "abcdk"
    assert names(found.html) == "aek"
    assert names(found.attachments) == "cfghj"


def names(parts: list[Entity]) -> str:
    return "".join([(each.facts.content_id or "?")[0] for each in parts])


@pytest.mark.parametrize(
    ("lines", "text", "html", "attachments"),
    (
        (part("text/plain"), 1, 1, 0),
        (part("text/html"), 1, 1, 0),
        (part("text/plain", ATTACHED), 0, 0, 1),
        (part("image/png"), 1, 1, 0),
        (part("application/pdf"), 0, 0, 1),
        (multipart("alternative", "b", part("text/plain"), part("text/html")), 1, 1, 0),
        (multipart("alternative", "b", part("text/html")), 1, 1, 0),
        (multipart("alternative", "b", part("text/plain")), 1, 1, 0),
        (multipart("alternative", "b", part("text/plain"), part("text/calendar")), 1, 1, 1),
        (multipart("mixed", "b", part("text/plain"), part("text/plain; name=x")), 1, 1, 1),
        (multipart("related", "b", part("text/html"), part("image/png", INLINE)), 1, 1, 1),
        (multipart("mixed", "b", part("text/html"), part("image/png", INLINE)), 2, 2, 0),
    ),
)
def test_what_is_inline_and_can_be_shown_is_the_body(
    lines: tuple[str, ...], text: int, html: int, attachments: int
) -> None:
    """RFC 8621 4.1.4."""
    found = bodies(tree(*lines))

    assert (len(found.text), len(found.html), len(found.attachments)) == (text, html, attachments)


def test_a_part_that_cannot_be_decoded_is_not_shown() -> None:
    found = bodies(
        tree(
            "Content-Type: image/png", "Content-Transfer-Encoding: base64", "", "... prose ...", obsolete=True
        )
    )

    assert (len(found.text), len(found.html), len(found.attachments)) == (0, 0, 1)
