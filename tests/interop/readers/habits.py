"""What a reader is known to lose, to add or to read wrongly, each as narrow as can be said.

A habit takes what it concerns out of both sides, what is expected and what was found, or says
how this reader shows it; all the rest is compared exactly. None is shared by all readers:
what one of them loses, the others are still asked for.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from email.header import decode_header, make_header
from typing import Any, TypeAlias

from mailstrom import Email
from tests.interop.readers.found import Found, files_of

Sides: TypeAlias = tuple[Found, Found]
Habit: TypeAlias = Callable[[Email, Found, Found], Sides]

ADDRESS_FIELDS = ("from", "sender", "reply_to", "to", "cc")
CALENDARS = ("text/calendar", "application/ics")

_ENCODED_WORD = re.compile(r"=\?[^?\s]+\?[QqBb]\?[^?]*\?=")
_BETWEEN_TWO = re.compile(rf"({_ENCODED_WORD.pattern})[ \t]+(?={_ENCODED_WORD.pattern})")

_LAST_TWO = "".join(chr(plane << 16 | last) for plane in range(17) for last in (0xFFFE, 0xFFFF))
_NONCHARACTER = re.compile(f"[\ufdd0-\ufdef{_LAST_TWO}]")


def as_compared(reader: str, email: Email, expected: Found, found: Found) -> Sides:
    """What is expected and what was found, without what this reader is known not to tell."""
    for habit in HABITS[reader]:
        expected, found = habit(email, expected, found)
    return expected, found


def domains_in_unicode(_: Email, expected: Found, found: Found) -> Sides:
    """mailparser shows a domain in Unicode where it begins with an A-label."""
    return _on_both(expected, found, lambda name, local, domain: [name, local, _a_labels(domain)])


def blanks_in_names(_: Email, expected: Found, found: Found) -> Sides:
    """Python makes one blank of several in a name, and puts one where two encoded words meet.

    RFC 2047 section 6.2 is about the second; all Pythons up to 3.13 do so in names, though
    not in unstructured fields.
    """
    return _named_on_both(expected, found, lambda name, *_: "".join(name.split()))


def names_that_are_addresses(_: Email, expected: Found, found: Found) -> Sides:
    """A name that says nothing but the address is not shown by either of the JavaScript readers."""
    return _named_on_both(
        expected, found, lambda name, local, domain: None if name == f"{local}@{domain}" else name
    )


def encoded_words_in_ids(_: Email, expected: Found, found: Found) -> Sides:
    """What looks like an encoded word in a message id, where none may be, is decoded."""
    return _ids_decoded(expected), _ids_decoded(found)


def encoded_words_in_filenames(_: Email, expected: Found, found: Found) -> Sides:
    """postal-mime decodes encoded words in file names, even in those that came by RFC 2231."""
    return _filenames_changed(expected, _decoded), _filenames_changed(found, _decoded)


def angles_in_local_parts(_: Email, expected: Found, found: Found) -> Sides:
    """postal-mime ends an address at a ">" and begins it anew at a "<", even within quotes.

    What follows in the field is lost with it, so that the field is not asked for.
    """
    lost = [key for key in ADDRESS_FIELDS if re.search("[<>]", " ".join(_local_parts(expected[key])))]
    return _without(lost, expected, found)


def semicolons_in_groups(_: Email, expected: Found, found: Found) -> Sides:
    """postal-mime ends a group at a ";" even within the quotes of a local part."""
    groups = {key: [entry for entry in expected[key] if len(entry) == 2] for key in ADDRESS_FIELDS}
    lost = [key for key in ADDRESS_FIELDS if ";" in " ".join(_local_parts(groups[key]))]
    return _without(lost, expected, found)


def byte_order_marks(_: Email, expected: Found, found: Found) -> Sides:
    """The WHATWG decoders take U+FEFF at the start of what they decode for a byte order mark."""

    def without(side: Found) -> Found:
        texts = {key: side[key].replace("\ufeff", "") for key in ("subject", "text", "html")}
        return {**_filenames_changed(side, lambda name: name.replace("\ufeff", "")), **texts}

    return _named_on_both(without(expected), without(found), lambda name, *_: name.replace("\ufeff", ""))


def line_ends_before_boundaries(_: Email, expected: Found, found: Found) -> Sides:
    """postal-mime counts the line end that belongs to a boundary (RFC 2046 5.1.1) to the text before."""
    shown = {key: found[key] for key in ("text", "html") if found[key] == expected[key] + "\n"}
    return {**expected, **shown}, found


def calendars_are_text(email: Email, expected: Found, found: Found) -> Sides:
    """postal-mime hands a calendar on as text, with LF and with exactly one line end at its end."""

    def shown(octets: bytes) -> bytes:
        text = octets.decode(errors="replace").removeprefix("\ufeff").replace("\r\n", "\n")
        return (text.rstrip("\n") + "\n").encode()

    calendar = "" if email.calendar is None else shown(expected["calendar"].encode()).decode()
    return {**_files_shown(email, expected, CALENDARS, shown), "calendar": calendar}, found


def last_line_ends(email: Email, expected: Found, found: Found) -> Sides:
    """MIME::Parser gives the last line end of a part that is not encoded as LF."""

    def shown(octets: bytes) -> bytes:
        return octets[:-2] + b"\n" if octets.endswith(b"\r\n") else octets

    return _files_shown(email, expected, ("message/rfc822",), shown), found


def messages_are_lines(email: Email, expected: Found, found: Found) -> Sides:
    """postal-mime hands a message in a message on as lines that end with LF, the last one too."""

    def shown(octets: bytes) -> bytes:
        return octets.replace(b"\r\n", b"\n") + b"\n"

    return _files_shown(email, expected, ("message/rfc822",), shown), found


def noncharacters(_: Email, expected: Found, found: Found) -> Sides:
    """Perl's strict UTF-8 takes U+FFFE and the other noncharacters (Unicode 23.7) for errors: U+FFFD."""
    return _texts_changed(expected, _replaced), _texts_changed(found, _replaced)


