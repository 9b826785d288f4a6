"""Haraka, an SMTP server in JavaScript: as an MX, and as a relay that wants a login.

It shares no code with Postfix and has other habits: it writes the message out as it came in,
answers from one process, and its parser is its own. Any user may start it.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import trustme

from tests.interop.mailbox import STARTUP_SECS, MailServer, ended, free_ports, greets, until

USERNAME = "mailer@haraka.test"
PASSWORD = "correct horse battery staple"

_HARAKA = Path(__file__).parent / "node_modules" / "Haraka"

_SMTP_INI = """
listen=127.0.0.1:{port},127.0.0.1:{relay_port}
nodes=0
"""

_TLS_INI = """
key={home}/server.key
cert={home}/server.pem
"""

_AUTH_INI = f"""
[core]
methods=PLAIN,LOGIN,CRAM-MD5
[users]
{USERNAME}={PASSWORD}
"""

# RFC 7919 A.1: the group ffdhe2048; without one Haraka has openssl look for primes
_DHPARAMS = """
-----BEGIN DH PARAMETERS-----
MIIBCAKCAQEA//////////+t+FRYortKmq/cViAnPTzx2LnFg84tNpWp4TZBFGQz
+8yTnc4kmz75fS/jY2MMddj2gbICrsRhetPfHtXV/WVhJDP1H18GbtCFY2VVPe0a
87VXE15/V8k1mE8McODmi3fipona8+/och3xWKE2rec1MKzKT0g6eXq8CrGCsyT7
YdEIqUuyyOP7uWrat2DX9GgdT0Kj3jlN9K5W7edjcrsZCwenyO4KbXCeAvzhzffi
7MA0BM0oNC9hkXL+nOmFg/+OTxIy7vKBg8P+OxtMb61zO7X8vC7CIAXFjvGDfRaD
ssbzSibBsu/6iGtCOGEoXJf//////////wIBAg==
-----END DH PARAMETERS-----
""".lstrip()

# Keeps each message as it stands, under its name only when it is whole.
_KEEPER = """
'use strict'
const fs = require('node:fs')

// the DNS is not asked for the name of a loopback address
exports.hook_lookup_rdns = (next) => next(OK, 'localhost')

exports.hook_rcpt = function (next, connection, params) {
    const user = params[0].user
    if (user === 'refused') return next(DENY, 'no such mailbox')
    if (connection.local.port === RELAY_PORT && !connection.relaying) return next(DENY, 'log in first')
    next(OK)
}

exports.hook_queue = function (next, connection) {
    const transaction = connection.transaction
    const place = `FOLDER/${transaction.uuid}`
    const file = fs.createWriteStream(`${place}.part`)
    file.once('close', () => {
        fs.renameSync(`${place}.part`, `${place}.eml`)
        next(OK)
    })
    transaction.message_stream.pipe(file)
}
exports.hook_queue_outbound = exports.hook_queue
"""


def skip_unless_it_can_run() -> None:
    """Skips the test, with what to do about it, where Haraka cannot be started."""
    if shutil.which("node") is None or not _HARAKA.is_dir():
        pytest.skip("needs Haraka: install Node.js 20 or later with npm, and run `make peers`")


@contextmanager
def running_haraka(home: Path, authority: trustme.CA) -> Iterator[MailServer]:
    """Haraka for the duration of the block, with all its files in `home`."""
    port, relay_port = free_ports(2)
    _write_settings(home, port, relay_port)
    _write_certificate(home, authority)
    with (home / "log").open("wb") as log:
        server = subprocess.Popen(
            ["node", _HARAKA / "bin" / "haraka", "-c", home],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        until(lambda: greets(port) and greets(relay_port), STARTUP_SECS, "Haraka's greeting")
        yield MailServer(
            host="localhost",
            address="127.0.0.1",
            port=port,
            relay_port=relay_port,
            ca_file=home / "ca.pem",
            username=USERNAME,
            password=PASSWORD,
            folder=home / "mailbox",
        )
    finally:
        ended(server)


def _write_settings(home: Path, port: int, relay_port: int) -> None:
    for folder in ("config", "plugins", "mailbox"):
        (home / folder).mkdir()
    settings = {
        "me": "mx.haraka.test\n",
        "plugins": "tls\nauth/flat_file\nkeeper\n",
        "smtp.ini": _SMTP_INI.format(port=port, relay_port=relay_port),
        "connection.ini": _connection_ini(),
        "dhparams.pem": _DHPARAMS,
        "tls.ini": _TLS_INI.format(home=home),
        "auth_flat_file.ini": _AUTH_INI,
    }
    for name, text in settings.items():
        (home / "config" / name).write_text(text)
    keeper = _KEEPER.replace("RELAY_PORT", str(relay_port)).replace("FOLDER", str(home / "mailbox"))
    (home / "plugins" / "keeper.js").write_text(keeper)


def _connection_ini() -> str:
    """Haraka's own settings, but for a limit that lets pass what RFC 5322 2.1.1 allows a line."""
    shipped = (_HARAKA / "config" / "connection.ini").read_text()
    return shipped.replace("data_line_length=992", "data_line_length=1000")


def _write_certificate(home: Path, authority: trustme.CA) -> None:
    certificate = authority.issue_cert("localhost", "mx.mx.test")
    authority.cert_pem.write_to_path(home / "ca.pem")
    certificate.private_key_pem.write_to_path(home / "server.key")
    (home / "server.pem").write_bytes(b"".join(blob.bytes() for blob in certificate.cert_chain_pems))
