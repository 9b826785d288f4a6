"""What mailstrom logs in a world full of trouble is of no interest, and most of what stories would take."""

from __future__ import annotations

import logging

import pytest


@pytest.fixture(autouse=True)
def _nothing_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL + 1, logger="mailstrom")
