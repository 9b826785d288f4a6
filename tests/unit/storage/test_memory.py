"""MemoryStorage beyond the contract: its bounds, what it frees, and what a forked child sees."""

from __future__ import annotations

import os
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from mailstrom.abc import InternalMessageStatus
from mailstrom.errors import ConfigError, DuplicateMessage, MessageNotFound, QueueFull
from mailstrom.storage.memory import MemoryStorage
from mailstrom.testing.storage_kit import NOW, an_entry, delivered

Entry = tuple[Any, InternalMessageStatus]


def a_sized_entry(name: str, octets: int) -> Entry:
    email, status = an_entry(name)
    return replace(email, content=b"x" * octets), status


def complete(storage: MemoryStorage, name: str, minutes: float = 0) -> None:
    _, status = an_entry(name)
    storage.update_status(delivered(status, NOW + timedelta(minutes=minutes)))


def known(storage: MemoryStorage, *names: str) -> list[str]:
    found = []
    for name in names:
        try:
            found.append(storage.retrieve_status(f"{name}@sender.example").message_id[: len(name)])
        except MessageNotFound:
            continue
    return found


def test_a_full_queue_refuses_and_drops_nothing() -> None:
    """Row 57: bounded by count."""
    storage = MemoryStorage(max_messages=2)
    for name in ("a", "b"):
        storage.store(*an_entry(name))

    with pytest.raises(QueueFull) as caught:
        storage.store(*an_entry("c"))

    assert "2 of at most 2 messages" in str(caught.value)
    assert "max_messages" in str(caught.value)
    assert known(storage, "a", "b", "c") == ["a", "b"]


def test_octets_are_bounded_as_well() -> None:
    """Row 57: bounded by bytes."""
    storage = MemoryStorage(max_bytes=10)
    storage.store(*a_sized_entry("a", 6))

    with pytest.raises(QueueFull, match="6 of at most 10 octets"):
        storage.store(*a_sized_entry("b", 5))

    storage.store(*a_sized_entry("c", 4))


def test_what_is_completed_makes_room() -> None:
    """Row 57: only what waits counts."""
    storage = MemoryStorage(max_messages=1, max_bytes=5)
    for name in ("a", "b", "c"):
        storage.store(*a_sized_entry(name, 5))
        complete(storage, name)

    assert known(storage, "a", "b", "c") == ["a", "b", "c"]


def test_the_content_is_dropped_when_the_message_is_completed() -> None:
    storage = MemoryStorage()
    storage.store(*an_entry("a"))

    complete(storage, "a")

    with pytest.raises(MessageNotFound):
        storage.retrieve("a@sender.example")


def test_several_are_stored_or_none() -> None:
    """Row 57: the one that does not fit is named."""
    storage = MemoryStorage(max_messages=3)
    storage.store(*an_entry("known"))

    with pytest.raises(QueueFull) as full:
        storage.store_all([an_entry(name) for name in ("a", "b", "c")])
    with pytest.raises(DuplicateMessage) as twice:
        storage.store_all([an_entry(name) for name in ("a", "a")])

    assert (full.value.index, twice.value.index) == (2, 1)
    assert known(storage, "known", "a", "b", "c") == ["known"]


def test_a_status_goes_when_its_retention_is_over() -> None:
    storage = MemoryStorage(retention=timedelta(minutes=10))
    for name, minutes in (("a", 0), ("b", 9), ("c", 10)):
        storage.store(*an_entry(name))
        complete(storage, name, minutes)

    assert known(storage, "a", "b", "c") == ["b", "c"]


def test_of_too_many_completed_the_longest_completed_goes() -> None:
    storage = MemoryStorage(max_completed=2)
    for name in ("a", "b", "c"):
        storage.store(*an_entry(name))
    for name in ("c", "a", "b"):
        complete(storage, name)

    assert known(storage, "a", "b", "c") == ["a", "b"]


def test_what_waits_is_never_freed() -> None:
    """Whatever the clock in later statuses says."""
    storage = MemoryStorage(max_completed=1, retention=timedelta(seconds=1))
    storage.store(*an_entry("waits"))
    for number in range(5):
        storage.store(*an_entry(f"m{number}"))
        complete(storage, f"m{number}", number * 1e6)

    assert known(storage, "waits") == ["waits"]


def test_a_freed_id_may_be_used_again() -> None:
    storage = MemoryStorage(max_completed=1)
    for name in ("a", "b", "a"):
        storage.store(*an_entry(name))
        complete(storage, name)

    assert known(storage, "a", "b") == ["a"]
    assert [each.message_id for each in storage.retrieve_all_recent()] == ["a@sender.example"]


def test_a_message_may_be_completed_when_it_is_stored() -> None:
    storage = MemoryStorage(max_messages=1)
    email, status = an_entry("a")

    storage.store(email, delivered(status))

    assert (storage.retrieve_all_incomplete(), storage.retrieve_all_recent()) == ([], [delivered(status)])
    storage.store(*an_entry("b"))


@pytest.mark.parametrize(
    "settings",
    [
        {"max_messages": 0},
        {"max_messages": "9"},
        {"max_bytes": 1.5},
        {"max_completed": True},
        {"retention": 60},
        {"retention": timedelta(0)},
    ],
)
def test_a_wrong_bound_is_a_config_error_that_names_it(settings: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=next(iter(settings))):
        MemoryStorage(**settings)


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_begins_empty_and_the_parent_keeps_its_own() -> None:
    """Row 53: delivered once, by the parent; a lock held at the fork does not hang the child."""
    storage = MemoryStorage()
    storage.store(*an_entry("a"))

    with storage._lock:
        child = os.fork()
        if child == 0:
            try:
                storage.store(*an_entry("child"))
                os._exit(0 if known(storage, "a", "child") == ["child"] else 1)
            finally:
                os._exit(2)
    _, code = os.waitpid(child, 0)

    assert os.waitstatus_to_exitcode(code) == 0
    assert known(storage, "a", "child") == ["a"]
