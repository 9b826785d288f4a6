"""`mailstrom worker --metrics-port` shows Prometheus what the worker does."""

from __future__ import annotations

import io
import signal
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.request import urlopen

import pytest
from prometheus_client.parser import text_string_to_metric_families

from mailstrom.cli.exit_codes import ExitCode
from mailstrom.cli.main import run_command_line
from mailstrom.cli.terminal import Streams
from mailstrom.testing.smtp_server import LoopbackServer, SmtpServer
from tests.scenarios.worker_process import WAIT_SECS, Queue, working


@pytest.fixture
def taken() -> Iterator[int]:
    """A port of this machine that somebody listens at."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


def a_free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
    return port


def shown(port: int) -> dict[str, float]:
    """The samples of the page, those of a metric added up."""
    with urlopen(f"http://127.0.0.1:{port}/metrics", timeout=WAIT_SECS) as page:
        text = page.read().decode()
    found: dict[str, float] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            found[sample.name] = found.get(sample.name, 0.0) + sample.value
    return found


def complaint(*arguments: str) -> tuple[int, str]:
    streams = Streams(stdin=io.BytesIO(), stdout=io.StringIO(), stderr=(told := io.StringIO()))
    return run_command_line(["worker", *arguments], streams), told.getvalue()


def test_it_shows_what_was_delivered_and_what_waits(tmp_path: Path) -> None:
    server = SmtpServer(on_rcpt=lambda address, _: "450 4.2.1 later" if "later" in address else None)
    port = a_free_port()

    with LoopbackServer(server) as running:
        queue = Queue(tmp_path, running.port)
        queue.store("later@dest.example")
        with working(queue, "--metrics-port", str(port)) as worker:
            queue.wait(queue.store("you@dest.example")[0])
            while (found := shown(port)).get("mailstrom_attempts_total", 0.0) < 2:
                pass  # observers hear of it a moment later
            worker.send_signal(signal.SIGTERM)
            worker.communicate(timeout=WAIT_SECS)

    assert found["mailstrom_queue_up"] == 1
    assert found["mailstrom_queue_recipients"] == found["mailstrom_destination_recipients"] == 1
    assert found["mailstrom_worker_status"] == 1
    assert worker.returncode == 0


def test_a_port_that_is_taken_is_told_before_anything_is_done(tmp_path: Path, taken: int) -> None:
    code, told = complaint("--config", str(Queue(tmp_path).config_file), "--metrics-port", str(taken))

    assert code == ExitCode.BAD_CONFIG
    assert f"metrics cannot be shown at 127.0.0.1 port {taken}" in told
    assert not Queue(tmp_path).path.exists()


def test_without_the_extra_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "prometheus_client", None)  # as if it were not installed

    code, told = complaint("--config", str(Queue(tmp_path).config_file), "--metrics-port", "9464")

    assert code == ExitCode.UNAVAILABLE
    assert "pip install 'mailstrom[prometheus]'" in told


@pytest.mark.parametrize("port", ["0", "65536", "http"])
def test_what_is_no_port_is_wrong_usage(port: str) -> None:
    code, told = complaint("--metrics-port", port)

    assert code == ExitCode.USAGE
    assert f"expected a port from 1 to 65535, got '{port}'" in told
