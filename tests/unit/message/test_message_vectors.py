"""The tables of tests/vectors/2-message about whole messages; those about fields are beside it."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from mailstrom.errors import MessageError
from mailstrom.message.address import (
    Group,
    Mailbox,
    expanded,
    parse_address_field,
)
from mailstrom.message.date import read_date
from mailstrom.message.email import Email
from mailstrom.message.prepare import prepare
from mailstrom.message.reading.bodies import bodies
from mailstrom.message.reading.finished import crlf_content, split_header
from mailstrom.message.reading.mime import Entity, read_tree, walk
from mailstrom.message.reading.parse import parsed_email

Case = dict[str, Any]

VECTORS = Path(__file__).parents[2] / "vectors" / "2-message"
NOW = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)


def cases(name: str) -> list[Any]:
    found = json.loads((VECTORS / f"{name}.json").read_text(encoding="utf-8"))["cases"]
    return [pytest.param(case, id=case["id"]) for case in found]


# --- message_rules.json: whole messages, by the RFCs


@pytest.mark.parametrize("case", cases("message_rules"))
@pytest.mark.parametrize("smtputf8", (False, True))
def test_a_message_is_read_as_the_rule_says(case: Case, smtputf8: bool) -> None:
    """`valid` is read; `obsolete` is read on demand only; `invalid` is not read by the letter."""
    message, expected = case["message"].encode(), expectation(case, smtputf8=smtputf8)

    strict, obsolete = read(message, smtputf8=smtputf8), read(message, obsolete=True, smtputf8=smtputf8)

    assert (strict is not None) == (expected == "valid" or "accept_as_input" in case)
    assert (obsolete is not None) >= (expected != "invalid")
    for email in (strict, obsolete):
        if email is not None:
            assert_can_be_written(email, smtputf8=smtputf8)


@pytest.mark.parametrize("case", cases("message_rules"))
def test_what_is_sent_as_it_is_is_valid_or_read_in_one_way(case: Case) -> None:
    """A valid message passes untouched, but for Bcc and a missing Message-ID; another one may pass
    where the one who reads it finds the same header and the same addresses."""
    message = case["message"].encode()

    try:
        prepared = prepare(
            message, recipients="bob@example.net", return_path="ann@example.org", now=NOW, random_id="1"
        )
    except MessageError:
        assert "valid" not in (case["expect"], case.get("expect_smtputf8"))
        return

    content = prepared.email.content
    crlf = message if b"\r\n" in message else message.replace(b"\n", b"\r\n")
    kept = re.sub(rb"(?im)^(resent-)?bcc:.*\r\n([ \t].*\r\n)*", b"", crlf)
    added = b"".join(prepared.generated)
    assert content.replace(added, b"", 1) == kept
    assert prepared.email.needs_smtputf8 == (not kept.partition(b"\r\n\r\n")[0].isascii())
    email = read(message, obsolete=True, smtputf8=True)
    if email is not None:
        header = split_header(content)
        assert [header.addresses(name) for name in ("To", "Cc")] == [email.to, email.cc]
    assert prepared.email.needs_8bitmime == (not kept.partition(b"\r\n\r\n")[2].isascii())


def expectation(case: Case, *, smtputf8: bool) -> str:
    return str(case.get("expect_smtputf8", case["expect"]) if smtputf8 else case["expect"])


def read(message: bytes, *, obsolete: bool = False, smtputf8: bool = False) -> Email | None:
    try:
        return parsed_email(message, obsolete=obsolete, smtputf8=smtputf8)
    except MessageError:
        return None


def assert_can_be_written(email: Email, *, smtputf8: bool) -> None:
    """What was read is written so that the strict reader finds the same."""
    composed = prepare(
        email,
        recipients="bob@example.net",
        return_path="ann@example.org",
        default_from="ann@example.org",
        now=NOW,
        random_id="1",
    )
    again = parsed_email(composed.email.content, smtputf8=smtputf8)

    names = ("sender", "reply_to", "to", "cc", "subject", "comments", "keywords", "in_reply_to", "references")
    assert {name: getattr(again, name) for name in names} == {name: getattr(email, name) for name in names}
    assert again.from_ == email.from_ or not email.from_
    assert again.date == email.date or email.date is None
    assert again.headers == email.headers
    assert ended(again.text) == ended(email.text)


def ended(text: str | None) -> str:
    return "" if not text else text.removesuffix("\n") + "\n"


# --- eml.json: whole messages of RFC 2822 and the MIME RFCs


@pytest.mark.parametrize("case", cases("eml"))
def test_a_whole_message_is_read_as_its_facts_say(case: Case) -> None:
    message, facts = (VECTORS / case["file"]).read_bytes(), case["facts"]
    if "expect" in case:
        assert (read(message) is not None) == (case["expect"] == "valid")
        assert (read(message, obsolete=True) is not None) == (case["expect"] in ("valid", "obsolete"))
        email = parsed_email(message, obsolete=True)
        assert {name: found_fact(email, name) for name in facts if name not in MIME_FACTS} == {
            name: value for name, value in facts.items() if name not in MIME_FACTS
        }
        assert_can_be_written(email, smtputf8=False)
    if "parts" in facts:
        content = crlf_content(message)
        tree = read_tree(content, split_header(content, obsolete=True), obsolete=True)
        assert_parts(tree, facts)


MIME_FACTS = ("parts", "text_body", "html_body", "attachments")


def found_fact(email: Email, name: str) -> Any:
    if name.startswith("resent_"):
        return found_resent(email, name)
    if name.endswith("_groups"):
        groups = [each for each in addresses_of(email, name[:-7]) if isinstance(each, Group)]
        return [[group.name, pairs(group.members)] for group in groups]
    value = getattr(email, "from_" if name == "from" else name)
    if isinstance(value, datetime):
        return value.isoformat()
    if name in ("from", "sender", "reply_to", "to", "cc", "bcc"):
        return pairs(addresses_of(email, name))
    return list(value) if isinstance(value, tuple) else value


def found_resent(email: Email, name: str) -> Any:
    value = dict(reversed([(field.lower(), value) for field, value in email.headers]))[name.replace("_", "-")]
    if name == "resent_date":
        return read_date(value, field=name).isoformat()
    if name == "resent_message_id":
        return value.strip("<>")
    return pairs(parse_address_field(value, field=name))


def addresses_of(email: Email, name: str) -> tuple[Mailbox | Group, ...]:
    value = getattr(email, "from_" if name == "from" else name)
    return (value,) if isinstance(value, (Mailbox, Group)) else tuple(value or ())


def pairs(addresses: tuple[Mailbox | Group, ...]) -> list[list[str]]:
    return [[mailbox.name or "", mailbox.address] for mailbox in expanded(addresses)]


def assert_parts(tree: Entity, facts: Case) -> None:
    parts, found = list(walk(tree)), bodies(tree)
    places = {id(part): place for place, part in enumerate(parts)}
    # whether a picture is inline is told by the lists of the body
    assert [(part.essence if part.facts.has_type else None, kind(part)) for part in parts] == [
        (part["content_type"], part["body_kind"].removeprefix("Inline")) for part in facts["parts"]
    ]
    assert {
        "text_body": [places[id(part)] for part in found.text],
        "html_body": [places[id(part)] for part in found.html],
        "attachments": [places[id(part)] for part in found.attachments],
    } == {name: facts[name] for name in ("text_body", "html_body", "attachments")}


def kind(part: Entity) -> str:
    """The source's kinds; what cannot be decoded it shows as the text that stands there."""
    try:
        part.octets()
    except MessageError:
        return "Text"
    if part.is_multipart:
        return "Multipart"
    if part.essence == "message/rfc822":
        return "Message"
    if part.essence == "text/html":
        return "Html"
    return "Text" if part.facts.content_type.maintype == "text" else "Binary"


def test_the_tables_are_whole() -> None:
    """Each file is known to the tests here or to those of fields, and has cases."""
    names = sorted(path.stem for path in VECTORS.glob("*.json"))

    assert names == [
        "address_headers", "address_lists_lenient", "content_types", "dates", "eml", "encoded_words",
        "header_output", "mailboxes", "message_ids", "message_rules",
    ]  # fmt: skip
    assert all(cases(name) for name in names)
