"""DKIM keys and settings: which are taken and refused, from where, and what the commands print."""

from __future__ import annotations

import logging
import os
import re
import stat
import sys
import tomllib
from pathlib import Path
from subprocess import CompletedProcess, run
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from mailstrom import Config, ConfigError
from mailstrom.dkim import DkimSigner, generate_key
from tests.blackbox.signing import (
    edwards_key,
    edwards_signer,
    ours,
    pem,
    published,
    rich,
    rsa_key,
    rsa_signer,
    signed,
    theirs,
)
from tests.blackbox.wire import body, field, least, sent


@pytest.mark.parametrize("source", ["object", "bytes", "text", "openssl", "path", "path as text"])
def test_a_key_is_taken_in_every_form_and_read_once(source: str, tmp_path: Path) -> None:
    file = tmp_path / "key.pem"
    file.write_bytes(pem(rsa_key()))
    key: Any = {
        "object": rsa_key(), "bytes": pem(rsa_key()), "text": pem(rsa_key()).decode(),
        "openssl": pem(rsa_key(), "TraditionalOpenSSL"), "path": file, "path as text": str(file),
    }[source]  # fmt: skip

    signer = DkimSigner("a.example", "r", key)
    file.unlink()

    assert signer.dns_record == rsa_signer().dns_record
    assert theirs(signed(least(), signer), published(signer)) == [True]


@pytest.mark.parametrize(("bits", "warned"), [(1024, True), (2047, True), (2048, False)])
def test_a_short_rsa_key_is_warned_about(bits: int, warned: bool, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, logger="mailstrom"):
        signer = DkimSigner("a.example", "r", rsa_key(bits))

    assert [str(bits) in record.getMessage() for record in caplog.records] == [True] * warned
    assert ours(signed(least(), signer), published(signer)) == ["pass"]


@pytest.mark.parametrize("bits", [512, 768, 1023])
def test_an_rsa_key_under_1024_bits_is_refused(bits: int) -> None:
    made = run(["openssl", "genrsa", str(bits)], capture_output=True, text=True, timeout=50)
    assert made.returncode == 0, made.stderr

    with pytest.raises(ConfigError, match=str(bits)):
        DkimSigner("a.example", "r", made.stdout)


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("domain", "a b"),
        ("domain", ""),
        ("domain", "a.example; x=1"),
        ("domain", "a.example\r\n"),
        ("selector", ""),
        ("selector", "a b"),
        ("selector", "a;b"),
        ("selector", "a\r\nb"),
        ("selector", "\u00fc"),
        ("canonicalization", "nowsp"),
        ("canonicalization", "relaxed/relaxed\r\n"),
        ("headers", ("To", "Subject")),
        ("headers", ("From", "X Y")),
        ("headers", ("From", "X\r\n")),
        ("identity", "x@b.example"),
        ("identity", "x@a.example\r\n"),
        ("expires_after_secs", 0),
        ("expires_after_secs", -1),
        ("private_key", "no key"),
        ("private_key", b""),
        ("private_key", Path("/nowhere/key.pem")),
        ("private_key", None),
        ("private_key", "-----BEGIN PRIVATE KEY-----\nMIIB\n-----END PRIVATE KEY-----\n"),
    ],
)
def test_a_setting_that_cannot_be_used_is_refused_by_name(setting: str, value: Any) -> None:
    settings: dict[str, Any] = {
        "domain": "a.example",
        "selector": "e",
        "private_key": edwards_key(),
        setting: value,
    }

    with pytest.raises(ConfigError) as refused:
        DkimSigner(**settings)

    assert f"DkimSigner.{setting}" in str(refused.value)
    assert "\n" not in str(refused.value)
    assert "MIIB" not in str(refused.value)


def test_other_kinds_of_key_are_refused() -> None:
    curve = ec.generate_private_key(ec.SECP256R1())
    public = (
        rsa_key()
        .public_key()
        .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    )

    for key in (curve, pem(curve), public, pem(rsa_key(), secret=b"locked")):
        with pytest.raises(ConfigError, match="private_key"):
            DkimSigner("a.example", "r", key)  # type: ignore[arg-type]


