"""Debian's SpamAssassin as a judge of form: the rules that its package brought, and nothing else.

No network, no Bayes, no memory of senders; a home of its own. It is loaded once for all the
messages, since loading takes longer than judging. A message is shown to it as a mail server
keeps it: with Return-Path and one Received field on top, which are the harness's, not ours.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest

_SCRIPT = Path(__file__).with_name("spamassassin.pl")
_LIMIT_SECS = 300

# what Debian loads too, but for those that ask the network or remember senders
_PLUGINS = """
Check BodyEval FreeMail HTMLEval HTTPSMismatch HeaderEval ImageInfo MIMEEval MIMEHeader RelayEval
ReplaceTags URIDetail URIEval VBounce WLBLEval WelcomeListSubject
"""

_SITE_CF = """
use_bayes 0
dns_available no
trusted_networks 127.0.0.0/8
envelope_sender_header Return-Path
"""


@dataclass(frozen=True, slots=True)
class Findings:
    """The rules that were run, and which of them each message set off."""

    rules: frozenset[str]
    fired: Mapping[str, frozenset[str]]


def skip_unless_it_can_run() -> None:
    """Skips the test, with what to do about it, where SpamAssassin is missing."""
    if not shutil.which("perl") or subprocess.run(_perl("-MMail::SpamAssassin", "-e1")).returncode != 0:
        pytest.skip("needs SpamAssassin: apt install spamassassin")


def findings(messages: Mapping[str, bytes], looked_for: Iterable[str] = ()) -> Findings:
    """What SpamAssassin says of each message; the rules looked for are run whatever their score is."""
    with tempfile.TemporaryDirectory(prefix="mailstrom-spamassassin-") as folder:
        _write_settings(Path(folder), looked_for)
        done = subprocess.run(
            _perl(str(_SCRIPT), folder),
            input=b"".join(b"%d\n%s" % (len(content), content) for content in messages.values()),
            env={"HOME": folder, "PATH": "/usr/bin:/bin", "LC_ALL": "C"},
            cwd=folder,
            capture_output=True,
            timeout=_LIMIT_SECS,
        )
    assert done.returncode == 0, done.stderr.decode()
    said = json.loads(done.stdout)
    fired = zip(messages, map(frozenset, said["fired"]), strict=True)
    return Findings(frozenset(said["rules"]), dict(fired))


def as_delivered(content: bytes, *, sender: str, recipient: str, date: datetime) -> bytes:
    """The message as the recipient's server keeps it, which took it two seconds after its date."""
    domain = sender.partition("@")[2]
    trace = (
        f"Return-Path: <{sender}>\n"
        f"Received: from mail.{domain} (mail.{domain} [198.51.100.25])\n"
        "\t(using TLSv1.3 with cipher TLS_AES_256_GCM_SHA384 (256/256 bits))\n"
        f"\tby mx.dest.example (Postfix) with ESMTPS id 4Zk3Qb1xWcz9sT\n"
        f"\tfor <{recipient}>; {format_datetime(date + timedelta(seconds=2))}\n"
    )
    return trace.encode("ascii") + content.replace(b"\r\n", b"\n")


def _perl(*arguments: str) -> list[str]:
    return ["perl", *arguments]


def _write_settings(folder: Path, looked_for: Iterable[str]) -> None:
    site = folder / "site"
    site.mkdir()
    loaded = "".join(f"loadplugin Mail::SpamAssassin::Plugin::{name}\n" for name in _PLUGINS.split())
    (site / "plugins.pre").write_text("enable_compat welcomelist_blocklist\n" + loaded)
    # a rule whose score is 0 is not run at all
    scores = "".join(f"score {name} 1\n" for name in looked_for)
    (site / "local.cf").write_text(_SITE_CF + scores)
    (folder / "user_prefs").touch()
