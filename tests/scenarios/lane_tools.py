"""What the tests of lanes, paces and lost networks have in common."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from mailstrom import Submission
from mailstrom.explanation import Gate, Hold
from mailstrom.testing.network import Handler
from mailstrom.testing.smtp_server import SmtpServer
from tests.builders import an_email, mx
from tests.lone_engine import LoneEngine

DEAD = "dead.example"
DEAD_IP = "198.51.100.1"


def a_domain(sim: LoneEngine, name: str, ip: str, handler: Handler | None = None) -> str:
    """A domain with one host, its address; None: a host that nobody can connect to."""
    sim.zone.records |= {name: mx(f"mx.{name}"), f"mx.{name}": {"A": [ip]}}
    if handler is None:
        sim.network.black_hole(ip, 25)
    else:
        sim.network.listen(ip, 25, handler)
    return name


def send_to(sim: LoneEngine, *domains: str) -> list[str]:
    """A message to each."""
    return sim.send_emails([Submission(an_email(to=f"you@{domain}")) for domain in domains])


def domains(count: int) -> dict[str, str]:
    """Names and addresses of so many."""
    return {f"d{number}.example": f"198.51.100.{10 + number}" for number in range(count)}


def living(sim: LoneEngine, count: int) -> list[str]:
    """So many domains, each with a host of its own that takes everything."""
    return [a_domain(sim, name, ip, SmtpServer()) for name, ip in domains(count).items()]


def states(sim: LoneEngine, ids: Sequence[str]) -> Counter[tuple[str, int]]:
    """How many messages of one recipient have which state and tries."""
    results = [sim.status(message_id).recipients[0].result for message_id in ids]
    return Counter((result.state, result.tries) for result in results)


def connects(sim: LoneEngine, ip: str = DEAD_IP) -> list[float]:
    """When somebody tried to connect there."""
    return [connect.at for connect in sim.network.connects if connect.ip == ip]


def holds(sim: LoneEngine, message_id: str) -> tuple[Hold, ...]:
    """What holds the one recipient of the message."""
    return sim.explain(message_id).recipients[0].holds


def gates(sim: LoneEngine, message_id: str) -> list[Gate]:
    """The gates alone."""
    return [hold.gate for hold in holds(sim, message_id)]


def cancel_all(sim: LoneEngine) -> None:
    """Nothing is left to wait for."""
    for status in sim.storage.retrieve_all_incomplete():
        sim.cancel(status.message_id)
