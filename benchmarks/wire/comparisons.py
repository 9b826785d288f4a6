"""What is compared over the wire, and what is claimed of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from importlib.util import find_spec
from pathlib import Path

from mailstrom.testing.dns_server import DnsServer

from ..comparisons import Claim
from ..queue_places import POSTGRES, Place
from ..rounds import ratio
from .delay import delayed
from .keys import ED25519, RSA, signing, write_keys
from .letters import DOMAIN, write_letters
from .peers import NODEMAILER, POSTFIX, SINK, missing
from .postfix import running_postfix
from .rows import AIOSMTPLIB, NODEMAILER_SIGNING, ONE_WORKER, SMTP_SOURCE, TWO_WORKERS, Rows
from .sink import sinking
from .turns import Pace, Receiver, Row, Turns, turns

__all__ = ["WireComparison", "WireScale", "wire_comparisons"]

ROUND_TRIP_SECS = 0.05
SQLITE = "SQLite"

_Places = Mapping[str, Place]


@dataclass(frozen=True, slots=True, kw_only=True)
class WireScale:
    """How much is measured."""

    pace: Pace = field(default_factory=Pace)
    far_pace: Pace = field(default_factory=lambda: Pace(rounds=3, turn_secs=20.0))  # connecting takes long


@dataclass(frozen=True, slots=True, kw_only=True)
class WireComparison:
    """Senders to be measured side by side; rates are shown as multiples of those of `bases`, too."""

    title: str
    rows: Sequence[Row]
    bases: Sequence[str]
    targets: Sequence[tuple[str, float, str]]  # a row, at least so many times as fast as another
    pace: Pace

    def measure(self) -> Turns:
        """Every row's turns."""
        return turns(self.rows, self.pace)

    def claims(self) -> list[Claim]:
        """The targets of those rows that are there."""
        there = {row.name for row in self.rows}
        return [_claim(*target) for target in self.targets if {target[0], target[2]} <= there]


def wire_comparisons(
    scale: WireScale, folder: Path, found: Sequence[Place], settings: Sequence[Mapping[str, object]] = ({},)
) -> Iterator[WireComparison]:
    """All there are, with those peers that are installed; each is measured before the next is asked for."""
    absent = missing()
    if SINK in absent:
        return
    write_keys(folder)
    places = {place.name: place for place in found}
    with sinking(folder) as sink:
        rows = Rows(
            folder=folder, letters=write_letters(folder), receiver=sink, absent=absent, settings=settings
        )
        yield from _ready(scale, rows, places)
        yield _composed(scale, rows, places)
        if POSTGRES in places:
            yield _workers(scale, rows, places)
    if POSTFIX not in absent:
        yield from _far(scale, rows, places)


def _ready(scale: WireScale, rows: Rows, places: _Places) -> Iterator[WireComparison]:
    with ExitStack() as stack:
        peers = [*rows.smtp_source(), *rows.smtplib(), *rows.aiosmtplib(), *rows.nodemailer("ready")]
        if POSTFIX not in rows.absent:
            postfix = stack.enter_context(running_postfix(f"smtp:[127.0.0.1]:{rows.receiver.port}"))
            peers += rows.postfix(postfix.port, postfix.pid)
        yield WireComparison(
            title="Ready bytes to smtp-sink",
            rows=[
                *peers,
                *rows.mailstrom("memory"),
                *_by_mx(rows, stack),
                *_durable(rows, places),
                *_on_uvloop(rows, places),
            ],
            bases=(SMTP_SOURCE, NODEMAILER, POSTFIX),
            targets=(
                ("mailstrom, memory", 0.25, SMTP_SOURCE),
                ("mailstrom, SQLite", 1.0, NODEMAILER),
                ("mailstrom, SQLite", 5.0, POSTFIX),
                ("mailstrom, PostgreSQL", 0.5, "mailstrom, SQLite"),
                ("mailstrom, memory, uvloop", 0.5, SMTP_SOURCE),
                ("mailstrom, SQLite, uvloop", 2.0, NODEMAILER),
                ("mailstrom, SQLite, uvloop", 10.0, POSTFIX),
            ),
            pace=scale.pace,
        )


