"""What PostgreSQL's errors mean for whoever called the storage.

    StorageError
    ├── Unreachable       no connection could be made, or it fell silent; nothing was done
    ├── RolledBack        nothing was done, and the same may be tried at once
    ├── OutcomeUnknown    COMMIT was sent, and its reply lost: all was done, or nothing
    ├── Unusable          the role lacks a right
    └── StorageFull       the server has no room

SQLSTATE codes: https://www.postgresql.org/docs/current/errcodes-appendix.html
"""

from __future__ import annotations

import psycopg

from ..errors import MailstromError, StorageError, StorageFull
from .postgres_silence import Silence
from .unusable import Unusable

__all__ = ["OutcomeUnknown", "RolledBack", "Unreachable", "is_cut", "translated"]

_DISK_FULL = "53100"
_NO_RIGHT = "42501"  # insufficient privilege
_TRY_AGAIN = frozenset({"40001", "40P01"})  # serialization failure, deadlock
_LOCKED = "55P03"  # longer than lock_timeout
_NOT_TOLD = "40003"  # statement completion unknown
_ENDED = frozenset({"57P01", "57P02", "57P03", "57P05", "25P03"})  # by the server: shut down, idle too long
_READ_ONLY = "25006"  # the server has become a standby: its successor takes new connections


class Unreachable(StorageError):
    """No connection could be made, or the server said nothing for too long."""


class RolledBack(StorageError):
    """Nothing was done, and the same may be tried at once."""


class OutcomeUnknown(StorageError):
    """Everything was done, or nothing."""


def translated(error: Exception, *, was_cut: bool = False, commit_sent: bool = False) -> MailstromError:
    """What to raise for it; our own errors are left as they are."""
    if isinstance(error, MailstromError):
        return error
    code, text = getattr(error, "sqlstate", None), _described(error)
    if code == _DISK_FULL:
        return StorageFull(text)
    if code == _NO_RIGHT:
        return Unusable(f"{text}: grant the role what it lacks on the tables, or give the URL of another")
    if code == _LOCKED:
        return StorageError(
            f"{text}: another transaction with the same Message-ID or idempotency key is still open, "
            "or one that changes the tables"
        )
    if commit_sent and (was_cut or code == _NOT_TOLD):
        return OutcomeUnknown(f"{text}; COMMIT was sent, and whether it was performed is not known")
    if isinstance(error, Silence):  # no reason to try again at once: that would be as long again
        return Unreachable(text)
    if was_cut or code in _TRY_AGAIN:
        return RolledBack(text)
    return StorageError(text)


def is_cut(error: Exception, connection: psycopg.Connection[object]) -> bool:
    """The connection is of no use any more."""
    code = getattr(error, "sqlstate", None) or ""
    return connection.closed or code.startswith("08") or code in _ENDED or code == _READ_ONLY


def _described(error: Exception) -> str:
    """The primary message alone: the details may show what was stored."""
    primary = error.diag.message_primary if isinstance(error, psycopg.Error) else None
    text = primary or " ".join(str(error).split())
    code = getattr(error, "sqlstate", None)
    return f"PostgreSQL: {text}" + (f" (SQLSTATE {code})" if code else f" ({type(error).__name__})")
