"""Two verifiers of DKIM signatures that nobody here wrote, asked in the same way.

`judged_by_opendkim` is in C, one process for many messages; `judged_by_dkimpy` is Python's.
Each tells for every message which algorithm's signature passed and which did not. Both know
Ed25519 (Debian's OpenDKIM is a build of 2.11 with it; dkimpy asks PyNaCl).
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import dkim
import pytest

Verdict = dict[str, str]  # by algorithm ("rsa-sha256"): "pass", or why not

_PROGRAM = "opendkim"
_PATH = "/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin:/opt/homebrew/sbin"
_AT_ONCE = 500  # files in one command line

_CONFIG = """
Mode v
TestPublicKeys {folder}/keys
"""
_RESULT = re.compile(r"dkim=(\w+)[^;]*? header\.a=([\w-]+)")
_END = re.compile(
    r"^opendkim: \d+\.eml: (?:verification \(|message not signed)"
    r"|dkim=permerror \(bad message/signature format\)",  # of such a message it tells no more
    re.MULTILINE,
)
_SIGNATURE = re.compile(rb"^DKIM-Signature:(?:[^\r\n]|\r\n[ \t])*", re.MULTILINE | re.IGNORECASE)
_ALGORITHM = re.compile(rb"[:;\s]a=\s*([\w-]+)")


def skip_unless_opendkim_can_run() -> None:
    """Skips the test, with what to do about it, where there is no OpenDKIM."""
    if shutil.which(_PROGRAM, path=_PATH) is None:
        pytest.skip("needs OpenDKIM: apt install opendkim")


def judged_by_opendkim(messages: Sequence[bytes], records: Mapping[str, str], folder: Path) -> list[Verdict]:
    """What OpenDKIM would write into Authentication-Results.

    Nothing for a message without signatures, or with one that it cannot read: there it ends, and
    is started anew for the messages that follow.
    """
    lines = [f"{name} {record}\n" for name, record in records.items()]
    (folder / "keys").write_text("".join(lines), encoding="ascii")
    (folder / "opendkim.conf").write_text(_CONFIG.format(folder=folder), encoding="ascii")
    for number, message in enumerate(messages):
        (folder / f"{number}.eml").write_bytes(message)
    found: list[Verdict] = []
    while len(found) < len(messages):
        end = min(len(found) + _AT_ONCE, len(messages))
        ended_well, told = _told([f"{number}.eml" for number in range(len(found), end)], folder)
        found += _verdicts(told)
        if not ended_well:
            found.append({})
        assert len(found) == end if ended_well else len(found) <= end, told[-2000:]
    return found


def has_field_without_space(message: bytes) -> bool:
    """A value that does not begin right behind "Name: ", as in the empty field "Subject:".

    In its test mode OpenDKIM puts the field together again with one space there. In the simple
    form of a header that is another field.
    """
    header = message.partition(b"\r\n\r\n")[0] + b"\r\n"
    return re.search(rb"^[!-9;-~]+:(?! \S| \r\n)", header, re.MULTILINE) is not None


def judged_by_dkimpy(messages: Sequence[bytes], records: Mapping[str, str]) -> list[Verdict]:
    """What dkimpy thinks of each signature, each judged for itself."""
    answers = {f"{name}.".encode(): record.encode() for name, record in records.items()}
    return [_judged_by_dkimpy(message, answers) for message in messages]


def _judged_by_dkimpy(message: bytes, answers: Mapping[bytes, bytes]) -> Verdict:
    header = message.partition(b"\r\n\r\n")[0]
    verdict: Verdict = {}
    for index, signature in enumerate(_SIGNATURE.findall(header)):
        found = _ALGORITHM.search(signature)
        algorithm = found[1].decode() if found else f"signature {index}"
        try:
            passed = dkim.DKIM(message).verify(idx=index, dnsfunc=lambda name, timeout=0: answers.get(name))
            verdict[algorithm] = "pass" if passed else "fail"
        except dkim.DKIMException as error:
            verdict[algorithm] = str(error)
    return verdict


def _told(names: Sequence[str], folder: Path) -> tuple[bool, str]:
    program = shutil.which(_PROGRAM, path=_PATH) or _PROGRAM
    done = subprocess.run(
        [program, "-x", "opendkim.conf", "-v", "-v", "-t", ",".join(names)],
        cwd=folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
    )
    return done.returncode == 0, done.stdout.decode("utf-8", "replace")


def _verdicts(told: str) -> Iterator[Verdict]:
    """What stands before the end of what is told of a message, from one to the next."""
    at = 0
    for end in _END.finditer(told):
        yield {algorithm: result for result, algorithm in _RESULT.findall(told[at : end.start()])}
        at = end.end()
