"""ExclusiveStorage beyond the contract: storages that fail, are slow, die, or are forked."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from mailstrom.abc import InternalMessageStatus, Order, Outcome, PreparedEmail, Settlement
from mailstrom.errors import DuplicateMessage, MessageNotFound, StorageError
from mailstrom.event import EventKind
from mailstrom.status import Attempt, Cause, Deferred, Failed, Phase
from mailstrom.storage.memory import MemoryStorage
from mailstrom.testing.storage_kit import LEASE, NOW, an_entry, ids_of, settlement
from tests.contract.plain_storage import PlainStorage
from tests.unit.storage.lifting import DELIVERED, Failing, claimed, lifted, order, settle

ROOT = Path(__file__).parents[3]


def test_nothing_is_read_before_the_first_use() -> None:
    """An instance that is only made touches no storage."""
    plain = Failing()
    plain.fails = {"retrieve_all_incomplete"}

    storage = lifted(plain)

    with pytest.raises(StorageError, match="the disk is gone"):
        storage.claim(NOW, owner="one", lease=LEASE)
    plain.fails = set()
    assert storage.claim(NOW, owner="one", lease=LEASE) is None


def test_a_status_can_be_read_without_loading_the_queue() -> None:
    plain = Failing()
    plain.store(*an_entry())
    plain.fails = {"retrieve_all_incomplete"}

    assert lifted(plain).retrieve_status("one@sender.example") == an_entry()[1]


def test_a_new_process_goes_on_where_the_old_one_died() -> None:
    """Rows 45, 56: what was claimed is a crash, what was marked may have been delivered."""
    plain = PlainStorage(durable=True)
    old = lifted(plain)
    old.store([an_entry("one", "a@dest.example", "b@dest.example"), an_entry("two", "c@two.example")])
    old.mark_dot_sent(claimed(old), ["a@dest.example"])

    new = lifted(plain)
    claims = {claim.email.message_id: claim for claim in (claimed(new), claimed(new))}

    found = {
        recipient.address: (recipient.crashes, recipient.dot_sent)
        for claim in claims.values()
        for recipient in claim.recipients
    }
    assert found == {
        "a@dest.example": (1, True),
        "b@dest.example": (1, False),
        "c@two.example": (0, False),
    }


def test_a_new_process_knows_the_idempotency_keys_of_what_waits() -> None:
    """Row 60."""
    plain = PlainStorage(durable=True)
    lifted(plain).store([an_entry("first", idempotency_key="key", fingerprint="same")])

    ids = lifted(plain).store([an_entry("again", idempotency_key="key", fingerprint="same")])

    assert ids == ["first@sender.example"]


def test_only_a_durable_storage_is_written_ahead() -> None:
    writes = []
    for durable in (False, True):
        plain = Failing(durable=durable)
        storage = lifted(plain)
        storage.store([an_entry()])
        storage.mark_dot_sent(claimed(storage), ["you@dest.example"])
        writes.append(plain.writes)

    assert writes == [0, 2]


def test_a_failed_write_ahead_is_no_claim_and_no_crash() -> None:
    """Nothing is sent that could not be written down before."""
    plain = Failing(durable=True)
    storage = lifted(plain)
    storage.store([an_entry()])
    plain.fails = {"update_status"}

    with pytest.raises(StorageError):
        claimed(storage)

    assert storage.retrieve_status("one@sender.example") == an_entry()[1]
    plain.fails = set()
    assert claimed(storage).recipients == an_entry()[1].recipients


def test_a_failed_settle_changes_nothing_and_can_be_repeated() -> None:
    """A result that is not written is kept and written again; the claim stays."""
    plain = Failing()
    storage = lifted(plain)
    storage.store([an_entry()])
    claim = claimed(storage)
    plain.fails = {"update_status"}

    with pytest.raises(StorageError):
        settle(storage, claim)
    assert storage.claim(NOW, owner="two", lease=LEASE) is None

    plain.fails = set()
    assert settle(storage, claim)
    assert storage.is_idle()


def test_of_several_settlements_those_that_could_be_written_are_not_done_again() -> None:
    """The same call is made again, as a whole: what it finds done was done by it."""
    plain = Failing()
    storage = lifted(plain)
    storage.store([an_entry(name, f"a@{name}.example") for name in ("one", "two", "three")])
    settlements = [settlement(claimed(storage), DELIVERED) for _ in range(3)]
    plain.fails = {"update_status two@sender.example"}

    with pytest.raises(StorageError, match="the disk is gone"):
        storage.settle(settlements, NOW)
    with pytest.raises(StorageError, match="the disk is gone"):
        storage.settle(settlements, NOW)
    plain.fails = set()

    assert plain.statuses["three@sender.example"].completed_at == NOW
    assert storage.settle(settlements, NOW) == [True, True, True]
    assert storage.settle(settlements, NOW) == [False, False, False]
    assert [each.kind for each in storage.events()].count(EventKind.DELIVERED) == 3


def test_a_message_that_is_gone_from_the_storage_is_tried_no_more(caplog: pytest.LogCaptureFixture) -> None:
    plain = PlainStorage()
    storage = lifted(plain)
    storage.store([an_entry("gone", "a@one.example"), an_entry("here", "b@two.example")])
    del plain.emails["gone@sender.example"], plain.statuses["gone@sender.example"]

    with caplog.at_level(logging.ERROR):
        claim = claimed(storage)

    assert claim.email.message_id == "here@sender.example"
    assert "gone@sender.example" in caplog.text
    settle(storage, claim)
    assert (storage.is_idle(), storage.next_due(NOW)) == (True, None)


def test_a_message_that_goes_while_it_is_claimed_loses_the_claim() -> None:
    plain = PlainStorage()
    storage = lifted(plain)
    storage.store([an_entry()])
    claim = claimed(storage)
    plain.statuses.clear()

    assert settle(storage, claim) is False
    assert (storage.renew([claim], LEASE), storage.is_idle()) == ([None], True)


def test_over_six_methods_what_was_stored_before_a_failure_is_never_sent() -> None:
    """All or nothing without a delete: what cannot be taken out is marked failed."""
    plain = Failing()
    plain.fails = {"store c@sender.example"}
    storage = lifted(plain)

    with pytest.raises(StorageError) as caught:
        storage.store([an_entry(name) for name in ("a", "b", "c")])

    assert caught.value.index == 2
    assert isinstance(caught.value.__cause__, OSError)
    assert {each.recipients[0].result.cause for each in plain.statuses.values()} == {Cause.CANCELLED}
    assert (plain.retrieve_all_incomplete(), storage.is_idle()) == ([], True)


def test_what_could_not_be_taken_back_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    plain = Failing()
    plain.fails = {"store b@sender.example", "update_status"}

    with pytest.raises(StorageError):
        lifted(plain).store([an_entry(name) for name in ("a", "b")])

    assert "a@sender.example was not accepted" in caplog.text


def test_a_failed_store_frees_id_and_idempotency_key() -> None:
    plain = Failing()
    plain.fails = {"store a@sender.example"}
    storage = lifted(plain)
    entry = an_entry("a", idempotency_key="key")

    with pytest.raises(StorageError):
        storage.store([entry])
    plain.fails = set()

    assert storage.store([entry]) == ["a@sender.example"]


def test_a_subclass_that_changes_store_is_not_passed_by() -> None:
    class Refuses(MemoryStorage):
        def store(self, email: PreparedEmail, status: InternalMessageStatus) -> None:
            raise OSError(30, "read-only")

    with pytest.raises(StorageError, match="read-only"):
        lifted(Refuses()).store([an_entry("a"), an_entry("b")])


def test_a_storage_that_hangs_with_one_message_does_not_stop_the_others() -> None:
    hangs, go_on = threading.Event(), threading.Event()

    class Hangs(PlainStorage):
        def update_status(self, status: InternalMessageStatus) -> None:
            if status.message_id.startswith("slow"):
                hangs.set()
                go_on.wait(30)
            super().update_status(status)

    storage = lifted(Hangs())
    storage.store([an_entry("slow", "a@one.example"), an_entry("fast", "b@two.example")])
    slow, fast = claimed(storage), claimed(storage)
    assert slow.email.message_id.startswith("slow")
    thread = threading.Thread(target=settle, args=(storage, slow))
    thread.start()
    hangs.wait(30)

    settled = settle(storage, fast)
    stored = storage.store([an_entry("third", "c@three.example")])
    renewed = storage.renew([slow], LEASE)
    waits = storage.retrieve_status("slow@sender.example").completed_at

    go_on.set()
    thread.join()
    assert (settled, stored, renewed != [None], waits) == (True, ["third@sender.example"], True, None)
    assert storage.retrieve_status("slow@sender.example").completed_at == NOW


def test_only_the_latest_attempts_are_kept() -> None:
    """Five days of tries do not make a status grow for ever."""
    storage = lifted(MemoryStorage())
    storage.store([an_entry()])
    attempts = [
        Attempt(at=NOW + timedelta(minutes=n), host="mx.dest.example", phase=Phase.RCPT, state="deferred")
        for n in range(60)
    ]
    for attempt in attempts:
        result = Deferred(tries=1, next_attempt_at=NOW)
        outcome = Outcome(address="you@dest.example", result=result, attempts=(attempt,))
        assert storage.settle([Settlement(claim=claimed(storage), outcomes=(outcome,))], NOW) == [True]

    assert storage.retrieve_status("one@sender.example").recipients[0].attempts == tuple(attempts[10:])


def test_a_cancel_keeps_what_was_known() -> None:
    storage = lifted(MemoryStorage())
    storage.store([an_entry()])
    busy = Deferred(tries=2, reason="busy", next_attempt_at=NOW, uncertain=True)
    settle(storage, claimed(storage), busy)

    [cancelled] = order(storage, Order.CANCEL)

    assert cancelled.after.result == Failed(
        tries=2, reason="cancelled; before that: busy", uncertain=True, cause=Cause.CANCELLED
    )


def test_an_address_that_stands_twice_is_settled_twice() -> None:
    """Foreign statuses may have it; nothing hangs."""
    storage = lifted(MemoryStorage())
    email, status = an_entry()
    storage.store([(email, replace(status, recipients=status.recipients * 2))])
    claim = claimed(storage)

    assert settle(storage, claim)

    assert storage.is_idle()


def test_a_completed_message_is_still_refused_as_duplicate() -> None:
    storage = lifted(MemoryStorage())
    storage.store([an_entry()])
    claim = claimed(storage)
    settle(storage, claim)

    with pytest.raises(DuplicateMessage) as caught:
        storage.store([an_entry("two"), an_entry()])

    assert caught.value.index == 1
    with pytest.raises(MessageNotFound):
        storage.retrieve_status("two@sender.example")


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
@pytest.mark.parametrize("loaded", [True, False], ids=["the parent had used it", "the parent had not"])
def test_what_the_storage_held_at_a_fork_is_claimed_by_the_parent_alone(loaded: bool) -> None:
    """Row 53: delivered once, however many children there are."""
    the_parent_alone_claims(loaded, os.fork)


@pytest.mark.parametrize("loaded", [True, False], ids=["the parent had used it", "the parent had not"])
def test_so_it_is_at_a_fork_behind_pythons_back(loaded: bool) -> None:
    """In a process of its own: with a second thread the child might wait for it for ever."""
    of = f"from {__name__} import the_parent_alone_claims"
    story = f"import ctypes\n{of}\nthe_parent_alone_claims({loaded}, ctypes.PyDLL(None).fork)"

    ended = subprocess.run([sys.executable, "-c", story], cwd=ROOT, capture_output=True, text=True)

    assert ended.returncode == 0, ended.stderr


def the_parent_alone_claims(loaded: bool, fork: Callable[[], int]) -> None:
    plain = PlainStorage(durable=True)
    plain.store(*an_entry())
    storage = lifted(plain)
    if loaded:
        storage.is_idle()

    with storage._lock:
        child = fork()
        if child == 0:
            try:
                claim = storage.claim(NOW, owner="child", lease=LEASE)
                own = storage.store([an_entry("own")])
                os._exit(0 if claim is None and claimed(storage).email.message_id in own else 1)
            finally:
                os._exit(2)
    _, code = os.waitpid(child, 0)

    assert os.waitstatus_to_exitcode(code) == 0
    assert claimed(storage).email.message_id == "one@sender.example"
    assert ids_of(storage.retrieve_all_incomplete()) == ["one@sender.example"]


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
@pytest.mark.parametrize("durable", [True, False])
def test_a_child_says_that_it_leaves_an_earlier_programs_mail_to_a_parent_who_has_not_looked(
    durable: bool, caplog: pytest.LogCaptureFixture
) -> None:
    storage = lifted(PlainStorage(durable=durable))

    child = os.fork()
    if child == 0:
        try:
            storage.is_idle()
            storage.is_idle()
            os._exit(len(caplog.records))
        finally:
            os._exit(9)
    _, code = os.waitpid(child, 0)

    assert os.waitstatus_to_exitcode(code) == int(durable)
