"""What cannot be meant is refused by name where it is handed in: by both faces, over each storage."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta, tzinfo
from pathlib import Path
from typing import Any

import pytest

from mailstrom import (
    ClosedError,
    Config,
    ConfigError,
    Event,
    EventKind,
    Mailstrom,
    MessageError,
    MessageNotFound,
    SqliteStorage,
)
from tests.builders import an_email

CAPTURE = Config(helo_name="sender.example", mode="capture")
NO_TEXT_OF_A_DATABASE = ["\0", "a\0b@x.example", "\ud800", "a\udfff@x.example"]

Maker = Callable[..., Any]


@pytest.fixture(params=["memory", "sqlite"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> SqliteStorage | None:
    """A storage, or None: memory."""
    return SqliteStorage(tmp_path / "mail.db") if request.param == "sqlite" else None


class Nowhere(tzinfo):
    """Does not know how far it is from UTC."""

    def utcoffset(self, at: datetime | None) -> timedelta | None:
        return None


@pytest.mark.parametrize("timeout", ["x", float("nan"), True, b"", [], timedelta(seconds=1)], ids=repr)
def test_a_timeout_is_a_number_of_seconds(made: Maker, timeout: object) -> None:
    with made(CAPTURE) as m:
        message_id = m.send_email(an_email())

        for call in (lambda: m.wait(message_id, timeout), lambda: m.drain(timeout), lambda: m.close(timeout)):
            with pytest.raises(MessageError, match="timeout: expected a number of seconds"):
                call()

        assert m.query_status(message_id).state == "queued"


@pytest.mark.parametrize("timeout", [-1, 0, -1e300])
def test_a_time_that_is_over_is_not_waited_for(made: Maker, timeout: float) -> None:
    with made(CAPTURE) as m:
        m.start().pause()
        message_id = m.send_email(an_email())

        assert m.wait(message_id, timeout).state == "queued"
        assert not m.drain(timeout)


@pytest.mark.parametrize(
    "timeout", [None, float("inf"), 1e300, 10**400], ids=["none", "inf", "1e300", "10^400"]
)
def test_one_may_wait_as_long_as_it_takes(made: Maker, timeout: float | None) -> None:
    with made(CAPTURE) as m:
        status = m.start().wait(m.send_email(an_email()), timeout)

        assert status.succeeded
        assert m.drain(timeout)
        if timeout is not None:
            assert m.close(timeout) == ()


@pytest.mark.parametrize("message_id", NO_TEXT_OF_A_DATABASE, ids=ascii)
def test_an_id_that_no_message_can_have_is_not_found(
    made: Maker, storage: SqliteStorage | None, message_id: str
) -> None:
    with made(CAPTURE, storage) as m:
        for call in (m.query_status, m.wait, m.cancel, m.hold, m.release, m.retry_now):
            with pytest.raises(MessageNotFound):
                call(message_id)


@pytest.mark.parametrize("destination", NO_TEXT_OF_A_DATABASE, ids=ascii)
def test_a_destination_that_there_cannot_be_is_refused(
    made: Maker, storage: SqliteStorage | None, destination: str
) -> None:
    with made(CAPTURE, storage) as m, pytest.raises(MessageError, match="destination: expected a domain"):
        m.hold(destination=destination)


@pytest.mark.parametrize("name", ["send_at", "expires_at"])
def test_a_time_whose_zone_does_not_know_utc_is_not_aware(made: Maker, name: str) -> None:
    at = datetime(2090, 1, 1, tzinfo=Nowhere())

    with made(CAPTURE) as m, pytest.raises(MessageError, match=rf"{name}: expected an aware datetime"):
        m.send_email(an_email(), **{name: at})


def test_an_order_for_what_was_submitted_before_a_time_without_utc_is_refused(made: Maker) -> None:
    at = datetime(2090, 1, 1, tzinfo=Nowhere())

    with (
        made(CAPTURE) as m,
        pytest.raises(MessageError, match="submitted_before: expected an aware datetime"),
    ):
        m.hold(submitted_before=at)


@pytest.mark.parametrize("everything", ["false", "", 1, None], ids=repr)
def test_everything_is_chosen_by_true_alone(made: Maker, everything: object) -> None:
    """The word "false" of a configuration would choose the whole queue."""
    with made(CAPTURE) as m:
        message_id = m.send_email(an_email())

        with pytest.raises(MessageError, match="everything: expected True or False"):
            m.cancel(everything=everything)

        assert m.query_status(message_id).state == "queued"


@pytest.mark.parametrize("observers", [print, ["x"], [print, None], None, 5, "x"], ids=repr)
def test_observers_are_a_list_of_what_can_be_called(made: Maker, observers: Any) -> None:
    with pytest.raises(ConfigError, match="observers: expected a list of functions that take an Event"):
        made(CAPTURE, observers=observers)


# Events


@pytest.mark.parametrize("after", ["x", -1, 2**70, 2**63, True, 1.5, b"", []], ids=repr)
def test_events_are_asked_for_behind_a_cursor(
    made: Maker, storage: SqliteStorage | None, after: object
) -> None:
    with made(CAPTURE, storage) as m, pytest.raises(MessageError, match="after: expected the cursor"):
        m.events(after)


def test_a_cursor_that_is_still_to_come_has_no_events_behind_it(
    made: Maker, storage: SqliteStorage | None
) -> None:
    with made(CAPTURE, storage) as m:
        m.send_email(an_email())

        assert list(m.events(2**63 - 1)) == []
        assert [event.kind for event in m.events(0)] == [EventKind.ACCEPTED]


def test_events_say_at_once_that_it_is_closed(made: Maker) -> None:
    m = made(CAPTURE)
    m.close()

    with pytest.raises(ClosedError):
        m.events()


@pytest.mark.parametrize("before", [1, 1000])
def test_events_end_though_each_of_them_brings_about_another(before: int) -> None:
    """They are told until now, and not for ever."""
    seen: list[Event] = []
    with Mailstrom(CAPTURE) as m:
        ids = m.send_emails([an_email() for _ in range(before)])
        for event in m.events():
            seen.append(event)
            m.send_email(an_email())
            assert len(seen) < 4000, "there is no end to them"

        assert [event.message_id for event in seen][:before] == ids
        m.die()


def test_an_instant_of_any_zone_is_aware(made: Maker) -> None:
    with made(CAPTURE) as m:
        message_id = m.send_email(an_email(), expires_at=datetime.max.replace(tzinfo=UTC))

        assert m.hold(submitted_before=datetime.max.replace(tzinfo=UTC)) == 1
        assert m.cancel(message_id).state == "failed"
