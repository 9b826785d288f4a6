"""The demo's little internet: domains, their DNS, and SMTP servers on loopback addresses.

All servers listen on one port, as all the world's listen on 25; they differ by address
(127.0.0.2, .3, ...). Where a system has one loopback address only (macOS), one server at
127.0.0.1 plays all of them.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Self

from ..config import Config, RemoteDeliveryConfig, ResolverSetup
from ..message.email import Email
from ..status import Cause
from ..testing.dns import Zone
from ..testing.dns_server import DnsServer
from ..testing.hooks import Answer
from ..testing.loopback import LoopbackServer
from ..testing.smtp_server import SmtpServer

if TYPE_CHECKING:
    import ssl

    from ..testing.ledger import Ledger

ONLY_ADDRESS = "127.0.0.1"
PORT_TRIES = 20
RESEND_DELAY_SECS = 0.6  # the first wait is three times as long

TEXT = """\
Good to hear from you.

This message has seven recipients in six domains, and each of them gets an answer of its own.
.
The line above is a single dot: it arrives like every other.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """A recipient of the demo, what it stands for, and how it must end."""

    address: str
    stands_for: str
    state: str
    tries: int = 1
    cause: Cause | None = None
    code: int | None = None  # the reply code in the end
    hosts: tuple[str, ...] = ()  # those visited, in order
    needs_tls: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoHost:
    """A mail host of the demo; one that does not listen refuses connections."""

    name: str
    ip: str
    listens: bool = True
    offers_tls: bool = False


EXPECTED = (
    Expected(
        address="reader@encrypted.example",
        stands_for="It offers STARTTLS: the message goes encrypted.",
        state="delivered",
        code=250,
        hosts=("mx.encrypted.example",),
        needs_tls=True,
    ),
    Expected(
        address="reader@greylists.example",
        stands_for="Strangers hear 450 first, and come back later.",
        state="delivered",
        tries=2,
        code=250,
        hosts=("mx.greylists.example", "mx.greylists.example"),
    ),
    Expected(
        address="nobody@strict.example",
        stands_for="No such mailbox: 550 is final, no second try.",
        state="failed",
        cause=Cause.REFUSED,
        code=550,
        hosts=("mx.strict.example",),
    ),
    Expected(
        address="reader@strict.example",
        stands_for="Same session: the refusal beside it does no harm.",
        state="delivered",
        code=250,
        hosts=("mx.strict.example",),
    ),
    Expected(
        address="reader@backup.example",
        stands_for="The first MX is dead, the second one takes it.",
        state="delivered",
        code=250,
        hosts=("mx1.backup.example", "mx2.backup.example"),
    ),
    Expected(
        address="reader@null-mx.example",
        stands_for="Its DNS says: no mail here, ever (null MX).",
        state="failed",
        cause=Cause.NO_MAIL_ACCEPTED,
    ),
    Expected(
        address="reader@no-such.example",
        stands_for="There is no such domain.",
        state="failed",
        cause=Cause.NO_SUCH_DOMAIN,
    ),
)

HOSTS = (
    DemoHost(name="mx.encrypted.example", ip="127.0.0.2", offers_tls=True),
    DemoHost(name="mx.greylists.example", ip="127.0.0.3"),
    DemoHost(name="mx.strict.example", ip="127.0.0.4"),
    DemoHost(name="mx1.backup.example", ip="127.0.0.5", listens=False),
    DemoHost(name="mx2.backup.example", ip="127.0.0.6"),
)

MX: Mapping[str, list[tuple[int, str]]] = {
    "encrypted.example": [(10, "mx.encrypted.example.")],
    "greylists.example": [(10, "mx.greylists.example.")],
    "strict.example": [(10, "mx.strict.example.")],
    "backup.example": [(10, "mx1.backup.example."), (20, "mx2.backup.example.")],
    "null-mx.example": [(0, ".")],
}


