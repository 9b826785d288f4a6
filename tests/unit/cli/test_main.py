"""The command line as a whole: help, and errors in one line."""

from __future__ import annotations

import io
import os

import pytest

from mailstrom import ConfigError
from mailstrom.cli.exit_codes import ExitCode
from mailstrom.cli.main import run_command_line
from mailstrom.cli.terminal import Progress, Streams, is_live_terminal
from mailstrom.storage.postgres import PostgresStorage

POSTGRES = "postgresql://app@db.mydomain.example/app"


def ended(*arguments: str, stdin: bytes = b"") -> tuple[int, str, str]:
    streams = Streams(stdin=io.BytesIO(stdin), stdout=io.StringIO(), stderr=io.StringIO())
    code = run_command_line(arguments, streams)
    assert isinstance(streams.stdout, io.StringIO)
    assert isinstance(streams.stderr, io.StringIO)
    return code, streams.stdout.getvalue(), streams.stderr.getvalue()


@pytest.mark.parametrize("arguments", [(), ("--help",), ("-h",)])
def test_without_a_command_the_commands_are_listed(
    arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match=r"\A0\Z"):
        ended(*arguments)

    shown = capsys.readouterr().out
    assert "mailstrom COMMAND" in shown
    assert "  send    Sends one message" in shown
    assert "  health  Tells whether" in shown


def test_the_version_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match=r"\A0\Z"):
        ended("--version")

    assert capsys.readouterr().out.startswith("mailstrom ")


def test_the_help_of_send_lists_every_exit_code(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match=r"\A0\Z"):
        ended("send", "--help")

    shown = capsys.readouterr().out
    told = {int(line.split()[0]) for line in shown.splitlines() if line[:4].strip().isdigit()}
    assert told == {int(code) for code in ExitCode} - {ExitCode.UNEXPECTED}


@pytest.mark.parametrize(
    ("arguments", "code", "complaint"),
    [
        (("sned",), ExitCode.USAGE, "'sned'"),
        (("send", "--tox", "x"), ExitCode.USAGE, "--tox"),
        (("send", "--timeout", "0", "-t"), ExitCode.USAGE, "seconds"),
        (("send", "--timeout", "soon", "-t"), ExitCode.USAGE, "seconds"),
        (("send", "-bs"), ExitCode.USAGE, "-b"),
        (("send",), ExitCode.USAGE, "no recipients"),
        (("send", "-t", "--helo", "not a name"), ExitCode.BAD_CONFIG, "helo_name"),
        (("send", "--text", "x", "--from", "a@b.example", "--to", "c@"), ExitCode.BAD_MESSAGE, "to: "),
        (("send", "--message", "/nowhere/letter.eml"), ExitCode.NO_INPUT, "/nowhere/letter.eml"),
        (("send", "-t", "--storage", "sqlite:///mail.db"), ExitCode.USAGE, "--queue-only"),
        (("demo", "--fast"), ExitCode.USAGE, "--fast"),
        (("plan",), ExitCode.USAGE, "ADDRESS"),
        (("plan", "you@"), ExitCode.USAGE, "you@"),
        (("plan", "--timeout", "0", "a@b.example"), ExitCode.USAGE, "seconds"),
        (("plan", "--config", "/nowhere/mailstrom.toml", "a@b.example"), ExitCode.NO_INPUT, "/nowhere/"),
        (("worker",), ExitCode.USAGE, "one in memory ends with its process"),
        (("worker", "--storage", "memory://"), ExitCode.BAD_CONFIG, "sqlite://"),
        (("worker", "--config", "/nowhere/mailstrom.toml"), ExitCode.NO_INPUT, "/nowhere/mailstrom.toml"),
        (("worker", "--grace", "-1"), ExitCode.USAGE, "seconds"),
        (("queue", "shwo"), ExitCode.USAGE, "'shwo'"),
        (("queue", "--storage", "sqlite:////nowhere/mail.db"), ExitCode.NO_INPUT, "/nowhere/mail.db"),
        (("queue", "cancel", "--storage", "sqlite:///mail.db"), ExitCode.USAGE, "which mail?"),
        (("queue", "list", "--submitted-before", "soon"), ExitCode.USAGE, "instant"),
        (("queue", "--limit", "0"), ExitCode.USAGE, "above 0"),
        (("queue", "--limit", "9" * 5000), ExitCode.USAGE, "at most 1000000000"),
        (("queue", "--watch", "--interval", "1e300"), ExitCode.USAGE, "ten years"),
        (("queue", "list", "--older-than", "soon"), ExitCode.USAGE, "90s, 30m, 2h or 3d"),
        (("queue", "cancel", "--state", "claimed"), ExitCode.USAGE, "'claimed'"),
        (("queue", "--watch", "--fast"), ExitCode.USAGE, "unrecognized arguments: --fast"),
        (("queue", "--storage", "sqlite:///mail.db", "list"), ExitCode.USAGE, "mailstrom queue list ..."),
        (("queue", "--json", "hold", "--all"), ExitCode.USAGE, "mailstrom queue hold ..."),
        (("--storage", "sqlite:///mail.db", "queue"), ExitCode.USAGE, "mailstrom queue ..."),
        (("send", "--message", "/nowhere/\x1b[2J.eml"), ExitCode.NO_INPUT, "/nowhere/?[2J.eml"),
        (("queue", "--storage", f"{POSTGRES}?foo=bar"), ExitCode.BAD_CONFIG, "parameter 'foo'"),
        (("health", "--max-age", "none"), ExitCode.USAGE, "seconds"),
        (("db", "upgrade"), ExitCode.USAGE, "no queue is named"),
    ],
)
def test_an_error_is_one_line_and_a_code(arguments: tuple[str, ...], code: ExitCode, complaint: str) -> None:
    ended_with, told, complained = ended(*arguments)

    assert (ended_with, told) == (code, "")
    assert complained.startswith("mailstrom: ")
    assert complained.count("\n") == 1
    assert complaint in complained


