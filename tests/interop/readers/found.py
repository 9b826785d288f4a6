"""What a reader should find in a message: the form in which all of them answer.

    subject, message_id      a str, "" for none
    references               a list of ids with their angle brackets
    from, sender, reply_to, to, cc
                             a list of [name or None, local part without quotes, domain],
                             and of [name, [members]] for groups
    text, html, calendar     a str with LF at line ends, "" for none
    files                    in their order: {name, type, disposition, content_id, sha256}

An empty text and none are the same: most readers cannot tell.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Any, TypeAlias

from mailstrom import Attachment, Email
from mailstrom.message.address import Group, Mailbox

Found: TypeAlias = dict[str, Any]


def expected_of(email: Email, message_id: str) -> Found:
    """What every reader should find in the message made of `email`."""
    return {
        "subject": email.subject or "",
        "from": _entries(email.from_),
        # RFC 5322 3.6.2: not written where From says the same
        "sender": _entries([email.sender] if email.sender and email.from_ != (email.sender,) else []),
        "reply_to": _entries(email.reply_to),
        "to": _entries(email.to),
        "cc": _entries(email.cc),
        "message_id": f"<{message_id}>",
        "references": [f"<{one}>" for one in email.references],
        "text": _read_back(email.text),
        "html": _read_back(email.html),
        "calendar": _read_back(email.calendar),
        "files": [_file(attachment) for attachment in files_of(email)],
    }


def files_of(email: Email) -> list[Attachment]:
    """The files in the order of the message: what the HTML shows stands beside it, before the others."""
    return sorted(email.attachments, key=lambda each: not _is_in_html(email, each))


def _is_in_html(email: Email, each: Attachment) -> bool:
    return email.html is not None and each.disposition == "inline" and each.content_id is not None


def one_line_end(text: str) -> str:
    """The text with LF at the ends of its lines."""
    return text.replace("\r\n", "\n")


def file_found(name: str | None, kind: str, disposition: str | None, cid: str | None, octets: bytes) -> Found:
    """One of `files`."""
    digest = hashlib.sha256(octets).hexdigest()
    return {"name": name, "type": kind, "disposition": disposition, "content_id": cid, "sha256": digest}


def _read_back(text: str | None) -> str:
    """CR, LF and CRLF are line ends, and the last line is ended."""
    lines = (text or "").replace("\r\n", "\n").replace("\r", "\n")
    return lines if lines.endswith("\n") or not lines else lines + "\n"


def _entries(addresses: Iterable[Mailbox | Group]) -> list[list[Any]]:
    return [
        [each.name, _entries(each.members)]
        if isinstance(each, Group)
        else [each.name, each.local_part, each.domain]
        for each in addresses
    ]


def _file(attachment: Attachment) -> Found:
    assert isinstance(attachment.content, bytes)
    kind = attachment.parsed_type[0].lower()
    return file_found(
        attachment.filename, kind, attachment.disposition, attachment.content_id, attachment.content
    )
