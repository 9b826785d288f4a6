"""Which name servers are asked, in which order: those of the setup or of resolv.conf.

A server that did not answer goes to the end of the list for a while, so that a dead first one
costs one wait and not one in every look-up.
"""

from __future__ import annotations

import ipaddress
import logging
import os
from collections.abc import Iterable

from ..abc import Clock
from ..config import ResolverSetup
from ..errors import MailstromError
from .dns_exchange import NameServer

PENALTY_SECS = 60.0
RECHECK_SECS = 30.0
RESOLV_CONF = "/etc/resolv.conf"

_log = logging.getLogger("mailstrom.dns")


class ResolverError(MailstromError):
    """No name server can be asked: the setup cannot be used as it stands."""


def read_nameservers(resolv_conf: str) -> tuple[str, ...]:
    """The name servers that the text of a resolv.conf names; lines that make no sense are passed over."""
    lines = (line.split() for line in resolv_conf.splitlines())
    named = (words[1] for words in lines if len(words) > 1 and words[0] == "nameserver")
    return tuple(dict.fromkeys(address for address in named if _is_ip(address)))


class NameServers:
    """The list, and who did not answer lately. Used in the worker's loop only.

    Raises `ResolverError` when made without any server to ask; later the file may change or
    vanish: it is read again, and the last good list is kept.
    """

    def __init__(self, setup: ResolverSetup, clock: Clock, resolv_conf: str = RESOLV_CONF) -> None:
        self._setup = setup
        self._clock = clock
        self._path = resolv_conf
        self._bad_until: dict[NameServer, float] = {}
        self._changed_at = _mtime(resolv_conf)
        self._checked_at = clock.monotonic()
        self._servers = self._read()

    def in_order(self, after: NameServer | None = None) -> tuple[NameServer, ...]:
        """Whom to ask, best first; `after` was asked already and comes last of those that answer."""
        self._read_again_if_changed()
        now = self._clock.monotonic()

        def rank(server: NameServer) -> tuple[bool, bool, float]:
            bad_secs = max(0.0, self._bad_until.get(server, 0.0) - now)
            return (bad_secs > 0, server == after, bad_secs)

        return tuple(sorted(self._servers, key=rank))

    def note_silence(self, server: NameServer) -> None:
        """It did not answer: others are asked first for a while."""
        self._bad_until[server] = self._clock.monotonic() + PENALTY_SECS

    def note_answer(self, server: NameServer) -> None:
        """It answered, whatever it said."""
        self._bad_until.pop(server, None)

    def _read_again_if_changed(self) -> None:
        now = self._clock.monotonic()
        if self._setup.nameservers or now - self._checked_at < RECHECK_SECS:
            return
        self._checked_at = now
        changed_at = _mtime(self._path)
        if changed_at == self._changed_at:
            return
        self._changed_at = changed_at
        try:
            self._servers = self._read()
        except ResolverError as error:
            _log.warning("%s; the name servers read before are still asked", error)

    def _read(self) -> tuple[NameServer, ...]:
        setup = self._setup
        addresses = setup.nameservers or self._system_addresses()
        return tuple(
            NameServer(address, setup.port, setup.protocol, setup.tls_dns_name) for address in addresses
        )

    def _system_addresses(self) -> Iterable[str]:
        if os.name == "nt":
            return _windows_addresses()
        try:
            with open(self._path, encoding="utf-8", errors="replace") as file:
                addresses = read_nameservers(file.read())
        except OSError as error:
            raise ResolverError(f"{self._path} cannot be read: {error}") from error
        if not addresses:
            raise ResolverError(
                f"{self._path} names no name server: use ResolverSetup.specific('192.0.2.53'), or mend it"
            )
        return addresses


def _windows_addresses() -> Iterable[str]:
    import dns.exception
    import dns.resolver

    try:
        return [str(server) for server in dns.resolver.Resolver().nameservers]
    except (dns.exception.DNSException, OSError) as error:
        raise ResolverError(f"the system names no name server: {error}") from error


def _is_ip(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _mtime(path: str) -> float | None:
    try:
        return os.stat(path).st_mtime
    except OSError:
        return None
