"""The canonical forms, against a reading of RFC 6376 section 3.4 that is slow and plain."""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailstrom.dkim.canonical import (
    BLOCK_OCTETS,
    body_digest,
    body_pieces,
    fields_by_name,
    hash_input,
)

FORMS = ("simple", "relaxed")

# what the rules turn on, and a letter and an odd control character to stand between
PIECES = [b" ", b"\t", b"\r\n", b"\r", b"\n", b"a", b"B", b":", b"\x0b"]
SHAPES = [b" ", b"\t", b"\r\n", b"\r", b" \r\n", b" \r", b"\r\r\n", b"x ", b"\n" + b"x" * (BLOCK_OCTETS - 1)]
octets = st.lists(st.sampled_from(PIECES)).map(b"".join)
values = octets.map(lambda value: value.replace(b"\r\n", b"\r\n "))  # where a field goes on, a blank follows


def plain_body(body: bytes, form: str) -> bytes:
    """Line by line, as the RFC tells it."""
    lines = body.split(b"\r\n")
    if form == "relaxed":
        lines = [re.sub(rb"[ \t]+", b" ", line).rstrip(b" ") for line in lines]
    while lines and not lines[-1]:
        lines.pop()
    if not lines:
        return b"" if form == "relaxed" else b"\r\n"
    return b"\r\n".join(lines) + b"\r\n"


def plain_field(field: bytes) -> bytes:
    """Step by step, as the RFC tells it."""
    name, _, value = field.partition(b":")
    value = re.sub(rb"[ \t]+", b" ", value.replace(b"\r\n", b""))
    return name.rstrip(b" \t\r\n").lower() + b":" + value.strip(b" ")


def made_of(body: bytes, form: str) -> bytes:
    return b"".join(body_pieces(memoryview(body), form))


@pytest.mark.parametrize("form", FORMS)
@given(body=octets)
def test_a_body_is_hashed_as_the_rfc_tells_it_line_by_line(form: str, body: bytes) -> None:
    assert made_of(body, form) == plain_body(body, form)


@pytest.mark.parametrize("form", FORMS)
@given(body=octets)
def test_a_short_body_that_is_hashed_at_once_has_the_same_digest(form: str, body: bytes) -> None:
    assert body_digest(memoryview(body), form) == hashlib.sha256(plain_body(body, form)).digest()


@pytest.mark.parametrize("form", FORMS)
@given(edge=octets, tail=octets, before=st.integers(-12, 4))
def test_where_a_block_of_the_body_ends_makes_no_difference(
    form: str, edge: bytes, tail: bytes, before: int
) -> None:
    body = b"x" * (BLOCK_OCTETS + before) + edge + tail

    assert made_of(body, form) == plain_body(body, form)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    "body",
    [
        b" " * 3 * BLOCK_OCTETS,
        b"x" + b" " * 3 * BLOCK_OCTETS + b"y\r\n",
        b"\r\n" * 2 * BLOCK_OCTETS,
        b"\n" + b"\r\n" * 2 * BLOCK_OCTETS,
        b"x" + b"\r\n" * 2 * BLOCK_OCTETS + b"y",
        b"x" + b"\r" * 2 * BLOCK_OCTETS + b"\r\n",
        b"x \r\n" * BLOCK_OCTETS,
        b"x" * 3 * BLOCK_OCTETS,
        b"\t \r\n" * BLOCK_OCTETS,
    ],
    ids=lambda body: f"{body[:4]!r}...{body[-4:]!r}",
)
def test_long_runs_are_hashed_as_the_rfc_tells_it(form: str, body: bytes) -> None:
    assert made_of(body, form) == plain_body(body, form)


@given(body=octets, length=st.integers(0, 40))
def test_a_length_covers_so_many_octets_of_the_canonical_body(body: bytes, length: int) -> None:
    """RFC 6376 3.5, l=."""
    whole = plain_body(body, "relaxed")

    digest = body_digest(memoryview(body), "relaxed", length)

    has_so_many = length <= len(whole)
    assert digest == (hashlib.sha256(whole[:length]).digest() if has_so_many else None)


@given(name=st.sampled_from([b"Subject", b"X-Tag "]), value=values)
def test_a_signature_field_is_hashed_as_the_rfc_tells_it(name: bytes, value: bytes) -> None:
    field = name + b":" + value

    assert hash_input([b"a:1"], field, "relaxed") == b"a:1\r\n" + plain_field(field)
    assert hash_input([b"A: 1"], field, "simple") == b"A: 1\r\n" + field


@given(first=values, second=values)
def test_the_header_fields_are_hashed_as_the_rfc_tells_it(first: bytes, second: bytes) -> None:
    fields = [b"A:" + first, b"B : " + second, b"a: end"]
    header = b"".join(field + b"\r\n" for field in fields)

    by_name = {form: fields_by_name(header, form) for form in FORMS}

    a, b, end = map(plain_field, fields)
    assert by_name["relaxed"] == {b"a": [a, end], b"b": [b]}
    assert by_name["simple"] == {b"a": [fields[0], fields[2]], b"b": [fields[1]]}


def test_a_header_is_parted_into_fields_with_their_folded_lines() -> None:
    header = b"A: 1\r\n 2\r\nb : 3\r\nA: 4\r\n\t5\r\nno colon\r\n"

    fields = fields_by_name(header, "simple")

    assert fields == {
        b"a": [b"A: 1\r\n 2", b"A: 4\r\n\t5"],
        b"b": [b"b : 3"],
        b"": [b"no colon"],
    }


@pytest.mark.parametrize("form", FORMS)
def test_a_header_without_a_last_line_end_is_the_same_as_one_with_it(form: str) -> None:
    assert fields_by_name(b"A: 1\r\nB: 2", form) == fields_by_name(b"A: 1\r\nB: 2\r\n", form)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("shape", SHAPES)
def test_ten_times_the_body_takes_about_ten_times_as_long(form: str, shape: bytes) -> None:
    def secs(size: int) -> float:
        body = memoryview(shape * (size // len(shape)))
        return least_secs(lambda: body_digest(body, form))

    # a wide margin: what is meant is that it is not a hundred times
    assert secs(40 * BLOCK_OCTETS) < 30 * secs(4 * BLOCK_OCTETS) + 0.01


def least_secs(work: Callable[[], object]) -> float:
    found = []
    for _ in range(3):
        start = time.process_time()
        work()
        found.append(time.process_time() - start)
    return min(found)
