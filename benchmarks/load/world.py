"""Where the measured workers deliver: to smtp-sink, and to one address where a bad host may be."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from mailstrom.testing.dns_server import DnsServer

from ..queue_mail import MOST, OTHERS
from ..queue_processes import config_file
from ..wire.sink import sinking
from .bad_host import ADDRESS

__all__ = ["World", "world"]

GOOD = "127.0.0.1"


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """Settings for workers, the port of all hosts, and how many messages smtp-sink has taken."""

    config_file: Path
    port: int
    taken: Callable[[], int]


@contextmanager
def world(folder: Path, *, most_is_bad: bool) -> Iterator[World]:
    """smtp-sink is the host of all domains, but of `MOST` only where that is no bad one."""
    addresses = {MOST: ADDRESS if most_is_bad else GOOD, **dict.fromkeys(OTHERS, GOOD)}
    zone: dict[str, dict[str, object]] = {domain: {"MX": [[10, f"mx.{domain}."]]} for domain in addresses}
    zone |= {f"mx.{domain}": {"A": [address]} for domain, address in addresses.items()}
    with sinking(folder) as sink, DnsServer(zone) as dns:
        settings = config_file(folder, sink.port, dns.port)
        yield World(config_file=settings, port=sink.port, taken=sink.taken)
