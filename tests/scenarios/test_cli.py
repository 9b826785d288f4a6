"""The commands, with real servers on loopback."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import mailstrom
from mailstrom import MessageStatus
from mailstrom.cli.demo_world import EXPECTED
from mailstrom.cli.main import run_command_line
from mailstrom.cli.terminal import Streams
from mailstrom.testing.dns import Zone
from mailstrom.testing.dns_server import DnsServer
from mailstrom.testing.smtp_server import Action, LoopbackServer, SmtpServer

LETTER = (
    b"From: me@sender.example\nTo: you@dest.example\nBcc: hidden@dest.example\nSubject: Hi\n\nHi.\n.\nOn.\n"
)
NEW = ("--from", "me@sender.example", "--to", "you@dest.example", "--subject", "Hi", "--text", "Hi.\n")


@contextmanager
def relay(server: SmtpServer) -> Iterator[str]:
    with LoopbackServer(server) as running:
        yield f"smtp://127.0.0.1:{running.port}"


def send(*arguments: str, stdin: bytes = b"") -> tuple[int, str, str]:
    out, err = io.StringIO(), io.StringIO()
    streams = Streams(stdin=io.BytesIO(stdin), stdout=out, stderr=err)
    code = run_command_line(("send", "--helo", "sender.example", *arguments), streams)
    return code, out.getvalue(), err.getvalue()


def process(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "mailstrom", *arguments]


def environ(**more: str) -> dict[str, str]:
    """The environment of a process that has the mailstrom under test."""
    return {**os.environ, "PYTHONPATH": str(Path(mailstrom.__file__).parents[1]), **more}


def test_a_delivered_message_is_one_line_per_recipient_and_code_0() -> None:
    server = SmtpServer(name="relay.example", on_content="250 2.0.0 queued as 4711")

    with relay(server) as url:
        ended = send("--relay", url, *NEW, "--cc", "Copy <copy@dest.example>")

    took = "delivered: 127.0.0.1 took it over: 250 2.0.0 queued as 4711"
    assert ended == (0, f"you@dest.example: {took}\nCopy <copy@dest.example>: {took}\n", "")
    (message,) = server.ledger.messages
    assert message.recipients == ("you@dest.example", "copy@dest.example")
    assert message.content.endswith(b"\r\n\r\nHi.\r\n")


def test_without_a_relay_it_goes_to_the_mx_of_the_domain(tmp_path: Path) -> None:
    zone = Zone({"dest.example": {"MX": [[10, "mx.dest.example."]]}, "mx.dest.example": {"A": ["127.0.0.1"]}})
    server, file = SmtpServer(), tmp_path / "mailstrom.toml"

    with LoopbackServer(server) as running, DnsServer(zone) as dns:
        file.write_text(
            "[delivery.remote]\nallow_private_addresses = true\n"
            f"port = {running.port}\n"
            f'resolver_setup = {{ address = "127.0.0.1", port = {dns.port} }}\n'
        )
        code, told, _ = send("--config", str(file), *NEW)

    assert code == 0
    assert told.startswith("you@dest.example: delivered: mx.dest.example took it over: 250")
    assert len(server.ledger.messages) == 1


def test_a_refused_recipient_is_told_and_code_69() -> None:
    server = SmtpServer(on_rcpt=lambda address, _: "550 5.1.1 unknown" if address.startswith("no@") else None)

    with relay(server) as url:
        code, told, complained = send("--relay", url, *NEW, "--to", "no@dest.example")

    first, second = told.splitlines()
    assert (code, complained) == (69, "")
    assert first.startswith("you@dest.example: delivered")
    assert second == "no@dest.example: failed: 127.0.0.1 answered RCPT with 550 5.1.1 unknown"


def test_a_deferred_recipient_is_told_at_once_when_its_next_try_lies_beyond_the_timeout() -> None:
    server = SmtpServer(on_rcpt="450 4.2.0 later")

    with relay(server) as url:
        code, told, complained = send("--relay", url, "--timeout", "30", *NEW)

    assert code == 75
    assert told == "you@dest.example: deferred: 127.0.0.1 answered RCPT with 450 4.2.0 later\n"
    assert complained == (
        "mailstrom: no final answer for 1 of 1 recipients; nothing is kept: send it again later\n"
    )


def test_a_deferred_recipient_is_tried_again_within_the_timeout(tmp_path: Path) -> None:
    server = SmtpServer(on_rcpt=["450 4.2.0 later", None])
    file = tmp_path / "mailstrom.toml"
    file.write_text("base_resend_delay_secs = 0.01\n")

    with relay(server) as url:
        code, _, _ = send("--config", str(file), "--relay", url, "--timeout", "30", *NEW)

    assert code == 0
    assert len(server.ledger.messages) == 1


def test_the_status_as_json_can_be_read_back() -> None:
    with relay(SmtpServer()) as url:
        code, told, _ = send("--relay", url, "--json", *NEW)

    status = MessageStatus.from_dict(json.loads(told))
    assert code == 0
    assert status.succeeded
    assert [attempt.host for attempt in status["you@dest.example"].attempts] == ["127.0.0.1"]


def test_sendmail_t_i_takes_recipients_from_the_header_and_keeps_lone_dots() -> None:
    server = SmtpServer()

    with relay(server) as url:
        code, _, _ = send("--relay", url, "-t", "-i", stdin=LETTER)

    (message,) = server.ledger.messages
    assert code == 0
    assert message.recipients == ("you@dest.example", "hidden@dest.example")
    assert b"hidden" not in message.content
    assert message.content.endswith(b"\r\n\r\nHi.\r\n.\r\nOn.\r\n")


def test_as_cron_calls_sendmail() -> None:
    server = SmtpServer()

    with relay(server) as url:
        arguments = (
            "-FCronDaemon",
            "-i",
            "-B8BITMIME",
            "-oem",
            "-f",
            "root@sender.example",
            "ops@dest.example",
        )
        code, _, _ = send("--relay", url, *arguments, stdin=b"Subject: a job\n\nfailed\n")

    (message,) = server.ledger.messages
    assert code == 0
    assert (message.reverse_path, message.recipients) == ("root@sender.example", ("ops@dest.example",))
    assert b"\r\nFrom: CronDaemon <root@sender.example>\r\n" in message.content


def test_options_may_follow_recipients() -> None:
    server = SmtpServer()

    with relay(server) as url:
        code, _, _ = send("a@dest.example", "-i", "b@dest.example", "--relay", url, stdin=LETTER)

    assert code == 0
    assert server.ledger.messages[0].recipients == ("a@dest.example", "b@dest.example")


@pytest.mark.parametrize("arguments", [("--to", "you@dest.example", "--text", "Hi."), ("-t",)])
def test_a_message_from_nobody_is_code_65(arguments: tuple[str, ...]) -> None:
    ended = send(*arguments, stdin=b"To: you@dest.example\n\nHi.\n")

    assert ended == (65, "", "mailstrom: nobody is named as From: give --from\n")


def test_a_host_that_never_answers_is_told_at_the_timeout() -> None:
    server = SmtpServer(on_greeting=Action.HANG)

    with relay(server) as url:
        code, told, _ = send("--relay", url, "--timeout", "0.05", "--grace", "0.05", *NEW)

    assert (code, told) == (75, "you@dest.example: queued: no answer in time; it may have been delivered\n")


def test_the_interrupt_key_ends_the_waiting() -> None:
    taken, pipe = threading.Event(), subprocess.PIPE

    def hang(_content: str, _count: int) -> Action:
        taken.set()
        return Action.HANG

    server = SmtpServer(on_content=hang)

    with relay(server) as url:
        command = process("send", "--helo", "sender.example", "--relay", url, *NEW)
        with subprocess.Popen(command, stdout=pipe, stderr=pipe, env=environ(), text=True) as sending:
            assert taken.wait(30)
            sending.send_signal(signal.SIGINT)
            told, complained = sending.communicate()

    assert (sending.returncode, told) == (130, "")
    assert complained == "mailstrom: interrupted: no final answer for 1 of 1 recipients\n"


def test_verbose_shows_the_log() -> None:
    with relay(SmtpServer()) as url:
        _, _, complained = send("--relay", url, "-v", *NEW)

    assert "mailstrom: info: " in complained
    assert "to you@dest.example: delivered" in complained


def test_the_command_runs_as_a_process_of_its_own() -> None:
    server = SmtpServer()

    with relay(server) as url:
        ended = subprocess.run(
            process("send", "--helo", "sender.example", "--relay", url, "-t", "-i"),
            input=LETTER,
            capture_output=True,
            env=environ(),
        )

    assert ended.returncode == 0
    assert ended.stderr == b""
    assert ended.stdout.splitlines()[0].startswith(b"you@dest.example: delivered")
    assert len(server.ledger.messages) == 1


def test_the_demo_ends_with_0_and_a_log_where_there_is_no_terminal() -> None:
    ended = subprocess.run(process("demo"), capture_output=True, text=True, env=environ())

    assert (ended.returncode, ended.stderr) == (0, "")
    assert f"All {len(EXPECTED)} recipients ended as they should." in ended.stdout
    assert "DEFERRED, next try in" in ended.stdout
    assert ended.stdout.isascii()


def test_the_demo_shows_a_table_on_a_terminal_and_runs_with_one_loopback_address() -> None:
    ours, theirs = os.openpty()
    settings = environ(TERM="xterm", COLUMNS="100")

    with subprocess.Popen(process("demo", "--one-address"), stdout=theirs, env=settings) as demo:
        os.close(theirs)
        shown = _all_of(ours).decode()

    assert demo.returncode == 0
    assert "⠋" in shown
    assert f"All {len(EXPECTED)} recipients ended as they should." in shown


def test_the_interrupt_key_ends_the_demo_cleanly() -> None:
    pipe = subprocess.PIPE
    with subprocess.Popen(
        process("demo", "--plain"), stdout=pipe, stderr=pipe, text=True, env=environ()
    ) as demo:
        assert demo.stdout is not None
        assert demo.stderr is not None
        assert any("queued as" in line for line in demo.stdout)
        demo.send_signal(signal.SIGINT)
        complained = demo.stderr.read()

    assert (demo.returncode, complained) == (130, "mailstrom: interrupted\n")


def _all_of(terminal: int) -> bytes:
    """What a terminal was shown until its last writer left."""
    shown = b""
    try:
        while piece := os.read(terminal, 65536):
            shown += piece
    except OSError:  # how Linux tells that nobody writes any more
        pass
    finally:
        os.close(terminal)
    return shown
