"""A server that follows a script, however wrong.

    ScriptedServer([
        send("220 mx.example ESMTP"),
        expect("EHLO "), send("250-mx.example\\r\\n250 PIPELINING"),
        expect("MAIL FROM:+RCPT TO:+DATA"), send("250 ok\\r\\n550 no\\r\\n354 go"),
        expect("<just a dot>"), reset(),
    ])

A step is a function of the conversation; the ones here may be mixed with your own.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from .chunks import read_bdat
from .data_reader import DataReader
from .peer import Peer

if TYPE_CHECKING:
    import ssl


class ScriptError(AssertionError):
    """The client sent what the script did not expect."""


@dataclass(slots=True, kw_only=True)
class Transcript:
    """What one connection received, and how far its script came."""

    ordinal: int
    ip: str
    clear: bytearray = field(default_factory=bytearray)  # received outside TLS
    in_tls: bytearray = field(default_factory=bytearray)  # received inside TLS, decrypted
    contents: list[bytes] = field(default_factory=list)  # of `<content>`, dots undone, and `<chunk>`
    played: int = 0  # steps done
    ended: bool = False

    @property
    def received(self) -> bytes:
        """Everything, in order."""
        return bytes(self.clear + self.in_tls)


@dataclass(frozen=True, slots=True)
class Conversation:
    """What a step works on."""

    peer: Peer
    transcript: Transcript


Step = Callable[[Conversation], Awaitable[None]]


class _ClientGone(Exception):
    """The client has ended its stream while the script waited for more."""


class ScriptedServer:
    """Plays one script per connection: the n-th for the n-th, the last one for all after it.

    When a script is done the connection is closed (FIN). A line that does not fit raises
    `ScriptError`; a client that leaves early just ends the script: see `transcripts`.
    """

    def __init__(self, script: Sequence[Step], *more: Sequence[Step]) -> None:
        self._scripts = (script, *more)
        self._transcripts: list[Transcript] = []
        self._changed = threading.Condition()

    @property
    def transcripts(self) -> tuple[Transcript, ...]:
        """One per connection, oldest first."""
        return tuple(self._transcripts)

    def wait_for(self, there: Callable[[Sequence[Transcript]], bool], timeout: float = 10.0) -> bool:
        """For other threads: True as soon as it holds, False when it does not within `timeout` seconds."""
        with self._changed:
            return self._changed.wait_for(lambda: there(self.transcripts), timeout)

    async def __call__(self, peer: Peer) -> None:
        """Serves one connection."""
        transcript = self._begin(peer)
        script = self._scripts[min(transcript.ordinal, len(self._scripts)) - 1]
        try:
            await self._play(script, Conversation(peer, transcript))
        except _ClientGone:
            return
        except ScriptError:
            peer.reset()
            raise
        finally:
            transcript.ended = True
            self._note()

    def _begin(self, peer: Peer) -> Transcript:
        transcript = Transcript(ordinal=len(self._transcripts) + 1, ip=peer.ip)
        self._transcripts.append(transcript)

        def hear(octets: bytes) -> None:
            (transcript.clear if peer.tls is None else transcript.in_tls).extend(octets)
            self._note()

        peer.tap(hear)
        return transcript

    async def _play(self, script: Sequence[Step], conversation: Conversation) -> None:
        for step in script:
            await step(conversation)
            conversation.transcript.played += 1
            self._note()

    def _note(self) -> None:
        with self._changed:
            self._changed.notify_all()


# -- steps ---------------------------------------------------------------------------------


def expect(pattern: str) -> Step:
    """Reads what the client sends.

    `"EHLO "` a line that begins so, in any case; `"MAIL|QUIT"` either; `"MAIL+RCPT+DATA"` one
    line each; `"<content>"` the content through its final dot; `"<just a dot>"` that alone;
    `"<chunk>"` a BDAT line and its octets; `"CONNECT"` nothing.
    """

    async def step(conversation: Conversation) -> None:
        for part in pattern.split("+"):
            await _expect_one(conversation, part)

    return step


def send(octets: str | bytes) -> Step:
    """Sends text as UTF-8 with a CRLF where it has none at its end; octets as they are."""

    async def step(conversation: Conversation) -> None:
        await conversation.peer.write(_as_octets(octets))

    return step


def drip(octets: str | bytes, *, size: int = 1, every_secs: float = 0.001) -> Step:
    """Sends `size` octets at a time."""
    whole = _as_octets(octets)
    return send_parts([whole[start : start + size] for start in range(0, len(whole), size)], every_secs)


def send_split(octets: str | bytes, *, at: int, pause_secs: float = 0.001) -> Step:
    """Sends in two parts, parted before the octet `at`."""
    whole = _as_octets(octets)
    return send_parts([whole[:at], whole[at:]], pause_secs)


def send_parts(parts: Sequence[bytes], pause_secs: float = 0.001) -> Step:
    """Sends the parts with a pause between them, long enough to arrive apart."""

    async def step(conversation: Conversation) -> None:
        for number, part in enumerate(parts):
            if number:
                await asyncio.sleep(pause_secs)
            await conversation.peer.write(part)

    return step


def send_for_ever(octets: str | bytes, *, every_secs: float = 0.0) -> Step:
    """Sends the same again and again until the client is gone."""

    async def step(conversation: Conversation) -> None:
        while True:
            await conversation.peer.write(_as_octets(octets))
            await asyncio.sleep(every_secs)

    return step


def read_octets(count: int) -> Step:
    """Reads at least so many octets, of the content for example."""

    async def step(conversation: Conversation) -> None:
        left = count
        while left > 0:
            left -= len(await _some(conversation))

    return step


def pause(secs: float) -> Step:
    """Does nothing for a while."""

    async def step(_: Conversation) -> None:
        await asyncio.sleep(secs)

    return step


def hang() -> Step:
    """Says nothing more until the client is gone."""

    async def step(conversation: Conversation) -> None:
        await conversation.peer.wait_gone()

    return step


def stop_reading() -> Step:
    """Takes nothing more off the connection, so that the client's writes pile up."""

    async def step(conversation: Conversation) -> None:
        conversation.peer.stop_reading()

    return step


