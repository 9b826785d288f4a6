"""WHAT is carried: addresses, emails and their bytes; pure values and rules, no I/O.

from mailstrom.message import parse_mailboxes

parse_mailboxes("Ann <ann@example.org>, bob@example.net")
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .address import parse_mailbox, parse_mailboxes
    from .attachment import Attachment
    from .email import Email
    from .mailbox import Group, Mailbox
    from .prepared import DsnOptions

__all__ = ["Attachment", "DsnOptions", "Email", "Group", "Mailbox", "parse_mailbox", "parse_mailboxes"]

# where each name lives; it is loaded when it is first used
_HOMES = {
    "Attachment": "attachment",
    "DsnOptions": "prepared",
    "Email": "email",
    "Group": "mailbox",
    "Mailbox": "mailbox",
    "parse_mailbox": "address",
    "parse_mailboxes": "address",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value: object = getattr(import_module(f".{_HOMES[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
