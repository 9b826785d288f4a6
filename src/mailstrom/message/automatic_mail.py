"""Fields of mail that programs send: how to leave the list, and that nobody need answer.

- List-Unsubscribe (RFC 2369) names ways to leave a list, as URLs in angle brackets.
- List-Unsubscribe-Post (RFC 8058) says that a POST to the https one does it at once: that is
  the button which large mail providers show, and demand of whoever sends in bulk.
- Auto-Submitted (RFC 3834) says that a program wrote the message, so that no program answers.
- Precedence: bulk is no standard, and older than that one; many vacation programs heed it.
"""

from __future__ import annotations

import re
from urllib.parse import quote, unquote, urlsplit

from ..errors import MessageError
from .address import Mailbox, parse_mailbox
from .text import checked_text

__all__ = ["auto_submitted_field", "bulk_field", "unsubscribe_fields"]

URL_LIMIT = 900  # octets: on one line of 998 with what stands around it

_URI = re.compile(r"[!#$%&'()*+,\-./0-9:;=?@A-Z\[\]_a-z~]+")  # RFC 3986 2: what stands in a URI
_TOKEN = r"[A-Za-z0-9!#$%&'*+.^_`{|}~-]+"  # noqa: S105 - RFC 2045 5.1, no password
_MAILTO_SAFE = "!$'*+-._~"  # RFC 6068 2: what else may stand as it is in a local part
_AUTO_SUBMITTED = re.compile(rf'{_TOKEN}(?: ?; ?{_TOKEN}=(?:{_TOKEN}|"[ !#-\[\]-~]*"))*')

Field = tuple[str, str]


def unsubscribe_fields(url: str, mailto: str | None) -> tuple[Field, Field]:
    """List-Unsubscribe and List-Unsubscribe-Post for an https URL, and a mail address beside it."""
    ways = [f"<{_checked_url(url)}>"]
    if mailto is not None:
        ways.insert(0, f"<{_mailto_url(mailto)}>")
    # RFC 8058 3.1: exactly this value
    return ("List-Unsubscribe", ", ".join(ways)), ("List-Unsubscribe-Post", "List-Unsubscribe=One-Click")


def bulk_field() -> Field:
    """Precedence: bulk."""
    return "Precedence", "bulk"


def auto_submitted_field(value: str) -> Field:
    """Auto-Submitted; `MessageError` unless the value is a keyword, perhaps with parameters."""
    text = checked_text(value, field="auto_submitted")
    if not _AUTO_SUBMITTED.fullmatch(text):  # RFC 3834 5
        expected = "auto-generated, auto-replied, no, or a token with parameters (name=value) behind ';'"
        raise MessageError("auto_submitted", given=value, expected=expected)
    return "Auto-Submitted", text


def _checked_url(given: object) -> str:
    url = checked_text(given, field="list_unsubscribe.url")
    if not _URI.fullmatch(url) or len(url) > URL_LIMIT:
        expected = f"a URL in ASCII without blanks and <>, of at most {URL_LIMIT} characters"
        raise MessageError(
            "list_unsubscribe.url", given=given, expected=f"{expected} (percent-encode others)"
        )
    try:
        parts = urlsplit(url)
        host = parts.hostname if parts.scheme == "https" and parts.port != 0 else None  # RFC 8058 3.1
    except ValueError:  # brackets around what is no address, a port that is no number
        host = None
    if not host:
        raise MessageError("list_unsubscribe.url", given=given, expected="https://host/...")
    return url


def _mailto_url(given: object) -> str:
    text = checked_text(given, field="list_unsubscribe.mailto")
    if text[:7].lower() != "mailto:":
        mailbox = _nameless(text)
        # RFC 6068 2: what has a meaning in URLs, and what is not ASCII, is percent-encoded
        local_part, _, domain = mailbox.address.rpartition("@")
        return f"mailto:{quote(local_part, safe=_MAILTO_SAFE)}@{domain}"
    address, question, rest = text[7:].partition("?")
    try:
        _nameless(unquote(address, errors="strict"))
    except UnicodeDecodeError as error:
        expected = "percent-encoded UTF-8"
        raise MessageError("list_unsubscribe.mailto", given=given, expected=expected) from error
    if not _URI.fullmatch(f"{address}{question}{rest}") or len(text) > URL_LIMIT:
        expected = f"mailto:user@example.org, perhaps with ?subject=..., of at most {URL_LIMIT} characters"
        raise MessageError("list_unsubscribe.mailto", given=given, expected=expected)
    return f"mailto:{address}{question}{rest}"


def _nameless(address: str) -> Mailbox:
    """RFC 6068 2: the address alone, without a name."""
    found = parse_mailbox(address, field="list_unsubscribe.mailto")
    if found.name is not None:
        raise MessageError("list_unsubscribe.mailto", given=address, expected="an address without a name")
    return found
