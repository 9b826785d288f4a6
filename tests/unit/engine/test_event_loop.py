"""Which event loop a worker runs on."""

from __future__ import annotations

import _thread
import asyncio
import logging
import sys
from collections.abc import Callable
from importlib.machinery import ModuleSpec
from types import ModuleType

import pytest

from mailstrom import Config, ConfigError, Mailstrom
from mailstrom.engine.event_loop import loop_maker
from mailstrom.engine.thread import LoopThread
from mailstrom.wiring import load_worker


class FakeLoop(asyncio.SelectorEventLoop):
    """Stands for uvloop's."""


def install_uvloop(monkeypatch: pytest.MonkeyPatch) -> None:
    """As far as an import can see: with the extra, or without, these tests are the same."""
    module = ModuleType("uvloop")
    module.new_event_loop = FakeLoop  # type: ignore[attr-defined]
    module.__spec__ = ModuleSpec("uvloop", None)
    monkeypatch.setitem(sys.modules, "uvloop", module)


def remove_uvloop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "uvloop", None)  # as if it were not installed


class Broken:
    """Finds a uvloop that cannot be loaded, as one for another C library."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    def find_spec(self, name: str, *_: object) -> ModuleSpec | None:
        return ModuleSpec(name, self) if name == "uvloop" else None  # type: ignore[arg-type]

    def create_module(self, _: ModuleSpec) -> None:
        return None

    def exec_module(self, _: ModuleType) -> None:
        raise self._error


def break_uvloop(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    monkeypatch.delitem(sys.modules, "uvloop", raising=False)
    monkeypatch.setattr(sys, "meta_path", [Broken(error), *sys.meta_path])


def loop_of_a_worker(config: Config) -> type[asyncio.AbstractEventLoop]:
    """The class of the loop that a worker of this configuration runs on."""
    found: list[type[asyncio.AbstractEventLoop]] = []

    async def main() -> None:
        found.append(type(asyncio.get_running_loop()))

    thread = LoopThread("mailstrom-worker", main, lambda: None, loop_maker(config.event_loop))
    thread.start()
    assert thread.join(30)
    return found[0]


def test_it_is_uvloops_where_that_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    install_uvloop(monkeypatch)

    assert loop_of_a_worker(Config()) is FakeLoop
    assert loop_of_a_worker(Config(event_loop="uvloop")) is FakeLoop


def test_it_is_asyncios_where_uvloop_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    remove_uvloop(monkeypatch)

    assert loop_of_a_worker(Config()) is asyncio.SelectorEventLoop


def test_it_is_asyncios_where_that_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    install_uvloop(monkeypatch)

    assert loop_of_a_worker(Config(event_loop="asyncio")) is asyncio.SelectorEventLoop


@pytest.mark.parametrize(
    "error", [ImportError("libuv.so: no such file"), RuntimeError("can't register atexit after shutdown")]
)
def test_a_uvloop_that_cannot_be_loaded_is_done_without_unless_it_is_asked_for(
    error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Row 54: once the main thread has ended it cannot be; mail must still go out then."""
    break_uvloop(monkeypatch, error)

    assert loop_maker("auto") is None
    with pytest.raises(ConfigError, match=rf"Config.event_loop.*{error}"):
        load_worker(Config(event_loop="uvloop"))


def test_uvloop_without_the_extra_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    remove_uvloop(monkeypatch)

    with pytest.raises(ConfigError, match=r"Config.event_loop.*pip install 'mailstrom\[uvloop\]'"):
        Config(event_loop="uvloop")


def test_another_loop_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"Config.event_loop: expected one of 'auto', 'asyncio', 'uvloop'"):
        Config(event_loop="trio")  # type: ignore[arg-type]


def test_where_threads_are_greenlets_the_loop_is_one_that_lets_the_others_run(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """gevent and eventlet put functions of theirs in the place of what starts a thread, and of what waits."""
    install_uvloop(monkeypatch)

    def start_new_thread(run: Callable[..., object], args: tuple[object, ...]) -> int:
        raise AssertionError("nobody starts one here")

    monkeypatch.setattr(_thread, "start_new_thread", start_new_thread)

    assert loop_maker("auto") is None
    assert loop_maker("uvloop") is FakeLoop


def test_the_log_says_on_which_loop_the_worker_runs(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    install_uvloop(monkeypatch)
    caplog.set_level(logging.DEBUG, logger="mailstrom")

    with Mailstrom(Config(helo_name="sender.example", mode="capture")) as m:
        m.start()

    assert f"mailstrom-worker has an event loop of {__name__}" in caplog.messages
