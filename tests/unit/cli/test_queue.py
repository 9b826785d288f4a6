"""`mailstrom queue` and its commands over a queue in a file."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from mailstrom import Config, Deferred, Mailstrom, MessageStatus
from mailstrom.abc import Outcome, Settlement
from mailstrom.cli.exit_codes import ExitCode
from mailstrom.cli.main import run_command_line
from mailstrom.cli.terminal import Streams
from mailstrom.storage.sqlite import SqliteStorage
from tests.builders import HELO, an_email

LEASE = timedelta(seconds=60)
HOUR = timedelta(hours=1)


class Keyboard(io.BytesIO):
    """Standard input where somebody sits."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def queue(tmp_path: Path) -> str:
    """The URL of a queue with mail to two domains; one of them was deferred."""
    url = f"sqlite:///{tmp_path / 'mail.db'}"
    with Mailstrom(Config(helo_name=HELO), url) as m:
        for number in (1, 2):
            m.send_email(an_email(to=f"you{number}@dest.example", message_id=f"{number}@sender.example"))
        m.send_email(an_email(to="a@other.example, b@other.example", message_id="3@sender.example"))
    with storage_of(url) as storage:
        defer_one(storage)
    return url


@contextmanager
def storage_of(url: str) -> Iterator[SqliteStorage]:
    storage = SqliteStorage(url.removeprefix("sqlite:///"))
    try:
        yield storage
    finally:
        storage.close()


def defer_one(storage: SqliteStorage) -> None:
    """The first message to dest.example is tried, and has to wait."""
    now = datetime.now(UTC)
    claim = storage.claim(now, owner="me", lease=LEASE, skip=("other.example",))
    assert claim is not None
    result = Deferred(tries=1, reason="450 4.2.0 busy", next_attempt_at=now + HOUR)
    outcome = Outcome(address="you1@dest.example", result=result)
    assert storage.settle([Settlement(claim=claim, outcomes=(outcome,))], now) == [True]


def ended(
    url: str, *arguments: str, stdin: io.BytesIO | None = None, command: str = "queue"
) -> tuple[int, str, str]:
    out, err = io.StringIO(), io.StringIO()
    streams = Streams(stdin=stdin or io.BytesIO(), stdout=out, stderr=err)
    code = run_command_line((command, *arguments, "--storage", url), streams)
    return code, out.getvalue(), err.getvalue()


def states(url: str) -> dict[str, str]:
    """Each recipient with the state of its result; "held" where it has no next try."""
    with storage_of(url) as storage:
        found = [storage.retrieve_status(f"{number}@sender.example") for number in (1, 2, 3)]
    results = {each.address: each.result for status in found for each in status.recipients}
    return {
        address: "held" if result.state == "deferred" and result.next_attempt_at is None else result.state
        for address, result in results.items()
    }


# --- looking


def test_alone_it_counts_by_destination_and_state(queue: str) -> None:
    code, told, _ = ended(queue)

    lines = [line.split()[:3] for line in told.splitlines()]
    assert code == ExitCode.OK
    assert "4 recipients: 3 queued, 1 deferred." in told
    assert lines[-3:] == [
        ["other.example", "queued", "2"],
        ["dest.example", "deferred", "1"],
        ["dest.example", "queued", "1"],
    ]
    assert "450 4.2.0 busy" in told


def test_the_overview_as_json_has_every_destination(queue: str) -> None:
    _, told, _ = ended(queue, "--json", "--limit", "1")

    overview = json.loads(told)
    assert overview["states"] == {"claimed": 0, "queued": 3, "deferred": 1, "held": 0}
    assert [(each["destination"], each["state"]) for each in overview["backlog"]] == [
        ("dest.example", "deferred"),
        ("dest.example", "queued"),
        ("other.example", "queued"),
    ]


