"""TLS sessions that are resumed: what makes the next handshake with the same server shorter.

A handshake that resumes a session (RFC 8446 section 2.2, RFC 5077) brings no certificate and no signature,
and with TLS 1.2 takes one round trip less. So what was verified in the full one must hold for it:

- A session belongs to one context, and so to one demand (verified, or any certificate), to the name that
  was asked for, and to one address and port.
- It is kept when something was read inside TLS: its handshake was completed then, and a server of TLS 1.3
  has sent its tickets. It is offered for an hour, or as long as the server says where that is less. To
  resume it does not prolong that: it proves nothing of the certificate anew (RFC 8446 section 4.6.1).
- A server that knows it no more goes on with a full handshake, which brings another one. Where a handshake
  fails in which it was offered, that server is offered none for an hour (see `ResumptionError`).

Event loops take no session to begin with. But the class of their `SSLObject` is the context's to choose: ours
looks up what `resuming` left for the name that is asked for, and takes the session from there.
"""

from __future__ import annotations

import ssl
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar

from ..abc import ResumptionError

AGE_LIMIT_SECS = 3600.0  # Postfix: smtp_tls_session_cache_timeout
SESSIONS_LIMIT = 2000  # 6 KB each, most of it the server's certificate

#: Address, port, and the name that is asked for.
Server = tuple[str, int, str | None]


@dataclass(frozen=True, slots=True)
class Kept:
    """What stands for a server: a session, or that it is offered none."""

    session: ssl.SSLSession | None
    until: float


class Handshake:
    """One that is about to begin, and whether a session was offered in it."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.offered = False


class TlsSessions:
    """The session to resume with each server, for one context. Used in one thread.

    `monotonic` is the clock by which they age. Beyond `limit` what was not used for longest goes.
    """

    def __init__(self, monotonic: Callable[[], float], limit: int = SESSIONS_LIMIT) -> None:
        self._monotonic = monotonic
        self._limit = limit
        self._kept: OrderedDict[Server, Kept] = OrderedDict()
        self.about_to_begin: list[Handshake] = []  # the loop begins them in this order, and soon

    def __len__(self) -> int:
        return len(self._kept)

    def serve(self, context: ssl.SSLContext) -> None:
        """From now on handshakes of this context within `resuming` use what is kept, and add to it."""
        context.sslobject_class = type("ResumingObject", (ResumingObject,), {"sessions": self})

    def find(self, server: Server) -> Kept | None:
        """What stands for this server now."""
        kept = self._kept.get(server)
        if kept is None:
            return None
        if kept.until <= self._monotonic():
            del self._kept[server]
            return None
        self._kept.move_to_end(server)
        return kept

    def keep(self, server: Server, session: ssl.SSLSession, version: str | None) -> None:
        """Has a session that a full handshake made just now stand for this server."""
        if secs := lifetime_secs(session, version):
            self._put(server, Kept(session, self._monotonic() + secs))

    def shun(self, server: Server) -> None:
        """Offers this server none for an hour."""
        self._put(server, Kept(None, self._monotonic() + AGE_LIMIT_SECS))

    def begun(self, name: str | None) -> Handshake | None:
        """The handshake that begins now, with a server of this name."""
        for handshake in self.about_to_begin:
            if handshake.server[2] == name:
                self.about_to_begin.remove(handshake)
                return handshake
        return None

    def _put(self, server: Server, kept: Kept) -> None:
        self._kept[server] = kept
        self._kept.move_to_end(server)
        while len(self._kept) > self._limit or next(iter(self._kept.values())).until <= self._monotonic():
            self._kept.popitem(last=False)


class ResumingObject(ssl.SSLObject):
    """The client's end of one connection: it resumes a session, or brings one."""

    sessions: ClassVar[TlsSessions]
    _has_begun = False
    _server: Server | None = None  # whose session may be kept
    _found: Kept | None = None  # what stood for it when the handshake began

    def do_handshake(self) -> None:
        if not self._has_begun:
            self._has_begun = True
            if (handshake := self.sessions.begun(self.server_hostname)) is not None:
                self._begin(handshake)
        super().do_handshake()

    def read(self, *args: Any, **kwargs: Any) -> bytes:
        octets = super().read(*args, **kwargs)
        if self._server is not None:
            self._keep(self._server)
        return octets

    def _begin(self, handshake: Handshake) -> None:
        found = self.sessions.find(handshake.server)
        if found is None:
            self._server = handshake.server
        elif found.session is not None:
            self._server, self._found = handshake.server, found
            self.session, handshake.offered = found.session, True

    def _keep(self, server: Server) -> None:
        self._server = None
        if self.session_reused or self.sessions.find(server) is not self._found:
            return  # it stands, or another connection was quicker: to read one takes some time
        if (session := self.session) is not None:
            self.sessions.keep(server, session, self.version())


@contextmanager
def resuming(context: ssl.SSLContext, name: str | None, peername: tuple[Any, ...] | None) -> Iterator[None]:
    """Lets the one handshake that is begun within resume a session with this peer, asked for by this name.

    Raises `ResumptionError` in the place of what it failed with where one was offered in it.
    """
    kind = context.sslobject_class
    if peername is None or not issubclass(kind, ResumingObject):
        yield
        return
    sessions, handshake = kind.sessions, Handshake((*peername[:2], name))
    sessions.about_to_begin.append(handshake)
    try:
        yield
    except OSError as error:
        if not handshake.offered:
            raise
        sessions.shun(handshake.server)
        if isinstance(error, ssl.SSLCertVerificationError):  # the server chose a full handshake
            raise
        raise ResumptionError(str(error)) from error
    finally:
        if handshake in sessions.about_to_begin:  # it ended before it began
            sessions.about_to_begin.remove(handshake)


def lifetime_secs(session: ssl.SSLSession, version: str | None) -> float:
    """How long it may be offered; 0: it cannot be resumed."""
    # RFC 5077 3.3: a hint of 0 says nothing; RFC 8446 4.6.1: it says "not at all"
    if session.has_ticket and (session.ticket_lifetime_hint or version == "TLSv1.3"):
        return min(AGE_LIMIT_SECS, session.ticket_lifetime_hint)
    return AGE_LIMIT_SECS if session.has_ticket or session.id else 0.0
