"""Faults that no waiting mends."""

from __future__ import annotations

from ..errors import StorageError

__all__ = ["Unusable"]


class Unusable(StorageError):
    """The storage fails until somebody changes something: a right is missing, a file is no database.

    An engine that runs goes on trying, as with every `StorageError`; who starts one says so at once.
    """
