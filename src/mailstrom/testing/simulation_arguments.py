"""What a `Simulation` is told, checked: each returns what it was given, or raises `SimulationError`."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from datetime import timedelta
from ipaddress import ip_address
from typing import TypedDict, TypeVar

from ..errors import MessageError
from ..message.domain import a_label_domain
from ..route.mx import is_host_name
from .mail_host import MailHost
from .patience import SimulationError
from .process import Process
from .smtp_server import SmtpServer

F = TypeVar("F", bound=Callable[..., object])


class Duration(TypedDict, total=False):
    """How long: the sum of what is given."""

    days: float
    hours: float
    minutes: float
    seconds: float


def seconds(method: str, duration: Duration) -> float:
    """How many that are; refused where no time would pass, or time without end."""
    if not duration:
        raise SimulationError(
            f"{method}: say how long, as in {method}(days=5). To go on until all mail is completed: "
            "mailstrom.drain(), or mailstrom.wait(message_id)"
        )
    try:
        secs = timedelta(**duration).total_seconds()
    except (TypeError, ValueError, OverflowError) as error:
        given = ", ".join(f"{unit}={value!r}" for unit, value in duration.items())
        raise SimulationError(
            f"{method}: expected a number of days, hours, minutes or seconds, got {given}"
        ) from error
    if secs <= 0:
        raise SimulationError(f"{method}: expected a time above 0, got {secs:g} seconds")
    return secs


def whole_number(name: str, given: object) -> int:
    """A seed."""
    if not isinstance(given, int) or isinstance(given, bool):
        raise SimulationError(f"{name}: expected a whole number, got {given!r}")
    return given


def latency(name: str, given: object) -> float:
    """Seconds that octets travel."""
    if not isinstance(given, (int, float)) or not 0 <= given < math.inf:
        raise SimulationError(f"{name}: expected seconds, 0 or more, got {given!r}")
    return given


def function(name: str, given: F) -> F:
    """What is called later: wrong, it would be told only then, and elsewhere."""
    if not callable(given):
        raise SimulationError(f"{name}: expected a function to be called later, got {given!r}")
    return given


def host_name(given: object) -> str:
    """The name of a mail host."""
    if not isinstance(given, str) or not is_host_name(given.rstrip(".").lower()):
        raise SimulationError(f"host: expected a name such as 'mx.example.com', got {given!r}")
    return given


def address(given: str) -> str:
    """The IP address of a mail host, in its shortest spelling."""
    try:
        return str(ip_address(given))
    except ValueError as error:
        raise SimulationError(f"host: expected an IP address such as '192.0.2.25', got {given!r}") from error


def mail_domain(given: str) -> str:
    """A domain that mail is for, as the name servers know it."""
    if not isinstance(given, str):
        raise SimulationError(f"host: expected a domain such as 'example.com', got {given!r}")
    try:
        return a_label_domain(given.removesuffix("."), field="domain", given=given)
    except MessageError as error:
        raise SimulationError(f"host: {error}") from error


def process_of(method: str, given: Process) -> Process:
    """A process; who has a `Mailstrom` of one may not know that there is more."""
    if not isinstance(given, Process):
        raise SimulationError(
            f"{method}: expected a process, as process = simulation.process(...) makes one, got {given!r}"
        )
    return given


def ips_of(method: str, hosts: Iterable[MailHost]) -> list[str]:
    """The addresses of mail hosts."""
    for host in hosts:
        if not isinstance(host, MailHost):
            raise SimulationError(
                f"{method}: expected mail hosts, as simulation.host(...) makes them, got {host!r}"
            )
    return [host.ip for host in hosts]


def smtp_server(given: SmtpServer | None, *, greylists: bool) -> SmtpServer | None:
    """The server of a mail host, if it has one of its own."""
    if given is None:
        return None
    if not isinstance(given, SmtpServer):
        raise SimulationError(
            f"host: expected a SmtpServer, as in server=SmtpServer(on_rcpt='450 4.2.0 later'), got {given!r}"
        )
    if greylists:
        raise SimulationError("host: your own server greylists with SmtpServer(on_rcpt=greylist())")
    return given
