"""Whether a setting can be used: each check returns, or raises a `ConfigError` that names the setting.

A value that may hold a secret (a URL with a password in the wrong place) is not repeated.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING

from .errors import ConfigError, MessageError
from .secret import Secret

if TYPE_CHECKING:
    from .dkim import DkimSigner

LONGEST_SECS = 3_153_600_000  # a hundred years: what is added to an instant stays one

STORAGE_SCHEMES = ("sqlite", "postgresql", "postgres")


def positive(name: str, number: object) -> None:
    """A number above 0, and an end to it."""
    if not _is_number(number) or not 0 < number < float("inf"):  # type: ignore[operator]
        raise ConfigError(f"{name}: expected a number above 0, got {shown(number)}")


def secs(name: str, number: object, *, least: float | None = None) -> None:
    """A duration: above 0 seconds, or `least` of them and more, and a hundred years at most."""
    bound = "above 0" if least is None else f"{least} or more"
    is_enough = _is_number(number) and (number > 0 if least is None else number >= least)  # type: ignore[operator]
    if not is_enough or not number <= LONGEST_SECS:  # type: ignore[operator]
        expected = f"a number of seconds, {bound}, at most {LONGEST_SECS}"
        raise ConfigError(f"{name}: expected {expected}, got {shown(number)}")


def durations(owner: str, given: Mapping[str, object]) -> None:
    """Settings by name: seconds where the name says so, else numbers above 0."""
    for name, number in given.items():
        check = secs if name.endswith("_secs") else positive
        check(f"{owner}.{name}", number)


def count(name: str, count: object) -> None:
    """A whole number, 1 or more."""
    if not isinstance(count, int) or isinstance(count, bool) or count < 1:
        raise ConfigError(f"{name}: expected a whole number, 1 or more, got {shown(count)}")


def flag(name: str, flag: object) -> None:
    """True or False, no text and no number."""
    if not isinstance(flag, bool):
        raise ConfigError(f"{name}: expected True or False, got {shown(flag)}")


def choice(name: str, choice: object, choices: Collection[str]) -> None:
    """One of these texts."""
    if not isinstance(choice, str) or choice not in choices:
        raise ConfigError(f"{name}: expected one of {_listed(choices)}, got {shown(choice)}")


def text(name: str, given: object, expected: str) -> None:
    """One line of text, not empty."""
    if not isinstance(given, str) or not given.strip() or re.search(r"[\x00-\x1f\x7f]", given):
        raise ConfigError(f"{name}: expected {expected}, got {shown(given)}")


def kind(name: str, value: object, kinds: type | tuple[type, ...], expected: str) -> None:
    """An instance of one of these classes."""
    if not isinstance(value, kinds):
        raise ConfigError(f"{name}: expected {expected}, got {kind_of(value)}")


def port(name: str, port: object) -> None:
    """1 to 65535."""
    if not isinstance(port, int) or isinstance(port, bool) or not 1 <= port <= 65535:
        raise ConfigError(f"{name}: expected a port from 1 to 65535, got {shown(port)}")


def ip(name: str, address: object) -> None:
    """An IPv4 or IPv6 address."""
    try:
        # an int would be taken for an address, too
        ipaddress.ip_address(address if isinstance(address, str) else "")
    except ValueError:
        raise ConfigError(f"{name}: expected an IP address, got {shown(address)}") from None


def source_ip(name: str, address: object, version: int) -> None:
    """None, or an IP address of this version."""
    if address is None:
        return
    ip(name, address)
    if (":" in str(address)) is not (version == 6):
        raise ConfigError(f"{name}: expected an IPv{version} address, got {shown(address)}")


def host(name: str, host: object) -> None:
    """A host name or an IP address."""
    if isinstance(host, str) and ("@" in host or "//" in host):
        raise ConfigError(f"{name}: expected a host name or IP address; for a URL use RelayConfig.from_url")
    if not isinstance(host, str) or not re.fullmatch(r"[A-Za-z0-9._:\-\[\]]{1,255}", host):
        raise ConfigError(f"{name}: expected a host name or IP address, got {shown(host)}")


def helo_name(name: str, helo_name: object) -> None:
    """What EHLO may carry."""
    # RFC 5321 4.1.1.1: a domain or an address literal; nothing else may reach the EHLO line
    pattern = r"[A-Za-z0-9._\-]{1,255}|\[[A-Za-z0-9.:]{2,60}\]"
    if not isinstance(helo_name, str) or not re.fullmatch(pattern, helo_name):
        raise ConfigError(
            f"{name}: expected a host name such as mail.example.org or an address literal, "
            f"got {shown(helo_name)}"
        )


def texts(name: str, given: object, expected: str) -> tuple[str, ...]:
    """The texts as a tuple; one text alone, or anything else in it, is refused."""
    if not isinstance(given, (tuple, list, set, frozenset)):
        raise ConfigError(f"{name}: expected a tuple of {expected}, got {shown(given)}")
    for each in given:
        text(name, each, f"a tuple of {expected}")
    return tuple(given)


def address(name: str, given: object) -> None:
    """One mailbox: an address, or `Name <address>`."""
    from .message.address import parse_mailbox

    text(name, given, "an address")
    if "://" in str(given):
        raise ConfigError(f"{name}: expected an address, got a URL")
    try:
        parse_mailbox(str(given), field=name)
    except MessageError as error:
        raise ConfigError(str(error)) from error


def domain(name: str, given: str) -> str:
    """The domain as it stands in an envelope."""
    from .message.domain import a_label_domain

    try:
        return a_label_domain(given.removesuffix("."), field=name, given=given)
    except MessageError as error:
        raise ConfigError(str(error)) from error


def storage_url(name: str, given: object) -> None:
    """None, or where the queue rests, sealed; what is wrong with it is said without repeating it."""
    if given is None:
        return
    kind(name, given, Secret, "a URL such as 'sqlite:///mail.db'")
    if str(given.reveal()).partition("://")[0] not in STORAGE_SCHEMES:  # type: ignore[attr-defined]
        schemes = ", ".join(f"{scheme}://" for scheme in STORAGE_SCHEMES)
        raise ConfigError(f"{name}: expected a URL that begins with one of {schemes}")


def signers(name: str, given: object) -> tuple[DkimSigner, ...]:
    """The signers as a tuple; one alone is enough."""
    if given == ():
        return ()
    from .dkim import DkimSigner

    listed = (given,) if isinstance(given, DkimSigner) else given
    expected = "DkimSigner(...), or a list of them"
    kind(name, listed, (tuple, list), expected)
    found: dict[str, DkimSigner] = {}
    for each in listed:  # type: ignore[attr-defined]
        kind(name, each, DkimSigner, expected)
        if each.dns_name in found:
            raise ConfigError(f"{name}: expected each selector once, got {each.dns_name} twice")
        found[each.dns_name] = each
    return tuple(found.values())


def is_installed(module: str) -> bool:
    """Whether it can be imported; it is not."""
    from importlib.util import find_spec

    return find_spec(module) is not None


def is_unicode(text: str) -> bool:
    """Without lone surrogates, which cannot be sent; never raises."""
    return not any("\ud800" <= character <= "\udfff" for character in text)


def shown(value: object) -> str:
    """The value in an error text: shortened, and its kind alone where it may hold a password."""
    if not isinstance(value, (str, int, float)) or (isinstance(value, str) and "://" in value):
        return kind_of(value)
    text = ascii(value)
    return text if len(text) <= 100 else text[:97] + "..."


def kind_of(value: object) -> str:
    """What kind of value it is, for an error text that must not repeat it."""
    return "None" if value is None else f"a value of type {type(value).__name__}"


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _listed(choices: Collection[str]) -> str:
    return ", ".join(repr(choice) for choice in choices)
