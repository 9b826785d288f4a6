"""Limits of destinations in the lanes: whose keys are closed, who may come, who may begin."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from mailstrom.config_limits import LaneLimits
from mailstrom.engine.lanes import Lanes, Slot
from mailstrom.engine.patience import PatientCalls
from mailstrom.engine.quota_notes import LEASE_SECS, RENEW_SECS
from mailstrom.engine.quotas import Quotas, quotas_for
from mailstrom.engine.thread import run_inline
from mailstrom.storage.exclusive import ExclusiveStorage
from mailstrom.storage.memory import MemoryStorage
from mailstrom.testing.clock import VirtualClock
from mailstrom.testing.loop import VirtualLoop, run_virtual
from tests.builders import a_config

A, B, C = "a.example", "b.example", "c.example"


class Shared(ExclusiveStorage):
    """A queue that other processes may have, too."""

    poll_secs = 1.0


class Scene:
    """Lanes with limits; `other(owner)` are those of another worker on the same queue."""

    def __init__(self, clock: VirtualClock, storage: ExclusiveStorage, limits: dict[str, LaneLimits]) -> None:
        self.clock, self.storage, self.limits = clock, storage, limits
        self.opened = 0
        self.lanes = self.other("me")

    def other(self, owner: str) -> Lanes:
        calls = PatientCalls(run_inline, lambda _: None, lambda _: None)
        config = a_config(limits=self.limits, provider_limits=False)
        quotas = quotas_for(config, self.storage, calls, self.clock, owner, self._open)
        return Lanes(20, initial=20, quotas=quotas)

    async def begins(self, key: str, lanes: Lanes | None = None) -> Slot | None:
        """A slot that was admitted to the key's MX host at the provider; None: it was given back."""
        lanes = lanes or self.lanes
        slot = lanes.enter(key)
        if lanes.move(slot, at(key), self.clock.monotonic()) and await lanes.quotas.admit(slot):
            return slot
        lanes.leave(slot)
        return None

    def pass_time(self) -> None:
        self.lanes.admit_probes(self.clock.monotonic())

    def _open(self) -> None:
        self.opened += 1


def at(key: str) -> str:
    return f"{key.replace('.', '-')}.mail.protection.outlook.com"


def told(
    story: Callable[[Scene], Awaitable[None]], storage: ExclusiveStorage | None = None, **limits: Any
) -> None:
    """Runs the story with these limits of office365, or as `limits` says by destination."""
    loop = VirtualLoop()

    async def run() -> None:
        named = limits.pop("by", None) or {"office365": LaneLimits(**limits)}
        await story(Scene(VirtualClock(loop), storage or ExclusiveStorage(MemoryStorage()), named))

    run_virtual(run(), loop=loop)


def test_without_limits_any_number_may_come() -> None:
    slot = Slot(A, "mx.example")
    quotas = Quotas()
    quotas.enters(slot)

    assert quotas.room(A, "mx.example") >= 1_000
    assert quotas.closed_lanes() == set()
    assert quotas.gates(A, "mx.example", 0.0) == ()


def test_a_full_site_closes_the_keys_of_its_idle_lanes_too() -> None:
    """What is told to the storage is what is closed: their mail is not claimed in vain."""

    async def story(scene: Scene) -> None:
        idle = await scene.begins(A)
        assert idle is not None
        scene.lanes.leave(idle)
        for _ in range(2):
            assert await scene.begins(B)
        assert scene.lanes.closed_keys == {A, B}
        assert set(scene.lanes.keys_of_full_lanes()) == {A, B}
        assert await scene.begins(C) is None
        assert set(scene.lanes.keys_of_full_lanes()) == {A, B, C}

    told(story, max_sessions=2)


def test_claims_made_together_are_counted_over_the_lanes_of_their_site() -> None:
    async def story(scene: Scene) -> None:
        for key in (A, B, C):
            slot = await scene.begins(key)
            assert slot is not None
            scene.lanes.leave(slot)
        admitted = [scene.lanes.admits(A, keys) for keys in ([], [B], [B, C], [B, C, B])]
        assert admitted == [True, True, True, False]
        assert scene.lanes.admits("elsewhere.example", [A, B, C])

    told(story, max_sessions=3)


def test_the_first_claims_of_a_rate_come_one_by_one() -> None:
    """Who comes draws; ten that come for one permit would be nine in vain."""

    async def story(scene: Scene) -> None:
        assert [scene.lanes.admits(A, keys) for keys in ([], [A])] == [True, True]  # its lane is not known
        slot = await scene.begins(A)
        assert slot is not None
        scene.lanes.leave(slot)
        assert scene.lanes.closed_keys == {A}
        await asyncio.sleep(60)
        scene.pass_time()
        assert [scene.lanes.admits(A, keys) for keys in ([], [A])] == [True, False]

    told(story, rate="1/min")


