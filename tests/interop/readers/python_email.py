"""What Python's own email package finds in a message."""

from __future__ import annotations

from collections.abc import Iterator
from email import message_from_bytes, message_from_string, policy
from email.message import EmailMessage
from typing import Any

from tests.interop.readers.found import Found, file_found, one_line_end


def read(content: bytes) -> Found:
    """The message as the standard library's current policy reads it."""
    mail = _parsed(content)
    texts, files = {"plain": "", "html": "", "calendar": ""}, []
    for part in _leaves(mail):
        if part.get_content_disposition() is None and part.get_content_subtype() in texts:
            texts[part.get_content_subtype()] += one_line_end(part.get_payload(decode=True).decode())
        else:
            files.append(_file(part))
    fields = {
        name.lower().replace("-", "_"): _entries(mail, name)
        for name in ("From", "Sender", "Reply-To", "To", "Cc")
    }
    return {
        "subject": str(mail["Subject"] or ""),
        **fields,
        "message_id": str(mail["Message-ID"]),
        "references": str(mail["References"] or "").split(),
        "text": texts["plain"],
        "html": texts["html"],
        "calendar": texts["calendar"],
        "files": files,
    }


def _parsed(content: bytes) -> EmailMessage:
    if content.isascii():
        return message_from_bytes(content, policy=policy.default)
    # RFC 6532: header values in UTF-8, which the standard library reads from text only
    return message_from_string(content.decode(), policy=policy.SMTPUTF8)


def _leaves(part: EmailMessage) -> Iterator[EmailMessage]:
    if part.get_content_maintype() != "multipart":
        yield part
        return
    for inner in part.iter_parts():
        yield from _leaves(inner)


def _octets(part: EmailMessage) -> bytes:
    if part.get_content_type() != "message/rfc822":
        return part.get_payload(decode=True)
    # it is parsed at once, and keeps what it was parsed from
    return part.get_payload(0).as_bytes(policy=policy.SMTP.clone(refold_source="none"))


def _entries(mail: EmailMessage, name: str) -> list[list[Any]]:
    found: list[list[Any]] = []
    for group in mail[name].groups if name in mail else ():
        members = [
            [address.display_name or None, address.username, address.domain] for address in group.addresses
        ]
        found += members if group.display_name is None else [[group.display_name, members]]
    return found


def _file(part: EmailMessage) -> Found:
    content_id = part["Content-ID"]
    disposition = part["Content-Disposition"]
    return file_found(
        # get_filename() takes quotes and angle brackets around the whole name off once more
        None if disposition is None else disposition.params.get("filename"),
        part.get_content_type(),
        part.get_content_disposition(),
        None if content_id is None else str(content_id).strip("<>"),
        _octets(part),
    )
