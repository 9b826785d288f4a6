"""Whom the resolver asks, and in which order."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from mailstrom.abc import Clock
from mailstrom.config import ResolverSetup
from mailstrom.net.dns_exchange import NameServer
from mailstrom.net.nameservers import NameServers, ResolverError, read_nameservers


class HandClock(Clock):
    """A clock that moves when it is told to."""

    def __init__(self) -> None:
        self.at = 0.0

    def now(self) -> datetime:
        return datetime(2025, 1, 1, tzinfo=UTC)

    def monotonic(self) -> float:
        return self.at


def written(path: Path, *addresses: str, mtime: float = 1.0) -> str:
    path.write_text("".join(f"nameserver {address}\n" for address in addresses))
    os.utime(path, (mtime, mtime))
    return str(path)


def addresses_of(servers: NameServers) -> list[str]:
    return [server.address for server in servers.in_order()]


def test_resolv_conf_is_read_and_what_makes_no_sense_passed_over() -> None:
    text = (
        "# nameserver 192.0.2.1\n; comment\nsearch example.org\nnameserver 192.0.2.2\nnameserver\n"
        "nameserver dns.example.org\n  nameserver\t2001:db8::53 extra\nnameserver 192.0.2.2\n"
        "options timeout:30 edns0\n"
    )

    assert read_nameservers(text) == ("192.0.2.2", "2001:db8::53")


@pytest.mark.parametrize("text", (None, "", "search example.org\n", "nameserver dns.example.org\n"))
def test_without_any_name_server_there_is_no_resolver(tmp_path: Path, text: str | None) -> None:
    path = tmp_path / "resolv.conf"
    if text is not None:
        path.write_text(text)

    with pytest.raises(ResolverError, match=r"resolv\.conf"):
        NameServers(ResolverSetup.system(), HandClock(), str(path))


def test_a_changed_resolv_conf_is_read_again(tmp_path: Path) -> None:
    clock, path = HandClock(), tmp_path / "resolv.conf"
    servers = NameServers(ResolverSetup.system(), clock, written(path, "192.0.2.1"))

    written(path, "192.0.2.2", mtime=2.0)
    clock.at = 29.0
    before = addresses_of(servers)
    clock.at = 30.0
    after = addresses_of(servers)

    assert (before, after) == (["192.0.2.1"], ["192.0.2.2"])


def test_the_last_good_list_is_kept_while_the_file_is_gone_or_broken(tmp_path: Path) -> None:
    clock, path = HandClock(), tmp_path / "resolv.conf"
    servers = NameServers(ResolverSetup.system(), clock, written(path, "192.0.2.1"))

    path.unlink()
    clock.at = 30.0
    gone = addresses_of(servers)
    written(path, mtime=3.0)
    clock.at = 60.0
    broken = addresses_of(servers)
    written(path, "192.0.2.3", mtime=4.0)
    clock.at = 90.0
    mended = addresses_of(servers)

    assert (gone, broken, mended) == (["192.0.2.1"], ["192.0.2.1"], ["192.0.2.3"])


def test_a_configured_name_server_needs_no_file(tmp_path: Path) -> None:
    setup = ResolverSetup.specific("192.0.2.53", protocol="tls", tls_dns_name="dns.test")

    servers = NameServers(setup, HandClock(), str(tmp_path / "absent"))

    assert servers.in_order() == (NameServer("192.0.2.53", 853, "tls", "dns.test"),)


def test_a_silent_name_server_goes_to_the_end_for_a_minute() -> None:
    clock = HandClock()
    servers = NameServers(ResolverSetup(("192.0.2.1", "192.0.2.2", "192.0.2.3")), clock)
    first = servers.in_order()[0]

    servers.note_silence(first)
    at_once = addresses_of(servers)
    clock.at = 60.0
    later = addresses_of(servers)

    assert at_once == ["192.0.2.2", "192.0.2.3", "192.0.2.1"]
    assert later == ["192.0.2.1", "192.0.2.2", "192.0.2.3"]


def test_one_that_answers_again_is_back_at_once() -> None:
    servers = NameServers(ResolverSetup(("192.0.2.1", "192.0.2.2")), HandClock())
    first = servers.in_order()[0]

    servers.note_silence(first)
    servers.note_answer(first)

    assert servers.in_order()[0] == first


def test_the_one_that_was_asked_already_comes_last() -> None:
    servers = NameServers(ResolverSetup(("192.0.2.1", "192.0.2.2")), HandClock())
    first, second = servers.in_order()

    assert servers.in_order(after=first) == (second, first)
