"""A server that plays the scripts of the dialogue tables.

It asks of the client what the script says, and leaves it what is the client's own choice:

- RSET and QUIT (RFC 5321 4.1.1.5, 4.1.1.10): an RSET that is not sent is skipped with its reply,
  one that the script does not have is answered;
- sending RCPT and DATA ahead (RFC 2920): where the script stops before them, they are refused.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from mailstrom.testing.data_reader import DataReader
from mailstrom.testing.peer import Peer

Event = tuple[str, Any]  # ("client", pattern) | ("server", text | {"do": ...})


class WrongClientError(AssertionError):
    """The client sent what the script does not allow."""


def events(script: Sequence[Mapping[str, Any]]) -> list[Event]:
    """What happens, in order."""
    return [event for step in script for event in _of_step(step)]


def without_starttls(script: Sequence[Event]) -> list[Event]:
    """The same for a client that does not ask for TLS any more."""
    kept: list[Event] = []
    skipping = False
    for who, what in script:
        if who == "client":
            skipping = what.startswith(("STARTTLS", "<tls>"))
        if not skipping:
            kept.append((who, what))
    return kept


def _of_step(step: Mapping[str, Any]) -> Iterator[Event]:
    if "client" in step:
        yield "client", step["client"]
    said = step.get("server", [])
    for part in said if isinstance(said, list) else [said]:
        yield "server", part


@dataclass(slots=True)
class VectorServer:
    """Plays one script per connection, the last one again and again."""

    scripts: Sequence[Sequence[Event]]
    context: ssl.SSLContext
    lines: list[bytes] = field(default_factory=list)  # every command line it got
    contents: list[bytes] = field(default_factory=list)
    connections: int = 0
    wrong: str | None = None

    async def __call__(self, peer: Peer) -> None:
        script = self.scripts[min(self.connections, len(self.scripts) - 1)]
        self.connections += 1
        try:
            await self._play(list(script), peer)
        except WrongClientError as error:
            self.wrong = str(error)

    async def _play(self, script: list[Event], peer: Peer) -> None:
        while script:
            who, what = script.pop(0)
            if who == "server":
                if not await self._say(peer, what):
                    return
            elif not await self._hear(script, peer, what):
                return

    async def _say(self, peer: Peer, what: Any) -> bool:
        if isinstance(what, str):
            await peer.write(what.encode())
            return True
        match what["do"]:
            case "close":
                peer.close()
            case "reset":
                peer.reset()
            case "stall":
                await peer.wait_gone()
            case other:
                raise AssertionError(f"unknown in a script: {other}")
        return False

    async def _hear(self, script: list[Event], peer: Peer, pattern: str) -> bool:
        if pattern.startswith("<tls>"):
            await peer.start_tls(self.context)
        for part in pattern.removeprefix("<tls>").strip().split("+"):
            if part in ("<content>", "<just a dot>"):
                if not await self._content(peer, part):
                    return False
            elif part not in ("CONNECT", "") and not await self._line(script, peer, part):
                return False
        return True

    async def _line(self, script: list[Event], peer: Peer, part: str) -> bool:
        """True when the script goes on."""
        while line := await peer.read_line():
            self.lines.append(line)
            verb = line[:4].upper()
            if _fits(line, part):
                return True
            if part.upper().startswith("RSET"):
                self.lines.pop()
                peer.put_back(line)
                while script and script[0][0] == "server":
                    script.pop(0)
                return True
            if verb in (b"RCPT", b"DATA"):
                await peer.write(b"503 5.5.1 there is no transaction\r\n")
            elif verb == b"RSET":
                await peer.write(b"250 2.0.0 ok\r\n")
            elif verb == b"QUIT":
                await peer.write(b"221 2.0.0 bye\r\n")
                return False
            else:
                raise WrongClientError(f"expected {part!r}, got {line!r}")
        return False

    async def _content(self, peer: Peer, part: str) -> bool:
        reader = DataReader()
        while octets := await peer.read_some():
            if reader.feed(octets):
                break
        else:
            return False
        received = reader.result()
        peer.put_back(received.rest)
        if received.fault or (part == "<just a dot>" and received.content):
            raise WrongClientError(f"expected {part}, got {received!r}")
        self.contents.append(received.content)
        return True


def _fits(line: bytes, part: str) -> bool:
    if part.startswith("("):  # a remark: nothing of a dialogue may come
        return False
    return line.upper().startswith(tuple(prefix.upper().encode() for prefix in part.split("|")))
