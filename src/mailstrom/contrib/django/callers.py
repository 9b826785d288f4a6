"""Who sends: in which context, and what becomes of the transaction that he is in."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.core.exceptions import SynchronousOnlyOperation
from django.db import DEFAULT_DB_ALIAS, connections
from django.utils.asyncio import async_unsafe

from ...errors import ConfigError, StorageError

__all__ = ["callers_transaction", "check_may_block"]


def check_may_block() -> None:
    """Raises `ConfigError` in an async function, where Django lets nobody ask the database."""
    try:
        _ask_database()
    except SynchronousOnlyOperation as error:
        raise ConfigError(
            "an async function cannot send mail by itself, since storing it blocks: "
            "await sync_to_async(send_mail)(...)"
        ) from error


@contextmanager
def callers_transaction() -> Iterator[Any]:
    """The default database's connection; its atomic block is broken where a failure inside has ended it.

    Django does not see that by itself: it would take what follows for a part of the transaction, and
    commit that alone.
    """
    connection = connections[DEFAULT_DB_ALIAS]
    try:
        yield connection
    except StorageError as error:
        if error.transaction_lost and connection.in_atomic_block:
            connection.set_rollback(True)
        raise


@async_unsafe  # type: ignore[untyped-decorator]
def _ask_database() -> None:
    """As all of Django's functions that do so."""
