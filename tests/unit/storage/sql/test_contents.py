"""Where the octets of a content lie, how much of it is in memory at once, and when it counts as gone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from mailstrom.abc import Claim, StoredEmail, Terms
from mailstrom.status import Deferred, Delivered
from mailstrom.storage.sql import schema
from mailstrom.storage.sql.contents import BLOCK_OCTETS, BLOCKS_AT_ONCE
from mailstrom.storage.sql.dialect import SQLITE
from mailstrom.storage.sql.rows import SMALL_OCTETS
from mailstrom.storage.sql.script import Batch
from mailstrom.testing.storage_kit import LEASE, NOW, Entry, an_entry, id_of, settlement
from tests.unit.storage.sql.memory import MemorySqlStorage

LARGE = b"0123456789abcde\n" * (5 * BLOCK_OCTETS // 16) + b"end\r\n"


@pytest.fixture
def storage() -> Iterator[MemorySqlStorage]:
    with MemorySqlStorage() as storage:
        yield storage


def an_entry_with(content: bytes, name: str = "one", *addresses: str) -> Entry:
    email, status = an_entry(name, *addresses)
    return replace(email, content=content), status


def claims(storage: MemorySqlStorage, limit: int = 1) -> list[Claim]:
    terms = Terms(owner="one", lease=LEASE, limit=limit, content_limit=SMALL_OCTETS)
    return storage.claim_many(NOW, terms)


def lengths(storage: MemorySqlStorage, table: str) -> list[int]:
    found = storage.rows(f"SELECT length(content) FROM mailstrom_{table} ORDER BY 1")
    return [length for (length,) in found]


def test_a_content_of_up_to_128_kib_lies_in_one_row_and_more_in_blocks(storage: MemorySqlStorage) -> None:
    for name, octets in {"small": SMALL_OCTETS, "large": SMALL_OCTETS + 1, "two": BLOCK_OCTETS + 1}.items():
        storage.store([an_entry_with(b"x" * octets, name)])

    assert lengths(storage, "bodies") == [SMALL_OCTETS]
    assert lengths(storage, "blocks") == [1, SMALL_OCTETS + 1, BLOCK_OCTETS]


def test_whoever_stores_a_large_content_hands_over_a_few_blocks_at_a_time(storage: MemorySqlStorage) -> None:
    storage.store([an_entry_with(LARGE), an_entry_with(LARGE, "two")])

    batches = [each.params for each in storage.asked if isinstance(each, Batch) and "blocks" in each.sql]

    assert [len(each) for each in batches] == [BLOCKS_AT_ONCE, 2, BLOCKS_AT_ONCE, 2]


def test_a_claim_of_a_large_content_brings_none_of_it(storage: MemorySqlStorage) -> None:
    storage.store([an_entry_with(LARGE)])

    [claim] = claims(storage)

    assert claim.email == StoredEmail(
        message_id=id_of("one"),
        reverse_path="me@sender.example",
        recipients=("you@dest.example",),
        octets=len(LARGE),
    )


def test_a_read_brings_one_block_at_most(storage: MemorySqlStorage) -> None:
    storage.store([an_entry_with(LARGE)])
    [claim] = claims(storage)

    for start in (0, 10, BLOCK_OCTETS - 1, BLOCK_OCTETS, len(LARGE) - 1):
        end = (start // BLOCK_OCTETS + 1) * BLOCK_OCTETS
        assert storage.read_content(claim, start) == LARGE[start:end]
    assert storage.read_content(claim, len(LARGE)) is None


@pytest.mark.parametrize(
    "damage",
    [
        "DELETE FROM mailstrom_blocks",
        "DELETE FROM mailstrom_blocks WHERE start = 0",
        f"DELETE FROM mailstrom_blocks WHERE start = {BLOCK_OCTETS}",
        f"DELETE FROM mailstrom_blocks WHERE start > {4 * BLOCK_OCTETS}",
        "UPDATE mailstrom_blocks SET content = substr(content, 1, 100) WHERE start = 0",
    ],
)
@pytest.mark.parametrize("limit", [SMALL_OCTETS, None])
def test_of_what_a_block_is_missing_nothing_is_sent(
    storage: MemorySqlStorage, damage: str, limit: int | None
) -> None:
    """Half a message must not go out as a whole one."""
    storage.store([an_entry_with(LARGE), an_entry("two")])
    storage.rows(damage)

    found = storage.claim_many(NOW, Terms(owner="one", lease=LEASE, limit=2, content_limit=limit))

    assert [each.email.message_id for each in found] == [id_of("two")]
    [recipient] = storage.retrieve_status(id_of("one")).recipients
    assert recipient.result == Deferred(reason="held: the content is gone from the storage")


def test_what_goes_missing_after_the_claim_is_not_read(storage: MemorySqlStorage) -> None:
    storage.store([an_entry_with(LARGE)])
    [claim] = claims(storage)
    storage.rows("UPDATE mailstrom_blocks SET content = substr(content, 1, 100)")

    assert [storage.read_content(claim, start) for start in (0, 100, BLOCK_OCTETS)] == [
        LARGE[:100],
        None,
        LARGE[BLOCK_OCTETS : BLOCK_OCTETS + 100],
    ]


def test_an_old_claim_reads_nothing_of_a_new_message_with_the_same_id(storage: MemorySqlStorage) -> None:
    storage.store([an_entry_with(LARGE)])
    [old] = claims(storage)
    storage.settle([settlement(old, Delivered(tries=1))], NOW)
    storage.forget("you@dest.example", NOW)
    storage.store([an_entry_with(LARGE[::-1])])

    [new] = claims(storage)

    assert storage.read_content(old, 0) is None
    assert storage.read_content(new, 0) == LARGE[::-1][:BLOCK_OCTETS]


def test_blocks_go_where_bodies_go(storage: MemorySqlStorage) -> None:
    for name in ("purged", "forgotten"):
        storage.store([an_entry_with(LARGE, name, f"{name}@dest.example")])
        storage.settle([settlement(claims(storage)[0], Delivered(tries=1))], NOW)
    storage.store([an_entry_with(LARGE, "open")])
    left = [len(lengths(storage, "blocks"))]

    storage.forget("forgotten@dest.example", NOW)
    left.append(len(lengths(storage, "blocks")))
    storage.purge(NOW)
    left.append(len(lengths(storage, "blocks")))

    assert left == [18, 12, 6]


def test_where_statuses_go_first_blocks_go_with_them() -> None:
    with MemorySqlStorage(retention=2 * LEASE, status_retention=LEASE) as storage:
        storage.store([an_entry_with(LARGE)])
        storage.settle([settlement(claims(storage)[0], Delivered(tries=1))], NOW)

        while storage.purge(NOW + LEASE):
            pass

        assert storage.rows("SELECT seq FROM mailstrom_messages UNION SELECT seq FROM mailstrom_blocks") == []


def test_an_operator_sees_the_size_of_either(storage: MemorySqlStorage) -> None:
    small = an_entry("small")
    storage.store([an_entry_with(LARGE), small])

    details = storage.details([id_of("one"), id_of("small")])

    assert {name: each.size for name, each in details.items()} == {
        id_of("one"): len(LARGE),
        id_of("small"): small[0].octets,
    }


def test_the_rest_of_a_large_message_to_many_is_claimed_without_reading_it_again(
    storage: MemorySqlStorage,
) -> None:
    addresses = [f"reader{number}@dest.example" for number in range(150)]
    storage.store([an_entry_with(LARGE, "one", *addresses)])
    [first] = claims(storage)

    texts = storage.texts_of(lambda: claims(storage))

    assert len(first.recipients) == 100
    assert [text for text in texts if "envelope" in text or "blocks" in text] == []
    storage.give_back(first)
    assert storage.claimed().email == an_entry_with(LARGE, "one", *addresses)[0]


def test_a_large_content_that_was_stored_before_there_were_blocks_is_sent_whole() -> None:
    """Version 2 of the tables."""
    with MemorySqlStorage() as storage:
        storage.store([an_entry()])
        storage.rows("UPDATE mailstrom_bodies SET content = :content", content=LARGE)
        storage.rows("DROP TABLE mailstrom_blocks")
        storage.rows("DELETE FROM mailstrom_schema WHERE version > 2")

        assert storage.perform(schema.upgrade(SQLITE)) == 2

        [claim] = claims(storage)
        assert claim.email == an_entry_with(LARGE)[0]
