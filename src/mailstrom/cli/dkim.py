"""`mailstrom dkim`: a key to sign with, the DNS record to publish, and a look at signatures."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from ..status import printable
from .exit_codes import CommandError, ExitCode
from .send_input import read_file
from .terminal import Streams

if TYPE_CHECKING:
    from ..dkim import DkimSigner, Verification

ABOUT = "Makes a DKIM key, tells its DNS record, and checks signatures."
KEYGEN_ABOUT = "Makes a private key, and tells the DNS record and the settings that go with it."
RECORD_ABOUT = "Tells the DNS record and the settings of a private key once more."
VERIFY_ABOUT = "Checks the signatures of a message, with the keys that the DNS has."

KEYGEN_EXAMPLES = """\
DKIM signs your mail in the name of your domain. Receivers find the public half of the key in the
DNS of that domain, under a selector: a name of your choice that tells one key from the next.

examples:
  mailstrom dkim keygen --domain mydomain.example --selector s2026
      writes the private key to s2026.mydomain.example.pem and tells the TXT record to publish
  mailstrom dkim keygen --domain mydomain.example --selector e2026 --type ed25519
      a shorter key. Not every receiver knows Ed25519 yet: sign with an RSA key as well

What to do with it:
  1. publish the record; wait until `dig +short TXT s2026._domainkey.mydomain.example` shows it
  2. put the key where only your program can read it, and its settings into your configuration
  3. send a message to yourself: its Authentication-Results should say dkim=pass

To change the key, make one with another selector, publish it, switch over, and take the old
record out of the DNS a week later. Whoever has the private key can write mail in your name.

exit codes: 0 done; 64 the command line is wrong; 69 the extra 'dkim' is not installed;
70 the file cannot be written; 78 the domain or the selector cannot be used
"""
RECORD_EXAMPLES = """\
example:
  mailstrom dkim record --domain mydomain.example --selector s2026 --key s2026.mydomain.example.pem

exit codes: 0 done; 64 the command line is wrong; 66 the key cannot be read; 69 the extra 'dkim'
is not installed; 78 the domain, the selector or the key cannot be used
"""

VERIFY_EXAMPLES = """\
Give the whole message as it arrived, header and all: mail programs can save it so.

examples:
  mailstrom dkim verify saved.eml
  mailstrom dkim verify --txt 's2026._domainkey.mydomain.example=v=DKIM1; k=rsa; p=MIIB...' saved.eml
      with a record that is not published yet; the DNS is not asked

One line for each signature, from the top: pass, fail (the message is not what was signed), permerror
(it cannot be checked: no key, or a broken signature) or temperror (no answer from the DNS).

exit codes: 0 each signature passes; 1 one does not, or there is none; 64 the command line is wrong;
66 the file cannot be read; 69 the extra 'dkim' is not installed; 75 the DNS gave no answer
"""


def add_keygen_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `mailstrom dkim keygen`."""
    parser.epilog = KEYGEN_EXAMPLES
    _add_names(parser)
    parser.add_argument(
        "--type", choices=("rsa", "ed25519"), default="rsa", help="rsa (the default) is known everywhere"
    )
    parser.add_argument(
        "--bits", type=_bits, metavar="N", help="of an RSA key: 2048 (the default), 3072 or 4096"
    )
    parser.add_argument(
        "--out", metavar="FILE", help="where the key goes (SELECTOR.DOMAIN.pem); - is standard output"
    )
    parser.add_argument("--force", action="store_true", help="overwrite the file, if there is one")


def add_record_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `mailstrom dkim record`."""
    parser.epilog = RECORD_EXAMPLES
    _add_names(parser)
    parser.add_argument(
        "--key", required=True, metavar="FILE", help="the private key (PEM); - is standard input"
    )


def add_verify_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `mailstrom dkim verify`."""
    parser.epilog = VERIFY_EXAMPLES
    parser.add_argument(
        "file", nargs="?", default="-", metavar="FILE", help="the message; - (the default) is standard input"
    )
    parser.add_argument(
        "--txt",
        type=_txt_record,
        action="append",
        metavar="NAME=TEXT",
        help="a TXT record; instead of the DNS's; may be repeated",
    )


def keygen(given: argparse.Namespace, streams: Streams) -> ExitCode:
    """Makes a key, writes it, and tells what to do with it."""
    check_installed()
    from ..dkim import DkimSigner, generate_key

    if given.type == "ed25519" and given.bits is not None:
        raise CommandError(ExitCode.USAGE, "--bits is for RSA keys: an Ed25519 key has 256")
    pem = generate_key(given.type, bits=given.bits or 2048)
    signer = DkimSigner(given.domain, given.selector, pem)
    if given.out == "-":
        streams.stdout.write(pem)
        streams.stdout.flush()
        _tell(signer, Path(f"{signer.selector}.{signer.domain}.pem"), streams.stderr)
        return ExitCode.OK
    path = Path(given.out or f"{signer.selector}.{signer.domain}.pem")
    _write_key(path, pem, overwrite=given.force)
    streams.write(f"Private key: {path} (only you can read it; keep it so)\n")
    _tell(signer, path, streams.stdout)
    return ExitCode.OK


