"""What has to be true of whatever a way in has taken: written and read back, it is the same."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from mailstrom.message.address import parse_address_field
from mailstrom.message.attachment import Attachment
from mailstrom.message.email import Email
from mailstrom.message.prepare import Prepared, fingerprint, prepare
from mailstrom.message.prepared import PreparedEmail
from mailstrom.message.reading.content_type import read_content_type
from mailstrom.message.reading.finished import split_header
from mailstrom.message.reading.mime import read_tree, walk
from mailstrom.message.reading.trace import is_prepended
from mailstrom.message.wire import dot_stuffed

NOW = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
FROM, TO = "me@sender.example", "you@dest.example"
PLAIN_PARAMETER_LIMIT = 900

_RESENT_ADDRESSES = ("resent-from", "resent-sender", "resent-to", "resent-cc")


def an_email(**fields: Any) -> Email:
    """A small email with these fields."""
    return Email(**{"from_": FROM, "to": TO, "subject": "Hello", "text": "Hi.\r\n", "date": NOW, **fields})


def prepared(given: object, **options: Any) -> Prepared:
    """What is stored for it."""
    envelope = {"recipients": TO, "return_path": FROM}  # what a header says may be too little, or too much
    asked = {"now": NOW, "random_id": "x", "default_from": FROM, **envelope, **options}
    return prepare(given, **asked)  # type: ignore[arg-type]


def check_email(given: Email, *, now: datetime = NOW) -> PreparedEmail:
    """What goes on the wire for it, which holds the whole email and nothing else."""
    made = prepared(given, now=now)
    found = made.email
    check_octets(found.content)
    assert found.needs_smtputf8 or found.content.isascii()
    assert not found.needs_8bitmime
    assert fingerprint(made) == fingerprint(prepared(given, now=now))
    again = Email.parse(found.content, smtputf8=found.needs_smtputf8)
    assert _files(again.attachments) == _files(_in_order(given))
    bare = again.replace(attachments=(), headers=(), dsn=given.dsn)
    assert bare == _as_written(given, given.message_id or str(again.message_id), now)
    assert _headers(again) == _headers(given)
    return found


def check_octets(content: bytes) -> None:
    """What every content that we let out is."""
    assert content.count(b"\r") == content.count(b"\n") == content.count(b"\r\n")
    assert b"\0" not in content
    assert max(map(len, content.split(b"\r\n"))) <= 998
    assert unstuffed(dot_stuffed(content)) == (content if content.endswith(b"\r\n") else content + b"\r\n")


def unstuffed(data: bytes) -> bytes:
    """The content in the octets of DATA, read line by line as a receiver does."""
    lines = data.split(b"\r\n")
    end = lines.index(b".")
    assert end == len(lines) - 2
    assert lines[-1] == b""
    return b"".join([line.removeprefix(b".") + b"\r\n" for line in lines[:end]]) or b"\r\n"


def lines_of(text: str | None) -> str | None:
    """The text as a reader finds it: its line ends LF, its last line ended."""
    if not text:
        return text
    lines = text.replace("\r\n", "\n").replace("\r", "\n")
    return lines if lines.endswith("\n") else f"{lines}\n"


def parameters_of_files(content: bytes) -> list[tuple[tuple[str, str], ...]]:
    """The parameters of the content type of each part but the first."""
    tree = read_tree(content, split_header(content), smtputf8=True)
    return [part.facts.content_type.parameters for part in walk(tree) if not part.is_multipart][1:]


def _as_written(given: Email, message_id: str, now: datetime) -> Email:
    """The email, with the changes that writing makes and says it makes, without files and headers."""
    bodies = {name: lines_of(getattr(given, name)) for name in ("text", "html", "calendar")}
    if given.text is given.html is given.calendar is None:
        bodies["text"] = ""
    from_ = given.from_ or FROM
    sender = None if given.from_ == (given.sender,) else given.sender
    date = (given.date or now).astimezone(UTC).replace(microsecond=0)
    bare = {"bcc": (), "attachments": (), "headers": ()}
    return given.replace(**bodies, **bare, from_=from_, sender=sender, date=date, message_id=message_id)


def _in_order(given: Email) -> list[Attachment]:
    """The files as they stand in the message: what the HTML shows stands with it."""

    def is_image(each: Attachment) -> bool:
        return given.html is not None and each.disposition == "inline" and each.content_id is not None

    return sorted(given.attachments, key=lambda each: not is_image(each))


def _files(attachments: Iterable[Attachment]) -> list[tuple[object, ...]]:
    return [
        (each.filename, each.content, _type(str(each.content_type)), each.content_id, each.disposition)
        for each in attachments
    ]


def _type(text: str) -> tuple[str, dict[str, str]]:
    """The type, and those of its parameters that an attachment keeps when it is read."""
    found = read_content_type(text, field="content_type")
    kept = {
        name: value
        for name, value in found.parameters
        if name != "name" and value.isascii() and value.isprintable() and len(value) <= PLAIN_PARAMETER_LIMIT
    }
    return found.essence, kept


def _headers(given: Email) -> list[tuple[str, object]]:
    """The further fields as they stand: what was put on top stays on top; addresses by their meaning."""
    fields = sorted(given.headers, key=lambda pair: not is_prepended(pair[0]))
    return [
        (name, parse_address_field(value, field=name) if name.lower() in _RESENT_ADDRESSES else value)
        for name, value in fields
    ]
