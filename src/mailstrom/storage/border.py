"""Where a storage that others wrote is called: no error of theirs comes through unnamed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from ..errors import MailstromError, StorageError


@contextmanager
def border(doing: str) -> Iterator[None]:
    """Lets mailstrom's own errors through and translates all others to `StorageError`."""
    try:
        yield
    except MailstromError:
        raise
    except Exception as error:
        raise foreign(doing, error) from error


def foreign(doing: str, error: Exception) -> StorageError:
    """What is raised for an error that is not mailstrom's own; for calls made for each message."""
    return StorageError(f"the storage failed to {doing}: {type(error).__name__}: {error}")
