"""Mail hosts and a name server of plain sockets and threads, written without mailstrom's own.

They share no code with `mailstrom.testing`: where both read a dialogue alike, it is right.
"""

from __future__ import annotations

import base64
import contextlib
import socket
import ssl
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

import dns.flags
import dns.message
import dns.rcode
import dns.rrset

JOIN_SECS = 10.0


@dataclass
class Mail:
    """One message as it came in."""

    sender: str  # the line after MAIL FROM:
    recipients: list[str]  # the lines after RCPT TO:
    content: bytes
    encrypted: bool
    user: str | None


@dataclass
class Manners:
    """How a sink behaves."""

    extensions: tuple[str, ...] = ("PIPELINING", "8BITMIME", "SMTPUTF8", "ENHANCEDSTATUSCODES")
    tls: ssl.SSLContext | None = None
    implicit: bool = False
    users: Mapping[str, str] = field(default_factory=dict)
    silent: bool = False  # takes the connection and says nothing
    on_rcpt: Callable[[str], str] = lambda address: "250 2.1.5 ok"
    on_dot: Callable[[int], str] = lambda number: "250 2.0.0 taken"


class Sink:
    """An SMTP server at one address; `mails`, `lines` and `connections` tell what came."""

    def __init__(self, host: str = "127.0.0.1", port: int = 0, **manners: Any) -> None:
        self.manners = Manners(**manners)
        self.mails: list[Mail] = []
        self.lines: list[str] = []
        self.connections = 0
        self._host, self._port = host, port
        self._open: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._lock = threading.Lock()
        self._closing = False

    @property
    def port(self) -> int:
        return int(self._listening.getsockname()[1])

    def __enter__(self) -> Self:
        family = socket.AF_INET6 if ":" in self._host else socket.AF_INET
        self._listening = socket.socket(family, socket.SOCK_STREAM)
        self._listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._listening.bind((self._host, self._port))
        self._listening.listen(128)
        self._begin(self._accept)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._lock:
            self._closing = True
            opened = [*self._open, self._listening]
        for each in opened:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(JOIN_SECS)
        for each in opened:
            each.close()

    def _begin(self, work: Callable[[], None]) -> None:
        thread = threading.Thread(target=work, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listening.accept()
            except OSError:
                return
            with self._lock:
                if self._closing:
                    connection.close()
                    return
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self._open.append(connection)
                self.connections += 1
            self._begin(lambda connection=connection: self._serve(connection))  # type: ignore[misc]

    def _serve(self, connection: socket.socket) -> None:
        try:
            _Dialogue(self, connection).run()
        except (OSError, ValueError):
            pass
        finally:
            connection.close()


class _Dialogue:
    def __init__(self, sink: Sink, connection: socket.socket) -> None:
        self._sink, self._manners = sink, sink.manners
        self._socket = connection
        self._encrypted = False
        self._user: str | None = None
        self._sender: str | None = None
        self._recipients: list[str] = []

    def run(self) -> None:
        if self._manners.silent:
            self._socket.recv(1)
            return
        if self._manners.implicit:
            self._wrap()
        self._file = self._socket.makefile("rb")
        try:
            self._say("220 sink.example ESMTP")
            while (line := self._file.readline()) and self._answer(line):
                pass
        finally:
            self._file.close()
            self._socket.close()

    def _answer(self, raw: bytes) -> bool:
        if not raw.endswith(b"\r\n"):
            raise ValueError("a line without CRLF")
        line = raw[:-2].decode("utf-8")
        self._sink.lines.append(line)
        verb = line.split(" ")[0].upper()
        answer = getattr(self, f"_{verb.lower()}", None)
        if answer is None:
            self._say("502 5.5.1 what?")
        else:
            answer(line)
        return verb != "QUIT"

    def _ehlo(self, line: str) -> None:
        offered = [*self._manners.extensions]
        if self._manners.tls is not None and not self._encrypted:
            offered.append("STARTTLS")
        if self._manners.users and (self._encrypted or self._manners.tls is None):
            offered.append("AUTH PLAIN LOGIN")
        said = ["sink.example", *offered]
        self._say("\r\n".join([*(f"250-{each}" for each in said[:-1]), f"250 {said[-1]}"]))

    def _starttls(self, line: str) -> None:
        self._say("220 2.0.0 go on")
        self._file.close()
        self._wrap()
        self._file = self._socket.makefile("rb")

    def _auth(self, line: str) -> None:
        _, mechanism, *initial = line.split(" ")
        if mechanism == "PLAIN":
            given = initial[0] if initial else self._ask("")
            _, user, password = base64.b64decode(given).decode().split("\0")
        else:
            user = base64.b64decode(initial[0] if initial else self._ask("VXNlcm5hbWU6")).decode()
            password = base64.b64decode(self._ask("UGFzc3dvcmQ6")).decode()
        if self._manners.users.get(user) == password:
            self._user = user
            self._say("235 2.7.0 welcome")
        else:
            self._say("535 5.7.8 wrong credentials")

    def _ask(self, question: str) -> str:
        self._say(f"334 {question}")
        return self._file.readline().decode().strip()

    def _mail(self, line: str) -> None:
        if self._manners.users and self._user is None:
            self._say("530 5.7.0 who are you?")
            return
        self._sender, self._recipients = line[len("MAIL FROM:") :], []
        self._say("250 2.1.0 ok")

    def _rcpt(self, line: str) -> None:
        address = line[len("RCPT TO:") :]
        answer = self._manners.on_rcpt(address.strip("<>"))
        if answer.startswith("2"):
            self._recipients.append(address)
        self._say(answer)

    def _data(self, line: str) -> None:
        if not self._recipients:
            self._say("554 5.5.1 no valid recipients")
            return
        self._say("354 go on")
        lines = []
        while (raw := self._file.readline()) != b".\r\n":
            if not raw.endswith(b"\r\n"):
                raise ValueError("a line of content without CRLF")
            lines.append(raw[1:] if raw.startswith(b".") else raw)
        answer = self._manners.on_dot(len(self._sink.mails))
        if answer.startswith("2"):
            self._sink.mails.append(self._mail_of(b"".join(lines)))
        self._say(answer)

    def _mail_of(self, content: bytes) -> Mail:
        return Mail(str(self._sender), list(self._recipients), content, self._encrypted, self._user)

    def _rset(self, line: str) -> None:
        self._sender, self._recipients = None, []
        self._say("250 2.0.0 ok")

    def _quit(self, line: str) -> None:
        self._say("221 2.0.0 bye")

    def _wrap(self) -> None:
        assert self._manners.tls is not None
        self._socket = self._manners.tls.wrap_socket(self._socket, server_side=True)
        self._encrypted = True

    def _say(self, text: str) -> None:
        self._socket.sendall(text.encode() + b"\r\n")


Records = Mapping[tuple[str, str], list[str]]


class Names:
    """A name server over UDP: these records, NXDOMAIN for other names; `asked` tells the questions."""

    def __init__(self, records: Records, *, silent: bool = False) -> None:
        self._records = {(name.lower(), kind): found for (name, kind), found in records.items()}
        self._silent = silent
        self.asked: list[tuple[str, str]] = []

    @property
    def port(self) -> int:
        return int(self._socket.getsockname()[1])

    def __enter__(self) -> Self:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as waking:
            waking.sendto(b"", self._socket.getsockname())
        self._thread.join(JOIN_SECS)
        self._socket.close()

    def _serve(self) -> None:
        while True:
            wire, peer = self._socket.recvfrom(65535)
            if not wire:
                return
            if not self._silent:
                self._socket.sendto(self._reply(dns.message.from_wire(wire)).to_wire(), peer)

    def _reply(self, query: dns.message.Message) -> dns.message.Message:
        question = query.question[0]
        name = question.name.to_text(omit_final_dot=True).lower()
        kind = dns.rdatatype.to_text(question.rdtype)
        self.asked.append((name, kind))
        reply = dns.message.make_response(query, recursion_available=True)
        if (name, kind) in self._records:
            reply.answer.append(dns.rrset.from_text(f"{name}.", 300, "IN", kind, *self._records[name, kind]))
        else:
            soa = "ns.invalid. hostmaster.invalid. 1 3600 600 86400 60"
            reply.authority.append(dns.rrset.from_text("example.", 60, "IN", "SOA", soa))
            if not any(known == name or known.endswith(f".{name}") for known, _ in self._records):
                reply.set_rcode(dns.rcode.NXDOMAIN)
        return reply
