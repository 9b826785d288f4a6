"""The prepared email: what is stored and sent, in plain data."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from ..errors import MessageError

__all__ = ["ClaimedEmail", "DsnOptions", "PreparedEmail", "StoredEmail", "checked_dsn"]

ENVID_LIMIT = 100  # RFC 3461 4.4
_NOTIFY = frozenset(["NEVER", "SUCCESS", "FAILURE", "DELAY"])


@dataclass(frozen=True, slots=True, kw_only=True)
class DsnOptions:
    """What the sender asks of delivery status notifications (RFC 3461 section 4).

    `ret`: how much of the message comes back, "FULL" or "HDRS". `envid`: what the notification
    names the message by. `notify`: of "SUCCESS", "FAILURE" and "DELAY", or "NEVER" alone. Raises
    `MessageError`.
    """

    ret: Literal["FULL", "HDRS"] | None = None
    envid: str | None = None  # at most 100 printable characters, not yet in xtext
    notify: tuple[Literal["NEVER", "SUCCESS", "FAILURE", "DELAY"], ...] = ()

    def __post_init__(self) -> None:
        ret: object = self.ret
        if ret not in (None, "FULL", "HDRS"):
            raise MessageError("dsn.ret", given=ret, expected="'FULL' or 'HDRS'")
        _check_envid(self.envid)
        object.__setattr__(self, "notify", _checked_notify(self.notify))


@dataclass(frozen=True, slots=True, kw_only=True)
class PreparedEmail:
    """An email as it goes on the wire: its envelope, its bytes, and what it needs of a host.

    `content` holds the final octets: CRLF line ends only, not dot-stuffed. It never changes
    between tries, so that a receiver can recognise a repeat by Message-ID and Date.
    `needs_smtputf8` and `needs_8bitmime` are about the content alone; an address that needs
    SMTPUTF8 says so itself.
    """

    message_id: str  # without <>
    reverse_path: str  # "" is the null reverse-path
    recipients: tuple[str, ...]  # forward-paths as on the wire, in the order To, Cc, Bcc
    content: bytes = field(repr=False)
    needs_smtputf8: bool = False
    needs_8bitmime: bool = False
    dsn: DsnOptions | None = None

    @property
    def octets(self) -> int:
        """How many the content has."""
        return len(self.content)


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredEmail:
    """An email whose content was left in the storage; all else is as in a `PreparedEmail`.

    `SharedStorage.read_content` reads it, some octets at a time. `needs_8bitmime` holds wherever
    the content has such octets: nobody can look.
    """

    message_id: str
    reverse_path: str
    recipients: tuple[str, ...]
    octets: int  # of the content
    needs_smtputf8: bool = False
    needs_8bitmime: bool = False
    dsn: DsnOptions | None = None

    def with_content(self, content: bytes) -> PreparedEmail:
        """The same email, its content in memory."""
        return PreparedEmail(
            message_id=self.message_id,
            reverse_path=self.reverse_path,
            recipients=self.recipients,
            content=content,
            needs_smtputf8=self.needs_smtputf8,
            needs_8bitmime=self.needs_8bitmime,
            dsn=self.dsn,
        )


ClaimedEmail: TypeAlias = PreparedEmail | StoredEmail


def checked_dsn(dsn: object) -> DsnOptions:
    """The options; `MessageError` for what are none."""
    if not isinstance(dsn, DsnOptions):
        raise MessageError("dsn", given=dsn, expected="DsnOptions(ret=..., envid=..., notify=...)")
    return dsn


def _check_envid(envid: object) -> None:
    # RFC 3461 4.4: printable ASCII; xtext is made of it when it is sent
    is_envid = isinstance(envid, str) and 1 <= len(envid) <= ENVID_LIMIT
    if envid is not None and not (is_envid and str(envid).isascii() and str(envid).isprintable()):
        expected = f"1 to {ENVID_LIMIT} printable ASCII characters"
        raise MessageError("dsn.envid", given=envid, expected=expected)


def _checked_notify(notify: object) -> tuple[str, ...]:
    given = tuple(map(str, notify)) if isinstance(notify, (tuple, list)) else ("",)
    if not {*given} <= _NOTIFY or len({*given}) != len(given):
        expected = "a tuple of SUCCESS, FAILURE and DELAY, each once, or of NEVER"
        raise MessageError("dsn.notify", given=notify, expected=expected)
    if "NEVER" in given and len(given) > 1:  # RFC 3461 4.1
        raise MessageError("dsn.notify", given=notify, expected="NEVER alone")
    return given
