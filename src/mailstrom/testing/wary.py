"""A server that refuses what it finds behind a final dot, as Haraka does: it might have been smuggled in."""

from __future__ import annotations

from .commands import PathArgument
from .data_reader import ReceivedData
from .dialogue import Dialogue

REFUSAL = "503 5.5.0 pipelined after the end of the content"


class WaryDialogue(Dialogue):
    """A session that believes only what is sent when its reply to the content was heard."""

    _is_behind = False

    async def _content(self, mail: PathArgument, received: ReceivedData) -> None:
        self._is_behind = b"\n" in self._peer.unread()
        await super()._content(mail, received)

    async def _obey(self, line: bytes) -> None:
        if not self._is_behind:
            await super()._obey(line)
            return
        self._is_behind = b"\n" in self._peer.unread()
        self._session.commands.append(line.decode("utf-8", "replace").rstrip("\r\n"))
        await self._reply(REFUSAL)
