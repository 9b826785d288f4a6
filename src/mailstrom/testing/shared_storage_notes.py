"""The clauses of `SharedStorage` on notes: each name is the sentence that it checks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from functools import partial

from ..abc import Note
from .storage_kit import LATER, NOW, Bench, equal, holds, results_at_once, there, until_empty

_THREADS = 8


def a_note(value: str = "value", key: str = "key", version: int = 0) -> Note:
    """A note that expires LATER."""
    return Note(namespace="sts", key=key, value=value, expires_at=LATER, version=version)


def an_unknown_note_is_none(bench: Bench) -> None:
    _put(bench, a_note())

    equal((_read(bench, key="other"), bench.storage.note("other", "key", NOW)), (None, None))


def a_note_comes_back_with_its_version(bench: Bench) -> None:
    kept = _put(bench, a_note())

    equal((replace(kept, version=0), _read(bench)), (a_note(), kept))
    holds(kept.version > 0, f"a version above 0, not {kept.version}")


def a_note_may_be_long_and_odd(bench: Bench) -> None:
    odd = "ß\n\"'%s{}\\ :name $1 ?" + "x" * 65000
    kept = _put(bench, a_note(odd, key="k'\"%ß" + "y" * 249))

    equal(bench.storage.note("sts", kept.key, NOW), kept)


def notes_of_other_names_stand_beside_each_other(bench: Bench) -> None:
    notes = [
        _put(bench, Note(namespace=namespace, key=key, value=f"{namespace} {key}", expires_at=LATER))
        for namespace in ("a", "b")
        for key in ("key", "KEY", "key2")
    ]

    equal([bench.storage.note(each.namespace, each.key, NOW) for each in notes], notes)


def a_note_is_replaced_by_whoever_knows_its_version(bench: Bench) -> None:
    first = _put(bench, a_note("first"))

    second = _put(bench, a_note("second", version=first.version))

    equal(_read(bench), second)
    holds(second.version != first.version, "another version")


def a_note_is_not_replaced_by_an_older_version(bench: Bench) -> None:
    first = _put(bench, a_note("first"))
    second = _put(bench, a_note("second", version=first.version))

    for version in (0, first.version, second.version + 1):
        equal(bench.storage.put_note(a_note("late", version=version), NOW), None)

    equal(_read(bench), second)


def a_note_that_is_not_there_is_not_replaced(bench: Bench) -> None:
    equal(bench.storage.put_note(a_note(version=1), NOW), None)

    equal(_read(bench), None)


def a_note_is_gone_when_it_expires(bench: Bench) -> None:
    kept = _put(bench, a_note())

    found = [bench.storage.note("sts", "key", at) for at in (LATER - timedelta(seconds=1), LATER)]

    equal(found, [kept, None])


def an_expired_note_is_put_anew_as_one_that_never_was(bench: Bench) -> None:
    old = _put(bench, a_note("old"))
    end = LATER + timedelta(days=1)

    equal(bench.storage.put_note(replace(old, value="late", expires_at=end), LATER), None)
    new = there(bench.storage.put_note(replace(a_note("new"), expires_at=end), LATER), "the new note")

    equal(bench.storage.note("sts", "key", LATER), new)
    holds(new.version != old.version, "a version that was not there before")


def a_note_that_has_expired_already_is_taken_away(bench: Bench) -> None:
    kept = _put(bench, a_note())

    there(bench.storage.put_note(replace(kept, expires_at=NOW), NOW), "a note taken away")

    equal(_read(bench), None)


def a_note_is_not_taken_away_by_an_older_version(bench: Bench) -> None:
    first = _put(bench, a_note("first"))
    second = _put(bench, a_note("second", version=first.version))

    equal(bench.storage.put_note(replace(first, expires_at=NOW), NOW), None)

    equal(_read(bench), second)


def a_version_never_comes_again(bench: Bench) -> None:
    versions = []
    for _ in range(5):
        kept = _put(bench, a_note())
        changed = _put(bench, replace(kept, value="changed"))
        versions += [kept.version, changed.version]
        bench.storage.put_note(replace(changed, expires_at=NOW), NOW)
        bench.storage.purge(NOW)

    equal(len(set(versions)), 10)


def of_threads_that_replace_one_note_one_wins(bench: Bench) -> None:
    for _ in range(5):
        kept = _read(bench) or _put(bench, a_note())
        taken = _race(bench, kept.version)
        equal([_read(bench)], taken)


def of_threads_that_put_one_new_note_one_wins(bench: Bench) -> None:
    taken = _race(bench, 0)

    equal([_read(bench)], taken)


def a_counter_in_a_note_loses_no_count(bench: Bench) -> None:
    _put(bench, a_note("0"))

    results_at_once([partial(_count_up, bench, 5)] * 4)

    equal(there(_read(bench), "the counter").value, "20")


def _count_up(bench: Bench, times: int) -> None:
    for _ in range(times):
        until_empty(partial(_is_too_late, bench))


def _is_too_late(bench: Bench) -> bool:
    note = there(_read(bench), "the counter")
    return bench.storage.put_note(replace(note, value=str(int(note.value) + 1)), NOW) is None


def _race(bench: Bench, version: int) -> list[Note]:
    """What those threads got that were let through."""
    notes = [a_note(f"{thread}", version=version) for thread in range(_THREADS)]
    taken = results_at_once([partial(bench.storage.put_note, note, NOW) for note in notes])
    return [note for note in taken if note]


def _put(bench: Bench, note: Note) -> Note:
    return there(bench.storage.put_note(note, NOW), f"{note} taken")


def _read(bench: Bench, key: str = "key") -> Note | None:
    return bench.storage.note("sts", key, NOW)


NOTE_CLAUSES: tuple[Callable[[Bench], None], ...] = (
    an_unknown_note_is_none,
    a_note_comes_back_with_its_version,
    a_note_may_be_long_and_odd,
    notes_of_other_names_stand_beside_each_other,
    a_note_is_replaced_by_whoever_knows_its_version,
    a_note_is_not_replaced_by_an_older_version,
    a_note_that_is_not_there_is_not_replaced,
    a_note_is_gone_when_it_expires,
    an_expired_note_is_put_anew_as_one_that_never_was,
    a_note_that_has_expired_already_is_taken_away,
    a_note_is_not_taken_away_by_an_older_version,
    a_version_never_comes_again,
    of_threads_that_replace_one_note_one_wins,
    of_threads_that_put_one_new_note_one_wins,
    a_counter_in_a_note_loses_no_count,
)