def record(given: argparse.Namespace, streams: Streams) -> ExitCode:
    """Tells the record of a key that there is already."""
    check_installed()
    from ..dkim import DkimSigner

    pem = _content_of(given.key, streams, "the private key")
    signer = DkimSigner(given.domain, given.selector, pem)
    _tell(signer, Path("key.pem" if given.key == "-" else given.key), streams.stdout)
    return ExitCode.OK


def verify_message(given: argparse.Namespace, streams: Streams) -> ExitCode:
    """Checks each signature, and tells what came of it."""
    check_installed()
    from ..dkim import verify
    from ..net.txt import txt_records

    message = _content_of(given.file, streams, "the message, header and all")
    lookup = txt_records if given.txt is None else _of_the_command_line(given.txt)
    found = verify(message, lookup, now=datetime.now(UTC))
    for each in found:
        streams.write(_line(each))
    if not found:
        streams.complain("there is no DKIM-Signature in this message")
        return ExitCode.UNEXPECTED
    worse = {str(each.result) for each in found} - {"pass"}
    if not worse:
        return ExitCode.OK
    return ExitCode.NOT_YET if worse == {"temperror"} else ExitCode.UNEXPECTED


def check_installed() -> None:
    """Raises `CommandError` where the extra is missing."""
    if find_spec("cryptography") is None:
        text = "DKIM needs the extra 'dkim' (cryptography not found): pip install 'mailstrom[dkim]'"
        raise CommandError(ExitCode.UNAVAILABLE, text)


def _add_names(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--domain", required=True, metavar="DOMAIN", help="the domain of your From addresses")
    parser.add_argument(
        "--selector", required=True, metavar="NAME", help="names this key in your DNS, such as s2026"
    )


def _bits(text: str) -> int:
    if text not in ("2048", "3072", "4096"):
        raise argparse.ArgumentTypeError(f"expected 2048, 3072 or 4096, got {text!r}")
    return int(text)


def _content_of(path: str, streams: Streams, what: str) -> bytes:
    if path != "-":
        return read_file(path)
    if streams.stdin.isatty():
        streams.complain(f"reading {what} from standard input, until Ctrl-D")
    return streams.stdin.read()


def _txt_record(text: str) -> tuple[str, str]:
    name, equals, record = text.partition("=")
    if not equals or not name.strip():
        raise argparse.ArgumentTypeError(f"expected NAME=TEXT, got {text!r}")
    return name.strip().rstrip(".").lower(), record


def _of_the_command_line(given: Iterable[tuple[str, str]]) -> Callable[[str], list[str]]:
    return lambda name: [text for known, text in given if known == name]


def _line(found: Verification) -> str:
    told = f"{found.result}"
    if found.domain is not None:
        told += f" d={found.domain} s={found.selector} {found.algorithm}"
    return printable(f"{told}: {found.reason}" if found.reason else told)


def _write_key(path: Path, pem: str, *, overwrite: bool) -> None:
    """Writes a file that is readable by its owner only, from its first moment on."""
    if not path.name or path.is_dir():
        raise CommandError(ExitCode.USAGE, f"--out {path}: expected a file, not a directory")
    written_to = path.with_name(f"{path.name}.new") if overwrite else path
    if overwrite:
        written_to.unlink(missing_ok=True)
    try:
        descriptor = os.open(written_to, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError as error:
        hint = "it may sign your mail; choose another --selector or --out, or say --force"
        raise CommandError(ExitCode.BROKEN, f"{path} is there already: {hint}") from error
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(pem)
    if overwrite:
        written_to.replace(path)


def _tell(signer: DkimSigner, path: Path, stream: TextIO) -> None:
    """What to publish, and how to sign with it."""
    from ..dkim import zone_entry

    settings = {"domain": signer.domain, "selector": signer.selector}
    settings["private_key_file"] = str(path.absolute())
    quoted = {key: json.dumps(value, ensure_ascii=False) for key, value in settings.items()}
    toml = "\n".join(f"{key} = {value}" for key, value in quoted.items())
    print(
        f"""\
Publish this TXT record. In a form of your DNS provider:

  name   {signer.dns_name}
  type   TXT
  value  {signer.dns_record}

In a zone file:

{zone_entry(signer.dns_name, signer.dns_record)}
Then sign with it, in mailstrom.toml:

[[dkim]]
{toml}

or in Python:

from mailstrom import Config, DkimSigner

Config(dkim=DkimSigner({", ".join(quoted.values())}))""",
        file=stream,
        flush=True,
    )
