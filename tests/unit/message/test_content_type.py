"""`message.content_type`: Content-Type and Content-Disposition as they are read."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailstrom.errors import MessageError
from mailstrom.message.reading.content_type import (
    ContentType,
    Disposition,
    read_content_type,
    read_disposition,
)
from tests.unit.message.proportion import assert_in_proportion

LONG = "".join([f"; a*{number}*=%41" for number in range(1, 500)])


def read(value: str, *, obsolete: bool = False) -> ContentType:
    return read_content_type(value, field="content_type", obsolete=obsolete)


def refusal(value: str, *, obsolete: bool = False) -> MessageError:
    with pytest.raises(MessageError) as caught:
        read(value, obsolete=obsolete)
    assert caught.value.field == "content_type"
    return caught.value


@pytest.mark.parametrize(
    ("value", "essence", "parameters"),
    (
        ("text/plain", "text/plain", {}),
        ("TEXT/Plain; Charset=UTF-8", "text/plain", {"charset": "UTF-8"}),
        ("(a (b)) text (c) / (d) plain (e) ; (f) a (g) = (h) b (i)", "text/plain", {"a": "b"}),
        ('a/b;c=d;e="f;g"', "a/b", {"c": "d", "e": "f;g"}),
        ('a/b; c="x \\"y\\" \\\\ z  "', "a/b", {"c": 'x "y" \\ z  '}),
        ('a/b; c=""', "a/b", {"c": ""}),
        ("x/vnd.a+b-c.1_0'%*; x-!#$&+-.^_`{|}~=%'*", "x/vnd.a+b-c.1_0'%*", {"x-!#$&+-.^_`{|}~": "%'*"}),
        ("a/b; c*=utf-8''%C3%A9", "a/b", {"c": "é"}),
        ("a/b; c*=iso-8859-1'de'%E9x", "a/b", {"c": "éx"}),
        ("a/b; c*=''x%20y", "a/b", {"c": "x y"}),
        ('a/b; c*0=x; c*1="y z"', "a/b", {"c": "xy z"}),
        ("a/b; c*1*=%A9; c*2=\"%41'\"; c*0*=utf-8''%C3", "a/b", {"c": "é%41'"}),
        ("a/b; c*=utf-8''%C3%A9; c=e", "a/b", {"c": "é"}),
        ("a/b; c=e; c*0*=utf-8''%C3%A9", "a/b", {"c": "é"}),
        (f"a/b; a*0*=us-ascii''{LONG}", "a/b", {"a": "A" * 499}),
    ),
)  # fmt: skip
def test_a_content_type_is_its_tokens_and_parameters(
    value: str, essence: str, parameters: dict[str, str]
) -> None:
    """RFC 2045 5.1, RFC 2231 3, 4."""
    found = read(value)

    assert (found.essence, dict(found.parameters)) == (essence, parameters)
    assert read(value, obsolete=True) == found
    assert all(found.parameter(name.upper()) == text for name, text in parameters.items())
    assert found.parameter("none") is None


@pytest.mark.parametrize(
    ("value", "expected"),
    (
        ("", "a media type"),
        ("text", "'/'"),
        ("text/", "a media subtype"),
        ("/plain", "a media type"),
        ("text/plain/x", "';'"),
        ("text/plain charset=x", "';'"),
        ("text/plain; charset", "'='"),
        ("text/plain; =x", "the name of a parameter"),
        ("text/plain; charset=", "a value"),
        ("text/plain; charset=a:b", "';'"),
        ("text/plain; charset=a/b", "';'"),
        ("text/plain; charset=a b", "';'"),
        ('text/plain; charset="a', "'\"'"),
        ("text/plain; charset=(a", "')'"),
        ("text/plain; charset=é", "a value"),
        ("téxt/plain", "'/'"),
        ("text/plain\x01", "no control character"),
        ("text/plain\n", "no control character"),
        ("a/b; c=d; C=e", "each parameter once"),
        ("a/b; c*0=d; c*0=e", "each parameter once"),
        ("a/b; c*1=d", "without a gap"),
        ("a/b; c*0=d; c*2=e", "without a gap"),
        ("a/b; c*00=d", "with * only"),
        ("a/b; c*x=d", "with * only"),
        ("a/b; c**=d", "with * only"),
        ("a/b; *=d", "with * only"),
        ("a/b; c*=d", "charset'language'text"),
        ("a/b; c*=utf-8'd", "charset'language'text"),
        ("a/b; c*=\"utf-8''d\"", "without quotes"),
        ("a/b; c*=utf-8''%4", "percent-encoded"),
        ("a/b; c*=utf-8''a*b", "percent-encoded"),
        ("a/b; c*=utf-8''%C3", "a known charset"),
        ("a/b; c*=x-no''a", "a known charset"),
        ("a/b; c*=''%C3%A9", "a known charset"),
        ("a/b; c*=utf-8''%0A", "no control character"),
        ('a/b; c="=?utf-8?Q?d?="', "no encoded word"),
        (f"a/b; c*{9 * 10**5}=d", "with * only"),
    ),
)
def test_what_is_no_content_type_is_refused(value: str, expected: str) -> None:
    """RFC 2045 5.1, RFC 2047 5, RFC 2231 7."""
    assert expected in refusal(value).expected


@pytest.mark.parametrize(
    ("value", "parameters"),
    (
        ("a/b;", {}),
        ("a/b;;; c=d ;; ", {"c": "d"}),
        ("a/b; c=d; c=e", {"c": "d"}),
        ("a/b; c*=\"utf-8''%C3%A9\"", {"c": "é"}),
        ("a/b; c*=''%C3%A9", {"c": "é"}),
        ("a/b; c*=utf-8''%C3", {"c": "\ufffd"}),
        ('a/b; c="=?utf-8?Q?=C3=A9?="', {"c": "é"}),
        ('a/b; c="x\x01y"', {"c": "x\ufffdy"}),
    ),
)
def test_what_old_programs_write_is_read_on_demand(value: str, parameters: dict[str, str]) -> None:
    refusal(value)

    assert read(value, obsolete=True) == ContentType(
        maintype="a", subtype="b", parameters=tuple(parameters.items())
    )


@pytest.mark.parametrize(
    "value", ("", "a", "a/b; c=d:e", "a/b; c*x=d", "a/b; c*=d", "a/b; c*=x-no''d", "a/\0b")
)
def test_what_nobody_can_read_is_refused_both_ways(value: str) -> None:
    refusal(value)
    refusal(value, obsolete=True)


def test_a_disposition_is_a_token_with_parameters() -> None:
    """RFC 2183 2."""
    value = "(c) Attachment; filename*=utf-8''%C3%A9; filename=e; size=3"

    found = read_disposition(value, field="content_disposition")

    assert found == Disposition(kind="attachment", parameters=(("filename", "é"), ("size", "3")))
    assert (found.parameter("Size"), found.parameter("x")) == ("3", None)
    for wrong in ("", "a/b", "a b", '"a"'):
        with pytest.raises(MessageError, match="content_disposition"):
            read_disposition(wrong, field="content_disposition")


@given(st.text(st.sampled_from(list("ab/;=*\"\\' %()01\t\x01é?")), max_size=40))
def test_any_text_is_read_or_refused_and_nothing_else(value: str) -> None:
    """S21; and what is read by the letter is read the same the other way."""
    try:
        found = read(value)
    except MessageError:
        found = None

    try:
        other = read(value, obsolete=True)
    except MessageError:
        assert found is None
        return

    assert found in (None, other)


@pytest.mark.parametrize("token", ("; a=b", ";", "(", '; a="', "=", "; a*0*=''%", "*"))
@pytest.mark.parametrize("obsolete", (False, True))
def test_ten_times_the_value_takes_about_ten_times_as_long(token: str, obsolete: bool) -> None:
    """S21."""
    assert_in_proportion(
        lambda size: "a/b" + token * size, lambda value: read(value, obsolete=obsolete), 1500
    )
