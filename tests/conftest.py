"""For every test: nothing may be left behind, and a skip must be allowed.

    MAILSTROM_NO_SKIP=1                  each skip is a failure
    MAILSTROM_ALLOWED_SKIPS="needs root" ... but for those whose reason begins with this;
                                         several are separated by commas
"""

from __future__ import annotations

import gc
import os
from collections.abc import Generator, Iterator

import pytest

from tests.leaks import watched
from tests.postgres import database, postgres_bouncer, postgres_server

__all__ = ["database", "postgres_bouncer", "postgres_server"]  # fixtures for every test


@pytest.fixture(autouse=True)
def _nothing_is_left_behind(request: pytest.FixtureRequest) -> Iterator[None]:
    with watched() as left:
        yield
    if request.node.get_closest_marker("expects_loop_errors"):
        left = [line for line in left if line.endswith((" still runs", " is still open"))]
    if left:
        pytest.fail("left behind:\n  " + "\n  ".join(left), pytrace=False)


def pytest_collection_finish() -> None:
    """What was collected stays until the end: nobody need look through it at each collection of garbage."""
    gc.collect()
    gc.freeze()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    refuse_skip(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    refuse_skip(report)
    return report


def refuse_skip(report: pytest.TestReport | pytest.CollectReport) -> None:
    """Makes a failure of a skip that is not allowed."""
    if not report.skipped or hasattr(report, "wasxfail") or not _skips_are_failures():
        return
    reason = _skip_reason(report)
    if not reason.startswith(_allowed_skips()):
        report.outcome = "failed"
        report.longrepr = f"skipped, and MAILSTROM_NO_SKIP is set: {reason}"


def _skips_are_failures() -> bool:
    return os.environ.get("MAILSTROM_NO_SKIP", "") not in ("", "0")


def _allowed_skips() -> tuple[str, ...]:
    listed = os.environ.get("MAILSTROM_ALLOWED_SKIPS", "").split(",")
    return tuple(reason.strip() for reason in listed if reason.strip())


def _skip_reason(report: pytest.TestReport | pytest.CollectReport) -> str:
    reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    return reason.removeprefix("Skipped: ")
