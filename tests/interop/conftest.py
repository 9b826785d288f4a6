"""The real mail servers, each started once and emptied between tests."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import trustme

from tests.interop import haraka as _haraka
from tests.interop import postfix as _postfix
from tests.interop.mailbox import MailServer


@pytest.fixture(scope="session")
def postfix_server() -> Iterator[MailServer]:
    _postfix.skip_unless_it_can_run()
    with _home() as home, _postfix.running_postfix(home, trustme.CA()) as server:
        yield server


@pytest.fixture(scope="session")
def haraka_server() -> Iterator[MailServer]:
    _haraka.skip_unless_it_can_run()
    with _home() as home, _haraka.running_haraka(home, trustme.CA()) as server:
        yield server


@pytest.fixture(params=("postfix", "haraka"))
def server(request: pytest.FixtureRequest) -> MailServer:
    """Each of them in turn, with an empty mailbox."""
    running: MailServer = request.getfixturevalue(f"{request.param}_server")
    running.forget()
    return running


@contextmanager
def _home() -> Iterator[Path]:
    """A folder that other users may enter: pytest's own are closed to them."""
    home = Path(tempfile.mkdtemp(prefix="mailstrom-interop-"))
    home.chmod(0o755)
    try:
        yield home
    finally:
        shutil.rmtree(home)
