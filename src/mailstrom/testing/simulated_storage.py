"""Which storages a simulated process can have, and how their time is the simulation's."""

from __future__ import annotations

import time
from typing import cast

from ..abc import SharedStorage, Storage
from ..config_storage import StorageConfig
from ..secret import Secret
from ..storage.exclusive import ExclusiveStorage
from ..storage.memory import MemoryStorage
from ..storage.sqlite import SqliteStorage
from ..storage.urls import sqlite_path
from .patience import PatientStorage, PatientTimeline, SimulationError

POLL_SECS = 60.0  # of a queue given by its URL: one look a second makes five days half a minute long

Given = Storage | SharedStorage | StorageConfig | str | Secret | None

_POSTGRES = "mailstrom.storage.postgres"
_NO_POSTGRES = (
    "a queue on PostgreSQL cannot be simulated: its server has a clock and connections of its own. Take "
    "'sqlite:///mail.db', which keeps the same contract"
)
_REAL_LEASES = (
    "{kind} would let its leases end in real time, which stands still here: give it "
    "lease_clock=simulation.time, or give its URL ('sqlite:///mail.db')"
)


def simulated(given: Given, timeline: PatientTimeline) -> SharedStorage:
    """What a process works with: `Mailstrom`'s argument, with leases in virtual time.

    Raises `SimulationError` for what would not keep to it.
    """
    if isinstance(given, (str, Secret)):
        given = StorageConfig(url=given)
    if isinstance(given, StorageConfig):
        return _sqlite(given, timeline)
    if any(base.__module__ == _POSTGRES for base in type(given).__mro__):
        raise SimulationError(_NO_POSTGRES)
    if getattr(given, "_lease_clock", None) is time.monotonic:
        raise SimulationError(_REAL_LEASES.format(kind=type(given).__name__))
    if isinstance(given, (SqliteStorage, ExclusiveStorage)):
        return given
    return _lifted(given, timeline)


def _sqlite(config: StorageConfig, timeline: PatientTimeline) -> SharedStorage:
    if not config.is_sqlite or not isinstance(config.url, Secret):
        raise SimulationError(_NO_POSTGRES)
    settings = {"poll_secs": POLL_SECS, **config.settings}
    return SqliteStorage(sqlite_path(config.url.reveal()), lease_clock=timeline.time, **settings)


def _lifted(given: Storage | SharedStorage | None, timeline: PatientTimeline) -> SharedStorage:
    """A plain one lifted; one that may block called on a thread of its own."""
    if given is None or isinstance(given, Storage):
        plain = MemoryStorage() if given is None else given
        given = ExclusiveStorage(plain, lease_clock=timeline.time)
    if given.never_blocks:
        return given
    return cast("SharedStorage", PatientStorage(given, timeline))
