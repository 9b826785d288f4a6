"""Settling without waiting: what has a result while the storage is at work shares its next commit.

    job ──settle──► waiting ─┐
    job ──settle──► waiting ─┼─► one storage.settle([...]) ──► each job hears whether its claim stood
    job ──settle──► waiting ─┘

No timer and no linger: with one result at a time each has a commit of its own, at once. Only the marks
before final dots, for which sessions wait, go first; there are never more of them than sessions, so results
wait no longer than those take to end, and not at all once `ENOUGH` are there. A commit that
fails is tried again, with whatever has come since; until it works `is_stuck`, and nothing is claimed:
what cannot be recorded would only be sent twice.

A result that the storage refuses to take, for whatever is in it, must not hold up the others for ever. After
some failures in a row each is tried alone: if one succeeds, those that do not are set aside and
tried again now and then. A result that is alone has no other to be compared with, so after
longer still one claim at a time is admitted: `admits_one`.

A storage that is full refuses by size: a small result may fit where a large one does not. That is no
fault of the large one, so none is tried alone or set aside for it, and none is admitted.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from ..abc import Claim, Clock, Outcome, Settlement, SharedStorage
from ..errors import StorageFull
from ..event import Commit, Event, EventKind
from ..status import printable
from .events import Tell
from .marker import Marker
from .patience import PatientCalls

COMMIT_LIMIT = 2000  # recipients, or a few more: each is in memory several times while it is written
ENOUGH = 50  # jobs that have a result: a commit of its own costs each of them little
FAILURES_UNTIL_EACH_ALONE = 4  # in a row
FAILURES_AT_ONCE = 2  # of single ones: each may wait for a lock
FAILURES_UNTIL_ONE_ADMITTED = 8  # in a row: an outage of half a minute is over by then
SOON_SECS, SOON_TRIES = 5.0, 8  # what is set aside may only have met a lock: tried again soon ...
SET_ASIDE_SECS = 60.0  # ... then now and then

_log = logging.getLogger("mailstrom")


@dataclass(slots=True, eq=False)
class _Waiting:
    settlement: Settlement
    kept: asyncio.Future[bool]


_Done = list[tuple[_Waiting, bool]]  # and whether the claim stood


class Committer:
    """Records results, those that are there together. Used in the worker's loop only.

    `committed` is called after each commit. What one job settles is committed in its order,
    since it waits for each.
    """

    def __init__(
        self,
        storage: SharedStorage,
        calls: PatientCalls,
        clock: Clock,
        committed: Callable[[], object],
        tell: Tell | None = None,
        goes_first: Marker | None = None,
    ) -> None:
        self.is_stuck = False  # what failed last has not succeeded since
        self.admits_one = False  # one claim may be made all the same
        self._failures = 0  # in a row
        self._storage = storage
        self._calls = calls
        self._clock = clock
        self._committed = committed
        self._tell_commit = tell
        self._goes_first = goes_first or Marker(storage, calls)
        self._goes_first.on_rest = self._look
        self._waiting: dict[_Waiting, None] = {}  # in the order of their coming
        self._set_aside: dict[_Waiting, None] = {}
        self._lock = threading.Lock()  # the storage's thread takes what the loop puts down
        self._arrived = asyncio.Event()
        self._some_set_aside = asyncio.Event()

    def settle(self, claim: Claim, outcomes: Sequence[Outcome]) -> asyncio.Future[bool]:
        """Puts them down to be recorded: whether the claim still stood then, however long that takes.

        They are recorded also where nobody waits for it any more.
        """
        kept = asyncio.get_running_loop().create_future()
        waiting = _Waiting(Settlement(claim=claim, outcomes=tuple(outcomes)), kept)
        # where no commit can be shared, and nothing stands in the way, none is waited for
        if self._storage.never_blocks and not self._waiting and not self.is_stuck:
            try:
                ((_, is_kept),) = self._settle([waiting])
            except Exception:  # noqa: S110  it is tried again, as one of many, and its error told then
                pass
            else:
                kept.set_result(is_kept)
                return kept
        with self._lock:
            self._waiting[waiting] = None
        self._arrived.set()
        return kept

    async def run(self) -> None:
        """Commits what arrives, until it is cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._commit_what_arrives())
            group.create_task(self._retry_what_is_set_aside())

    async def _commit_what_arrives(self) -> None:
        while True:
            await self._arrived.wait()
            self._arrived.clear()
            if self._goes_first.is_busy and len(self._waiting) < ENOUGH:
                continue
            self._tell(await self._calls.write(self._settle_what_is_there))
            if self._set_aside:
                self._some_set_aside.set()
            if self._waiting:
                self._arrived.set()
            self._committed()

    def _look(self) -> None:
        """Nobody goes first any more."""
        if self._waiting:
            self._arrived.set()

    async def _retry_what_is_set_aside(self) -> None:
        tries = 0
        while True:
            await self._some_set_aside.wait()
            await asyncio.sleep(SOON_SECS if tries < SOON_TRIES else SET_ASIDE_SECS)
            tries += 1
            for waiting in list(self._set_aside):
                try:
                    self._tell(await self._calls.once(self._settle, [waiting]))
                except Exception as error:
                    if tries >= SOON_TRIES:
                        _log_set_aside(waiting, error, SET_ASIDE_SECS)
            if not self._set_aside:
                tries = 0
                self._some_set_aside.clear()

    def _tell(self, done: _Done) -> None:
        with self._lock:
            for waiting, _ in done:
                self._waiting.pop(waiting, None)
                self._set_aside.pop(waiting, None)
        for waiting, is_kept in done:
            if not waiting.kept.done():
                waiting.kept.set_result(is_kept)

    # --- where storage calls run

    def _settle_what_is_there(self) -> _Done:
        """Once the storage is free: all that has come until now, or as much as one commit takes."""
        with self._lock:
            batch = _at_once(self._waiting)
        try:
            done = self._settle(batch)
        except StorageFull:
            self.is_stuck, self.admits_one = True, False
            raise
        except BaseException:
            self._note_failure()
            done = self._settle_each(batch) if self._failures >= FAILURES_UNTIL_EACH_ALONE else []
            if not done:
                raise
        self._failures = 0
        self.is_stuck = self.admits_one = False
        return done

    def _settle(self, batch: Sequence[_Waiting]) -> _Done:
        if not batch:
            return []
        began = self._clock.monotonic()
        kept = self._storage.settle([waiting.settlement for waiting in batch], self._clock.now())
        if self._tell_commit is not None:
            self._tell_commit(self._commit(batch, began))
        return list(zip(batch, kept, strict=True))

    def _commit(self, batch: Sequence[_Waiting], began: float) -> Event:
        commit = Commit(
            results=sum(len(waiting.settlement.outcomes) for waiting in batch),
            duration_secs=self._clock.monotonic() - began,
        )
        return Event(kind=EventKind.COMMIT, at=self._clock.now(), commit=commit)

    def _note_failure(self) -> None:
        self.is_stuck = True
        self._failures += 1
        if self._failures % FAILURES_UNTIL_ONE_ADMITTED == 0:
            self.admits_one = True

    def _settle_each(self, batch: Sequence[_Waiting]) -> _Done:
        """Those that can be settled; the others are set aside, or go last where there are none."""
        done: _Done = []
        failed: dict[_Waiting, Exception] = {}
        for waiting in batch if len(batch) > 1 else ():
            try:
                done += self._settle([waiting])
            except StorageFull:
                break  # the next try of what still waits says so
            except Exception as error:
                failed[waiting] = error
                if len(failed) == FAILURES_AT_ONCE:
                    break
        self._put_off(failed, is_theirs=bool(done))
        return done

    def _put_off(self, failed: dict[_Waiting, Exception], *, is_theirs: bool) -> None:
        with self._lock:
            for waiting in failed:
                del self._waiting[waiting]
            (self._set_aside if is_theirs else self._waiting).update(dict.fromkeys(failed))
        if is_theirs:
            for waiting, error in failed.items():
                _log_set_aside(waiting, error, SOON_SECS)


def _at_once(waiting: Iterable[_Waiting]) -> list[_Waiting]:
    """As many of them as one commit takes; one at least."""
    batch, recipients = [], 0
    for each in waiting:
        batch.append(each)
        recipients += len(each.settlement.outcomes)
        if recipients >= COMMIT_LIMIT:
            break
    return batch


async def arrival(kept: asyncio.Future[bool]) -> bool:
    """What `settle` came to. Whoever waits for it may be cut off: the future is not.

    As with `asyncio.shield`, at half its cost.
    """
    if not kept.done():
        arrived = kept.get_loop().create_future()
        kept.add_done_callback(lambda _: None if arrived.done() else arrived.set_result(None))
        await arrived
    return kept.result()


def _log_set_aside(waiting: _Waiting, error: Exception, secs: float) -> None:
    message_id, why = waiting.settlement.claim.email.message_id, printable(str(error))
    again = "results of message %s cannot be recorded: %s; tried again in %.0f s"
    _log.error(again, message_id, why, secs)
