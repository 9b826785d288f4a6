"""Storing in a transaction that its caller ends: what `SharedStorage.bind` returns."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

from .errors import ConfigError
from .message.prepared import PreparedEmail
from .records import InternalMessageStatus

__all__ = ["AsyncBinding", "Binding", "no_binding"]


class Binding(ABC):
    """Stores in a transaction that its caller ends."""

    @abstractmethod
    def store(self, entries: Sequence[tuple[PreparedEmail, InternalMessageStatus]]) -> list[str]:
        """As `SharedStorage.store`; an error undoes its own savepoint alone, or has `transaction_lost`."""


class AsyncBinding(ABC):
    """Stores in a transaction of an asyncio connection that its caller ends."""

    @abstractmethod
    async def store(self, entries: Sequence[tuple[PreparedEmail, InternalMessageStatus]]) -> list[str]:
        """As `Binding.store`."""


def no_binding(storage: object) -> ConfigError:
    """What a storage says that has no such way in; raise it."""
    kind = type(storage).__name__
    return ConfigError(
        f"connection: {kind} cannot store in a caller's transaction; SqliteStorage and PostgresStorage can"
    )