def test_no_secret_is_shown(tmp_path: Path) -> None:
    key = pem(edwards_key()).decode()
    config = Config(dkim=DkimSigner("a.example", "e", key))

    shown = f"{config!r} {config!s} {config.dkim[0]!r} {vars(type(config.dkim[0]))}"

    assert key.splitlines()[1] not in shown
    assert "BEGIN" not in shown


def test_settings_come_from_toml_and_from_the_environment(tmp_path: Path) -> None:
    file = tmp_path / "key.pem"
    file.write_bytes(pem(edwards_key()))
    toml = f'mode = "capture"\n[[dkim]]\ndomain = "a.example"\nselector = "e"\nprivate_key_file = "{file}"\n'
    environment = {
        "MAILSTROM_MODE": "capture", "MAILSTROM_DKIM_DOMAIN": "a.example", "MAILSTROM_DKIM_SELECTOR": "e",
        "MAILSTROM_DKIM_PRIVATE_KEY_FILE": str(file),
    }  # fmt: skip

    for config in (Config.from_dict(tomllib.loads(toml)), Config.from_env(environment)):
        assert config.dkim[0].dns_record == edwards_signer().dns_record
        assert theirs(sent(least(), config=config).content, published(edwards_signer())) == [True]


def command(*words: str, folder: Path) -> CompletedProcess[str]:
    settings = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    return run(
        [sys.executable, "-m", "mailstrom", "dkim", *words],
        cwd=folder,
        env=settings,
        capture_output=True,
        text=True,
        timeout=50,
    )


@pytest.mark.parametrize("kind", ["rsa", "ed25519"])
def test_the_record_that_keygen_prints_is_the_one_that_verifies(kind: str, tmp_path: Path) -> None:
    made = command("keygen", "--domain", "a.example", "--selector", "s2026", "--type", kind, folder=tmp_path)

    file = tmp_path / "s2026.a.example.pem"
    assert made.returncode == 0, made.stderr
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    name = re.search(r"^\s*name\s+(\S+)$", made.stdout, re.MULTILINE)[1]  # type: ignore[index]
    value = re.search(r"^\s*value\s+(.+)$", made.stdout, re.MULTILINE)[1]  # type: ignore[index]
    zone = made.stdout.split("IN TXT", 1)[1].split(")")[0]
    toml = "[[dkim]]" + made.stdout.split("[[dkim]]", 1)[1].split("\n\n", 1)[0]
    strings = re.findall(r'"([^"]*)"', zone)
    assert "".join(strings) == value
    assert max(map(len, strings)) <= 255
    config = Config.from_dict({"mode": "capture", **tomllib.loads(toml)})
    content = sent(rich(), config=config).content
    assert ours(content, {name: value}) == ["pass"]
    assert theirs(content, {name: value}) == [True]
    assert file.read_text().splitlines()[1] not in made.stdout


def test_keygen_overwrites_nothing_and_refuses_what_is_no_domain(tmp_path: Path) -> None:
    first = command(
        "keygen", "--domain", "a.example", "--selector", "s", "--type", "ed25519", folder=tmp_path
    )
    kept = (tmp_path / "s.a.example.pem").read_bytes()

    again = command(
        "keygen", "--domain", "a.example", "--selector", "s", "--type", "ed25519", folder=tmp_path
    )
    bad = command("keygen", "--domain", "a b", "--selector", "s", folder=tmp_path)
    small = command("keygen", "--domain", "b.example", "--selector", "s", "--bits", "1024", folder=tmp_path)

    assert [first.returncode, again.returncode != 0, bad.returncode, small.returncode != 0] == [
        0,
        True,
        78,
        True,
    ]
    assert (tmp_path / "s.a.example.pem").read_bytes() == kept
    assert all("Traceback" not in ended.stderr for ended in (again, bad, small))


@pytest.mark.parametrize(("kind", "algorithm"), [("rsa", "rsa-sha256"), ("ed25519", "ed25519-sha256")])
def test_a_generated_key_signs(kind: Any, algorithm: str) -> None:
    signer = DkimSigner("a.example", "g", generate_key(kind))

    content = signed(least(), signer)

    assert signer.algorithm == algorithm
    assert theirs(content, published(signer)) == [True]
    assert field(content, "DKIM-Signature")
    assert body(content) == b"Hi.\r\n"
