"""The doors of signatures: what is signed can be verified, what is broken is said to be so."""

from __future__ import annotations

from functools import cache, partial

from mailstrom.dkim import DkimResult, DkimSigner, generate_key, sealing, verify, zone_entry
from mailstrom.dkim.key_record import parse_key_record, public_key
from mailstrom.dkim.signature import parse_signature, without_signature
from mailstrom.dkim.tags import DkimSyntaxError, quoted_printable, unquoted_printable
from mailstrom.errors import ConfigError, MessageError
from tests.fuzz import messages
from tests.fuzz.checks import NOW, an_email, check_octets, prepared
from tests.fuzz.doors import Door
from tests.fuzz.octet_doors import check_untouched

__all__ = ["DOORS"]

ANY_RECORD = "v=DKIM1; k=rsa; p=AAAA"


@cache
def _key() -> str:
    return generate_key("ed25519")


@cache
def _signers() -> tuple[DkimSigner, ...]:
    """For everybody: one for each form of canonicalization."""
    return tuple(
        [
            DkimSigner("sender.example", f"s{number}", _key(), canonicalization=forms, every_author=True)
            for number, forms in enumerate(("relaxed/relaxed", "simple/simple"))
        ]
    )


def _sealed(content: bytes, signers: tuple[DkimSigner, ...]) -> bytes:
    return prepared(content, seal=lambda domain: sealing(signers, domain, NOW)).email.content


def enter_sealed(content: bytes) -> bool:
    """Finished octets that we sign: every signature holds, and only the header grew."""
    records = {signer.dns_name: signer.dns_record for signer in _signers()}
    try:
        found = _sealed(content, _signers())
    except MessageError:
        return False
    check_octets(found)
    ours = verify(found, records.get, now=NOW)[: len(records)]
    assert [(each.result, each.reason) for each in ours] == [(DkimResult.PASS, "")] * len(records)
    end = 0
    for _ in records:
        end = found.index(b"\r\n", found.index(b"b=", found.index(b"bh=", end) + 3))
        while found[end + 2 : end + 3] in (b" ", b"\t"):
            end = found.index(b"\r\n", end + 2)
        end += 2
    check_untouched(content, found[end:])
    return True


def enter_verifier(content: bytes) -> bool:
    """A message whose signatures are looked at: there is a result for each."""
    found = verify(content, _lookup, now=NOW)
    assert all(each.reason for each in found if each.result is not DkimResult.PASS)
    return any(each.result is DkimResult.PASS for each in found)


def _lookup(name: str) -> list[str]:
    """The records of the keys that our examples are signed with."""
    return [messages.KEY_RECORDS.get(name, ANY_RECORD), ANY_RECORD]


def enter_signature(value: bytes) -> bool:
    """A signature field."""
    field = b"DKIM-Signature:" + value
    without_signature(field)
    try:
        found = parse_signature(field)
    except DkimSyntaxError:
        return False
    assert without_signature(without_signature(field)) == without_signature(field)
    assert found.lower_headers
    return True


def enter_record(record: bytes) -> bool:
    """A key record, and its key."""
    try:
        public_key(parse_key_record(record))
    except DkimSyntaxError:
        return False
    return True


def enter_tag_value(text: str) -> bool:
    """A text as the value of a tag, where blanks do not count."""
    try:
        octets = text.encode()
    except UnicodeEncodeError:
        return False
    assert unquoted_printable("z", quoted_printable(text)) == octets.decode()
    try:
        unquoted_printable("z", text)
    except DkimSyntaxError:
        return False
    return True


def enter_signer(text: str, keyword: str) -> bool:
    """One setting of a signer: with it, what is signed can be verified."""
    settings: dict[str, object] = {"domain": "sender.example", "selector": "s", "private_key": _key()}
    settings[keyword] = tuple(text.split()) if keyword == "headers" else text
    try:
        signer = DkimSigner(**settings, every_author=True)  # type: ignore[arg-type]
    except ConfigError:
        return False
    content = _sealed(prepared(an_email()).email.content, (signer,))
    (found,) = verify(content, {signer.dns_name: signer.dns_record}.get, now=NOW)
    assert (found.result, found.reason) == (DkimResult.PASS, "")
    assert zone_entry(signer.dns_name, signer.dns_record).isascii()
    return True


_SETTINGS = {
    "domain": ("sender.example", "bücher.example", "a.b.c"),
    "selector": ("s", "mail2026.a", "S-1"),
    "private_key": ("-----BEGIN PRIVATE KEY-----\nMC4CAQAw\n-----END PRIVATE KEY-----\n", "/nowhere/key.pem"),
    "headers": ("From Subject X-Tag", "from from", "From"),
    "identity": ("ann@sender.example", "@mail.sender.example", '"a b"@sender.example', "jörg@sender.example"),
    "canonicalization": ("relaxed/simple", "simple", "a/b"),
}

DOORS = (
    *[
        Door(f"DkimSigner.{keyword}", partial(enter_signer, keyword=keyword), examples)
        for keyword, examples in _SETTINGS.items()
    ],
    Door("DKIM seal", enter_sealed, messages.MESSAGES),
    Door("DKIM verify", enter_verifier, messages.SIGNED),
    Door("DKIM-Signature", enter_signature, messages.SIGNATURE_VALUES),
    Door("DKIM key record", enter_record, messages.RECORDS),
    Door("DKIM tag value", enter_tag_value, ("a b", "=C3=BC", "Größe|;=")),
)
