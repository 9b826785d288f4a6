"""A server's end of TLS on a real socket that decides which records are written together."""

from __future__ import annotations

import socket
import ssl
from contextlib import suppress


class TlsByHand:
    """TLS over a blocking connection; what is said waits for `flush`, together with our last flight."""

    def __init__(self, connection: socket.socket, context: ssl.SSLContext) -> None:
        self._connection = connection
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=True)

    def shake_hands(self) -> None:
        """The handshake; our last flight waits for what is said next."""
        while True:
            try:
                self._tls.do_handshake()
            except ssl.SSLWantReadError:
                self.flush()
                if not self._take():
                    raise ConnectionResetError("the client left in the handshake") from None
            else:
                return

    def say(self, octets: bytes) -> None:
        """Puts octets behind what waits to be written."""
        self._tls.write(octets)

    def part(self) -> None:
        """Puts our farewell behind it."""
        with suppress(ssl.SSLWantReadError):  # theirs is not waited for
            self._tls.unwrap()

    def flush(self) -> None:
        """Writes all that waits, at once."""
        self._connection.sendall(self._outgoing.read())

    def hear(self) -> bytes:
        """What the client says next; b"" at its end."""
        while True:
            try:
                return self._tls.read(65536)
            except ssl.SSLWantReadError:
                if not self._take():
                    return b""
            except ssl.SSLZeroReturnError:
                return b""

    def _take(self) -> bool:
        octets = self._connection.recv(65536)
        self._incoming.write(octets)
        return bool(octets)
