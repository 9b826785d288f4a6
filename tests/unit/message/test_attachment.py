"""Files and images that go with an email: where they come from, and how they are checked."""

from __future__ import annotations

import io
import os
import pickle
from pathlib import Path
from typing import Any

import pytest

from mailstrom.errors import MessageError
from mailstrom.files import FileContent
from mailstrom.message import Attachment, Email


class NamelessFile:
    """What the standard library calls a file: something that can be read."""

    def __init__(self, content: object) -> None:
        self._content = content

    def read(self) -> Any:
        if isinstance(self._content, Exception):
            raise self._content
        return self._content


def refusal(source: Any, **options: Any) -> MessageError:
    with pytest.raises(MessageError) as caught:
        Email().attach(source, **options)
    return caught.value


# --- where a file comes from


def test_a_path_an_octet_string_and_a_binary_file_make_the_same_attachment(tmp_path: Path) -> None:
    path = tmp_path / "plan.pdf"
    path.write_bytes(b"%PDF")
    with path.open("rb") as file:
        from_file = Email().attach(file)

    from_bytes = Email().attach(b"%PDF", filename="plan.pdf")

    assert from_bytes == from_file == Email(attachments=[Attachment("plan.pdf", b"%PDF", "application/pdf")])
    for email in (Email().attach(path), Email().attach(str(path)), Email(attachments=[path])):
        assert email.attachments == (Attachment("plan.pdf", FileContent(str(path)), "application/pdf"),)


def test_one_path_or_one_attachment_needs_no_list(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(b"")

    assert Email(attachments=str(path)) == Email(attachments=[path])
    assert Email(attachments=Attachment("a", b"")).attachments == (Attachment("a", b""),)


def test_a_name_and_a_type_may_be_given_with_any_source(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(b"x")

    email = Email().attach(path, filename="b.csv", content_type="text/csv; charset=utf-8")

    assert email.attachments == (Attachment("b.csv", FileContent(str(path)), "text/csv; charset=utf-8"),)


def test_a_file_is_looked_at_when_it_is_named_and_read_when_its_octets_are_wanted(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    path.write_bytes(b"12345")

    content = FileContent(str(path))
    path.write_bytes(b"1234567")

    assert (content.name, content.size, list(content.blocks(3))) == ("a.bin", 5, [b"123", b"456", b"7"])
    assert pickle.loads(pickle.dumps(content)) == content


def test_a_relative_path_means_the_same_file_when_the_directory_has_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.bin").write_bytes(b"x")
    monkeypatch.chdir(tmp_path)
    content = FileContent("a.bin")

    monkeypatch.chdir("/")

    assert content.octets() == b"x"


def test_what_is_no_file_that_can_be_read_is_refused_by_its_path(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)

    for path, expected in (
        (tmp_path / "missing", "No such file"),
        (tmp_path, "a regular file"),
        (pipe, "a regular file"),
        ("a\0b", "a path without NUL"),
        ("\udfff", "a file that can be read"),
    ):
        error = refusal(path)
        assert (error.field, expected in error.expected) == ("attachments.content", True), path
        assert ascii(str(path))[1:-1] in str(error)


def test_a_file_that_is_gone_when_it_is_read_is_an_error_that_names_it(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    path.write_bytes(b"x")
    content = FileContent(str(path))
    path.unlink()

    for read in (content.octets, lambda: list(content.blocks(10))):
        with pytest.raises(MessageError, match=r"attachments\.content: .*No such file.*a\.bin"):
            read()


@pytest.mark.parametrize(
    ("source", "options", "field", "expected"),
    (
        (b"x", {}, "attachments.filename", "a file name with these octets"),
        (NamelessFile(b"x"), {}, "attachments.filename", "a file name with these octets"),
        (io.StringIO("x"), {"filename": "a"}, "attachments", '"rb"'),
        (NamelessFile(None), {"filename": "a"}, "attachments", '"rb"'),
        (NamelessFile(OSError("broken")), {"filename": "a"}, "attachments", "(broken)"),
        (3, {}, "attachments", "a path, bytes or a binary file object"),
        (b"x", {"filename": "a\r\nb"}, "attachments.filename", "U+000D"),
        (b"x", {"filename": "a", "content_type": "text"}, "attachments.content_type", "'/'"),
    ),
)
def test_what_cannot_be_attached_is_refused(
    source: Any, options: dict[str, Any], field: str, expected: str
) -> None:
    error = refusal(source, **options)

    assert (error.field, expected in error.expected) == (field, True)


# --- what it is


@pytest.mark.parametrize(
    ("filename", "content_type"),
    (
        ("a.pdf", "application/pdf"),
        ("A.PNG", "image/png"),
        ("a.txt", "text/plain"),
        ("a.tar.gz", "application/octet-stream"),
        ("a.eml", "application/octet-stream"),
        ("a.mht", "application/octet-stream"),
        ("a.unheard-of", "application/octet-stream"),
        ("a", "application/octet-stream"),
    ),
)
def test_the_type_of_a_file_is_guessed_from_its_name(filename: str, content_type: str) -> None:
    """P47: a guessed message need not be one that can stand as it is."""
    assert Attachment(filename, b"").content_type == content_type


def test_a_message_may_go_along_where_it_can_stand_as_it_is() -> None:
    """RFC 2046 5.2.1, P47."""
    message = b"From: a@b.example\r\n\r\nHi.\r\n"

    assert Attachment("a.eml", message, "message/rfc822").is_message
    assert Attachment("a.eml", message, "Message/RFC822; x=y").is_message


# --- images


def test_an_image_is_known_by_its_content_id() -> None:
    email = Email(html="<img src='cid:logo@x.example'>").inline(b"PNG", "<logo@x.example>", filename="l.png")

    assert email.attachments == (
        Attachment("l.png", b"PNG", "image/png", content_id="logo@x.example", disposition="inline"),
    )
    assert Email().inline(b"PNG", "l@x.example").attachments[0].filename is None


@pytest.mark.parametrize("content_id", ("logo", "", None, "a b@c", "a@b\r\nBcc: c@d", "\u00e4@x.example"))
def test_a_content_id_looks_like_a_message_id(content_id: Any) -> None:
    """RFC 2392 2, RFC 2045 7."""
    with pytest.raises(MessageError) as caught:
        Email().inline(b"PNG", content_id)

    assert caught.value.field == "attachments.content_id"
    assert 'src="cid:' in str(caught.value)


def test_a_content_id_is_used_once() -> None:
    email = Email().inline(b"PNG", "logo@x.example")

    with pytest.raises(MessageError) as caught:
        email.inline(b"GIF", "<logo@x.example>")

    assert (caught.value.field, caught.value.expected) == ("attachments.content_id", "each content id once")


def test_a_disposition_is_one_of_two() -> None:
    with pytest.raises(MessageError, match="'attachment' or 'inline'"):
        Attachment("a", b"", disposition="form-data")  # type: ignore[arg-type]