def close() -> Step:
    """Ends the connection politely (FIN)."""

    async def step(conversation: Conversation) -> None:
        conversation.peer.close()

    return step


def reset() -> Step:
    """Ends the connection at once (RST)."""

    async def step(conversation: Conversation) -> None:
        conversation.peer.reset()

    return step


def start_tls(context: ssl.SSLContext) -> Step:
    """The server's side of the handshake. For garbage instead of one, `send` it."""

    async def step(conversation: Conversation) -> None:
        await conversation.peer.start_tls(context)

    return step


# -- helpers -------------------------------------------------------------------------------


async def _expect_one(conversation: Conversation, part: str) -> None:
    if part in ("<content>", "<just a dot>"):
        await _expect_content(conversation, part)
    elif part == "<chunk>":
        await _expect_chunk(conversation)
    elif part != "CONNECT":
        line = await conversation.peer.read_line()
        if not line:
            raise _ClientGone
        if not line.upper().startswith(tuple(prefix.upper().encode() for prefix in part.split("|"))):
            raise ScriptError(f"expected {part!r}, the client sent {line[:200]!r}")


async def _expect_content(conversation: Conversation, part: str) -> None:
    reader = DataReader()
    while not reader.feed(await _some(conversation)):
        continue
    received = reader.result()
    conversation.peer.put_back(received.rest)
    if part == "<just a dot>" and received.content:
        raise ScriptError(f"expected just a dot, the client sent {received.content[:200]!r}")
    conversation.transcript.contents.append(received.content)


async def _expect_chunk(conversation: Conversation) -> None:
    line = await conversation.peer.read_line()
    if not line:
        raise _ClientGone
    verb, _, argument = line.decode("latin-1").strip().partition(" ")
    chunk = read_bdat(argument)
    if verb.upper() != "BDAT" or chunk is None:
        raise ScriptError(f"expected a chunk, the client sent {line[:200]!r}")
    octets = await conversation.peer.read_octets(chunk.size)
    if len(octets) < chunk.size:
        raise _ClientGone
    conversation.transcript.contents.append(octets)


async def _some(conversation: Conversation) -> bytes:
    octets = await conversation.peer.read_some()
    if not octets:
        raise _ClientGone
    return octets


def _as_octets(octets: str | bytes) -> bytes:
    if isinstance(octets, bytes):
        return octets
    return octets.encode() if octets.endswith("\n") else octets.encode() + b"\r\n"
