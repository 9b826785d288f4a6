"""The loop of an asyncio caller, and the threads of its default executor, are the application's."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable, Coroutine, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from mailstrom import (
    AsyncMailstrom,
    ClosedError,
    Config,
    Event,
    MemoryStorage,
    QueueFull,
    SqliteStorage,
    Submission,
)
from mailstrom.aio import CALLS_AT_ONCE
from mailstrom.engine.events import Whole
from mailstrom.storage.exclusive import ExclusiveStorage
from tests.builders import an_email

CAPTURE = Config(helo_name="sender.example", mode="capture")
SENDERS = 40
STUCK_SECS = 10.0  # then a test fails that would else hang


class Refusing(ThreadPoolExecutor):
    """Somebody else's."""

    def submit(self, *args: Any, **kwargs: Any) -> Any:
        raise AssertionError("this executor is not yours")


class HandedIn(dict[str, str]):
    """Metadata that take their time to be looked at: until the caller's loop has gone on."""

    def __init__(self) -> None:
        super().__init__(order="1")
        self.loop_went_on = threading.Event()
        asyncio.get_running_loop().call_soon(self.loop_went_on.set)

    def items(self) -> Any:
        assert self.loop_went_on.wait(STUCK_SECS), "the loop stands still"
        return super().items()


class Stuck(ExclusiveStorage):
    """Nothing can be stored for the time being."""

    def __init__(self) -> None:
        super().__init__(MemoryStorage())
        self.never_blocks = False
        self.inside = threading.Semaphore(0)
        self.goes_on = threading.Event()

    def store(self, entries: Sequence[Any]) -> list[str]:
        self.inside.release()
        assert self.goes_on.wait(STUCK_SECS)
        return super().store(entries)


def small_queue(wait_secs: float) -> AsyncMailstrom:
    """Has room for one message."""
    config = Config(mode="capture", queue_full_wait_secs=wait_secs)
    return AsyncMailstrom(config, MemoryStorage(max_messages=1))


async def until(is_so: Callable[[], bool]) -> None:
    async with asyncio.timeout(STUCK_SECS):
        while not is_so():
            await asyncio.sleep(0)


async def for_room(m: AsyncMailstrom, senders: int) -> list[asyncio.Task[str]]:
    """So many tasks, each of which waits for room, none of them on a thread."""
    tasks = [asyncio.create_task(m.send_email(an_email())) for _ in range(senders)]
    waiting = m._mailstrom._life.board._waiting
    await until(lambda: len(waiting.get(Whole.ROOM, ())) == senders and not threads_of_ours())
    return tasks


def threads_of_ours() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name == "mailstrom-asyncio"]


