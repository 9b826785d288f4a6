"""`mailstrom dkim`: what it writes can be published and signed with, and it harms no key."""

from __future__ import annotations

import io
import re
import stat
import sys
import tomllib
from pathlib import Path

import pytest

from mailstrom import Config
from mailstrom.cli.exit_codes import ExitCode
from mailstrom.cli.main import run_command_line
from mailstrom.cli.terminal import Streams
from mailstrom.dkim import DkimSigner, sealing
from tests.dkim_keys import ed25519_pem, ed25519_signer, rsa_pem, rsa_signer

NAMES = ("--domain", "mydomain.example", "--selector", "s2026")
HEADER = b"From: ann@sender.test\r\nTo: bob@mx.test\r\nSubject: Hello\r\n"
BODY = b"Good day.\r\n"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the command is called."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def ended(*arguments: str, stdin: bytes = b"") -> tuple[int, str, str]:
    streams = Streams(stdin=io.BytesIO(stdin), stdout=io.StringIO(), stderr=io.StringIO())
    code = run_command_line(("dkim", *arguments), streams)
    assert isinstance(streams.stdout, io.StringIO)
    assert isinstance(streams.stderr, io.StringIO)
    return code, streams.stdout.getvalue(), streams.stderr.getvalue()


# --- keygen


def test_keygen_writes_a_key_that_only_its_owner_can_read(folder: Path) -> None:
    code, _, complained = ended("keygen", *NAMES)

    (written,) = folder.iterdir()
    assert (code, complained) == (ExitCode.OK, "")
    assert written.name == "s2026.mydomain.example.pem"
    assert stat.S_IMODE(written.stat().st_mode) == 0o600


@pytest.mark.parametrize(
    ("arguments", "algorithm", "octets"),
    [((), "rsa-sha256", 256), (("--bits", "3072"), "rsa-sha256", 384),
     (("--type", "ed25519"), "ed25519-sha256", 64)],
)  # fmt: skip
def test_the_record_that_keygen_tells_is_that_of_the_key(
    folder: Path, arguments: tuple[str, ...], algorithm: str, octets: int
) -> None:
    _, told, _ = ended("keygen", *NAMES, *arguments, "--out", "key.pem")

    signer = DkimSigner("mydomain.example", "s2026", folder / "key.pem")
    assert (signer.algorithm, signer.private_key.signature_octets) == (algorithm, octets)
    assert "\n  name   s2026._domainkey.mydomain.example\n" in told
    assert f"\n  value  {signer.dns_record}\n" in told


def test_the_zone_entry_has_the_record_in_strings_that_dns_allows(folder: Path) -> None:
    """RFC 1035 3.3.14."""
    _, told, _ = ended("keygen", *NAMES)

    entry = told.partition("In a zone file:")[2].partition("Then sign")[0]
    strings = re.findall(r'"([^"]*)"', entry)
    assert "s2026._domainkey.mydomain.example. IN TXT (" in entry
    assert max(map(len, strings)) <= 255
    assert len(strings) > 1
    assert "".join(strings) == DkimSigner(*NAMES[1::2], folder / "s2026.mydomain.example.pem").dns_record


def test_the_settings_that_keygen_tells_sign(folder: Path) -> None:
    _, told, _ = ended("keygen", *NAMES, "--type", "ed25519", "--out", 'odd "name" ü.pem')

    toml = "[[dkim]]" + told.partition("[[dkim]]")[2].partition("or in Python")[0]
    (signer,) = Config.from_dict(tomllib.loads(toml)).dkim
    assert (signer.domain, signer.selector) == ("mydomain.example", "s2026")
    assert f"  value  {signer.dns_record}\n" in told


def test_the_private_key_is_not_told(folder: Path) -> None:
    _, told, complained = ended("keygen", *NAMES, "--type", "ed25519")

    secret = (folder / "s2026.mydomain.example.pem").read_text().splitlines()[1]
    assert secret not in told + complained