def test_a_password_in_a_bad_url_is_not_told() -> None:
    _, _, complained = ended("send", "-t", "--relay", "imap://me:s3cret@relay.example")

    assert "s3cret" not in complained
    assert "expected smtp+starttls://" in complained


def test_progress_stays_silent_where_nobody_watches() -> None:
    stream = io.StringIO()
    progress = Progress(stream)

    progress.show("waiting")
    progress.clear()

    assert stream.getvalue() == ""
    assert not is_live_terminal(stream)


def test_queue_alone_has_options_and_commands_of_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match=r"\A0\Z"):
        ended("queue", "--help")

    shown = capsys.readouterr().out
    assert "--watch" in shown
    assert "  release  Ends a hold" in shown


@pytest.mark.parametrize(
    "command",
    [("worker",), ("health",), ("queue",), ("queue", "list"), ("queue", "show"), ("queue", "explain"),
     ("queue", "cancel"), ("db", "upgrade"), ("db", "version")],
)  # fmt: skip
def test_the_help_of_each_command_for_a_queue_says_how_it_is_named_and_how_it_ends(
    command: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match=r"\A0\Z"):
        ended(*command, "--help")

    shown = capsys.readouterr().out
    assert "MAILSTROM_STORAGE" in shown
    assert "exit codes: 0 " in shown


def test_a_password_in_the_url_of_a_queue_is_not_told() -> None:
    _, _, complained = ended("worker", "--storage", "mysql://me:s3cret@db.example/app")

    assert "s3cret" not in complained
    assert "expected a URL that begins with" in complained


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://app:pa?s3cret=x",
        f"{POSTGRES}?password=pa&s3cret=x",
        "host=db.example passwort=pa?s3cret=x",
    ],
)
def test_what_may_be_a_part_of_a_password_is_not_taken_for_a_parameter(url: str) -> None:
    with pytest.raises(ConfigError, match=r"^dsn: expected postgresql://") as caught:
        PostgresStorage(url)

    assert "s3cret" not in str(caught.value)


def test_a_reader_that_has_left_is_no_error_to_tell() -> None:
    ours, theirs = os.pipe()
    os.close(ours)
    with open(theirs, "w", encoding="utf-8") as nobody_reads:
        streams = Streams(stdin=io.BytesIO(), stdout=nobody_reads, stderr=io.StringIO())

        code = run_command_line(
            ("dkim", "keygen", "--domain", "a.example", "--selector", "s", "--type", "ed25519", "--out", "-"),
            streams,
        )

    assert (code, streams.stderr.getvalue()) == (ExitCode.BROKEN, "")
