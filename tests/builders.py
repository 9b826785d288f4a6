"""What the tests say often: an email, a zone, a story in the simulation."""

from __future__ import annotations

from typing import Any

from mailstrom import Config, Email, RetryPolicy
from mailstrom.testing.network import Handler
from tests.lone_engine import LoneEngine

HELO = "sender.example"


def an_email(**fields: Any) -> Email:
    """A small email from no-reply@sender.example to you@dest.example, but for what is said."""
    given = {"from_": "no-reply@sender.example", "to": "you@dest.example"}
    return Email(**{**given, "subject": "Hello", "text": "Hi.\n", **fields})


def a_config(**settings: Any) -> Config:
    """A configuration with a name for EHLO and waits without jitter."""
    given: dict[str, Any] = {"helo_name": HELO, "retry": RetryPolicy(jitter=0)}
    return Config(**{**given, **settings})


def mx(*hosts: str) -> dict[str, Any]:
    """Zone records: these MX hosts, in order of preference."""
    return {"MX": [[10 * (place + 1), host] for place, host in enumerate(hosts)]}


def with_mx(sim: LoneEngine, *handlers: Handler, domain: str = "dest.example") -> None:
    """Gives `domain` one MX host per handler, mx1 the best, at 198.51.100.1, .2, ..."""
    taken = len(sim.zone.records)
    names = [f"mx{place + 1}.{domain}" for place in range(len(handlers))]
    sim.zone.records[domain] = mx(*names)
    for place, (name, handler) in enumerate(zip(names, handlers, strict=True)):
        sim.host(name, f"198.51.{100 + taken // 200}.{1 + taken % 200 + place}", handler)
