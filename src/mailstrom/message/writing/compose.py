"""From an `Email` to a message: its header fields, and the tree of its parts.

    multipart/mixed            where there are files
    ├── multipart/alternative  where there are several forms of one text
    │   ├── text/plain
    │   ├── multipart/related  where the HTML shows images that go with it
    │   │   ├── text/html
    │   │   └── inline images, by their content ids
    │   └── text/calendar
    └── files

Each level is left out where it would hold one part only. Programs show the last alternative
that they know (RFC 2046 section 5.1.4), so the plainest one comes first.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from ..address import Group, Mailbox
from ..attachment import Attachment, checked_message
from ..date import written_date
from ..email import Email
from ..reading.finished import Header
from ..reading.trace import is_prepended
from . import written
from .body import Part, Tree, file_part, laid_out, multipart, raw_part, text_part
from .parameter import parameter_field
from .written import Written, read_back

__all__ = ["Composed", "ComposedEmail", "checked", "composed"]

_MIME_VERSION = written.mime("MIME-Version: 1.0")
# RFC 5545 3.7.2; on a line of its own, since folded lines go on behind a blank
_METHOD = re.compile(r"^METHOD(?:;[^:\r\n]*+)?:([A-Za-z0-9-]++)[ \t]*+\r?$", re.IGNORECASE | re.MULTILINE)


class ComposedEmail(NamedTuple):
    """An `Email` as a message, header and body apart; the header has been read back."""

    octets: bytes  # of the header, each field with its line end
    body: Part
    dated: bytes  # the line of Date
    identified: bytes  # the lines of Message-ID


class Composed(NamedTuple):
    """A message, header and body apart; the header has been read back."""

    octets: bytes  # of the header, each field with its line end
    header: Header  # as a reader finds it
    body: Part
    gap: bytes = b"\r\n"  # what parts header and body
    whole: bytes | None = None  # the same message in one piece, where there is one


def composed(
    email: Email, *, from_: tuple[Mailbox | Group, ...], message_id: str, date: datetime
) -> ComposedEmail:
    """The message that the email is; Bcc is not in it."""
    dated = written.structured("Date", written_date(date), label="date")
    identified = written.ids("Message-ID", (message_id,), label="message_id")
    fields = [dated, identified]
    _add_fields(fields, email, from_)
    if email.headers:
        # RFC 5322 3.6: what was put on top by who passed it on stays on top
        above = [written.further_field(name, value) for name, value in email.headers if is_prepended(name)]
        further = [(name, value) for name, value in email.headers if not is_prepended(name)]
        fields = above + fields + [written.further_field(name, value) for name, value in further]
    body = laid_out(_tree(email))
    octets = written.checked_octets(_with_mime(fields, body))
    return ComposedEmail(octets, body, dated.octets, identified.octets)


def checked(fields: Sequence[Written], tree: Tree) -> Composed:
    """The message of these fields and these parts; `MessageError` where it would be read otherwise."""
    body = laid_out(tree)
    octets, header = read_back(_with_mime(fields, body))
    return Composed(octets, header, body)


def _with_mime(fields: Sequence[Written], body: Part) -> list[Written]:
    return [*fields, _MIME_VERSION, *map(written.mime, body.head)]


def _add_fields(fields: list[Written], email: Email, from_: tuple[Mailbox | Group, ...]) -> None:
    fields.append(written.address("From", from_, label="from_"))
    if email.sender is not None and from_ != (email.sender,):  # RFC 5322 3.6.2: not when it says the same
        fields.append(written.address("Sender", (email.sender,), label="sender"))
    if reply_to := tuple(email.reply_to):
        fields.append(written.address("Reply-To", reply_to, label="reply_to"))
    if email.to:
        fields.append(written.address("To", email.to, label="to"))
    if email.cc:
        fields.append(written.address("Cc", email.cc, label="cc"))
    if email.subject is not None:
        fields.append(written.text("Subject", email.subject, label="subject", long_words=True))
    if email.in_reply_to:
        fields.append(written.ids("In-Reply-To", email.in_reply_to, label="in_reply_to"))
    if email.references:
        fields.append(written.ids("References", email.references, label="references"))
    fields += [written.text("Comments", text, label="comments", long_words=True) for text in email.comments]
    if email.keywords:
        fields.append(written.phrases("Keywords", email.keywords, label="keywords"))


def _tree(email: Email) -> Tree:
    images: list[Attachment] = []
    files: list[Attachment] = []
    for each in email.attachments:
        (images if _is_image_of(email, each) else files).append(each)
    alternatives: list[Tree] = []
    if email.text is not None:
        alternatives.append(text_part(email.text, "plain"))
    if email.html is not None:
        alternatives.append(_related(text_part(email.html, "html"), images))
    if email.calendar is not None:
        alternatives.append(_calendar(email.calendar))
    body = _together("alternative", alternatives or [text_part("", "plain")])
    return _together("mixed", [body, *map(_file, files)])


def _together(subtype: str, parts: list[Tree]) -> Tree:
    return parts[0] if len(parts) == 1 else multipart(subtype, parts)


def _is_image_of(email: Email, attachment: Attachment) -> bool:
    """The HTML shows it, by its content id (RFC 2392)."""
    return email.html is not None and attachment.disposition == "inline" and attachment.content_id is not None


def _related(html: Part, images: list[Attachment]) -> Tree:
    if not images:
        return html
    # RFC 2387 3.1: the type of the part that the others belong to
    return multipart("related", [html, *map(_file, images)], parameters=[("type", "text/html")])


def _calendar(text: str) -> Part:
    method = _METHOD.search(text)  # RFC 6047 2.4: the same in both places
    return text_part(text, "calendar", parameters=[("method", method[1])] if method else ())


def _file(attachment: Attachment) -> Part:
    filename = () if attachment.filename is None else (("filename", attachment.filename),)
    # demanded by some readers of every file, whatever its type
    head = [parameter_field("Content-Disposition", attachment.disposition, filename)]
    if attachment.content_id is not None:
        head.insert(0, f"Content-ID: <{attachment.content_id}>")
    essence, parameters = attachment.parsed_type
    if not attachment.is_message:
        return file_part(attachment.content, essence, parameters=parameters, head=head)
    octets = attachment.content if isinstance(attachment.content, bytes) else attachment.content.octets()
    fields = (
        parameter_field("Content-Type", essence, parameters),
        "Content-Transfer-Encoding: 7bit",
        *head,
    )
    return raw_part(checked_message(octets), fields)
