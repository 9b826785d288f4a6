"""The tables of tests/vectors/2-message about single fields, read and written.

Another program tells what it reads, often more than the RFCs allow, and a second one (the
standard library) says whether it agrees. The cases are judged by the rules written out at each
test, never by naming a case: what both find without a defect we find as well; what has a defect
is refused, or read in no other way.
"""

from __future__ import annotations

import json
import re
from datetime import datetime
from email.header import decode_header
from pathlib import Path
from typing import Any

import pytest

from mailstrom.errors import MessageError
from mailstrom.message.address import (
    Group,
    Mailbox,
    expanded,
    parse_address_field,
    parse_mailbox,
    parse_mailboxes,
)
from mailstrom.message.date import read_date
from mailstrom.message.email import Email
from mailstrom.message.message_id import read_message_ids
from mailstrom.message.reading.content_type import (
    ContentType,
    Disposition,
    read_content_type,
    read_disposition,
)
from mailstrom.message.reading.cursor import Reading
from mailstrom.message.reading.encoded_text import read_text
from mailstrom.message.writing.encoded_word import decoded_text
from mailstrom.message.writing.header import (
    address_field,
    checked_name,
    is_structured,
    structured_field,
    text_field,
)

Case = dict[str, Any]

VECTORS = Path(__file__).parents[2] / "vectors" / "2-message"
ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"


def cases(name: str) -> list[Any]:
    found = json.loads((VECTORS / f"{name}.json").read_text(encoding="utf-8"))["cases"]
    return [pytest.param(case, id=case["id"]) for case in found]


def unfolded(value: str) -> str:
    """A header value on one line, its last line end gone; a line end that folds nothing stays."""
    lines = value.replace("\r\n", "\n").rstrip("\n")
    return re.sub(r"\n(?=[ \t])", "", lines)


def without_comments(value: str) -> str:
    """The value without comments; those in quotes are none."""
    while (shorter := re.sub(r'("(?:[^"\\]|\\.)*")|\((?:[^()\\]|\\.)*\)', r"\1", value)) != value:
        value = shorter
    return value


def squeezed(text: str) -> str:
    """The text without its blanks, about which readers differ."""
    return re.sub(r"\s+", "", text)


# --- address_headers.json, mailboxes.json, address_lists_lenient.json: values of address fields


def listed(value: str, reading: Reading) -> tuple[Mailbox | Group, ...] | None:
    try:
        return parse_address_field(value, field="to", reading=reading)
    except MessageError:
        return None


def is_mailbox(address: str) -> bool:
    """One that can be sent to at all: for the standard library an address may be anything."""
    try:
        parse_mailbox(address)
    except MessageError:
        return False
    return True


def stdlib_addresses(python: Case) -> list[tuple[str | None, list[str]]] | None:
    """(group, its addresses) as the standard library finds them; None where it finds nothing usable."""
    if python["groups"] is None:
        return None
    found = [(group["group"], [address for _, address in group["addresses"]]) for group in python["groups"]]
    return found if all(is_mailbox(address) for _, addresses in found for address in addresses) else None


def shape(addresses: tuple[Mailbox | Group, ...]) -> list[tuple[str | None, list[Mailbox]]]:
    return [
        (each.name, [Mailbox(local_part=one.local_part, domain=one.domain) for one in each.members])
        if isinstance(each, Group)
        else (None, [Mailbox(local_part=each.local_part, domain=each.domain)])
        for each in addresses
    ]


def check_address_value(value: str, python: Case, names: list[str | None] | None) -> None:
    """RFC 5322 3.4, 4.4, by way of the standard library's defects.

    Without a defect: section 3, and the same addresses. With nothing worse than an obsolete form:
    section 4 alone, and the same addresses. With another defect, or with an address that nothing
    can be sent to: no reading at all.
    """
    defects = set(python["defects"]) - {"NonASCIILocalPartDefect"}
    expected = stdlib_addresses(python)
    strict, obsolete = listed(value, Reading.STRICT), listed(value, Reading.OBSOLETE)
    if expected is None or not defects <= {"ObsoleteHeaderDefect"}:
        assert (strict, obsolete) == (None, None)
        return
    assert (strict is None) == bool(defects)
    assert obsolete is not None
    assert strict in (None, obsolete)
    found = [addresses for _, addresses in shape(obsolete)]
    assert found == [[parse_mailbox(address) for address in addresses] for _, addresses in expected]
    if names is not None:
        theirs = [name for group in python["groups"] for name, _ in group["addresses"]]
        for mailbox, name, other in zip(expanded(obsolete), names, theirs, strict=True):
            assert squeezed(mailbox.name or "") in {squeezed(name or ""), squeezed(other)}


