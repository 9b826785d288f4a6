"""The letters that every sender sends, as a file that programs in any language read."""

from __future__ import annotations

import json
import os
from email.utils import parseaddr
from pathlib import Path

from mailstrom import Email
from mailstrom.message.prepare import prepare

from ..letters import NOW, Letter, letters

__all__ = ["DOMAIN", "RECIPIENT", "SENDER", "write_letters"]

DIFFERENT = 500
DOMAIN = "one.example.com"  # of their recipients
SENDER, RECIPIENT = "service@shop.example.org", f"bob@{DOMAIN}"  # for who does not read them


def write_letters(folder: Path) -> Path:
    """The file: a list of letters to one recipient each, as texts and as finished octets.

    The octets have no Message-ID: it is put before them, a new one for each that is sent.
    """
    file = folder / "letters.json"
    file.write_text(json.dumps([_plain(letter) for letter in letters("ASCII", DIFFERENT)]), encoding="utf-8")
    return file


def _plain(letter: Letter) -> dict[str, str]:
    to = letter.to.split(", ")[0]
    return {
        "from": letter.from_,
        "to": to,
        "sender": parseaddr(letter.from_)[1],
        "recipient": parseaddr(to)[1],
        "subject": letter.subject,
        "text": letter.text,
        "html": letter.html,
        "content": _content(letter, to),
    }


def _content(letter: Letter, to: str) -> str:
    email = Email(from_=letter.from_, to=to, subject=letter.subject, text=letter.text, html=letter.html)
    octets = prepare(email, now=NOW, random_id=os.urandom(12).hex()).email.content
    lines = octets.decode("ascii").splitlines(keepends=True)
    return "".join(line for line in lines if not line.startswith("Message-ID:"))
