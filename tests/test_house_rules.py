"""The watchmen of the test suite see what they are there to see."""

from __future__ import annotations

import asyncio
import logging
import socket
import threading

import pytest

from tests.conftest import refuse_skip
from tests.leaks import watched


def test_a_thread_that_still_runs_is_left_behind() -> None:
    end = threading.Event()
    thread = threading.Thread(target=end.wait, name="loiterer")

    with watched(grace_secs=0.01) as left:
        thread.start()

    end.set()
    thread.join()
    assert left == ["thread 'loiterer' still runs"]


def test_a_socket_that_is_open_is_left_behind() -> None:
    with watched() as left:
        listener = socket.create_server(("127.0.0.1", 0))

    listener.close()
    assert [line.partition(":")[0] for line in left] == ["socket"]


@pytest.mark.expects_loop_errors
def test_a_task_that_nobody_waits_for_is_left_behind() -> None:
    async def main() -> None:
        task = asyncio.create_task(asyncio.sleep(60), name="orphan")
        await asyncio.sleep(0)
        assert not task.done()

    with watched() as left:
        asyncio.run(main())

    assert ["name='orphan'" in line for line in left] == [True]


@pytest.mark.expects_loop_errors
def test_an_error_that_asyncio_can_only_log_is_left_behind() -> None:
    with watched() as left:
        logging.getLogger("asyncio").error("Task exception was never retrieved")

    assert left == ["asyncio logged: Task exception was never retrieved"]


def test_what_is_closed_joined_and_awaited_is_not_left_behind() -> None:
    async def main() -> None:
        server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
        async with server:
            reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
            await asyncio.to_thread(threading.active_count)
            await reader.read()
            writer.close()
            await writer.wait_closed()

    with watched() as left:
        asyncio.run(main())

    assert left == []


@pytest.mark.parametrize(
    ("no_skip", "allowed", "reason", "outcome"),
    [
        ("", "", "needs root: run it as root", "skipped"),
        ("0", "", "needs root: run it as root", "skipped"),
        ("1", "", "needs root: run it as root", "failed"),
        ("1", "needs root", "needs root: run it as root", "skipped"),
        ("1", "needs root", "needs Postfix: install it", "failed"),
        ("1", "needs root, needs Postfix", "needs Postfix: install it", "skipped"),
        ("1", "needs root", "it needs root", "failed"),
    ],
)
def test_a_skip_is_a_failure_where_it_is_not_allowed(
    monkeypatch: pytest.MonkeyPatch, no_skip: str, allowed: str, reason: str, outcome: str
) -> None:
    monkeypatch.setenv("MAILSTROM_NO_SKIP", no_skip)
    monkeypatch.setenv("MAILSTROM_ALLOWED_SKIPS", allowed)
    report = pytest.TestReport(
        "test_it", ("test.py", 1, "test_it"), {}, "skipped", ("test.py", 1, f"Skipped: {reason}"), "call"
    )

    refuse_skip(report)

    assert report.outcome == outcome
