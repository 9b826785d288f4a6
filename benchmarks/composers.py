"""The same letter to octets, by mailstrom and by the two ways of the standard library.

Each writes the same fields (From, To, Cc, Subject, Date, a new Message-ID, MIME's) and the same
parts, and ends with the octets that go to a server: CRLF line ends, 7 bits. The standard library
gets its Date and Message-ID in the cheapest way there is. It checks no address; mailstrom does.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from email import policy
from email.header import Header
from email.message import EmailMessage
from email.mime.application import MIMEApplication
from email.mime.multipart import MIMEMultipart
from email.mime.text import MIMEText
from email.utils import format_datetime, formataddr, parseaddr
from pathlib import Path
from typing import TypeAlias

from mailstrom import Attachment, Email
from mailstrom.config import Config
from mailstrom.message.prepare import prepare
from mailstrom.submission import Moment, Submission, UnsignedDomains, entry_for

from .letters import NOW, Letter

__all__ = ["COMPOSERS", "Composer", "File", "email_of"]

File: TypeAlias = bytes | Path
Composer: TypeAlias = Callable[[Letter, File | None], bytes]

FILENAME = "report.bin"
CONFIG, UNSIGNED = Config(helo_name="mail.example.org"), UnsignedDomains()


def by_mailstrom(letter: Letter, file: File | None = None) -> bytes:
    """An `Email` is made, checked, written, and read back."""
    return prepare(email_of(letter, file), now=NOW, random_id=os.urandom(12).hex()).email.content


def by_send_email(letter: Letter, file: File | None = None) -> bytes:
    """All that `send_email` does but storing: the first status and a fingerprint as well."""
    submission = Submission(email_of(letter, file))
    moment = Moment(wall=NOW, steady=NOW)
    return entry_for(submission, CONFIG, moment, os.urandom(12).hex(), UNSIGNED)[0].content


def email_of(letter: Letter, file: File | None = None) -> Email:
    """The letter as an `Email`."""
    return Email(
        from_=letter.from_,
        to=letter.to,
        cc=letter.cc,
        subject=letter.subject,
        text=letter.text,
        html=letter.html,
        attachments=_attachments(file),
    )


def by_email_message(letter: Letter, file: File | None = None) -> bytes:
    """`email.message.EmailMessage`, written under `policy.SMTP`."""
    message = EmailMessage()
    message["From"] = letter.from_
    message["To"] = letter.to
    message["Cc"] = letter.cc
    message["Subject"] = letter.subject
    message["Date"] = format_datetime(NOW)
    message["Message-ID"] = _new_id()
    message.set_content(letter.text)
    message.add_alternative(letter.html, subtype="html")
    if file is not None:
        octets = _octets(file)
        message.add_attachment(octets, maintype="application", subtype="octet-stream", filename=FILENAME)
    return message.as_bytes(policy=policy.SMTP)


def by_mime_classes(letter: Letter, file: File | None = None) -> bytes:
    """The older `MIMEMultipart` and `MIMEText`, where encoding is the caller's work."""
    message = MIMEMultipart("alternative")
    message.attach(MIMEText(letter.text, "plain"))
    message.attach(MIMEText(letter.html, "html"))
    if file is not None:
        body, message = message, MIMEMultipart("mixed")
        part = MIMEApplication(_octets(file))
        part.add_header("Content-Disposition", "attachment", filename=FILENAME)
        message.attach(body)
        message.attach(part)
    message["From"] = _encoded_addresses(letter.from_)
    message["To"] = _encoded_addresses(letter.to)
    message["Cc"] = _encoded_addresses(letter.cc)
    message["Subject"] = (
        letter.subject if letter.subject.isascii() else Header(letter.subject, "utf-8").encode()
    )
    message["Date"] = format_datetime(NOW)
    message["Message-ID"] = _new_id()
    return message.as_bytes(policy=policy.SMTP)


COMPOSERS: dict[str, Composer] = {
    "EmailMessage": by_email_message,
    "MIMEMultipart": by_mime_classes,
    "mailstrom": by_mailstrom,
    "mailstrom, all of send_email but storing": by_send_email,
}


def _attachments(file: File | None) -> list[str | Attachment]:
    if file is None:
        return []
    return [str(file)] if isinstance(file, Path) else [Attachment(FILENAME, file)]


def _octets(file: File) -> bytes:
    return file.read_bytes() if isinstance(file, Path) else file


def _new_id() -> str:
    return f"<{NOW:%Y%m%d%H%M%S}.{os.urandom(12).hex()}@shop.example.org>"


def _encoded_addresses(addresses: str) -> str:
    return ", ".join(formataddr(parseaddr(one)) for one in addresses.split(", "))
