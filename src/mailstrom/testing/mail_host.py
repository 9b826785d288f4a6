"""A mail host of a simulated world: what it has received, and when it is down."""

from __future__ import annotations

import email
import email.policy
from email.message import EmailMessage
from typing import Literal, get_args

from .ledger import ReceivedMessage
from .network import MemoryNetwork
from .patience import SimulationError
from .smtp_server import SmtpServer

#: Connections to it are refused; get an error from the network; no answer; or are taken, and nothing
#: is read from them.
Down = Literal["refuse", "unreachable", "black_hole", "never_reads"]


class MailHost:
    """A host that takes mail; `server` answers at its address while it is up, as it is at first."""

    def __init__(self, name: str, ip: str, port: int, server: SmtpServer, network: MemoryNetwork) -> None:
        self.name = name
        self.ip = ip
        self.server = server
        self._port = port
        self._network = network

    def __repr__(self) -> str:
        return f"<MailHost {self.name} {self.ip}>"

    @property
    def messages(self) -> tuple[ReceivedMessage, ...]:
        """What it said yes to, oldest first, each with its envelope."""
        return self.server.ledger.messages

    @property
    def parsed(self) -> tuple[EmailMessage, ...]:
        """The same as the standard library reads it: `parsed[0]["Subject"]`."""
        return tuple(_parse(message.content) for message in self.messages)

    def go_down(self, how: Down = "refuse") -> None:
        """No connection until `come_up`; those that it has are reset, or fall silent like new ones."""
        if how not in get_args(Down):
            raise SimulationError(f"go_down: expected one of {', '.join(get_args(Down))}, got {how!r}")
        getattr(self._network, how)(self.ip, self._port)
        (self._network.reset if how == "refuse" else self._network.silence)(self.ip)

    def come_up(self) -> None:
        """From now on its server answers."""
        self._network.listen(self.ip, self._port, self.server)


def _parse(content: bytes) -> EmailMessage:
    return email.message_from_bytes(content, policy=email.policy.default)