def test_a_key_on_standard_output_stands_there_alone(folder: Path) -> None:
    """For `... --out - | vault kv put -`: what is to be published goes to standard error."""
    code, told, complained = ended("keygen", *NAMES, "--type", "ed25519", "--out", "-")

    signer = DkimSigner("mydomain.example", "s2026", told)
    assert code == ExitCode.OK
    assert told.startswith("-----BEGIN PRIVATE KEY-----\n")
    assert told.endswith("-----END PRIVATE KEY-----\n")
    assert signer.dns_record in complained
    assert list(folder.iterdir()) == []


def test_a_key_that_is_there_is_not_overwritten(folder: Path) -> None:
    key = folder / "s2026.mydomain.example.pem"
    key.write_text("the only key there is")

    code, told, complained = ended("keygen", *NAMES)

    assert (code, told) == (ExitCode.BROKEN, "")
    assert "s2026.mydomain.example.pem is there already" in complained
    assert key.read_text() == "the only key there is"


def test_force_overwrites_and_closes_the_file_to_others(folder: Path) -> None:
    key = folder / "key.pem"
    key.write_text("an old key")
    key.chmod(0o644)

    code, *_ = ended("keygen", *NAMES, "--out", "key.pem", "--force")

    assert code == ExitCode.OK
    assert key.read_text().startswith("-----BEGIN PRIVATE KEY-----")
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert list(folder.iterdir()) == [key]


def test_a_domain_in_unicode_is_published_in_a_labels(folder: Path) -> None:
    _, told, _ = ended("keygen", "--domain", "bücher.example", "--selector", "S1", "--type", "ed25519")

    assert "s1._domainkey.xn--bcher-kva.example" in told
    assert (folder / "s1.xn--bcher-kva.example.pem").exists()


# --- record


def test_record_tells_the_same_as_keygen_did() -> None:
    _, first, _ = ended("keygen", *NAMES)

    code, again, complained = ended("record", *NAMES, "--key", "s2026.mydomain.example.pem")

    assert (code, complained) == (ExitCode.OK, "")
    assert first.partition("\n\n")[2] == again


def test_record_takes_a_key_from_standard_input() -> None:
    _, told, _ = ended(
        "record", "--domain", "sender.test", "--selector", "r", "--key", "-", stdin=rsa_pem().encode()
    )

    assert rsa_signer().dns_record in told


# --- verify


def a_signed_message(*signers: DkimSigner) -> bytes:
    from datetime import UTC, datetime

    seal = sealing(signers, "sender.test", datetime.now(UTC))
    assert seal is not None
    return seal.fields(HEADER, memoryview(BODY)) + HEADER + b"\r\n" + BODY


def txt(*signers: DkimSigner) -> list[str]:
    return [part for each in signers for part in ("--txt", f"{each.dns_name}={each.dns_record}")]


@pytest.mark.parametrize("line_end", [b"\r\n", b"\n"], ids=["CRLF", "LF"])
def test_verify_tells_a_line_for_each_signature(folder: Path, line_end: bytes) -> None:
    """As saved by a mail program, too: with the line ends of the machine."""
    signers = (rsa_signer(), ed25519_signer())
    (folder / "saved.eml").write_bytes(a_signed_message(*signers).replace(b"\r\n", line_end))

    assert ended("verify", *txt(*signers), "saved.eml") == (
        ExitCode.OK,
        "pass d=sender.test s=e ed25519-sha256\npass d=sender.test s=r rsa-sha256\n",
        "",
    )


@pytest.mark.parametrize(
    ("changed", "told", "complained"),
    [
        (lambda message: message.replace(b"Good", b"Goad"), "fail d=sender.test s=e ed25519-sha256: ", ""),
        (lambda message: message.replace(b"v=1", b"v=2"), "permerror: ", ""),
        (lambda message: message.replace(b"s=e;", b"s=x;"), "permerror d=sender.test s=x", ""),
        (lambda message: HEADER + b"\r\n" + BODY, "", "mailstrom: there is no DKIM-Signature"),
        (lambda message: b"", "", "mailstrom: there is no DKIM-Signature"),
    ],
    ids=["changed", "malformed", "no such key", "unsigned", "empty"],
)
def test_verify_says_what_is_wrong(changed, told: str, complained: str) -> None:  # type: ignore[no-untyped-def]
    message = changed(a_signed_message(ed25519_signer()))

    code, out, err = ended("verify", *txt(ed25519_signer()), stdin=message)

    assert code == ExitCode.UNEXPECTED
    assert out.startswith(told)
    assert err.startswith(complained)
    assert (out + err).count("\n") == 1


