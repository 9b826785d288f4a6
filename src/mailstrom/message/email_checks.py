"""What each keyword of `Email` must be; beyond addresses, texts and ids, which have their own rooms."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache

from ..errors import MessageError
from .address import Addresses, Group, Mailbox, parse_address_field, parse_mailboxes
from .mailbox import checked_name as checked_phrase
from .reading.finished import Field
from .reading.trace import is_seal, resent_blocks
from .text import checked_text
from .writing.header import checked_name, phrase_field
from .writing.written import further_field, read_back

__all__ = [
    "Headers",
    "check_authors",
    "checked_headers",
    "checked_keywords",
    "checked_sender",
    "checked_texts",
]

Headers = Mapping[str, str] | Iterable[tuple[str, str]]

# fields that have a keyword of their own
_KEYWORDS = {
    "from": "from_",
    "to": "to",
    "cc": "cc",
    "bcc": "bcc",
    "subject": "subject",
    "comments": "comments",
    "keywords": "keywords",
    "reply-to": "reply_to",
    "sender": "sender",
    "date": "date",
    "message-id": "message_id",
    "in-reply-to": "in_reply_to",
    "references": "references",
}
_WRITTEN_BY_US = frozenset(
    [
        "mime-version", "content-type", "content-transfer-encoding", "content-disposition", "content-id",
        "return-path", "resent-bcc", "resent-reply-to",
    ]
)  # fmt: skip
REMEMBERED = 256  # fields that were written and read back
REMEMBERED_LENGTH = 200  # characters

ONCE = ("list-", "auto-submitted", "precedence")  # RFC 2369 3.4, RFC 3834 5


def check_authors(
    from_: tuple[Mailbox | Group, ...], sender: Mailbox | Group | None, *, field: str = "sender"
) -> None:
    """Raises `MessageError` where the authors need a sender beside them."""
    if sender is not None or not from_:
        return
    authors = sum([len(author.members) if isinstance(author, Group) else 1 for author in from_])
    # RFC 5322 3.6.2: several authors need a Sender; so does an empty group (RFC 6854 1)
    if authors != 1:
        raise MessageError(field, given=None, expected="one address, since From is not a single mailbox")


def checked_sender(given: Addresses) -> Mailbox | Group:
    """The one mailbox or group (RFC 6854 section 4) that sent it."""
    found = parse_mailboxes(given, field="sender")
    if len(found) != 1:
        raise MessageError("sender", given=given, expected="one address, or one group")
    return found[0]


def checked_texts(given: object, *, field: str) -> tuple[str, ...]:
    """One text, or several: a field each."""
    texts = (given,) if isinstance(given, str) else given
    if not isinstance(texts, Iterable) or isinstance(texts, (bytes, bytearray)):
        raise MessageError(field, given=given, expected="a str, or a list of str")
    return tuple([checked_text(text, field=field) for text in texts])


def checked_keywords(given: object) -> tuple[str, ...]:
    """The keywords in a list, or in a str with commas between them."""
    texts = given.split(",") if isinstance(given, str) else given
    keywords: list[str] = []
    for text in checked_texts(texts, field="keywords"):
        keyword = checked_phrase(text, field="keywords")
        if keyword is None:
            raise MessageError("keywords", given=given, expected="keywords that are not empty")
        keywords.append(keyword)
    if keywords:
        phrase_field("Keywords", keywords, field="keywords")
    return tuple(keywords)


def checked_headers(headers: object) -> tuple[tuple[str, str], ...]:
    """The further header fields of an email, in order."""
    if headers is None:
        return ()
    pairs = headers.items() if isinstance(headers, Mapping) else headers
    if not isinstance(pairs, Iterable) or isinstance(pairs, (str, bytes)):
        raise MessageError("headers", given=headers, expected="a mapping, or pairs of name and value")
    checked: list[tuple[str, str]] = []
    before: set[str] = set()
    for pair in pairs:
        if not isinstance(pair, tuple) or len(pair) != 2:
            raise MessageError("headers", given=pair, expected="a mapping, or pairs of name and value")
        checked.append(_checked_header(pair[0], pair[1], before))
        before.add(checked[-1][0].lower())
    if any(name.startswith("resent-") for name in before):
        header = read_back([further_field(name, value) for name, value in checked])[1]
        for block in resent_blocks(header):
            _check_resent_authors({field.name.lower(): field for field in block})
    return tuple(checked)


def _check_resent_authors(block: Mapping[str, Field]) -> None:
    author, sender = block["resent-from"], block.get("resent-sender")
    sent_by = () if sender is None else parse_address_field(sender.value, field=sender.label)
    authors = parse_address_field(author.value, field=author.label)
    check_authors(authors, next(iter(sent_by), None), field="resent_sender")


def _checked_header(name: object, value: object, before: set[str]) -> tuple[str, str]:
    checked = checked_name(name)
    field, lower = f"headers[{checked!r}]", checked.lower()
    if lower in _KEYWORDS:
        raise MessageError(field, given=value, expected=f"{_KEYWORDS[lower]}=... instead of a header")
    if lower in _WRITTEN_BY_US:
        raise MessageError(
            field, given=value, expected="no such header: this field is not the caller's to write"
        )
    if is_seal(lower):  # P29
        expected = "no signature of another message: this one is written anew, and it would not hold"
        raise MessageError(field, given=value, expected=expected)
    if lower in before and lower.startswith(ONCE):
        raise MessageError(field, given=value, expected="each header once")
    text = checked_text(value, field=field)
    (_check_remembered if len(text) <= REMEMBERED_LENGTH else _check_written)(checked, text)
    return checked, text


def _check_written(name: str, value: str) -> None:
    """Writes the field once, so that what cannot be written is known now."""
    read_back([further_field(name, value)])


@lru_cache(maxsize=REMEMBERED)
def _check_remembered(name: str, value: str) -> None:
    """Many emails have the same fields, and each email made of another has them again."""
    _check_written(name, value)
