"""When a queue is healthy, and how that is told."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from mailstrom.cli.exit_codes import ExitCode
from mailstrom.cli.health_report import Health, health_json, health_page
from mailstrom.cli.page import plain_text
from mailstrom.records import Overview

NOW = datetime(2026, 3, 1, 12, 0, 5, tzinfo=UTC)
IDLE = Overview(backlog=(), oldest_due_at=None, last_delivered_at=None)
HEALTHY = Health(at=NOW, max_age_secs=900.0, place="sqlite:/mail.db", overview=IDLE)


def due_since(secs: float) -> Overview:
    return replace(IDLE, oldest_due_at=NOW - timedelta(seconds=secs))


@pytest.mark.parametrize(
    ("health", "code"),
    [
        (HEALTHY, ExitCode.OK),
        (replace(HEALTHY, overview=due_since(900)), ExitCode.OK),
        (replace(HEALTHY, overview=due_since(901)), ExitCode.UNEXPECTED),
        (replace(HEALTHY, asks_dns=True), ExitCode.OK),
        (replace(HEALTHY, asks_dns=True, dns_error="no answer"), ExitCode.UNEXPECTED),
        (replace(HEALTHY, overview=None, storage_error="gone"), ExitCode.NOT_YET),
        (replace(HEALTHY, overview=None, storage_error="gone", dns_error="no answer"), ExitCode.NOT_YET),
    ],
)
def test_the_exit_code_tells_what_is_wrong(health: Health, code: ExitCode) -> None:
    assert health.exit_code is code
    assert bool(health.problems) is (code is not ExitCode.OK)


def test_a_person_is_told_what_is_wrong_first() -> None:
    health = replace(HEALTHY, overview=due_since(3600), asks_dns=True, dns_error="timed out")

    assert plain_text(health_page(health)) == (
        "unhealthy: sqlite:/mail.db, 2026-03-01 12:00:05 UTC\n"
        "  the oldest due mail has waited for 60 min, the limit is 15 min\n"
        "  names cannot be looked up: timed out\n"
        "oldest due     60 min ago\n"
        "last delivery  none is known\n"
    )


def test_a_healthy_queue_is_told_in_few_lines() -> None:
    health = replace(HEALTHY, overview=replace(IDLE, last_delivered_at=NOW), asks_dns=True)

    assert plain_text(health_page(health)) == (
        "healthy: sqlite:/mail.db, 2026-03-01 12:00:05 UTC\n"
        "oldest due     nothing is due\n"
        "last delivery  0 s ago\n"
        "names          can be looked up\n"
    )


def test_the_keys_of_the_json_do_not_change() -> None:
    health = replace(HEALTHY, overview=due_since(3), asks_dns=True)

    assert json.loads(json.dumps(health_json(health))) == {
        "healthy": True,
        "at": "2026-03-01T12:00:05+00:00",
        "problems": [],
        "storage": {"reachable": True, "error": None},
        "oldest_due_at": "2026-03-01T12:00:02+00:00",
        "oldest_due_secs": 3.0,
        "last_delivered_at": None,
        "max_age_secs": 900.0,
        "resolver": {"reachable": True, "error": None},
    }


def test_what_could_not_be_asked_is_null() -> None:
    told = health_json(replace(HEALTHY, overview=None, storage_error="gone"))

    assert told["storage"] == {"reachable": False, "error": "gone"}
    assert told["resolver"] == {"reachable": None, "error": None}
    assert (told["oldest_due_at"], told["oldest_due_secs"], told["last_delivered_at"]) == (None, None, None)