def test_the_queue_may_be_named_in_the_configuration_or_the_environment(
    queue: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (file := tmp_path / "mailstrom.toml").write_text(f'storage = "{queue}"\n')
    monkeypatch.setenv("MAILSTROM_STORAGE", "sqlite:///elsewhere.db")
    streams = Streams(stdin=io.BytesIO(), stdout=(out := io.StringIO()), stderr=io.StringIO())

    assert run_command_line(("queue", "--config", str(file)), streams) == ExitCode.OK
    monkeypatch.setenv("MAILSTROM_STORAGE", queue)
    assert run_command_line(("queue",), streams) == ExitCode.OK
    assert out.getvalue().count("4 recipients") == 2


def test_list_has_a_row_for_each_message_that_is_meant(queue: str) -> None:
    _, told, _ = ended(queue, "list", "--domain", "dest.example")

    assert [line.split()[0] for line in told.splitlines()[1:]] == ["1@sender.example", "2@sender.example"]


def test_list_says_that_there_are_more(queue: str) -> None:
    _, told, _ = ended(queue, "list", "--limit", "2")

    assert told.endswith("There are more of them (see --limit).\n")
    assert "3@sender.example" not in told


def test_list_as_json_can_be_read_back(queue: str) -> None:
    _, told, _ = ended(queue, "list", "--json", "--limit", "1")

    found = [MessageStatus.from_dict(each) for each in json.loads(told)]
    assert [status.message_id[0] for status in found] == ["1", "2", "3"]


def test_show_tells_one_message(queue: str) -> None:
    code, told, _ = ended(queue, "show", "<1@sender.example>")

    assert code == ExitCode.OK
    assert told.startswith("1@sender.example\n  state      deferred\n")
    assert "\nyou1@dest.example\n  deferred after 1 try: 450 4.2.0 busy; next try at " in told
    _, as_json, _ = ended(queue, "show", "1@sender.example", "--json")
    assert MessageStatus.from_dict(json.loads(as_json)).state == "deferred"


@pytest.mark.parametrize("command", ["show", "cancel", "hold", "release", "retry"])
def test_an_unknown_message_is_one_line_and_code_66(queue: str, command: str) -> None:
    code, told, complained = ended(queue, command, "9@sender.example")

    assert (code, told) == (ExitCode.NO_INPUT, "")
    assert complained.startswith("mailstrom: no message '9@sender.example'")
    assert complained.count("\n") == 1


def test_looking_makes_no_queue(tmp_path: Path) -> None:
    code, _, complained = ended(f"sqlite:///{tmp_path / 'typo.db'}")

    assert (code, complained) == (
        ExitCode.NO_INPUT,
        f"mailstrom: there is no queue at {tmp_path / 'typo.db'}\n",
    )
    assert list(tmp_path.iterdir()) == []


# --- ordering


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
    with storage_of(queue) as storage:
        claim = storage.claim(datetime.now(UTC), owner="me", lease=LEASE, skip=("other.example",))
        assert claim is not None
        code, told, _ = ended(queue, "hold", "2@sender.example")

    assert code == ExitCode.OK
    assert told == (
        "2@sender.example to you2@dest.example: being tried at this moment\n"
        "held: 1 recipient of 1 message\n"
        "being tried at this moment: 1 of them; it takes effect when that ends\n"
    )


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


def test_more_than_a_batch_is_carried_out_whole(tmp_path: Path) -> None:
    url, many = f"sqlite:///{tmp_path / 'mail.db'}", 1100
    with Mailstrom(Config(helo_name=HELO), url) as m:
        m.send_email(an_email(to=[f"r{number}@dest.example" for number in range(many)]))

    assert ended(url, "cancel", "--all")[1] == "cancelled: 1,100 recipients of 1 message\n"
    assert "It is empty." in ended(url)[1]


# --- beside them: putting mail in, the tables


def test_send_puts_it_into_the_queue_and_leaves_it_there(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'mail.db'}"
    letter = ("--from", "me@sender.example", "--to", "you@dest.example", "--text", "Hi.")

    code, told, complained = ended(url, "--queue-only", *letter, command="send")

    assert (code, complained) == (ExitCode.OK, "")
    message_id = told.removeprefix("queued as ").removesuffix("; a worker delivers it\n")
    with storage_of(url) as storage:
        assert storage.retrieve_status(message_id).public().state == "queued"


def test_the_tables_of_sqlite_need_no_command(queue: str) -> None:
    for command in ("upgrade", "version"):
        code, told, _ = ended(queue, command, command="db")
        assert code == ExitCode.OK
        assert "a queue on SQLite is upgraded when it is opened" in told


def test_a_file_that_is_no_queue_is_one_line_and_an_error(tmp_path: Path) -> None:
    (file := tmp_path / "letter.txt").write_text("Good day. " * 1000)
    file.chmod(0o600)

    code, told, complained = ended(f"sqlite:///{file}")

    assert code == ExitCode.NOT_YET
    assert (told, complained.count("\n")) == ("", 1)
    assert "not a database" in complained
