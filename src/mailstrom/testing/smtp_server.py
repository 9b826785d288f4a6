"""SMTP servers to test against: a strict receiving one, and one that follows a script.

    server = SmtpServer(name="mx.dest.example", on_rcpt=greylist())
    network.listen("192.0.2.25", 25, server)               in memory, on a virtual loop
    with LoopbackServer(server) as running: ...            on 127.0.0.1, in a thread of its own
    server.ledger.messages

`SmtpServer` keeps to RFC 5321 and refuses what does not: it notes as a violation everything
that no correct client would send. `ScriptedServer` does what it is told, however wrong.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Unpack

from .dialogue import Dialogue
from .hooks import Action, Answer, Hook, Hooks, HookTable, Stage, greylist
from .ledger import Ledger, ReceivedMessage, Session
from .loopback import LoopbackServer
from .sasl import MECHANISMS
from .script import ScriptedServer, ScriptError
from .wary import WaryDialogue

if TYPE_CHECKING:
    import ssl

    from .peer import Peer

__all__ = [
    "DEFAULT_EXTENSIONS",
    "Action",
    "Answer",
    "Hook",
    "Ledger",
    "LoopbackServer",
    "ReceivedMessage",
    "ScriptError",
    "ScriptedServer",
    "Session",
    "SmtpServer",
    "Stage",
    "greylist",
]

#: STARTTLS is offered beside these where there is a TLS context, AUTH where there are credentials.
DEFAULT_EXTENSIONS = frozenset({"PIPELINING", "SIZE", "8BITMIME", "SMTPUTF8", "DSN", "ENHANCEDSTATUSCODES"})


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerSettings:
    """What a server is and offers."""

    name: str
    extensions: frozenset[str]
    tls_context: ssl.SSLContext | None
    implicit_tls: bool
    credentials: Mapping[str, str]
    auth_mechanisms: Sequence[str]
    size_limit: int | None
    recipient_limit: int | None
    limits: Mapping[str, int]
    idle_secs: float | None
    delays: Mapping[str, float]

    def offers(self, keyword: str, *, in_tls: bool) -> bool:
        """Whether EHLO names it now."""
        if keyword == "STARTTLS":
            return self.tls_context is not None and not in_tls
        if keyword == "AUTH":
            return bool(self.credentials) and not self.offers("STARTTLS", in_tls=in_tls)
        return keyword in self.extensions

    def offered_lines(self, *, in_tls: bool) -> list[str]:
        """What EHLO says after the name."""
        lines = sorted(self.extensions - {"SIZE", "STARTTLS", "AUTH"})
        if "SIZE" in self.extensions:
            lines.append(f"SIZE {self.size_limit}" if self.size_limit else "SIZE")
        if self.limits:
            lines.append(" ".join(["LIMITS", *(f"{name}={limit}" for name, limit in self.limits.items())]))
        if self.offers("AUTH", in_tls=in_tls):
            lines.append(f"AUTH {' '.join(self.auth_mechanisms)}")
        return [*lines, "STARTTLS"] if self.offers("STARTTLS", in_tls=in_tls) else lines


class SmtpServer:
    """A correct, strict receiving server that takes every recipient, unless told otherwise.

    - `tls_context` offers STARTTLS, or TLS from the first octet with `implicit_tls`;
    - `credentials` (user to password) offers AUTH, inside TLS only where there is TLS, and
      requires it before MAIL;
    - `extensions` with "CHUNKING" takes BDAT too, where `on_content` answers the last chunk;
    - `size_limit` in octets; `recipient_limit` per transaction, 452 after that;
    - `limits` are offered as LIMITS: `{"RCPTMAX": 10}`; who passes one gets 452, which is noted as
      a violation;
    - `idle_secs` ends a silent session with 421;
    - `refuses_behind_dot`: 503 to commands that come together with the end of a content;
    - `delays` in seconds before the reply of a stage: `{"rcpt": 2.0, "content": 300.0}`;
    - `on_greeting`, `on_ehlo`, `on_starttls`, `on_auth`, `on_mail`, `on_rcpt`, `on_data`,
      `on_content`, `on_rset`, `on_quit` answer in its place (see `Hook`). An answer of the
      class that means yes has the effect of a yes: 251 to RCPT is a recipient.

    One server may answer at several addresses; it has one ledger.
    """

    def __init__(
        self,
        *,
        name: str = "mx.dest.example",
        extensions: Collection[str] = DEFAULT_EXTENSIONS,
        tls_context: ssl.SSLContext | None = None,
        implicit_tls: bool = False,
        credentials: Mapping[str, str] | None = None,
        auth_mechanisms: Sequence[str] = MECHANISMS,
        size_limit: int | None = None,
        recipient_limit: int | None = None,
        limits: Mapping[str, int] | None = None,
        idle_secs: float | None = None,
        refuses_behind_dot: bool = False,
        delays: Mapping[str, float] | None = None,
        **hooks: Unpack[Hooks],
    ) -> None:
        self.ledger = Ledger()
        self._dialogue = WaryDialogue if refuses_behind_dot else Dialogue
        self._hooks = HookTable(hooks)
        self._settings = ServerSettings(
            name=name,
            extensions=frozenset(keyword.upper() for keyword in extensions),
            tls_context=tls_context,
            implicit_tls=implicit_tls,
            credentials=dict(credentials or {}),
            auth_mechanisms=tuple(auth_mechanisms),
            size_limit=size_limit,
            recipient_limit=recipient_limit,
            limits=dict(limits or {}),
            idle_secs=idle_secs,
            delays=dict(delays or {}),
        )

    async def __call__(self, peer: Peer) -> None:
        """Serves one connection."""
        await self._dialogue(self._settings, self._hooks, self.ledger, peer).run()