@pytest.mark.parametrize("case", cases("address_headers"))
def test_the_addresses_of_a_field_are_those_that_two_readers_find(case: Case) -> None:
    expected = case["expected"]
    names = None
    if case.get("addresses_agree") and "List" in expected:
        names = [each["name"] for each in expected["List"]]
    if case.get("addresses_agree") and "Group" in expected:
        names = [each["name"] for group in expected["Group"] for each in group["addresses"]]

    check_address_value(unfolded(case["header_value"]), case["python_email"], names)


@pytest.mark.parametrize("case", cases("mailboxes"))
def test_a_mailbox_is_the_one_that_two_readers_find(case: Case) -> None:
    name = case["expected"].get("display_name")
    names = None if "(" in case["input"] or not case["address_agrees"] else [name]

    check_address_value(unfolded(case["input"]), case["python_email"], names)


@pytest.mark.parametrize("case", cases("address_lists_lenient"))
def test_what_people_type_is_read_in_one_way_or_not_at_all(case: Case) -> None:
    """S6, S7. The source guesses; what the standard library finds a defect in is refused."""
    given, python = case["input"], case["python_email"]
    check_address_value(unfolded(given), python, None)
    try:
        found = parse_mailboxes(given, field="to")
    except MessageError:
        # comments are for header fields only
        assert python["defects"] or "(" in without_quotes(given) or stdlib_addresses(python) is None
        return

    expected = stdlib_addresses(python)
    assert expected is not None
    assert [addresses for _, addresses in shape(found)] == [
        [parse_mailbox(address) for address in addresses] for _, addresses in expected
    ]
    if "(security)" in case["what"]:
        addresses = [part["address"] for part in case["expected_parts"] if "address" in part]
        assert [mailbox.address for mailbox in expanded(found)] == addresses
        assert len(found) == case["expected_count"]


def without_quotes(text: str) -> str:
    return re.sub(r'"(?:[^"\\]|\\.)*"', "", text)


# --- dates.json


@pytest.mark.parametrize("case", cases("dates"))
def test_a_date_is_the_instant_that_the_grammar_says(case: Case) -> None:
    """RFC 5322 3.3, 4.3. The sources read other forms as well; those are refused or read the same."""
    value = unfolded(case["header_value"])
    is_date = case["iso"] is not None and obsolete_date_form(value) and has_its_day(value, case["iso"])

    found = instant(value, obsolete=True)
    strict = instant(value, obsolete=False)

    assert (found is not None) == is_date
    assert found is None or found == datetime.fromisoformat(case["iso"])
    assert strict in (None, found)
    if is_modern_date_form(value):
        assert strict == found


def has_its_day(value: str, iso: str) -> bool:
    """RFC 5322 3.3: a day's name must be that of the date."""
    name = re.match(r"\s*([A-Za-z]{3})\s*,", without_comments(value))
    days = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
    return name is None or days.index(name[1].lower()) == datetime.fromisoformat(iso).weekday()


def instant(value: str, *, obsolete: bool) -> datetime | None:
    try:
        return read_date(value, field="date", obsolete=obsolete)
    except MessageError:
        return None


def obsolete_date_form(value: str) -> bool:
    """RFC 5322 4.3 in a regular expression of its own; comments and blanks may stand anywhere."""
    plain = without_comments(value.replace("(", " (")).strip(" \t")
    form = (
        r"([a-z]{3}\s*,\s*)?\d{1,2}\s*(jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)\s*\d{2,}\s+"
        r"\d\d\s*:\s*\d\d(\s*:\s*\d\d)?(\s+[+-]\d{4}|\s*[a-z]+)"
    )
    return re.fullmatch(form, plain, re.IGNORECASE) is not None and "\n" not in value


def is_modern_date_form(value: str) -> bool:
    plain = without_comments(value).strip(" \t")
    form = r"([A-Za-z]{3},\s*)?\d{1,2}\s+[A-Za-z]{3}\s+\d{4}\s+\d\d:\d\d(:\d\d)?\s+[+-]\d{4}"
    return re.fullmatch(form, plain) is not None and re.fullmatch(r"[^(]*\([^()]*\)|[^(]*", value) is not None


# --- message_ids.json