def test_one_broken_signature_among_good_ones_is_not_all_right() -> None:
    message = a_signed_message(rsa_signer(), ed25519_signer())

    code, told, _ = ended("verify", *txt(rsa_signer()), stdin=message)

    assert code == ExitCode.UNEXPECTED
    assert [line.split()[0] for line in told.splitlines()] == ["permerror", "pass"]


# --- the command line


def test_dkim_lists_its_commands(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in ((), ("--help",)):
        with pytest.raises(SystemExit, match=r"\A0\Z"):
            ended(*arguments)

        shown = capsys.readouterr().out
        assert "mailstrom dkim COMMAND" in shown
        assert [line.split()[0] for line in shown.splitlines() if line.startswith("  keygen")] == ["keygen"]
        assert "  record  Tells" in shown
        assert "  verify  Checks" in shown


@pytest.mark.parametrize("command", ["keygen", "record", "verify"])
def test_the_help_of_each_command_shows_an_example_and_the_exit_codes(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match=r"\A0\Z"):
        ended(command, "--help")

    shown = capsys.readouterr().out
    assert f"  mailstrom dkim {command} --" in shown
    assert "exit codes: 0" in shown
    assert max(map(len, shown.splitlines())) <= 110


@pytest.mark.parametrize(
    ("arguments", "code", "complaint"),
    [
        (("keygn",), ExitCode.USAGE, "'keygn'"),
        (("keygen",), ExitCode.USAGE, "--domain"),
        (("keygen", "--domain", "mydomain.example"), ExitCode.USAGE, "--selector"),
        (("keygen", *NAMES, "--type", "dsa"), ExitCode.USAGE, "dsa"),
        (("keygen", *NAMES, "--bits", "1024"), ExitCode.USAGE, "2048"),
        (("keygen", *NAMES, "--bits", "2048", "--type", "ed25519"), ExitCode.USAGE, "--bits"),
        (("keygen", *NAMES, "--out", "no/such/folder/key.pem"), ExitCode.BROKEN, "no/such/folder"),
        (("keygen", "--domain", "localhost", "--selector", "s"), ExitCode.BAD_CONFIG, "domain"),
        (("keygen", "--domain", "a.example", "--selector", "../s"), ExitCode.BAD_CONFIG, "selector"),
        (("record", *NAMES), ExitCode.USAGE, "--key"),
        (("record", *NAMES, "--key", "absent.pem"), ExitCode.NO_INPUT, "absent.pem"),
        (("record", *NAMES, "--key", "-"), ExitCode.BAD_CONFIG, "private_key"),
        (("verify", "absent.eml"), ExitCode.NO_INPUT, "absent.eml"),
        (("verify", "--txt", "record"), ExitCode.USAGE, "NAME=TEXT"),
    ],
)
def test_an_error_is_one_line_and_a_code(
    folder: Path, arguments: tuple[str, ...], code: ExitCode, complaint: str
) -> None:
    ended_with, told, complained = ended(*arguments)

    assert (ended_with, told) == (code, "")
    assert complained.startswith("mailstrom: ")
    assert complained.count("\n") == 1
    assert complaint in complained
    assert list(folder.iterdir()) == []


def test_a_wrong_key_is_not_told() -> None:
    broken = ed25519_pem()[40:].encode()

    _, told, complained = ended("record", *NAMES, "--key", "-", stdin=broken)

    assert ed25519_pem().splitlines()[1] not in told + complained


@pytest.mark.parametrize(
    "arguments",
    [("keygen", *NAMES), ("record", *NAMES, "--key", "-"), ("verify",)],
    ids=lambda given: given[0],
)
def test_without_the_extra_it_says_what_to_install(
    arguments: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, folder: Path
) -> None:
    monkeypatch.setitem(sys.modules, "cryptography", None)  # as if it were not installed

    code, told, complained = ended(*arguments)

    assert (code, told) == (ExitCode.UNAVAILABLE, "")
    assert "pip install 'mailstrom[dkim]'" in complained
    assert list(folder.iterdir()) == []
