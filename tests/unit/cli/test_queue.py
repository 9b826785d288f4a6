"""`mailstrom queue` and its commands over a queue in a file."""

from __future__ import annotations

import io
import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from mailstrom import MessageStatus
from mailstrom.cli.exit_codes import ExitCode
from mailstrom.cli.main import run_command_line
from mailstrom.cli.terminal import Streams
from mailstrom.storage.sql.schema import VERSION
from tests.unit.cli.queue_file import claimed, ended, storage_of

LOOKING = (
    *(("queue",), ("queue", "list"), ("queue", "show", "1@sender.example"), ("queue", "hold", "--all")),
    *(("health", "--no-dns"), ("db", "version"), ("db", "upgrade")),
)


def _of_another_program() -> bytes:
    with closing(sqlite3.connect(":memory:")) as connection, connection:
        connection.execute("CREATE TABLE accounts (name TEXT)")
        return connection.serialize()


OTHERS = _of_another_program()


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


def test_explain_tells_what_holds_each_recipient_and_what_it_cannot_know(queue: str) -> None:
    code, told, _ = ended(queue, "explain", "<1@sender.example>")

    head, _, recipient, hold, _, *beyond = told.splitlines()
    assert code == ExitCode.OK
    assert head.startswith("1@sender.example, 20")
    assert recipient == "you1@dest.example"
    assert hold.startswith("  backoff until 20")
    assert hold.endswith(" UTC: tried again then; last: 450 4.2.0 busy")
    assert "worker's process only" in " ".join(beyond)


def test_explain_tells_as_json_what_is_due_held_and_being_tried(queue: str) -> None:
    ended(queue, "hold", "--address", "b@other.example")
    with claimed(queue):
        ended(queue, "hold", "2@sender.example")
        told = [json.loads(ended(queue, "explain", f"{n}@sender.example", "--json")[1]) for n in (2, 3)]

    found = {each["address"]: each["holds"] for message in told for each in message["recipients"]}
    assert {address: hold["gate"] for address, [hold] in found.items()} == {
        "you2@dest.example": "claimed",
        "a@other.example": "due",
        "b@other.example": "held",
    }
    assert found["you2@dest.example"][0]["text"].endswith("; held when that ends")


def test_of_what_is_done_explain_says_no_more(queue: str) -> None:
    ended(queue, "cancel", "2@sender.example")

    _, told, _ = ended(queue, "explain", "2@sender.example")

    assert told.splitlines()[-1].startswith("  done: failed (cancelled)")


def test_explain_says_that_a_message_is_not_there(queue: str) -> None:
    code, told, complained = ended(queue, "explain", "4@sender.example")

    assert (code, told) == (ExitCode.NO_INPUT, "")
    assert "4@sender.example" in complained


def test_what_is_being_tried_is_shown_as_claimed_and_can_be_listed_alone(queue: str) -> None:
    with claimed(queue):
        ended(queue, "cancel", "2@sender.example")
        listed = ended(queue, "list", "--domain", "dest.example")[1]
        alone = ended(queue, "list", "--state", "claimed")[1]
        elsewhere = ended(queue, "list", "--state", "claimed", "--domain", "other.example")[1]
        shown = ended(queue, "show", "2@sender.example")[1]
        as_json = json.loads(ended(queue, "list", "--state", "claimed", "--json")[1])

    assert [line.split()[3] for line in listed.splitlines()[1:]] == ["deferred", "claimed"]
    assert [line.split()[0] for line in alone.splitlines()[1:]] == ["2@sender.example"]
    assert elsewhere == "No such mail is in the queue.\n"
    assert "\n  being tried at this moment; cancelled when that ends\n  its lease ends in " in shown
    assert "passes in a row" not in shown
    assert [(each["claimed"], each["mark"]) for each in as_json[0]["recipients"]] == [(True, "cancel")]


def test_a_list_says_whether_there_is_no_mail_or_no_such_mail(queue: str) -> None:
    assert ended(queue, "list", "--older-than", "2h")[1] == "No such mail is in the queue.\n"

    ended(queue, "cancel", "--all", "--yes")

    assert ended(queue, "list")[1] == "No mail waits in the queue.\n"


def test_a_list_of_several_domains_has_each_message_once(queue: str) -> None:
    domains = ("--domain", "other.example", "--domain", "dest.example", "--domain", "dest.example")

    _, told, _ = ended(queue, "list", *domains)

    assert [line[0] for line in told.splitlines()[1:]] == ["1", "2", "3"]