@pytest.mark.parametrize("case", cases("message_ids"))
def test_message_ids_are_those_between_angle_brackets(case: Case) -> None:
    """RFC 5322 3.6.4, 4.5.4. The sources also take ids without brackets, and repair them."""
    value = case["header_value"] if "header_value" in case else case["header"].partition(":")[2]
    value = unfolded(value)
    expected = [normalised_id(one) for one in case["expected"] or ()]
    one_id = rf"<{ATOM}(\.{ATOM})*@({ATOM}(\.{ATOM})*|\[[!-Z^-~]*\])>"
    is_strict = re.fullmatch(rf"\s*({one_id}\s*)+", without_comments(value)) is not None

    strict, obsolete = ids(value, obsolete=False), ids(value, obsolete=True)

    assert (strict is not None) == is_strict
    if strict is not None:
        assert [one.lower() for one in strict] == expected
        assert obsolete == strict
    elif obsolete is not None:
        assert {one.lower() for one in obsolete} <= set(expected)


def ids(value: str, *, obsolete: bool) -> tuple[str, ...] | None:
    try:
        return read_message_ids(value, field="references", obsolete=obsolete)
    except MessageError:
        return None


def normalised_id(text: str) -> str:
    return squeezed(without_comments(text)).replace('"', "").lower()


# --- content_types.json

TOKEN = r"[A-Za-z0-9!#$%&'*+.^_`{|}~-]+"
PARAMETERS = rf'(\s*;\s*{TOKEN}\s*=\s*({TOKEN}|"(?:[^"\\\r\n]|\\.)*")\s*)*'


@pytest.mark.parametrize("case", cases("content_types"))
def test_a_content_type_is_what_its_grammar_says(case: Case) -> None:
    """RFC 2045 5.1, RFC 2183, RFC 2231. The source reads what it can; we agree with it or refuse."""
    value, expected = unfolded(case["header_value"]), case["expected"]
    is_type = expected is None or expected["c_subtype"] is not None or "/" in value.partition(";")[0]
    plain = without_comments(value).strip(" \t")
    head = rf"{TOKEN}\s*/\s*{TOKEN}\s*" if is_type else rf"{TOKEN}\s*"
    is_strict = re.fullmatch(head + PARAMETERS, plain) is not None

    strict = field_value(value, is_type=is_type, obsolete=False)
    obsolete = field_value(value, is_type=is_type, obsolete=True)

    if is_strict and not has_repeats(plain) and "=?" not in plain and "*" not in plain:
        assert strict is not None
    if not is_strict:
        assert strict is None
    assert strict is None or obsolete == strict
    for found in (strict, obsolete):
        if found is not None:
            assert_agrees(found, expected, value)


def field_value(value: str, *, is_type: bool, obsolete: bool) -> ContentType | Disposition | None:
    try:
        if is_type:
            return read_content_type(value, field="content_type", obsolete=obsolete)
        return read_disposition(value, field="content_disposition", obsolete=obsolete)
    except MessageError:
        return None


def has_repeats(plain: str) -> bool:
    names = re.findall(rf";\s*({TOKEN})\s*=", without_quotes(plain).lower())
    return len(set(names)) != len(names)


def assert_agrees(found: ContentType | Disposition, expected: Any, value: str) -> None:
    assert expected is not None
    if isinstance(found, ContentType):
        assert (found.maintype, found.subtype) == (
            expected["c_type"].lower(),
            (expected["c_subtype"] or "").lower(),
        )
    else:
        assert found.kind == expected["c_type"].lower()
    theirs: dict[str, set[str]] = {}
    for name, text in expected.get("attributes") or ():
        if not name.lower().endswith("-language"):
            theirs.setdefault(name.lower(), set()).add(text)
    assert {name for name, _ in found.parameters} == set(theirs)
    if "=?" not in value:  # an encoded word has no place here, and readers differ about it
        assert all(text in theirs[name] for name, text in found.parameters)


# --- encoded_words.json


@pytest.mark.parametrize("case", cases("encoded_words"))
def test_an_unstructured_value_is_the_text_that_it_says(case: Case) -> None:
    """RFC 2047 2, 5 (1), 6.2, 7: only what stands between blanks is an encoded word, and it is whole."""
    value = unfolded(case["header_value"]).strip(" \t")

    try:
        strict = read_text(value, field="subject")
    except MessageError:
        # a word that is none, or one that nobody can decode
        assert has_broken_word(value) or not case["agree"] or "\ufffd" in case["expected"]
        return

    assert not has_broken_word(value)
    assert strict == decoded_text(value)
    assert squeezed(strict) in {squeezed(case["expected"]), squeezed(case["python_email"] or "")}
    if case["agree"]:
        assert squeezed(strict) == squeezed(case["expected"])


def has_broken_word(value: str) -> bool:
    """Something looks like an encoded word and is none: without its blanks, or with others inside."""
    rest = " ".join([" " if is_encoded_word(word) else word for word in value.split()])
    return any(re.fullmatch(r"=\?.*\?=", word) for word in rest.split()) or (
        re.search(r"=\?[^?\s]*\?[bBqQ]\?[^?]*\?=", rest) is not None
    )


