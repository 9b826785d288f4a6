"""What an engine remembers of hosts, and of how many."""

from __future__ import annotations

from mailstrom.engine.known_hosts import KnownHosts


def test_a_host_is_known_however_its_name_is_spelt() -> None:
    hosts = KnownHosts()

    hosts.habits_of("MX.dest.example.").note_no_chunking()

    assert not hosts.habits_of("mx.dest.example").take_whole
    assert hosts.habits_of("mx2.dest.example").take_whole


def test_the_host_that_was_used_longest_ago_is_forgotten_first() -> None:
    hosts = KnownHosts(limit=2)
    for name in ("one.example", "two.example", "one.example", "three.example"):
        hosts.habits_of(name).note_no_chunking()

    known = [not hosts.habits_of(name).take_whole for name in ("one.example", "three.example", "two.example")]

    assert known == [True, True, False]
