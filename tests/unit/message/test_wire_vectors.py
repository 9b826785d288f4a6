"""The content-on-wire tables of tests/vectors/4-smtp against `message.wire`."""

from __future__ import annotations

import json
from base64 import b64decode
from pathlib import Path
from typing import Any

import pytest

from mailstrom.errors import MessageError
from mailstrom.message.wire import DotStuffer, dot_stuffed, dot_stuffed_chunks

Case = dict[str, Any]

VECTORS = Path(__file__).parents[2] / "vectors" / "4-smtp"
FILES = ("content_on_wire.json", "content_on_wire_peers.json")
# what receivers that are not strict have been seen to take for the end of the data
LOOK_ALIKES = (b"\n.\n", b"\n.\r\n", b"\r.\r", b"\r\n.\n", b"\r\n.\r", b"\r.\n", b"\r.\r\n")
CHUNK_SIZES = (1, 2, 3, 7, 1000, 1024, 65536)


def cases() -> list[Any]:
    found = [
        (name, case)
        for name in FILES
        for case in json.loads((VECTORS / name).read_text(encoding="utf-8"))["cases"]
        if not case.get("reader")
    ]
    return [pytest.param(case, id=f"{name.removesuffix('.json')}:{case['id']}") for name, case in found]


@pytest.mark.parametrize("case", cases())
def test_what_follows_the_354_is_as_the_table_says_or_nothing_is_sent(case: Case) -> None:
    """RFC 5321 2.3.8, 4.1.1.4, 4.5.2."""
    if "message_b64" in case:
        _check_message(case, b64decode(case["message_b64"]))
    elif "chunks_b64" in case:
        _check_stuffing(case, [b64decode(chunk) for chunk in case["chunks_b64"]])
    else:
        _check_stuffing(case, [b64decode(case["fragment_b64"])])


def _check_message(case: Case, message: bytes) -> None:
    if _has_bare_line_end(message):
        # RFC 5321 2.3.8: a client must never send CR or LF alone. The tables leave the choice
        # between refusing and mending; the wire refuses.
        assert case.get("may_refuse") or case.get("expect") == "refuse"
        with pytest.raises(MessageError, match="CRLF"):
            dot_stuffed(message)
        return
    wire = dot_stuffed(message)
    # RFC 5321 4.1.1.4: where the content lacks its last CRLF, the client adds it. A table that
    # has that refused speaks of its own program.
    assert case.get("expect") != "refuse" or not message.endswith(b"\r\n")
    if "wire_b64" in case:
        assert wire == b64decode(case["wire_b64"])
    _check_properties(message, wire)
    assert {b"".join(dot_stuffed_chunks(message, size)) for size in CHUNK_SIZES} == {wire}


def _check_stuffing(case: Case, chunks: list[bytes]) -> None:
    stuffer = DotStuffer()
    if _has_bare_line_end(b"".join(chunks)):
        with pytest.raises(MessageError, match="CRLF"):
            b"".join([*map(stuffer.stuffed, chunks), stuffer.end()])
        return
    assert b"".join(map(stuffer.stuffed, chunks)) == b64decode(case["stuffed_b64"])


def _check_properties(message: bytes, wire: bytes) -> None:
    assert not _has_bare_line_end(wire)
    lines = (b"\r\n" + wire).split(b"\r\n")
    assert lines.count(b".") == 1
    assert lines[-2:] == [b".", b""]
    unstuffed = [line.removeprefix(b".") for line in lines[1:-2]]
    content = b"".join(line + b"\r\n" for line in unstuffed)
    assert content == message if message.endswith(b"\r\n") or not message else content == message + b"\r\n"
    for look_alike in LOOK_ALIKES:
        _, found, rest = (b"\r\n" + wire).partition(look_alike)
        assert not found or not rest.strip(b"\r\n")


def _has_bare_line_end(octets: bytes) -> bool:
    rest = octets.replace(b"\r\n", b"")
    return b"\r" in rest or b"\n" in rest