def is_encoded_word(word: str) -> bool:
    charset = r"[^\s?()<>@,;:\"/\[\].=]+"
    base64, quoted = (
        r"[bB]\?([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?",
        r"[qQ]\?([!-<>@-~]|=[0-9A-Fa-f]{2})+",
    )
    return re.fullmatch(rf"=\?{charset}\?({base64}|{quoted})\?=", word) is not None and len(word) <= 75


# --- header_output.json: what we write

ADDRESS_FIELDS = ("from", "sender", "reply-to", "to", "cc", "bcc")


@pytest.mark.parametrize("case", cases("header_output"))
def test_a_written_field_is_read_back_as_what_was_given(case: Case) -> None:
    """RFC 5322 2.1.1, 2.2.3, 3.6.8; RFC 2047 2, 5: properties (1) to (6) of the table."""
    if case["kind"] == "field name":
        check_name(case)
    elif case["kind"] == "must refuse":
        with pytest.raises(MessageError):
            refused(case)
    elif "display_name" in case:
        check_mailbox_output(case)
    elif case["name"].lower() in ADDRESS_FIELDS:
        check_address_output(case)
    else:
        check_text_output(case)


def check_name(case: Case) -> None:
    if case["expect"] == "valid":
        assert checked_name(case["name"]) == case["name"]
        return
    for make in (lambda: checked_name(case["name"]), lambda: Email(headers={case["name"]: "x"})):
        with pytest.raises(MessageError):
            make()


def refused(case: Case) -> object:
    if "display_name" in case:
        return Email(to=(case["display_name"], case.get("address", "bob@example.net")))
    name, value = case["name"], case["value"]
    keyword = {"from": "from_"}.get(name.lower(), name.lower().replace("-", "_"))
    if name.lower() in (*ADDRESS_FIELDS, "subject"):
        return Email(**{keyword: value})
    return Email(headers=[(name, value)])


def check_mailbox_output(case: Case) -> None:
    address = case.get("address", "bob@example.net")
    mailbox = parse_mailbox((case["display_name"], address), field="to")

    lines = address_field("To", (mailbox,), field="to")

    assert mailbox.name == (case["display_name"] or None)
    assert_form(lines, is_ascii=mailbox.address.isascii())
    value = unfolded(lines).partition(":")[2]
    assert parse_address_field(value, field="to", reading=Reading.STRICT) == (mailbox,)
    assert_only_names_are_encoded(value)


def check_address_output(case: Case) -> None:
    if not case["value"].strip():
        assert parse_address_field("", field="bcc", may_be_empty=True, reading=Reading.STRICT) == ()
        return
    addresses = parse_mailboxes(case["value"], field="to")

    lines = address_field(case["name"], addresses, field="to")

    assert_form(lines, is_ascii=all(mailbox.address.isascii() for mailbox in expanded(addresses)))
    value = unfolded(lines).partition(":")[2]
    assert parse_address_field(value, field="to", reading=Reading.STRICT) == addresses
    assert_only_names_are_encoded(value)


def check_text_output(case: Case) -> None:
    name, value = case["name"], case["value"]
    if is_structured(name):
        try:
            lines = structured_field(name, value.strip(), field="headers")
        except MessageError:
            assert not value.strip() or not value.isascii()
            return
        assert "=?" not in lines or "=?" in value
        assert unfolded(lines) == f"{name}: {value.strip()}"
    else:
        lines = text_field(name, value, field="headers", long_words=name.lower() == "subject")
        assert read_text(unfolded(lines).partition(":")[2].strip(" "), field="headers") == value
    assert_form(lines, is_ascii=True)


def assert_form(lines: str, *, is_ascii: bool) -> None:
    assert not is_ascii or lines.isascii()
    for place, line in enumerate(lines.split("\r\n")):
        assert line.strip(" \t")
        assert len(line.encode()) <= 998
        text = line.partition(": ")[2] if place == 0 else line[1:]
        assert len(line) <= 78 or " " not in text.strip(" ")
        assert not re.search("[\r\n]", line)
        for word in re.findall(r"=\?[^?\s]+\?[BbQq]\?[^?\s]*\?=", line):
            assert len(word) <= 75
            [(octets, charset)] = decode_header(word)
            assert octets.decode(charset)  # whole characters


def assert_only_names_are_encoded(value: str) -> None:
    """RFC 2047 5: never in quotes, never in an address."""
    for quoted in re.findall(r'"(?:[^"\\]|\\.)*"', value):
        assert not re.search(r"=\?[^?\s]+\?[BbQq]\?", quoted)
    for address in re.findall(r"<[^>]*>|\S*@\S*", value):
        assert "=?" not in address
