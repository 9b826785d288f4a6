"""Ids that nobody can foresee, and that no two processes share."""

from __future__ import annotations

import os
import re
import threading

import pytest

from mailstrom.submission import IDS_AT_ONCE, NewIds


def test_an_id_has_24_hexadecimal_digits_and_is_new() -> None:
    new_id = NewIds()

    ids = [new_id() for _ in range(3 * IDS_AT_ONCE)]

    assert len(set(ids)) == len(ids)
    assert all(re.fullmatch("[0-9a-f]{24}", each) for each in ids)


def test_threads_share_none() -> None:
    new_id = NewIds()
    found: list[list[str]] = [[] for _ in range(8)]
    threads = [
        threading.Thread(target=lambda ids: ids.extend(new_id() for _ in range(1000)), args=(ids,))
        for ids in found
    ]

    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len({each for ids in found for each in ids}) == 8000


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_has_others_than_its_parent() -> None:
    """Row 53: both go on from the same memory."""
    new_id = NewIds()
    new_id()
    out, into = os.pipe()

    child = os.fork()
    if child == 0:
        try:
            os.write(into, " ".join(new_id() for _ in range(IDS_AT_ONCE)).encode())
        finally:
            os._exit(0)
    os.close(into)
    with os.fdopen(out) as answer:
        of_child = answer.read().split()
    os.waitpid(child, 0)

    assert len(of_child) == IDS_AT_ONCE
    assert not set(of_child) & {new_id() for _ in range(IDS_AT_ONCE)}
