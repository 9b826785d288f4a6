"""The tables of tests/vectors/5-dkim: canonical forms, signature fields, key records, signing, verifying.

The format of each file stands in its `_meta.format`. Where a table says that a case is not firm,
the rule for it is written out below; no case is named.
"""

from __future__ import annotations

import hashlib
import json
from base64 import b64decode, b64encode
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from mailstrom.dkim import DkimSigner, sealing, verify
from mailstrom.dkim.canonical import (
    body_digest,
    body_pieces,
    covered_fields,
    fields_by_name,
    hash_input,
)
from mailstrom.dkim.key_record import parse_key_record, public_key
from mailstrom.dkim.signature import Signature, parse_signature, parse_signature_value
from mailstrom.dkim.tags import DkimSyntaxError

Case = dict[str, Any]

VECTORS = Path(__file__).parents[2] / "vectors" / "5-dkim"


def cases(name: str) -> list[Any]:
    found = json.loads((VECTORS / f"{name}.json").read_text(encoding="utf-8"))["cases"]
    return [pytest.param(case, id=case["id"]) for case in found]


# --- canonicalisation


@pytest.mark.parametrize("case", cases("canonicalisation"))
def test_what_is_hashed_has_the_form_of_the_table(case: Case) -> None:
    """RFC 6376 3.4.

    Where the two readers of the table differ from its source, one of the readers is met: they know
    CRLF only, as the RFC does.
    """
    made = _canonical(case["what"], case["algorithm"], b64decode(case["input_b64"]))

    assert b64encode(made).decode() in _expected(case)


def _canonical(what: str, form: str, octets: bytes) -> bytes:
    if what == "header":
        return hash_input((), octets.removesuffix(b"\r\n"), form) + b"\r\n"
    if what == "body":
        return b"".join(body_pieces(memoryview(octets), form))
    assert what == "body hash"
    digest = body_digest(memoryview(octets), form)
    assert digest is not None
    return digest


def _expected(case: Case) -> list[str]:
    names = ["expected_b64", "sha256_b64"]
    if case["verified"] is False:
        names = [name for name in case if name.startswith(("own_", "dkimpy_"))]
    return [case[name] for name in names if name in case]


# --- signature fields


@pytest.mark.parametrize("case", cases("signature_fields"))
def test_a_signature_field_says_what_the_table_says(case: Case) -> None:
    """RFC 6376 3.2, 3.5; RFC 8616 5.

    A note "lenient" says that the source takes more than the grammar: there it must be refused.
    """
    is_valid = case["expect"] == "valid" and not case.get("note", "").startswith("lenient")

    if not is_valid:
        with pytest.raises(DkimSyntaxError):
            _read(case)
        return
    signature = _read(case)

    if "fields" in case:
        assert _as_in_the_table(signature) == _normal(case["fields"])


def _read(case: Case) -> Signature:
    if "value" in case:  # where a line end is LF it was CRLF on the wire
        return parse_signature_value(case["value"].replace("\r\n", "\n").replace("\n", "\r\n").encode())
    field = case["field"].encode()
    return parse_signature(field.removesuffix(b"\r\n"), utf8=case.get("smtputf8", False))


def _as_in_the_table(signature: Signature) -> Case:
    return {
        "a": signature.algorithm.replace("-", ""),
        "d": signature.domain,
        "s": signature.selector,
        "i": signature.identity or "",
        "h": list(signature.headers),
        "z": [text.replace(" ", "") for text in signature.copied_headers],
        "l": signature.body_length or 0,
        "x": signature.expires_at or 0,
        "t": signature.signed_at or 0,
        "ch": signature.header_form,
        "cb": signature.body_form,
    }


def _normal(fields: Case) -> Case:
    lower = {name: fields[name].lower() for name in ("a", "ch", "cb")}
    return {**fields, **lower, "z": [text.replace(" ", "") for text in fields["z"]]}


# --- key records


@pytest.mark.parametrize("case", cases("key_records"))
def test_a_key_record_is_valid_or_revoked_or_neither(case: Case) -> None:
    """RFC 6376 3.6.1. Blanks after the last ";" are not firm by the table's own word: we read over them."""
    is_firm = "hitespace after last ;" not in case.get("note", "")

    standing = _standing(case["txt"])

    assert standing == (case["expect"] if is_firm else _standing(case["txt"].rstrip()))


def _standing(text: str) -> str:
    try:
        record = parse_key_record(text)
        if record.is_revoked:
            return "revoked"
        public_key(record)
    except DkimSyntaxError:
        return "invalid"
    return "valid"


# --- signing


@pytest.mark.parametrize("case", cases("signing"))
def test_the_same_field_over_the_same_message_gets_the_same_signature(case: Case) -> None:
    """RFC 6376 3.7, RFC 8463 3: both algorithms are deterministic."""
    header, body = _parted(b64decode(case["message_b64"]))
    field = case["signature_field_without_b"].encode().removesuffix(b"\r\n")
    header_form, _, body_form = case["canonicalization"].partition("/")
    signer = DkimSigner(case["domain"], case["selector"], case["private_key_pem"])

    covered = covered_fields(case["headers"], fields_by_name(header, header_form))
    octets = hash_input(covered, field, header_form)
    signature = signer.private_key.sign(_sha256(octets))

    assert b64encode(_body_digest(body, body_form)).decode() == case["expected_bh"]
    assert octets == b64decode(case["hash_input_b64"])
    assert b64encode(signature).decode() == case["expected_b"]


@pytest.mark.parametrize("case", cases("signing"))
def test_what_we_sign_in_our_own_words_is_verified_by_the_record_of_the_table(case: Case) -> None:
    message = b64decode(case["message_b64"])
    header, body = _parted(message)
    signer = DkimSigner(
        case["domain"],
        case["selector"],
        case["private_key_pem"],
        canonicalization=case["canonicalization"],
        headers=tuple(case["headers"]),
    )

    seal = sealing((signer,), signer.domain, datetime.fromtimestamp(case["time"], UTC))
    assert seal is not None
    fields = seal.fields(header, memoryview(body))

    (verification,) = verify(fields + message, case["dns_txt"].get)
    assert (verification.result, verification.reason) == ("pass", "")
    assert verification.algorithm == case["algorithm"] == signer.algorithm
    assert f"bh={case['expected_bh']};".encode() in fields


def _parted(message: bytes) -> tuple[bytes, bytes]:
    header, _, body = message.partition(b"\r\n\r\n")
    return header + b"\r\n", body


def _sha256(octets: bytes) -> bytes:
    return hashlib.sha256(octets).digest()


def _body_digest(body: bytes, form: str) -> bytes:
    digest = body_digest(memoryview(body), form)
    assert digest is not None
    return digest


# --- verifying


@pytest.mark.parametrize("case", cases("verify"))
def test_each_signature_of_a_message_has_the_result_of_the_table(case: Case) -> None:
    """RFC 6376 6.1, RFC 8301, RFC 8463; the names of the results are those of RFC 8601 2.7.1."""
    message = (VECTORS / case["file"]).read_bytes()
    now = datetime.fromtimestamp(case["at_time"], UTC) if "at_time" in case else None

    def txt_lookup(name: str) -> list[str]:
        records = case["dns_txt"][name]
        if records == "TEMPFAIL":
            raise TimeoutError
        return list(records)

    verifications = verify(message, txt_lookup, now=now)

    assert [verification.result for verification in verifications] == case["expect"]
    assert all(bool(found.reason) == (found.result != "pass") for found in verifications)