@pytest.mark.parametrize("command", ["show", "cancel", "hold", "release", "retry"])
def test_an_unknown_message_is_one_line_and_code_66(queue: str, command: str) -> None:
    code, told, complained = ended(queue, command, "9@sender.example")

    assert (code, told) == (ExitCode.NO_INPUT, "")
    assert complained == (
        "mailstrom: no message '9@sender.example' is known in this queue: it was never stored here, "
        "or was purged after its retention\n"
    )


def test_looking_makes_no_queue(tmp_path: Path) -> None:
    code, _, complained = ended(f"sqlite:///{tmp_path / 'typo.db'}")

    assert (code, complained) == (
        ExitCode.NO_INPUT,
        f"mailstrom: there is no queue in {tmp_path / 'typo.db'}: there is no such file\n",
    )
    assert list(tmp_path.iterdir()) == []


# --- beside them: putting mail in, the tables


def test_send_puts_it_into_the_queue_and_leaves_it_there(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'mail.db'}"
    letter = ("--from", "me@sender.example", "--to", "you@dest.example", "--text", "Hi.")

    code, told, complained = ended(url, "--queue-only", *letter, command="send")

    assert (code, complained) == (ExitCode.OK, "")
    message_id = told.removeprefix("queued as ").removesuffix("; a worker delivers it\n")
    with storage_of(url) as storage:
        assert storage.retrieve_status(message_id).public().state == "queued"


def test_the_tables_of_sqlite_have_a_version_and_need_no_command(queue: str) -> None:
    place = f"sqlite:{queue.removeprefix('sqlite:///')}"

    assert ended(queue, "upgrade", command="db")[:2] == (
        ExitCode.OK,
        f"{place}: nothing to do: a queue on SQLite is upgraded when it is opened\n",
    )
    assert ended(queue, "version", command="db")[:2] == (
        ExitCode.OK,
        f"{place}: the tables are of version {VERSION}; this mailstrom works with version {VERSION}\n",
    )


def test_the_version_of_newer_tables_is_told_where_all_else_refuses_them(queue: str) -> None:
    with closing(sqlite3.connect(queue.removeprefix("sqlite:///"))) as connection, connection:
        connection.execute("INSERT INTO mailstrom_schema (version, works_from) VALUES (99, 99)")

    code, told, _ = ended(queue, "version", command="db")
    assert code == ExitCode.OK
    assert f"version 99; this mailstrom works with version {VERSION}, and with newer ones" in told
    assert ended(queue)[0] == ended(queue, "upgrade", command="db")[0] == ExitCode.BAD_CONFIG


def test_a_file_that_is_no_queue_is_one_line_and_an_error(tmp_path: Path) -> None:
    (file := tmp_path / "letter.txt").write_text("Good day. " * 1000)
    file.chmod(0o600)

    for command, *more in LOOKING:
        code, told, complained = ended(f"sqlite:///{file}", *more, command=command)
        assert (code, complained.count("\n") + told.count("\n  the queue cannot be used")) == (78, 1)
        assert "not a database" in complained + told


@pytest.mark.parametrize("content", [b"", OTHERS])
def test_looking_into_a_file_that_is_no_queue_leaves_it_as_it_is(tmp_path: Path, content: bytes) -> None:
    (file := tmp_path / "other.db").write_bytes(content)
    file.chmod(0o640)

    for command, *more in LOOKING:
        code, told, complained = ended(f"sqlite:///{file}", *more, command=command)
        lines = [line for line in complained.splitlines() if "have access to" not in line]
        assert (code, told, lines) == (
            ExitCode.NO_INPUT,
            "",
            [f"mailstrom: there is no queue in {file}: nothing in that file is one"],
        )

    assert file.read_bytes() == content
    assert file.stat().st_mode & 0o777 == 0o640
    assert [each.name for each in tmp_path.iterdir()] == ["other.db"]


def test_health_as_json_is_json_where_there_is_no_queue_or_no_setting(tmp_path: Path) -> None:
    for url, code, error in (
        (f"sqlite:///{tmp_path / 'typo.db'}", 66, "there is no queue in "),
        ("mysql://db.example/app", 78, "expected a URL that begins with"),
    ):
        ended_with, told, complained = ended(url, "--json", "--no-dns", command="health")
        health = json.loads(told)
        assert (ended_with, complained, health["healthy"]) == (code, "", False)
        assert error in health["storage"]["error"]
        assert health["problems"] == [f"the queue cannot be used: {health['storage']['error']}"]


def test_what_the_library_warns_of_is_told_once_and_as_all_else_is(queue: str) -> None:
    Path(queue.removeprefix("sqlite:///")).chmod(0o640)

    for command in ("queue", "health"):
        _, _, complained = ended(queue, *(("--no-dns",) if command == "health" else ()), command=command)
        assert complained.count("\n") == complained.count("mailstrom: warning: others than its owner") == 1