@pytest.fixture(params=["memory", "sqlite"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> SqliteStorage | None:
    """A storage, or None: memory."""
    return SqliteStorage(tmp_path / "mail.db") if request.param == "sqlite" else None


def test_the_executor_of_the_application_is_never_used(storage: SqliteStorage | None) -> None:
    async def main() -> None:
        asyncio.get_running_loop().set_default_executor(Refusing())
        async with AsyncMailstrom(CAPTURE, storage) as m:
            message_id, *_ = await m.send_emails([an_email(), an_email()])
            await m.start()
            await m.pause()
            await m.start()
            await m.hold(message_id)
            await m.release(everything=True)
            await m.wait(message_id, timeout=30)
            await m.drain(timeout=30)
            assert len([event async for event in m.events()]) == 4
            assert (await m.query_status(message_id)).succeeded
            assert len(await m.query_recent()) == 2
            assert await m.forget("you@dest.example") == 2
            await m.overview()
            await m.close()
            await m.close()

    asyncio.run(main())


@pytest.mark.parametrize("several", [False, True], ids=["one", "several"])
def test_the_loop_goes_on_while_an_email_is_made_ready(storage: SqliteStorage | None, several: bool) -> None:
    """Attachments are read and encoded, and signatures made, by the processor or the disk."""

    async def main() -> None:
        async with AsyncMailstrom(CAPTURE, storage) as m:
            if several:
                await m.send_emails([an_email(), Submission(an_email(), metadata=HandedIn())])
            else:
                await m.send_email(an_email(), metadata=HandedIn())

    asyncio.run(main())


def test_the_loop_goes_on_while_the_worker_starts() -> None:
    async def main() -> None:
        async with AsyncMailstrom(CAPTURE) as m:
            starting = asyncio.create_task(m.start())
            await asyncio.sleep(0)

            assert not starting.done()
            await starting

    asyncio.run(main())


def test_the_emails_of_a_callers_own_iterator_are_fetched_on_the_callers_thread(
    storage: SqliteStorage | None,
) -> None:
    """A database connection, for one, may be used on no other."""
    threads: list[threading.Thread] = []

    def emails() -> Iterator[Any]:
        threads.append(threading.current_thread())
        yield an_email()

    async def main() -> None:
        async with AsyncMailstrom(CAPTURE, storage) as m:
            await m.send_emails(emails())

    asyncio.run(main())

    assert threads == [threading.current_thread()]


def test_who_waits_for_room_takes_no_thread_and_all_get_through() -> None:
    """Row 57."""

    async def main() -> None:
        async with small_queue(wait_secs=30.0) as m:
            await m.send_email(an_email())
            tasks = await for_room(m, SENDERS)

            assert (await m.overview()).oldest_due_at is not None
            await m.start()
            ids = await asyncio.gather(*tasks)

            assert len(set(ids)) == SENDERS
            await m.drain(timeout=30)
            assert len(m.outbox) == SENDERS + 1

    asyncio.run(main())


def test_close_wakes_who_waits_for_room() -> None:
    """Row 57."""

    async def main() -> list[object]:
        m = small_queue(wait_secs=30.0)
        await m.send_email(an_email())
        tasks = await for_room(m, 3)
        await m.close()
        return await asyncio.gather(*tasks, return_exceptions=True)

    assert [type(each) for each in asyncio.run(main())] == [ClosedError] * 3


def test_who_waits_for_room_in_vain_is_told_that_there_was_none() -> None:
    """Row 57."""

    async def main() -> None:
        async with small_queue(wait_secs=0.01) as m:
            await m.send_email(an_email())
            with pytest.raises(QueueFull):
                await m.send_email(an_email())
            with pytest.raises(QueueFull, match=r"emails\[0\]"):
                await m.send_emails([an_email()])
            assert m._mailstrom._life.board._waiting == {}

    asyncio.run(main())


def test_a_sender_that_is_cancelled_while_it_waits_for_room_has_stored_nothing() -> None:
    async def main() -> None:
        async with small_queue(wait_secs=30.0) as m:
            first = await m.send_email(an_email())
            (task,) = await for_room(m, 1)
            task.cancel()
            await asyncio.wait([task])
            await m.start()
            await m.drain(timeout=30)

            assert [email.message_id for email in m.outbox] == [first]

    asyncio.run(main())


def test_what_was_cut_short_and_is_repeated_with_its_key_is_sent_once() -> None:
    async def main() -> None:
        storage = Stuck()
        async with AsyncMailstrom(CAPTURE, storage) as m:
            sending = asyncio.create_task(m.send_email(an_email(), idempotency_key="order-1"))
            await until(lambda: storage.inside.acquire(blocking=False))
            sending.cancel()
            await asyncio.wait([sending])
            storage.goes_on.set()

            await m.send_email(an_email(), idempotency_key="order-1")

            await m.start()
            await m.drain(timeout=30)
            assert (sending.cancelled(), len(m.outbox)) == (True, 1)

    asyncio.run(main())


def test_die_does_not_wait_for_calls_that_are_stuck() -> None:
    async def main() -> None:
        storage = Stuck()
        m = AsyncMailstrom(CAPTURE, storage)
        tasks = [asyncio.create_task(m.send_email(an_email())) for _ in range(SENDERS)]
        await until(lambda: storage.inside.acquire(blocking=False))

        async with asyncio.timeout(STUCK_SECS / 2):
            await m.die()

        storage.goes_on.set()
        ended = await asyncio.gather(*tasks, return_exceptions=True)
        assert {type(each) for each in ended} == {ClosedError}

    asyncio.run(main())


def test_events_end_though_each_of_them_brings_about_another() -> None:
    async def main() -> None:
        seen: list[Event] = []
        async with AsyncMailstrom(CAPTURE) as m:
            await m.send_emails([an_email() for _ in range(1000)])
            async for event in m.events():
                seen.append(event)
                await m.send_email(an_email())
                assert len(seen) < 4000, "there is no end to them"
            await m.die()

    asyncio.run(main())


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_forked_child_has_threads_of_its_own() -> None:
    """Those of the parent, all of them at work, do not exist there."""
    storage = Stuck()
    m = AsyncMailstrom(CAPTURE, storage)

    async def main() -> int:
        tasks = [asyncio.create_task(m.send_email(an_email())) for _ in range(SENDERS)]
        for _ in range(CALLS_AT_ONCE):
            await until(lambda: storage.inside.acquire(blocking=False))
        exit_code = in_forked_child(sends)
        storage.goes_on.set()
        await asyncio.gather(*tasks)
        await m.close(0)
        return exit_code

    async def sends() -> None:
        storage.goes_on.set()
        async with asyncio.timeout(STUCK_SECS):
            await m.send_email(an_email())

    assert asyncio.run(main()) == 0


def in_forked_child(story: Callable[[], Coroutine[Any, Any, None]]) -> int:
    """The exit code of a child that runs the story in a loop of its own."""

    def fork() -> None:
        if (pid := os.fork()) == 0:
            try:
                asyncio.run(story())
                os._exit(0)
            finally:
                os._exit(1)
        codes.append(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))

    codes: list[int] = []
    thread = threading.Thread(target=fork)  # this one runs a loop, and that of the child would run in it
    thread.start()
    thread.join()
    return codes[0]
