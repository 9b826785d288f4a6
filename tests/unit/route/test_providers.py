"""The large mailbox providers are known by their MX hosts."""

from __future__ import annotations

import pytest

from mailstrom.route.providers import PROVIDERS, provider_of


@pytest.mark.parametrize(
    ("hosts", "name"),
    [
        (["gmail-smtp-in.l.google.com", "alt1.gmail-smtp-in.l.google.com"], "google"),
        (["aspmx2.googlemail.com"], "google"),
        (["mta5.am0.yahoodns.net"], "yahoo"),
        (["hotmail-com.olc.protection.outlook.com"], "outlook"),
        (["customer-example.mail.protection.outlook.com"], "office365"),
        (["customer-example.b-v1.mx.microsoft"], "office365"),
        (["mx01.mail.icloud.com"], "apple"),
        (["mx1a1.comcast.net"], "comcast"),
        (["smtp-in.orange.fr"], "orange"),
        (["backup.dest.example", "aspmx.l.google.com"], "google"),
        (["mx.dest.example"], None),
        (["notgoogle.com"], None),
        (["google.com.dest.example"], None),
        (["relay:smtp.provider.example"], None),
        ([], None),
    ],
)
def test_a_provider_is_known_by_any_of_the_hosts(hosts: list[str], name: str | None) -> None:
    found = provider_of(hosts)

    assert (None if found is None else found.name) == name


def test_no_provider_has_the_hosts_of_another() -> None:
    suffixes = [suffix for provider in PROVIDERS for suffix in provider.mx_suffixes]

    within = [(one, other) for one in suffixes for other in suffixes if one != other and one.endswith(other)]

    assert within == []
    assert all(suffix.startswith(".") and suffix == suffix.lower() for suffix in suffixes)
