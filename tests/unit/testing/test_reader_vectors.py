"""Published cases of what a strict receiver makes of the octets after DATA."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from mailstrom.testing.data_reader import read_data

VECTORS = Path(__file__).parents[2] / "vectors" / "4-smtp"
FILES = ("content_on_wire_peers.json", "content_on_wire.json")


def reader_cases() -> list[Any]:
    cases = [case for name in FILES for case in json.loads((VECTORS / name).read_text())["cases"]]
    return [pytest.param(case, id=case["id"]) for case in cases if case.get("reader")]


@pytest.mark.parametrize("case", reader_cases())
def test_the_reader_makes_of_the_wire_what_the_case_says(case: dict[str, Any]) -> None:
    wire = base64.b64decode(case["wire_b64"])

    received = read_data(wire)

    if case.get("expect") == "refuse":
        assert received.fault is not None
    elif "one_message_containing_b64" in case:
        assert base64.b64decode(case["one_message_containing_b64"]) in received.content
        assert received.rest == b""
    else:
        expected = base64.b64decode(case["message_b64"])
        assert (received.content, received.fault, received.rest) == (expected, None, b"")
