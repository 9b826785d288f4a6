"""`list_unsubscribe`, `bulk` and `auto_submitted`."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from mailstrom.errors import MessageError
from mailstrom.message import Email
from mailstrom.message.prepare import prepare

URL = "https://lists.example.org/u?id=4711&x=%20"
ONE_CLICK = ("List-Unsubscribe-Post", "List-Unsubscribe=One-Click")


@pytest.mark.parametrize(
    ("mailto", "value"),
    (
        (None, f"<{URL}>"),
        ("leave@lists.example.org", f"<mailto:leave@lists.example.org>, <{URL}>"),
        ("leave+a=b@b\u00fccher.example", f"<mailto:leave+a%3Db@xn--bcher-kva.example>, <{URL}>"),
        ("j\u00f6@lists.example.org", f"<mailto:j%C3%B6@lists.example.org>, <{URL}>"),
        ("mailto:a@b.example?subject=leave", f"<mailto:a@b.example?subject=leave>, <{URL}>"),
        ("MAILTO:a%2Fb@b.example", f"<mailto:a%2Fb@b.example>, <{URL}>"),
    ),
)
def test_a_list_can_be_left_at_a_url_and_at_an_address(mailto: str | None, value: str) -> None:
    """RFC 2369 2, 3.2; RFC 8058 3.1; RFC 6068 2."""
    email = Email(headers=[("X-A", "1"), ("list-unsubscribe", "<https://old.example/>")])

    changed = email.list_unsubscribe(URL, mailto)

    assert changed == email.replace(headers=[("X-A", "1"), ("List-Unsubscribe", value), ONE_CLICK])
    assert changed.list_unsubscribe(URL, mailto) == changed


@pytest.mark.parametrize(
    ("url", "mailto", "field", "expected"),
    (
        ("http://x.example/u", None, "url", "https://host/..."),
        ("https:///u", None, "url", "https://host/..."),
        ("https://[x/u", None, "url", "https://host/..."),
        ("/u", None, "url", "https://host/..."),
        ("https://x.example:port/u", None, "url", "https://host/..."),
        ("https://x.example/a b", None, "url", "without blanks"),
        ("https://x.example/a>,<b", None, "url", "without blanks and <>"),
        ("https://x.example/\u00e4", None, "url", "ASCII"),
        ("https://x.example/\r\nBcc: a@b", None, "url", "U+000D"),
        ("https://x.example/" + "a" * 900, None, "url", "900"),
        (None, None, "url", "a str"),
        (URL, "nobody", "mailto", "user@example.org"),
        (URL, "a@b.example, c@d.example", "mailto", "one address"),
        (URL, "mailto:a@b.example?subject=a b", "mailto", "mailto:user@example.org"),
        (URL, "mailto:a@b.example>,<x", "mailto", ""),
        (URL, "mailto:%FF@b.example", "mailto", ""),
    ),
)
def test_what_is_no_way_to_leave_a_list_is_refused(url: Any, mailto: Any, field: str, expected: str) -> None:
    with pytest.raises(MessageError) as caught:
        Email().list_unsubscribe(url, mailto)

    assert caught.value.field == f"list_unsubscribe.{field}"
    assert expected in caught.value.expected


def test_a_long_url_stays_whole_on_a_line_of_its_own() -> None:
    """P27."""
    url = f"https://x.example/{'u' * 300}"
    email = Email(from_="a@example.org", to="b@example.net").list_unsubscribe(url, "off@x.example")

    content = prepare(email, now=datetime(2026, 3, 2, tzinfo=UTC), random_id="x").email.content

    assert f"\r\nList-Unsubscribe: <mailto:off@x.example>,\r\n <{url}>\r\n".encode() in content


@pytest.mark.parametrize(
    "value", ("auto-generated", "auto-replied", "no", "x-own; reason=away", 'auto-replied; a="b c"; d=e')
)
def test_mail_of_a_program_says_so(value: str) -> None:
    """RFC 3834 5."""
    email = Email(headers={"Auto-Submitted": "no"})

    assert email.auto_submitted(value).headers == (("Auto-Submitted", value),)


def test_mail_of_a_program_is_generated_unless_it_says_otherwise() -> None:
    assert Email().auto_submitted().bulk().bulk().headers == (
        ("Auto-Submitted", "auto-generated"),
        ("Precedence", "bulk"),
    )


@pytest.mark.parametrize(
    "value", ("", "auto generated", "a;", "a; b", "a; b=c d", "\u00e4", "a\r\nb", None, 'a; b="')
)
def test_what_is_no_keyword_with_parameters_is_refused(value: Any) -> None:
    """RFC 3834 5."""
    with pytest.raises(MessageError) as caught:
        Email().auto_submitted(value)

    assert caught.value.field == "auto_submitted"