def test_what_is_left_of_a_block_may_come_together_until_it_is_lost() -> None:
    async def story(scene: Scene) -> None:
        assert await scene.begins(A)
        together = [scene.lanes.admits(A, [A] * count) for count in (0, 8, 9)]
        await asyncio.sleep(0.3)
        scene.pass_time()
        assert together == [True, True, False]
        assert scene.opened == 1
        assert [scene.lanes.admits(A, [A] * count) for count in (0, 1)] == [True, False]

    told(story, rate="100/s")


def test_a_key_whose_own_rate_is_used_up_leaves_the_others_of_its_lane_open() -> None:
    async def story(scene: Scene) -> None:
        slots = [scene.lanes.enter(key) for key in (A, B)]
        for slot in slots:
            assert scene.lanes.move(slot, "mx.example", 0.0)
            assert await scene.lanes.quotas.admit(slot)
        assert scene.lanes.closed_keys == {A}
        assert scene.lanes.keys_of_full_lanes() == [A]

    told(story, by={A: LaneLimits(rate="1/min")})


def test_what_is_closed_opens_by_a_timer() -> None:
    async def story(scene: Scene) -> None:
        assert await scene.begins(A)
        assert await scene.begins(A) is None
        assert scene.lanes.next_probe(scene.clock.monotonic()) == scene.clock.monotonic() + 60.0
        await asyncio.sleep(60)
        scene.pass_time()
        assert scene.lanes.next_probe(scene.clock.monotonic()) is None
        assert await scene.begins(A)

    told(story, rate="1/min")


def test_where_other_workers_have_all_sessions_they_are_asked_again_later() -> None:
    async def story(scene: Scene) -> None:
        other = scene.other("other")
        theirs = await scene.begins(A, other)
        assert theirs is not None
        assert await scene.begins(B) is None
        assert scene.lanes.closed_keys == {B}
        assert scene.lanes.next_probe(scene.clock.monotonic()) == scene.clock.monotonic() + RENEW_SECS
        other.leave(theirs)
        await other.quotas.close()
        await asyncio.sleep(RENEW_SECS)
        scene.pass_time()
        assert await scene.begins(B)

    told(story, Shared(MemoryStorage()), max_sessions=1)


def test_a_share_grows_as_it_is_used_and_what_is_not_used_is_left_to_the_others() -> None:
    async def story(scene: Scene) -> None:
        renewing = asyncio.ensure_future(scene.lanes.quotas.run())
        other = scene.other("other")
        slots = [await scene.begins(A) for _ in range(4)]
        assert [slot is not None for slot in slots] == [True] * 4
        assert [await scene.begins(B, other) is not None for _ in range(5)] == [True] * 4 + [False]
        for slot in slots[2:]:
            assert slot is not None
            scene.lanes.leave(slot)
        await asyncio.sleep(2 * RENEW_SECS + 1)
        other.admit_probes(scene.clock.monotonic())
        assert [await scene.begins(B, other) is not None for _ in range(3)] == [True, True, False]
        renewing.cancel()

    told(story, Shared(MemoryStorage()), max_sessions=8)


def test_sessions_that_could_not_be_prolonged_are_used_no_more() -> None:
    """Another worker may have them now."""

    async def story(scene: Scene) -> None:
        slot = await scene.begins(A)
        assert slot is not None
        scene.lanes.leave(slot)
        await asyncio.sleep(LEASE_SECS)
        other = scene.other("other")
        assert await scene.begins(B, other)
        assert await scene.begins(A) is None

    told(story, Shared(MemoryStorage()), max_sessions=1)


def test_a_storage_that_fails_closes_the_site_for_a_moment() -> None:
    class Failing(ExclusiveStorage):
        fails = True

        def note(self, *args: Any) -> Any:
            if self.fails:
                raise OSError("not now")
            return super().note(*args)

    storage = Failing(MemoryStorage())

    async def story(scene: Scene) -> None:
        assert await scene.begins(A) is None
        assert scene.lanes.closed_keys == {A}
        storage.fails = False
        await asyncio.sleep(1)
        scene.pass_time()
        assert await scene.begins(A)

    told(story, storage, max_sessions=1, rate="1/min")


def test_what_is_known_of_limits_that_nobody_uses_is_forgotten() -> None:
    async def story(scene: Scene) -> None:
        slot = await scene.begins(A)
        assert slot is not None
        scene.lanes.leave(slot)
        scene.lanes.quotas.forget_idle()
        assert scene.lanes.closed_keys == {A}
        await asyncio.sleep(60)
        scene.pass_time()
        scene.lanes.quotas.forget_idle()
        assert scene.lanes.closed_keys == set()
        assert await scene.begins(A)

    told(story, rate="1/min", max_sessions=5)
