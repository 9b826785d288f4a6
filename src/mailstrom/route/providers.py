"""The large mailbox providers: by which MX hosts they are known, and what they bear. Data only.

A provider has many MX sets, one for each of a million customers' domains, and counts our connections over
all of them. Few publish numbers; what they do not say is taken from what senders have found, and is rather
too little than too much. The numbers count for one sending address; ours are for all workers of a queue.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Provider:
    """A site: MX hosts with these endings, and its limits; None: none is known."""

    name: str
    mx_suffixes: tuple[str, ...]
    max_sessions: int | None = None
    max_messages_per_session: int | None = None


PROVIDERS: tuple[Provider, ...] = (
    # https://support.google.com/a/answer/81126 asks to begin low and to go on slowly, and has no numbers;
    # KumoMTA's shaping.toml: 5 connections, 50 messages in each. Gmail and Workspace have the same hosts.
    Provider(
        name="google",
        mx_suffixes=(".google.com", ".googlemail.com"),
        max_sessions=10,
        max_messages_per_session=50,
    ),
    # https://senders.yahooinc.com/best-practices, https://help.yahoo.com/kb/SLN3433.html: 20 messages in a
    # connection, then it is closed; as few connections as do. AOL has the same hosts.
    Provider(
        name="yahoo",
        mx_suffixes=(".yahoodns.net",),
        max_sessions=10,
        max_messages_per_session=20,
    ),
    # https://sendersupport.olc.protection.outlook.com/pm/Policies: never more than 500 connections, and less
    # for a new address; KumoMTA's shaping.toml: 5 connections, 50 messages in each
    Provider(
        name="outlook",
        mx_suffixes=(".olc.protection.outlook.com",),
        max_sessions=10,
        max_messages_per_session=50,
    ),
    # Customers' domains; .mx.microsoft is for those with DANE. KumoMTA's shaping.toml: 5 connections for all,
    # 50 messages in each; we let all together have what one lane may have
    Provider(
        name="office365",
        mx_suffixes=(".mail.protection.outlook.com", ".mx.microsoft"),
        max_sessions=20,
        max_messages_per_session=50,
    ),
    # https://support.apple.com/102322 has no numbers; KumoMTA's shaping.toml: 10 connections, 5 messages in
    # each
    Provider(
        name="apple",
        mx_suffixes=(".mail.icloud.com",),
        max_sessions=10,
        max_messages_per_session=5,
    ),
    # https://spa.xfinity.com/postmaster; KumoMTA's shaping.toml, "provided directly by Comcast": 25
    # connections
    Provider(
        name="comcast",
        mx_suffixes=(".comcast.net",),
        max_sessions=15,
    ),
    # https://postmaster.orange.fr, https://www.postmastery.com/orange-postmaster-smtp-error-codes-ofr/:
    # OFR004_104 says "too many connections", at three already; 100 messages in each
    Provider(
        name="orange",
        mx_suffixes=(".orange.fr",),
        max_sessions=2,
        max_messages_per_session=100,
    ),
)


def provider_of(mx_hosts: Iterable[str]) -> Provider | None:
    """The first provider that runs one of these hosts (in lower case)."""
    hosts = tuple(mx_hosts)
    for provider in PROVIDERS:
        if any(host.endswith(provider.mx_suffixes) for host in hosts):
            return provider
    return None
