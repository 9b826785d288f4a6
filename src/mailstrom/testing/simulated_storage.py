"""Which storages a simulated process can have, and how their time is the simulation's."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import cast

from ..abc import SharedStorage, Storage
from ..config_storage import StorageConfig
from ..secret import Secret
from ..status import WorkerStatus
from ..storage.exclusive import ExclusiveStorage
from ..storage.memory import MemoryStorage
from ..storage.sqlite import SqliteStorage
from ..storage.urls import sqlite_path
from .patience import PatientStorage, PatientTimeline, SimulationError
from .process import Process

POLL_SECS = 60.0  # of a queue given by its URL: one look a second makes five days half a minute long

Given = Storage | SharedStorage | StorageConfig | str | Secret | None

_POSTGRES = "mailstrom.storage.postgres"
_NO_POSTGRES = (
    "a queue on PostgreSQL cannot be simulated: its server has a clock and connections of its own. Take "
    "'sqlite:///mail.db', which keeps the same contract"
)
_REAL_LEASES = (
    "{kind} would let its leases end in real time, which stands still here: give it "
    "lease_clock=simulation.time and poll_secs=60.0, or give its URL ('sqlite:///mail.db')"
)

_NOT_FREE = (
    "storage: this {kind} object belongs to {name}, which lives; two processes over it would each deliver "
    "what is in it. Give each one its own, or both a URL: on a SQLite file ('sqlite:///mail.db') they share "
    "a queue"
)
_NO_STORAGE = (
    "storage: expected a Storage such as MemoryStorage(), or a URL such as 'sqlite:///mail.db', got {!r}"
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
    if given is not None and not isinstance(given, (Storage, SharedStorage)):
        raise SimulationError(_NO_STORAGE.format(given))
    if isinstance(given, SqliteStorage):
        return given
    return _lifted(given, timeline)


def check_is_free(given: Given, had: Iterable[tuple[Given, Process]]) -> None:
    """Raises `SimulationError` where this very object is that of a process that still works with it."""
    if not isinstance(given, (Storage, SharedStorage)):
        return
    for storage, process in had:
        if storage is given and _works(process):
            raise SimulationError(_NOT_FREE.format(kind=type(given).__name__, name=process.name))


def _works(process: Process) -> bool:
    return process.is_alive and process.mailstrom.worker_status() is not WorkerStatus.TERMINATED


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
