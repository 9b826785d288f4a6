"""TXT records over the wire, as `mailstrom dkim verify` asks for them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from dns.resolver import Resolver

from mailstrom.net.txt import txt_records
from mailstrom.testing.dns_server import DnsServer, DnsServerFaults

LONG = "v=DKIM1; k=rsa; p=" + "A" * 400
ZONE = {
    "s1._domainkey.sender.example": {"TXT": LONG},
    "two.sender.example": {"TXT": ['say "one" \\ two', "two"]},
    "no-text.sender.example": {"A": "192.0.2.1"},
    "broken.sender.example": {"TXT": {"rcode": "SERVFAIL"}},
}


def resolver_at(server: DnsServer) -> Resolver:
    resolver = Resolver(configure=False)
    resolver.nameservers, resolver.port = ["127.0.0.1"], server.port
    return resolver


@pytest.fixture(params=["udp", "cut short"])
def resolver(request: pytest.FixtureRequest) -> Iterator[Resolver]:
    with DnsServer(ZONE, faults=DnsServerFaults(truncate=request.param == "cut short")) as server:
        yield resolver_at(server)


@pytest.mark.parametrize(
    ("name", "texts"),
    [
        ("s1._domainkey.sender.example", [LONG]),
        ("S1._domainkey.sender.example.", [LONG]),
        ("two.sender.example", ['say "one" \\ two', "two"]),
        ("no-text.sender.example", []),
        ("nothing.sender.example", []),
    ],
)
def test_the_strings_of_each_record_are_joined(resolver: Resolver, name: str, texts: list[str]) -> None:
    """RFC 6376 3.6.2.2."""
    assert sorted(txt_records(name, resolver=resolver)) == sorted(texts)


def test_what_cannot_be_known_now_is_an_os_error(resolver: Resolver) -> None:
    with pytest.raises(OSError, match=r"broken\.sender\.example"):
        txt_records("broken.sender.example", timeout_secs=0.5, resolver=resolver)


def test_silence_is_an_os_error() -> None:
    with DnsServer(ZONE, faults=DnsServerFaults(silent=True)) as server, pytest.raises(OSError, match="s1"):
        txt_records("s1._domainkey.sender.example", timeout_secs=0.2, resolver=resolver_at(server))
