"""Storing in a transaction that its caller ends: what `SharedStorage.bind` returns."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

from .message.prepared import PreparedEmail
from .records import InternalMessageStatus

__all__ = ["AsyncBinding", "Binding"]


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