def _by_mx(rows: Rows, stack: ExitStack) -> list[Row]:
    host = f"mx.{DOMAIN}"
    dns = stack.enter_context(DnsServer({DOMAIN: {"MX": [[10, f"{host}."]]}, host: {"A": ["127.0.0.1"]}}))
    remote = {
        "port": rows.receiver.port,
        "allow_private_addresses": True,
        "resolver_setup": {"address": "127.0.0.1", "port": dns.port},
    }
    return rows.mailstrom("memory, by MX", config={"delivery": {"remote": remote}})


def _durable(rows: Rows, places: _Places) -> list[Row]:
    return [
        *rows.mailstrom("SQLite, one by one", places[SQLITE], batch=1),
        *(row for place in places.values() for row in rows.mailstrom(place.name, place)),
    ]


def _on_uvloop(rows: Rows, places: _Places) -> list[Row]:
    if find_spec("uvloop") is None:
        return []
    uvloop = {"event_loop": "uvloop"}
    return [
        *rows.mailstrom("memory, uvloop", config=uvloop),
        *rows.mailstrom("SQLite, uvloop", places[SQLITE], config=uvloop),
    ]


def _composed(scale: WireScale, rows: Rows, places: _Places) -> WireComparison:
    sqlite = places[SQLITE]
    ed25519, rsa = ({"dkim": signing(rows.folder, algorithm)} for algorithm in (ED25519, RSA))
    return WireComparison(
        title="Text and HTML, composed, to smtp-sink",
        rows=[
            *rows.nodemailer("composed"),
            *rows.nodemailer("signed"),
            *rows.post_office(),
            *rows.mailstrom("SQLite", sqlite, form="composed"),
            *rows.mailstrom("SQLite, Ed25519", sqlite, form="composed", config=ed25519),
            *rows.mailstrom("SQLite, RSA-2048", sqlite, form="composed", config=rsa),
        ],
        bases=(NODEMAILER, NODEMAILER_SIGNING),
        targets=(
            ("mailstrom, SQLite, Ed25519", 1.2, NODEMAILER),
            ("mailstrom, SQLite, RSA-2048", 1.0, NODEMAILER_SIGNING),
        ),
        pace=scale.pace,
    )


def _workers(scale: WireScale, rows: Rows, places: _Places) -> WireComparison:
    return WireComparison(
        title="Workers on PostgreSQL, ready bytes to smtp-sink",
        rows=[*rows.workers(1, places[POSTGRES]), *rows.workers(2, places[POSTGRES])],
        bases=(ONE_WORKER,),
        targets=((TWO_WORKERS, 1.5, ONE_WORKER),),
        pace=scale.pace,
    )


def _far(scale: WireScale, rows: Rows, places: _Places) -> Iterator[WireComparison]:
    with ExitStack() as stack:
        postfix = stack.enter_context(running_postfix("discard:"))
        ports = [
            stack.enter_context(delayed(port, ROUND_TRIP_SECS))
            for port in (postfix.port, postfix.port_without_chunking)
        ]
        whole, plain = (replace(rows, receiver=Receiver(port=port, taken=postfix.taken)) for port in ports)
        sqlite = places[SQLITE]
        yield WireComparison(
            title=f"Ready bytes to Postfix, {ROUND_TRIP_SECS * 1e3:g} ms of round trip",
            rows=[
                *whole.aiosmtplib(),
                *whole.nodemailer("ready"),
                *plain.mailstrom("SQLite, no CHUNKING offered", sqlite),
                *whole.mailstrom("SQLite, CHUNKING offered", sqlite),
                *plain.mailstrom("SQLite, envelope behind dot", sqlite, config={"envelope_behind_dot": True}),
            ],
            bases=(AIOSMTPLIB, NODEMAILER),
            targets=(
                ("mailstrom, SQLite, no CHUNKING offered", 1.0, NODEMAILER),
                ("mailstrom, SQLite, CHUNKING offered", 1.7, NODEMAILER),
            ),
            pace=scale.far_pace,
        )


def _claim(name: str, least: float, than: str) -> Claim:
    return Claim(name, lambda rates: ratio(rates, name, than), f"× {than}", least, at_least=True)
