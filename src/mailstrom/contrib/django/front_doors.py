"""The `Mailstrom` behind each mailer: one in a process, made when the first email is sent."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

from ...facade import Mailstrom
from .settings import Settings

__all__ = ["FrontDoor", "front_door"]


@dataclass(frozen=True, slots=True, kw_only=True)
class FrontDoor:
    """A mailer's settings, and what takes its mail."""

    settings: Settings
    mailstrom: Mailstrom


def front_door(alias: str | None, options: Mapping[str, object]) -> FrontDoor:
    """That of this mailer; None: of the setting MAILSTROM alone. Any thread."""
    lock, doors = _opened()
    with lock:
        if alias not in doors:
            settings = Settings.of(options)
            doors[alias] = FrontDoor(settings=settings, mailstrom=_started(settings))
        return doors[alias]


def _started(settings: Settings) -> Mailstrom:
    mailstrom = Mailstrom(settings.config)
    return mailstrom.start(settings.role)


@cache
def _opened() -> tuple[threading.Lock, dict[str | None, FrontDoor]]:
    return threading.Lock(), {}
