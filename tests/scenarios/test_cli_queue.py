"""`mailstrom queue` and `mailstrom health` as processes, with a terminal and without one."""

from __future__ import annotations

import fcntl
import io
import json
import os
import re
import signal
import struct
import subprocess
import sys
import termios
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import pytest

from mailstrom.cli.main import run_command_line
from mailstrom.cli.terminal import Streams
from mailstrom.testing.dns_server import DnsServer, DnsServerFaults
from tests.scenarios.worker_process import WAIT_SECS, Queue, command, environ

YOU = "you@dest.example"


@pytest.fixture
def queue(tmp_path: Path) -> Queue:
    """A queue with mail that is due."""
    (found := Queue(tmp_path)).store(YOU)
    return found


# --- watching


def test_the_interrupt_key_is_the_ordinary_end_of_watching(queue: Queue) -> None:
    line = command("queue", "--storage", queue.url, "--watch", "--interval", "0.05")
    pipe = subprocess.PIPE

    with subprocess.Popen(line, stdout=pipe, stderr=pipe, text=True, env=environ()) as watching:
        assert watching.stdout is not None
        counts = (line for line in watching.stdout if line == "1 recipient: 1 queued.\n")
        assert len(list(islice(counts, 2))) == 2
        watching.send_signal(signal.SIGINT)
        _, complained = watching.communicate(timeout=WAIT_SECS)

    assert (watching.returncode, complained) == (0, "")


def test_watching_as_json_writes_an_object_a_line(queue: Queue) -> None:
    line = command("queue", "--storage", queue.url, "--watch", "--interval", "0.05", "--json")

    with subprocess.Popen(line, stdout=subprocess.PIPE, text=True, env=environ()) as watching:
        assert watching.stdout is not None
        looks = [json.loads(watching.stdout.readline()) for _ in range(2)]
        watching.send_signal(signal.SIGINT)

    assert watching.returncode == 0
    assert [look["recipients"] for look in looks] == [1, 1]
    assert looks[0]["at"] < looks[1]["at"]


def test_on_a_terminal_it_is_in_colours_and_as_wide_as_that(queue: Queue) -> None:
    shown = shown_on_a_terminal("queue", "--storage", queue.url, columns=60)

    without_colours = re.sub(r"\x1b\[[0-9;]*m", "", shown)
    assert re.search(r"\x1b\[36m *queued", shown)
    assert "\n1 recipient: 1 queued.\n" in without_colours
    assert "\ndestination      state   recipients  oldest  next try\nrelay:127.0.0.1" in without_colours


def test_on_a_terminal_that_can_do_nothing_it_is_plain(queue: Queue) -> None:
    shown = shown_on_a_terminal("queue", "--storage", queue.url, columns=60, TERM="dumb")

    assert "\x1b" not in shown
    assert "1 recipient: 1 queued." in shown


# --- standard streams, and interrupts


@pytest.mark.parametrize(("closed", "told"), [("<&-", 1), (">&-", 0), ("2>&-", 1), ("<&- >&- 2>&-", 0)])
def test_a_standard_stream_that_is_closed_leads_nowhere(queue: Queue, closed: str, told: int) -> None:
    line = ["sh", "-c", f'exec "$@" {closed}', "sh", *command("queue", "--storage", queue.url)]

    ended = subprocess.run(line, env=environ(), capture_output=True, text=True)

    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout.count("1 recipient: 1 queued.\n") == told


def test_what_is_complained_of_stays_out_of_the_output_where_nobody_hears_it(queue: Queue) -> None:
    line = ["sh", "-c", 'exec "$@" 2>&-', "sh", *command("queue", "show", "9@x.example")]

    ended = subprocess.run(line, env=environ(MAILSTROM_STORAGE=queue.url), capture_output=True, text=True)

    assert (ended.returncode, ended.stdout, ended.stderr) == (66, "", "")


def test_the_interrupt_key_while_it_is_imported_is_no_traceback() -> None:
    program = """if True:
        import sys
        from mailstrom.__main__ import main

        class Interrupted:
            def find_spec(self, name, path, target=None):
                if name == "mailstrom.cli.main":
                    raise KeyboardInterrupt

        sys.meta_path.insert(0, Interrupted())
        main()
    """

    ended = subprocess.run([sys.executable, "-c", program], env=environ(), capture_output=True, text=True)

    assert (ended.returncode, ended.stdout, ended.stderr) == (130, "", "")


# --- health


def health(
    queue: Queue, dns: DnsServer, *arguments: str, timeout_secs: float = 5.0
) -> tuple[int, dict[str, object]]:
    (file := queue.directory / "health.toml").write_text(
        f'storage = "{queue.url}"\n[delivery.remote]\ndns_timeout_secs = {timeout_secs}\n'
        f'resolver_setup = {{ address = "{dns.address}", port = {dns.port} }}\n'
    )
    out = io.StringIO()
    streams = Streams(stdin=io.BytesIO(), stdout=out, stderr=io.StringIO())
    code = run_command_line(("health", "--config", str(file), "--json", *arguments), streams)
    return code, json.loads(out.getvalue())


def test_a_queue_that_nobody_works_on_is_unhealthy_after_a_while(queue: Queue) -> None:
    with DnsServer({}) as dns:
        young = health(queue, dns)
        old = health(queue, dns, "--max-age", "0.000001")

    assert (young[0], young[1]["healthy"], young[1]["problems"]) == (0, True, [])
    assert (old[0], old[1]["healthy"]) == (1, False)
    assert old[1]["oldest_due_secs"] > 0


def test_name_servers_that_are_silent_make_it_unhealthy_in_bounded_time(queue: Queue) -> None:
    with DnsServer({}, faults=DnsServerFaults(silent=True)) as dns:
        code, told = health(queue, dns, timeout_secs=0.5)
        unasked, not_told = health(queue, dns, "--no-dns")

    assert (code, told["resolver"]) == (1, {"reachable": False, "error": "no answer within 0.5 s"})
    assert (unasked, not_told["resolver"]) == (0, {"reachable": None, "error": None})


def test_a_relay_whose_name_is_known_is_healthy(queue: Queue) -> None:
    line = command("health", "--config", str(queue.config_file))

    ended = subprocess.run(line, env=environ(), capture_output=True, text=True)

    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout.startswith("healthy: ")
    assert ended.stdout.endswith("names          can be looked up\n")


def shown_on_a_terminal(*arguments: str, columns: int, **variables: str) -> str:
    ours, theirs = os.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
    settings = environ(**{"TERM": "xterm", **variables})
    settings.pop("COLUMNS", None)
    with subprocess.Popen(command(*arguments), stdout=theirs, env=settings) as process:
        os.close(theirs)
        shown = b"".join(_all_of(ours)).decode()
    assert process.returncode == 0
    return shown.replace("\r\n", "\n")


def _all_of(terminal: int) -> Iterator[bytes]:
    try:
        while part := os.read(terminal, 65536):
            yield part
    except OSError:  # how Linux says that the other side is closed
        return
    finally:
        os.close(terminal)
