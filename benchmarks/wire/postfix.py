"""Postfix with settings and a queue of its own, as shipped in what bears on speed.

What it gets is in its queue, synced, until it has passed it on or thrown it away. It starts as root only.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.interop.mailbox import STARTUP_SECS, ended, free_ports, greets, until

__all__ = ["Postfix", "running_postfix"]

_MASTER = "/usr/lib/postfix/sbin/master"

_MAIN_CF = """
compatibility_level = 3.6
myhostname = mx.example.org
mydestination =
mynetworks = 127.0.0.0/8
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
queue_directory = {home}/queue
data_directory = {home}/state
maillog_file = {home}/maillog
maillog_file_prefixes = {home}
default_transport = {transport}
disable_dns_lookups = yes
local_recipient_maps =
alias_maps =
alias_database =
"""

# service type private unpriv chroot wakeup maxproc command
_MASTER_CF = """
127.0.0.1:{port} inet n - n - - smtpd
127.0.0.1:{port_without_chunking} inet n - n - - smtpd
    -o smtpd_discard_ehlo_keywords=chunking
cleanup  unix n - n - 0 cleanup
qmgr     unix n - n 300 1 qmgr
tlsmgr   unix - - n 1000? 1 tlsmgr
rewrite  unix - - n - - trivial-rewrite
bounce   unix - - n - 0 bounce
defer    unix - - n - 0 bounce
trace    unix - - n - 0 bounce
flush    unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
smtp     unix - - n - - smtp
error    unix - - n - - error
discard  unix - - n - - discard
anvil    unix - - n - 1 anvil
scache   unix - - n - 1 scache
postlog  unix-dgram n - n - 1 postlogd
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Postfix:
    """A running Postfix; on one of its two ports it does not offer CHUNKING."""

    pid: int
    port: int
    port_without_chunking: int
    log: Path

    def taken(self) -> int:
        """How many messages it has taken until now."""
        return self.log.read_bytes().count(b": message-id=")


@contextmanager
def running_postfix(transport: str) -> Iterator[Postfix]:
    """One that gives all mail to this transport: "discard:", or "smtp:[127.0.0.1]:2525"."""
    port, port_without_chunking = free_ports(2)
    with TemporaryDirectory(prefix="mailstrom-postfix-") as folder:
        home = Path(folder)
        home.chmod(0o755)  # its helpers are other users
        _write_settings(home, transport, port, port_without_chunking)
        # it ends its process group, and must not end ours
        master = subprocess.Popen([_MASTER, "-c", home], start_new_session=True, stdin=subprocess.DEVNULL)
        try:
            until(lambda: greets(port) and greets(port_without_chunking), STARTUP_SECS, "Postfix's greeting")
            yield Postfix(
                pid=master.pid,
                port=port,
                port_without_chunking=port_without_chunking,
                log=home / "maillog",
            )
        finally:
            ended(master)


def _write_settings(home: Path, transport: str, port: int, port_without_chunking: int) -> None:
    for name in ("queue", "state"):
        (home / name).mkdir()
    shutil.chown(home / "state", "postfix")
    (home / "main.cf").write_text(_MAIN_CF.format(home=home, transport=transport), encoding="utf-8")
    ports = {"port": port, "port_without_chunking": port_without_chunking}
    (home / "master.cf").write_text(_MASTER_CF.format(**ports), encoding="utf-8")
    command = ["postfix", "-c", str(home), "check"]  # makes the folders of the queue
    subprocess.run(command, stdin=subprocess.DEVNULL, check=True, start_new_session=True)
