"""New keys, and the lines to publish."""

from __future__ import annotations

import re

import pytest
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from mailstrom.dkim import DkimSigner, generate_key, zone_entry
from mailstrom.errors import ConfigError
from tests.dkim_keys import ed25519_signer, rsa_signer


@pytest.mark.parametrize(("kind", "algorithm"), [("rsa", "rsa-sha256"), ("ed25519", "ed25519-sha256")])
def test_a_new_key_signs_by_its_algorithm(kind: str, algorithm: str) -> None:
    pem = generate_key(kind)  # type: ignore[arg-type]

    assert pem.startswith("-----BEGIN PRIVATE KEY-----\n")
    assert DkimSigner("example.org", "s", pem).algorithm == algorithm


def test_two_new_keys_differ() -> None:
    assert generate_key("ed25519") != generate_key("ed25519")


def test_an_rsa_key_has_2048_bits_or_as_many_as_were_asked_for() -> None:
    keys = [
        load_pem_private_key(pem.encode(), None) for pem in (generate_key(), generate_key("rsa", bits=2056))
    ]

    assert [getattr(key, "key_size", None) for key in keys] == [2048, 2056]


@pytest.mark.parametrize("settings", [{"kind": "dsa"}, {"bits": 1024}, {"bits": 8192}, {"bits": "2048"}])
def test_another_kind_or_size_is_refused(settings: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match="expected"):
        generate_key(**settings)  # type: ignore[arg-type]


def test_the_lines_for_a_zone_file_hold_the_record_in_strings_that_dns_can_carry() -> None:
    """RFC 1035 3.3, 5.1; RFC 6376 3.6.2.2."""
    signer = rsa_signer()

    entry = zone_entry(signer.dns_name, signer.dns_record)

    strings = re.findall(r'"([^"]*)"', entry)
    assert [len(string) for string in strings] == [255, len(signer.dns_record) - 255]
    assert "".join(strings) == signer.dns_record
    assert entry == f'r._domainkey.sender.test. IN TXT (\n    "{strings[0]}"\n    "{strings[1]}"\n)\n'


def test_a_short_record_is_one_string() -> None:
    signer = ed25519_signer()

    assert zone_entry(signer.dns_name, signer.dns_record).count('"') == 2
