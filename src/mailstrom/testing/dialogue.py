"""One session of the strict receiving server: RFC 5321 section 4 from the other side.

    greeting, EHLO [STARTTLS EHLO] [AUTH], then any number of  MAIL RCPT+ DATA content,  QUIT

or BDAT with its octets, once or more, for DATA and the content.

Replies are held back while more commands are waiting, as RFC 2920 3.2 asks of a server that
offers PIPELINING; a client that sends ahead where it must wait is refused.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import re
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from .advertised_limits import LimitsOfSession
from .chunks import ANY_TIME, Chunks, read_bdat
from .commands import (
    PathArgument,
    is_helo_name,
    read_mail,
    read_rcpt,
    unknown_mail_parameters,
    unknown_rcpt_parameters,
)
from .data_reader import DataReader, ReceivedData
from .hooks import Action, HookTable, Stage
from .ledger import Ledger, ReceivedMessage, Session
from .sasl import authenticate

if TYPE_CHECKING:
    from .peer import Peer
    from .smtp_server import ServerSettings

COMMAND_LIMIT = 12 * 1024 + 2  # RFC 4954 4: the longest an AUTH response may be

# RFC 2920 3.1: these can only stand last in a group; RFC 3207 4 and RFC 4954 4 say so of theirs
_LAST_OF_GROUP = frozenset({"EHLO", "HELO", "DATA", "VRFY", "QUIT", "NOOP", "STARTTLS", "AUTH"})
_ENHANCED = re.compile(r"^([245]\d\d) [245]\.\d{1,3}\.\d{1,3} ")


class _Over(Exception):
    """The session has come to its end."""


class _Refusal(Exception):
    """What no correct client sends, unless it sent ahead and could not know what came before."""

    def __init__(self, text: str, *, might_be_ahead: bool = False) -> None:
        super().__init__(text)
        self.text = text
        self.might_be_ahead = might_be_ahead


class Dialogue:
    """Serves one connection with the settings, hooks and ledger of its server."""

    def __init__(self, settings: ServerSettings, hooks: HookTable, ledger: Ledger, peer: Peer) -> None:
        self._settings = settings
        self._hooks = hooks
        self._ledger = ledger
        self._peer = peer
        self._session: Session
        self._held_back: list[bytes] = []
        self._unknown = "502 5.5.1 command not implemented"
        self._extended = False  # EHLO, not HELO
        self._mail: PathArgument | None = None
        self._recipients: list[str] = []
        self._chunks = Chunks()
        self._limits = LimitsOfSession(settings.limits)
        self._commands: dict[str, Callable[[str], Awaitable[None]]] = {
            "EHLO": self._ehlo,
            "HELO": self._helo,
            "STARTTLS": self._starttls,
            "AUTH": self._auth,
            "MAIL": self._mail_from,
            "RCPT": self._rcpt_to,
            "DATA": self._data,
            **({"BDAT": self._bdat} if self._offers("CHUNKING") else {}),
            "RSET": self._rset,
            "NOOP": self._noop,
            "VRFY": self._vrfy,
            "QUIT": self._quit,
        }

    async def run(self) -> None:
        """The whole session; returns when the connection is to be closed."""
        loop = asyncio.get_running_loop()
        self._session = self._ledger.begin(self._peer.ip, loop.time())
        try:
            await self._talk()
        except _Over:
            await self._flush()
        finally:
            self._ledger.end(self._session, loop.time())

    async def _talk(self) -> None:
        if self._settings.implicit_tls:
            await self._secure()
        code = await self._answer(Stage.GREETING, self._peer.ip, f"220 {self._settings.name} ESMTP")
        if code // 100 != 2:
            self._commands = {"QUIT": self._quit}  # RFC 5321 3.1: wait for QUIT, refuse the rest
            self._unknown = "503 5.5.1 no service here"
        while True:
            await self._obey(await self._next_line())

    # -- lines in and out ------------------------------------------------------------------

    async def _next_line(self) -> bytes:
        try:
            async with asyncio.timeout(self._settings.idle_secs):
                line = await self._peer.read_line(COMMAND_LIMIT)
        except TimeoutError:
            await self._reply("421 4.4.2 idle for too long")
            raise _Over from None
        if not line.endswith(b"\r\n") and len(line) < COMMAND_LIMIT:
            raise _Over  # the client has ended its stream
        return line

    async def _obey(self, line: bytes) -> None:
        text = line.removesuffix(b"\r\n").decode("utf-8", "surrogateescape")
        self._session.commands.append(text)
        verb, _, argument = text.partition(" ")
        try:
            if not line.endswith(b"\r\n") or any(mark in text for mark in "\r\n\0"):
                raise _Refusal("500 5.5.2 a line ends with CRLF, and has no CR, LF or NUL within")
            if self._sent_ahead(verb.upper()):
                raise _Refusal("421 5.5.0 wait for the reply first")
            if self._chunks.refused and verb.upper() not in ANY_TIME:
                raise _Refusal("503 5.5.1 RSET first")
            await self._commands.get(verb.upper(), self._not_known)(argument)
        except _Refusal as refusal:
            await self._refuse(refusal)

    def _sent_ahead(self, verb: str) -> bool:
        return bool(self._peer.unread()) and (verb in _LAST_OF_GROUP or not self._offers("PIPELINING"))

    async def _answer(self, stage: Stage, argument: str, usual: str) -> int:
        """Replies with the hook's answer or the usual one; its code, 0 when it has none."""
        answer = self._hooks.answer(stage, argument)
        if delay := self._settings.delays.get(stage, 0.0):
            await self._flush()
            await asyncio.sleep(delay)
        if isinstance(answer, Action):
            await self._act(answer)
        if isinstance(answer, bytes):
            await self._send(answer)
            return int(answer[:3]) if answer[:3].isdigit() else 0
        text = self._worded(usual) if answer is None else answer
        await self._say(text)
        return int(text[:3]) if text[:3].isdigit() else 0

    async def _act(self, action: Action) -> None:
        await self._flush()
        if action is Action.RESET:
            self._peer.reset()
        elif action is Action.HANG:
            await self._peer.wait_gone()
        raise _Over

    async def _refuse(self, refusal: _Refusal) -> None:
        if not (refusal.might_be_ahead and self._offers("PIPELINING")):
            self._session.violations.append(f"{self._session.commands[-1]}: {refusal.text}")
        await self._reply(refusal.text)

    async def _reply(self, text: str) -> None:
        await self._say(self._worded(text))

    def _worded(self, text: str) -> str:
        """RFC 2034 4: enhanced status codes only where they were offered."""
        return text if self._offers("ENHANCEDSTATUSCODES") else _ENHANCED.sub(r"\1 ", text)

    async def _say(self, text: str) -> None:
        lines = text.splitlines()
        await self._send(b"".join(line.encode("utf-8", "surrogateescape") + b"\r\n" for line in lines))
        if text.startswith("421"):
            await self._flush()
            raise _Over

    async def _send(self, octets: bytes) -> None:
        self._session.replies.append(octets.decode("utf-8", "replace").rstrip("\r\n"))
        self._held_back.append(octets)
        if b"\r\n" not in self._peer.unread():
            await self._flush()

    async def _flush(self) -> None:
        if self._held_back:
            octets = b"".join(self._held_back)
            self._held_back.clear()
            await self._peer.write(octets)

    # -- commands --------------------------------------------------------------------------

    async def _ehlo(self, argument: str) -> None:
        if not is_helo_name(argument):
            raise _Refusal("501 5.5.4 EHLO wants a domain or an address literal")
        offered = [self._settings.name, *self._settings.offered_lines(in_tls=self._peer.tls is not None)]
        usual = "\n".join(f"250{' ' if line is offered[-1] else '-'}{line}" for line in offered)
        await self._greeted(argument, usual, extended=True)

    async def _helo(self, argument: str) -> None:
        if not is_helo_name(argument):
            raise _Refusal("501 5.5.4 HELO wants a domain")
        await self._greeted(argument, f"250 {self._settings.name}", extended=False)

    async def _greeted(self, name: str, usual: str, *, extended: bool) -> None:
        if await self._answer(Stage.EHLO, name, usual) // 100 == 2:
            self._session.helo, self._extended = name, extended
            self._limits.are_told = "LIMITS" in self._session.replies[-1]
            self._forget_transaction()

    def _offers(self, keyword: str) -> bool:
        return self._settings.offers(keyword, in_tls=self._peer.tls is not None)

    async def _starttls(self, argument: str) -> None:
        if argument:
            raise _Refusal("501 5.5.4 STARTTLS has no argument")
        if not self._offers("STARTTLS"):
            raise _Refusal("502 5.5.1 STARTTLS is not offered")
        if await self._answer(Stage.STARTTLS, "", "220 2.0.0 go ahead") // 100 == 2:
            await self._secure()
            self._session.helo = None  # RFC 3207 4.2: what was said before is forgotten
            self._forget_transaction()

    async def _secure(self) -> None:
        assert self._settings.tls_context is not None, "implicit_tls needs a tls_context"
        await self._peer.start_tls(self._settings.tls_context)
        self._session.tls = self._peer.tls.version() if self._peer.tls else None

    async def _auth(self, argument: str) -> None:
        mechanism, _, initial = argument.partition(" ")
        if self._session.helo is None or self._session.user or self._mail or not self._offers("AUTH"):
            raise _Refusal("503 5.5.1 AUTH has no place here")
        if mechanism.upper() not in self._settings.auth_mechanisms:
            raise _Refusal("504 5.5.4 that mechanism is not offered")
        try:
            user = await self._credentials(mechanism.upper(), initial)
        except binascii.Error as error:
            raise _Refusal("501 5.5.2 cannot decode that base64") from error
        usual = "235 2.7.0 welcome" if user else "535 5.7.8 authentication credentials invalid"
        if await self._answer(Stage.AUTH, mechanism.upper(), usual) // 100 == 2:
            self._session.user = user

    async def _credentials(self, mechanism: str, initial: str) -> str | None:
        async def ask(challenge: bytes) -> bytes:
            await self._send(b"334 " + base64.b64encode(challenge) + b"\r\n")
            response = (await self._next_line()).removesuffix(b"\r\n")
            self._session.commands.append(response.decode("utf-8", "replace"))
            return base64.b64decode(response, validate=True)  # "*", which cancels, is refused as well

        first = base64.b64decode(initial.removeprefix("="), validate=True) if initial else None  # "=": empty
        challenge = f"<{self._session.ordinal}.{len(self._session.commands)}@{self._settings.name}>"
        return await authenticate(mechanism, first, ask, self._settings.credentials, challenge.encode())

    async def _mail_from(self, argument: str) -> None:
        found = read_mail(argument)
        if found is None:
            raise _Refusal("501 5.5.4 not the syntax of MAIL")
        if self._session.helo is None or self._mail is not None:
            raise _Refusal("503 5.5.1 MAIL has no place here")
        if passed := self._limits.mail():
            raise _Refusal(f"452 4.5.3 {passed}")
        if unknown := unknown_mail_parameters(found, self._extensions()):
            raise _Refusal(f"555 5.5.4 parameters not known: {' '.join(unknown)}")
        if not found.path.isascii() and "SMTPUTF8" not in found.parameters:
            raise _Refusal("553 5.6.7 address needs SMTPUTF8")
        if await self._answer(Stage.MAIL, found.path, self._usual_for_mail(found)) // 100 == 2:
            self._mail, self._recipients = found, []

    def _usual_for_mail(self, found: PathArgument) -> str:
        if self._settings.credentials and self._session.user is None:
            return "530 5.7.0 authentication required"
        limit, size = self._settings.size_limit, found.parameters.get("SIZE", "")
        if limit and size.isdigit() and int(size) > limit:
            return f"552 5.3.4 message size exceeds {limit}"
        return "250 2.1.0 sender ok"

    async def _rcpt_to(self, argument: str) -> None:
        found = read_rcpt(argument)
        if found is None:
            raise _Refusal("501 5.5.4 not the syntax of RCPT")
        if passed := self._limits.rcpt(found.path):
            raise _Refusal(f"452 4.5.3 {passed}")
        if self._mail is None or self._chunks.begun:
            raise _Refusal("503 5.5.1 MAIL first", might_be_ahead=self._mail is None)
        if unknown := unknown_rcpt_parameters(found, self._extensions()):
            raise _Refusal(f"555 5.5.4 parameters not known: {' '.join(unknown)}")
        if not found.path.isascii() and "SMTPUTF8" not in self._mail.parameters:
            raise _Refusal("553 5.6.7 address needs SMTPUTF8")
        limit = self._settings.recipient_limit
        full = limit is not None and len(self._recipients) >= limit
        usual = "452 4.5.3 too many recipients" if full else "250 2.1.5 recipient ok"
        if await self._answer(Stage.RCPT, found.path, usual) // 100 == 2:
            self._recipients.append(found.path)

    def _extensions(self) -> frozenset[str]:
        return self._settings.extensions if self._extended else frozenset()

    async def _data(self, argument: str) -> None:
        if argument:
            raise _Refusal("501 5.5.4 DATA has no argument")
        if self._chunks.begun:
            self._chunks.refused = True
            raise _Refusal("503 5.5.1 DATA has no place beside BDAT")
        if self._mail is None:
            raise _Refusal("503 5.5.1 MAIL first", might_be_ahead=True)
        ready = "354 end with a dot on a line of its own"
        usual = ready if self._recipients else "554 5.5.1 no valid recipients"
        if await self._answer(Stage.DATA, "", usual) // 100 == 3:
            await self._content(self._mail, await self._read_content())

    async def _read_content(self) -> ReceivedData:
        reader = DataReader()
        while not reader.feed(await self._peer.read_some() or _end_of_stream()):
            continue
        received = reader.result()
        self._peer.put_back(received.rest)
        return received

    async def _bdat(self, argument: str) -> None:
        chunk = read_bdat(argument)
        if chunk is None:
            raise _Refusal("501 5.5.4 not the syntax of BDAT")
        octets = await self._peer.read_octets(chunk.size)
        if len(octets) < chunk.size:
            raise _Over
        if self._mail is None or not self._recipients or self._chunks.refused:
            self._chunks.refused = True
            raise _Refusal("503 5.5.1 MAIL and RCPT first", might_be_ahead=True)
        self._chunks.add(octets)
        if not chunk.is_last:
            await self._reply(f"250 2.0.0 {chunk.size} octets")
            return
        self._chunks.refused = True  # until it is taken
        await self._content(self._mail, self._chunks.result())

    async def _content(self, mail: PathArgument, received: ReceivedData) -> None:
        recipients = tuple(self._recipients)
        self._mail, self._recipients = None, []
        if fault := received.fault_for(body=mail.parameters.get("BODY", "7BIT")):
            raise _Refusal(fault)
        usual = self._usual_for_content(received, recipients)
        if await self._answer(Stage.CONTENT, received.content.decode("latin-1"), usual) // 100 == 2:
            self._take(mail, recipients, received.content)

    def _usual_for_content(self, received: ReceivedData, recipients: tuple[str, ...]) -> str:
        limit = self._settings.size_limit
        if not recipients:
            return "554 5.5.1 no valid recipients"
        if limit and len(received.content) > limit:
            return f"552 5.3.4 message size exceeds {limit}"
        return f"250 2.0.0 taken as {len(self._ledger.messages) + 1}"

    def _take(self, mail: PathArgument, recipients: tuple[str, ...], content: bytes) -> None:
        self._forget_transaction()
        session, at = self._session, asyncio.get_running_loop().time()
        self._ledger.take(
            lambda ordinal: ReceivedMessage(
                ordinal=ordinal,
                reverse_path=mail.path,
                recipients=recipients,
                parameters=dict(mail.parameters),
                content=content,
                helo=session.helo or "",
                tls=session.tls,
                user=session.user,
                ip=session.ip,
                session=session.ordinal,
                at=at,
            )
        )

    async def _rset(self, argument: str) -> None:
        await self._answer(Stage.RSET, "", "250 2.0.0 forgotten")
        self._forget_transaction()

    def _forget_transaction(self) -> None:
        self._mail, self._recipients, self._chunks = None, [], Chunks()

    async def _not_known(self, argument: str) -> None:
        await self._reply(self._unknown)

    async def _noop(self, argument: str) -> None:
        await self._reply("250 2.0.0 ok")

    async def _vrfy(self, argument: str) -> None:
        await self._reply("252 2.5.2 send some mail")  # RFC 5321 3.5.3

    async def _quit(self, argument: str) -> None:
        await self._answer(Stage.QUIT, "", "221 2.0.0 goodbye")
        raise _Over


def _end_of_stream() -> bytes:
    raise _Over