def noncharacters_in_hex(_: Email, expected: Found, found: Found) -> Sides:
    """MIME::Parser shows them as it shows all it cannot decode, as \\xEF\\xBF\\xBE."""
    return _texts_changed(expected, _in_hex), _texts_changed(found, _in_hex)


HABITS: dict[str, tuple[Habit, ...]] = {
    "email": (blanks_in_names, encoded_words_in_ids),
    "mailparser": (
        names_that_are_addresses,
        domains_in_unicode,
        encoded_words_in_ids,
    ),
    "postal-mime": (
        angles_in_local_parts,
        semicolons_in_groups,
        names_that_are_addresses,
        encoded_words_in_ids,
        encoded_words_in_filenames,
        byte_order_marks,
        line_ends_before_boundaries,
        calendars_are_text,
        messages_are_lines,
    ),
    "Email::MIME": (noncharacters,),
    "MIME::Parser": (noncharacters_in_hex, last_line_ends),
}


def _replaced(text: str) -> str:
    return _NONCHARACTER.sub("\ufffd", text)


def _in_hex(text: str) -> str:
    return _NONCHARACTER.sub(lambda found: "".join(f"\\x{octet:02X}" for octet in found[0].encode()), text)


def _texts_changed(part: Any, change: Callable[[str], str]) -> Any:
    """All texts in it, however deep, but for the names of keys."""
    if isinstance(part, str):
        return change(part)
    if isinstance(part, list):
        return [_texts_changed(one, change) for one in part]
    return {key: _texts_changed(one, change) for key, one in part.items()} if isinstance(part, dict) else part


def _a_labels(domain: str) -> str:
    labels = domain.split(".")
    return ".".join(
        label if label.isascii() else f"xn--{label.encode('punycode').decode('ascii')}" for label in labels
    )


def _decoded(text: str) -> str:
    together = _BETWEEN_TWO.sub(r"\1", text)  # RFC 2047 6.2
    return _ENCODED_WORD.sub(lambda word: str(make_header(decode_header(word[0]))), together)


def _ids_decoded(side: Found) -> Found:
    references = [_decoded(one) for one in side["references"]]
    files = [
        {**each, "content_id": each["content_id"] and _decoded(each["content_id"])} for each in side["files"]
    ]
    return {**side, "message_id": _decoded(side["message_id"]), "references": references, "files": files}


def _filenames_changed(side: Found, change: Callable[[str], str]) -> Found:
    files = [{**each, "name": each["name"] and change(each["name"])} for each in side["files"]]
    return {**side, "files": files}


def _files_shown(
    email: Email, expected: Found, kinds: tuple[str, ...], shown: Callable[[bytes], bytes]
) -> Found:
    """What is expected, where files of these types are changed in this way."""
    files = [
        {**each, "sha256": hashlib.sha256(shown(attachment.content)).hexdigest()}
        if each["type"] in kinds
        else each
        for each, attachment in zip(expected["files"], files_of(email), strict=True)
    ]
    return {**expected, "files": files}


def _local_parts(entries: list[list[Any]]) -> list[str]:
    return [
        local for entry in entries for local in (_local_parts(entry[1]) if len(entry) == 2 else [entry[1]])
    ]


def _without(keys: list[str], *sides: Found) -> Sides:
    nothing: Found = {key: [] for key in keys}
    expected, found = ({**side, **nothing} for side in sides)
    return expected, found


def _on_both(expected: Found, found: Found, change: Callable[[Any, str, str], list[Any]]) -> Sides:
    def changed(entry: list[Any]) -> list[Any]:
        return [entry[0], [changed(member) for member in entry[1]]] if len(entry) == 2 else change(*entry)

    def on(side: Found) -> Found:
        return {**side, **{key: [changed(entry) for entry in side[key]] for key in ADDRESS_FIELDS}}

    return on(expected), on(found)


def _named_on_both(expected: Found, found: Found, change: Callable[..., str | None]) -> Sides:
    """As `_on_both`, for names alone: those of mailboxes and those of groups."""

    def changed(entry: list[Any]) -> list[Any]:
        name = entry[0] and change(*(entry if len(entry) == 3 else (entry[0], None, None)))
        return [name, [changed(member) for member in entry[1]]] if len(entry) == 2 else [name, *entry[1:]]

    def on(side: Found) -> Found:
        return {**side, **{key: [changed(entry) for entry in side[key]] for key in ADDRESS_FIELDS}}

    return on(expected), on(found)
