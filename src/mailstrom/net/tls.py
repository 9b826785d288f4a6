"""Client contexts for TLS: at least TLS 1.2, OpenSSL's default ciphers (RFC 8996, RFC 9325).

Opportunistic TLS to an MX takes any certificate: it is better than clear text, which would be
the alternative (RFC 7435). A relay is verified, chain and name (RFC 8314). Sessions are resumed, each
in the context in which it was made (see `tls_sessions`).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import ssl


class TlsContexts:
    """Gives the context for verified or unverified TLS; each is made when it is first asked for.

    `ca_file` (PEM) is trusted instead of the system's authorities; `monotonic` is the clock by which
    sessions age. Belongs to its maker, and is used in one thread.
    """

    def __init__(
        self, ca_file: str | None = None, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._ca_file = ca_file
        self._monotonic = monotonic
        self._made: dict[bool, ssl.SSLContext] = {}

    def __call__(self, verified: bool, /) -> ssl.SSLContext:
        """The context; `verified`: for one that checks the peer's chain and name."""
        if verified not in self._made:
            self._made[verified] = self._make(verified)
        return self._made[verified]

    def _make(self, verified: bool) -> ssl.SSLContext:
        from .tls_sessions import TlsSessions

        context = _verifying(self._ca_file) if verified else _accepting()
        TlsSessions(self._monotonic).serve(context)
        return context


def _verifying(ca_file: str | None) -> ssl.SSLContext:
    import ssl

    return _hardened(ssl.create_default_context(ssl.Purpose.SERVER_AUTH, cafile=ca_file))


def _accepting() -> ssl.SSLContext:
    import ssl

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return _hardened(context)


def _hardened(context: ssl.SSLContext) -> ssl.SSLContext:
    import ssl

    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
    return context