class DemoWorld:
    """The servers, from entering it to leaving it."""

    def __init__(self, one_address: bool | None = None) -> None:
        self.has_one_address = not has_many_loopback_addresses() if one_address is None else one_address
        self.ledgers: dict[str, Ledger] = {}
        self.port = 0
        self._running = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as starting:
            servers = self._servers(starting.enter_context(demo_certificate()))
            self.port = starting.enter_context(_on_one_port(servers))
            self.ledgers = {server.name: server.smtp.ledger for server in servers}
            self._dns = starting.enter_context(DnsServer(Zone(self._records())))
            self._running = starting.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._running.__exit__(kind, error, trace)

    @property
    def dns_port(self) -> int:
        """Where the DNS server answers."""
        return self._dns.port

    def config(self) -> Config:
        """Settings that send to this world: nothing else differs from sending to the real one."""
        resolver = ResolverSetup.specific("127.0.0.1", self.dns_port)
        return Config(
            helo_name="mail.sender.example",
            base_resend_delay_secs=RESEND_DELAY_SECS,
            smtp_timeout_secs=10.0,
            delivery=RemoteDeliveryConfig(resolver, port=self.port, allow_private_addresses=True),
        )

    def email(self) -> Email:
        """The demo's message."""
        addresses = [expected.address for expected in EXPECTED]
        return Email(
            from_="mailstrom demo <demo@sender.example>",
            to=addresses[:4],
            cc=addresses[4:6],
            bcc=addresses[6:],
            subject="Seven recipients, seven answers",
            text=TEXT,
        )

    def _servers(self, context: ssl.SSLContext) -> list[_Server]:
        if self.has_one_address:
            smtp = SmtpServer(
                name="all.hosts.example", tls_context=context, on_rcpt=answer_to_rcpt, delays=_delays(0)
            )
            return [_Server(name="all hosts", ip=ONLY_ADDRESS, smtp=smtp)]
        return [
            _Server(
                name=host.name,
                ip=host.ip,
                smtp=SmtpServer(
                    name=host.name,
                    tls_context=context if host.offers_tls else None,
                    on_rcpt=answer_to_rcpt,
                    delays=_delays(turn),
                ),
            )
            for turn, host in enumerate(HOSTS)
            if host.listens
        ]

    def _records(self) -> dict[str, dict[str, object]]:
        exchanges: dict[str, dict[str, object]] = {domain: {"MX": hosts} for domain, hosts in MX.items()}
        return exchanges | {host.name: self._address_records(host) for host in HOSTS}

    def _address_records(self, host: DemoHost) -> dict[str, object]:
        if not self.has_one_address:
            return {"A": [host.ip]}
        return {"A": [ONLY_ADDRESS]} if host.listens else {"AAAA": ["::1"]}  # nobody listens there


def answer_to_rcpt(address: str, count: int) -> Answer | None:
    """What the demo's hosts say to a recipient who comes for the `count`-th time; None: yes."""
    if address.startswith("nobody@"):
        return "550 5.1.1 no such user here"
    if address.endswith("@greylists.example") and count == 1:
        return "450 4.2.0 greylisted, come back later"
    return None


def has_many_loopback_addresses() -> bool:
    """Whether all of 127.0.0.0/8 is this machine (Linux, Windows), not 127.0.0.1 alone (macOS)."""
    with socket.socket() as probe:
        try:
            probe.bind((HOSTS[0].ip, 0))
        except OSError:
            return False
    return True


@contextmanager
def demo_certificate() -> Iterator[ssl.SSLContext]:
    """A certificate made for this run; its authority is known to nobody, as is usual among mail hosts."""
    import ssl

    import trustme

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert(HOSTS[0].name).configure_cert(context)
    yield context


@dataclass(frozen=True, slots=True, kw_only=True)
class _Server:
    name: str
    ip: str
    smtp: SmtpServer


@contextmanager
def _on_one_port(servers: list[_Server]) -> Iterator[int]:
    """Runs the servers, all on a port that is free at each of their addresses."""
    with ExitStack() as running:
        yield _started(servers, running)


def _started(servers: list[_Server], running: ExitStack) -> int:
    for tries_left in reversed(range(PORT_TRIES)):
        with ExitStack() as starting:
            port = 0
            try:
                for server in servers:
                    port = starting.enter_context(LoopbackServer(server.smtp, server.ip, port)).port
            except OSError:
                if not tries_left:
                    raise
                continue
            running.push(starting.pop_all())
            return port
    raise AssertionError("the last try returns or raises")


def _delays(turn: int) -> dict[str, float]:
    """Hosts take their time, each a little more than the one before: so there is something to see."""
    return {"greeting": 0.3 + 0.2 * turn, "content": 0.4}
