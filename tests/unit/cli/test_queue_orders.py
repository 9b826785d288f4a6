"""`mailstrom queue cancel | hold | release | retry` over a queue in a file."""

from __future__ import annotations

import io
import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from mailstrom import Config, Mailstrom
from mailstrom.cli.exit_codes import ExitCode
from tests.builders import HELO, an_email
from tests.unit.cli.queue_file import Keyboard, claimed, ended, states, storage_of


def test_hold_and_release_by_selection(queue: str) -> None:
    held = ended(queue, "hold", "--domain", "dest.example")

    assert held[0] == ExitCode.OK
    assert held[1].splitlines()[-1] == "held: 2 recipients of 2 messages"
    assert states(queue) == {
        "you1@dest.example": "held",
        "you2@dest.example": "held",
        "a@other.example": "queued",
        "b@other.example": "queued",
    }
    assert ended(queue, "release", "--all")[1].splitlines()[-1] == "released: 2 recipients of 2 messages"
    assert set(states(queue).values()) == {"queued", "deferred"}


def test_cancel_fails_one_recipient_of_one_message(queue: str) -> None:
    code, told, _ = ended(queue, "cancel", "3@sender.example", "--address", "b@other.example")

    assert code == ExitCode.OK
    assert told == (
        "3@sender.example to b@other.example: cancelled\n"
        "cancelled: 1 recipient of 1 message\n"
    )
    assert states(queue)["a@other.example"] == "queued"


def test_retry_makes_due_what_waits(queue: str) -> None:
    code, told, _ = ended(queue, "retry", "--state", "deferred")

    assert (code, told.splitlines()[-1]) == (ExitCode.OK, "due now: 1 recipient of 1 message")
    with storage_of(queue) as storage:
        assert storage.retrieve_status("1@sender.example").recipients[0].due_at <= datetime.now(UTC)


def test_what_is_being_tried_is_told(queue: str) -> None:
    with claimed(queue):
        code, told, _ = ended(queue, "hold", "2@sender.example")

    assert code == ExitCode.OK
    assert told == (
        "2@sender.example to you2@dest.example: being tried at this moment\n"
        "held: 1 recipient of 1 message\n"
        "being tried at this moment: 1 of them; it takes effect when that ends\n"
    )


def test_why_nothing_is_done_is_told_of_each_recipient(queue: str) -> None:
    with claimed(queue):
        ended(queue, "cancel", "2@sender.example")
        again = ended(queue, "cancel", "2@sender.example")
    due = ended(queue, "retry", "3@sender.example")
    ended(queue, "hold", "1@sender.example")
    held = ended(queue, "retry", "1@sender.example")

    assert again[1] == (
        "nothing to cancel: 2@sender.example queued (1 queued)\n"
        "  you2@dest.example: being tried at this moment; cancelled when that ends\n"
    )
    assert [line.partition(" since ")[0] for line in due[1].splitlines()] == [
        "nothing to retry: 3@sender.example queued (2 queued)",
        "  a@other.example: due",
        "  b@other.example: due",
    ]
    assert held[1].endswith("\n  you1@dest.example: held\n")


def test_several_messages_are_named_by_arguments_and_on_standard_input(queue: str) -> None:
    code, told, complained = ended(
        queue, "hold", "1@sender.example", "-", stdin=io.BytesIO(b"2@sender.example\n")
    )

    assert (code, complained) == (ExitCode.OK, "")
    assert told.endswith("held: 2 recipients of 2 messages\n")


def test_where_one_of_several_is_unknown_nothing_is_changed(queue: str) -> None:
    before = states(queue)

    code, told, _ = ended(queue, "cancel", "1@sender.example", "9@sender.example")

    assert (code, told) == (ExitCode.NO_INPUT, "")
    assert states(queue) == before


def test_an_order_as_json_tells_each_change(queue: str) -> None:
    _, told, _ = ended(queue, "hold", "--destination", "other.example", "--json")

    assert json.loads(told) == {
        "order": "hold",
        "messages": 1,
        "recipients": 2,
        "claimed": 0,
        "changed": [
            {
                "message_id": "3@sender.example",
                "address": address,
                "before": "queued",
                "after": "held",
                "claimed": False,
            }
            for address in ("a@other.example", "b@other.example")
        ],
    }


def test_an_order_for_nothing_is_told_and_is_no_error(queue: str) -> None:
    code, told, _ = ended(queue, "release", "--all")

    assert (code, told) == (ExitCode.OK, "nothing to release: there is no such mail in the queue\n")


def test_an_order_for_a_message_that_is_completed_is_code_1(queue: str) -> None:
    ended(queue, "cancel", "1@sender.example")

    code, told, _ = ended(queue, "hold", "1@sender.example")

    assert (code, told) == (
        ExitCode.UNEXPECTED,
        "nothing to hold: 1@sender.example failed (1 failed)\n",
    )
    assert ended(queue, "hold", "1@sender.example", "--json")[0] == code
    assert ended(queue, "retry", "3@sender.example", "--json")[0] == ExitCode.OK  # is due already


@pytest.mark.parametrize("answer", [b"", b"\n", b"n\n", b"maybe\n"])
def test_whoever_does_not_say_yes_changes_nothing(queue: str, answer: bytes) -> None:
    before = states(queue)

    code, told, complained = ended(queue, "cancel", "--all", stdin=Keyboard(answer))

    assert (code, told) == (ExitCode.UNEXPECTED, "")
    assert complained == "Cancel mail of 3 messages? [y/N] mailstrom: nothing was changed\n"
    assert states(queue) == before


def test_yes_is_asked_for_once_and_may_be_said_before(queue: str) -> None:
    code, told, complained = ended(queue, "hold", "--all", stdin=Keyboard(b"y\n"))

    assert (code, complained) == (ExitCode.OK, "Hold mail of 3 messages? [y/N] ")
    assert told.endswith("held: 4 recipients of 3 messages\n")
    assert ended(queue, "cancel", "--all", "--yes", stdin=Keyboard())[2] == ""


def test_of_one_message_nobody_is_asked(queue: str) -> None:
    code, told, complained = ended(queue, "cancel", "--domain", "other.example", stdin=Keyboard())

    assert (code, complained) == (ExitCode.OK, "")
    assert told.endswith("cancelled: 2 recipients of 1 message\n")


def test_everything_is_cancelled_without_a_terminal_only_by_who_says_yes(queue: str) -> None:
    before = states(queue)

    code, told, complained = ended(queue, "cancel", "--all")

    assert (code, told, "--yes" in complained) == (ExitCode.USAGE, "", True)
    assert states(queue) == before
    assert ended(queue, "hold", "--all")[0] == ExitCode.OK


def test_more_than_a_batch_is_carried_out_whole(tmp_path: Path) -> None:
    url, many = f"sqlite:///{tmp_path / 'mail.db'}", 1100
    with Mailstrom(Config(helo_name=HELO), url) as m:
        m.send_email(an_email(to=[f"r{number}@dest.example" for number in range(many)]))

    assert ended(url, "cancel", "--all", "--yes")[1] == "cancelled: 1,100 recipients of 1 message\n"
    assert "It is empty." in ended(url)[1]
