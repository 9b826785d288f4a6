"""Debian's Postfix with a configuration of its own: as an MX, and as a relay that wants a login.

Its master process gives each of its helpers another user, so it starts as root only. Nothing
of the system's own Postfix is used but the programs; the queue, the settings and the mailbox
are in the folder given.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import trustme

from tests.interop.mailbox import STARTUP_SECS, MailServer, ended, free_ports, greets, until

USERNAME = "mailer@postfix.test"
PASSWORD = "correct horse battery staple"
NOBODY = 65534

_PROGRAMS = Path("/usr/lib/postfix/sbin")

_MAIN_CF = """
compatibility_level = 3.6
myhostname = mx.postfix.test
mydestination =
mynetworks =
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
queue_directory = {home}/queue
data_directory = {home}/state
maillog_file = {home}/maillog
maillog_file_prefixes = {home}
smtputf8_enable = yes
local_recipient_maps =
alias_maps =
alias_database =

# everything accepted goes into one folder
default_transport = virtual
virtual_mailbox_domains = mx.test, bücher.test, xn--bcher-kva.test
virtual_mailbox_base = {home}
virtual_mailbox_maps = static:mailbox/
virtual_uid_maps = static:{nobody}
virtual_gid_maps = static:{nobody}
virtual_mailbox_limit = 0

smtpd_recipient_restrictions =
    check_recipient_access regexp:{{ {{/^refused@/ 550 5.1.1 no such mailbox}} }}
    permit_sasl_authenticated
    reject_unauth_destination
smtpd_tls_security_level = may
smtpd_tls_cert_file = {home}/server.pem
smtpd_tls_key_file = {home}/server.key
smtpd_tls_auth_only = yes
smtpd_sasl_type = cyrus
smtpd_sasl_path = smtpd
smtpd_sasl_security_options = noanonymous
cyrus_sasl_config_path = {home}/sasl
"""

# service type private unpriv chroot wakeup maxproc command
_MASTER_CF = """
127.0.0.1:{port} inet n - n - - smtpd
127.0.0.1:{relay_port} inet n - n - - smtpd
    -o smtpd_tls_security_level=encrypt
    -o smtpd_sasl_auth_enable=yes
    -o {{ smtpd_client_restrictions = permit_sasl_authenticated, reject }}
pickup   unix n - n 60 1 pickup
cleanup  unix n - n - 0 cleanup
qmgr     unix n - n 300 1 qmgr
tlsmgr   unix - - n 1000? 1 tlsmgr
rewrite  unix - - n - - trivial-rewrite
bounce   unix - - n - 0 bounce
defer    unix - - n - 0 bounce
trace    unix - - n - 0 bounce
verify   unix - - n - 1 verify
flush    unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
smtp     unix - - n - - smtp
error    unix - - n - - error
discard  unix - - n - - discard
virtual  unix - n n - - virtual
anvil    unix - - n - 1 anvil
scache   unix - - n - 1 scache
postlog  unix-dgram n - n - 1 postlogd
"""

_SMTPD_CONF = """
pwcheck_method: auxprop
auxprop_plugin: sasldb
sasldb_path: {home}/sasl/users
mech_list: SCRAM-SHA-256 CRAM-MD5 PLAIN LOGIN
"""


def skip_unless_it_can_run() -> None:
    """Skips the test, with what to do about it, where Postfix cannot be started."""
    if os.geteuid() != 0:
        pytest.skip("needs root: Postfix starts as root only; run `sudo make test`")
    if not (_PROGRAMS / "master").exists():
        pytest.skip("needs Postfix: apt install postfix")
    if shutil.which("saslpasswd2") is None:
        pytest.skip("needs a login service for Postfix: apt install sasl2-bin libsasl2-modules")


@contextmanager
def running_postfix(home: Path, authority: trustme.CA) -> Iterator[MailServer]:
    """Postfix for the duration of the block; `home` must be open to other users."""
    port, relay_port = free_ports(2)
    _write_settings(home, port, relay_port)
    _write_certificate(home, authority)
    _write_users(home)
    _run("postfix", "-c", str(home), "check")
    master = subprocess.Popen(
        [_PROGRAMS / "master", "-c", home],
        start_new_session=True,  # it ends its process group, and must not end ours
        stdin=subprocess.DEVNULL,
    )
    try:
        until(lambda: greets(port) and greets(relay_port), STARTUP_SECS, "Postfix's greeting")
        yield MailServer(
            host="localhost",
            address="127.0.0.1",
            port=port,
            relay_port=relay_port,
            ca_file=home / "ca.pem",
            username=USERNAME,
            password=PASSWORD,
            folder=home / "mailbox" / "new",
        )
    finally:
        ended(master)


def _write_settings(home: Path, port: int, relay_port: int) -> None:
    for folder in ("queue", "state", "sasl", "mailbox", "mailbox/tmp", "mailbox/new", "mailbox/cur"):
        (home / folder).mkdir()
    for folder in ("mailbox", "mailbox/tmp", "mailbox/new", "mailbox/cur"):
        os.chown(home / folder, NOBODY, NOBODY)
    shutil.chown(home / "state", "postfix")
    (home / "main.cf").write_text(_MAIN_CF.format(home=home, nobody=NOBODY), encoding="utf-8")
    (home / "master.cf").write_text(_MASTER_CF.format(port=port, relay_port=relay_port))


def _write_certificate(home: Path, authority: trustme.CA) -> None:
    certificate = authority.issue_cert("localhost", "mx.mx.test")
    authority.cert_pem.write_to_path(home / "ca.pem")
    certificate.private_key_pem.write_to_path(home / "server.key")
    (home / "server.pem").write_bytes(b"".join(blob.bytes() for blob in certificate.cert_chain_pems))


def _write_users(home: Path) -> None:
    (home / "sasl" / "smtpd.conf").write_text(_SMTPD_CONF.format(home=home))
    name, _, realm = USERNAME.partition("@")
    users = home / "sasl" / "users"
    _run("saslpasswd2", "-c", "-p", "-f", str(users), "-u", realm, name, given=PASSWORD)
    shutil.chown(users, "postfix")


def _run(*command: str, given: str = "") -> None:
    done = subprocess.run(
        command, input=given, capture_output=True, text=True, check=False, start_new_session=True
    )
    assert done.returncode == 0, f"{command[0]}: {done.stdout}{done.stderr}"
