"""How much goes to one destination: sessions at once, messages in a session, messages in a while.

    limits = {
        "gmail.com":     LaneLimits(...)    a recipient domain; an MX host or relay by its name
        ".mx.example":   LaneLimits(...)    a site: all MX hosts whose names end so
        "google":        LaneLimits(...)    a site that route/providers.py knows by name
        "*":             LaneLimits(...)    each lane that nothing else is said of
    }
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Any, cast

from . import config_checks as check
from .errors import ConfigError
from .route.providers import PROVIDERS
from .schedule.rate import Rate

Limits = tuple[tuple[str, "LaneLimits"], ...]

ANYWHERE = "*"

_EXPECTED = (
    "a domain, an MX host or relay, '.mx.example' for all MX hosts that end so, a provider "
    f"({', '.join(provider.name for provider in PROVIDERS)}), or '*'"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class LaneLimits:
    """How much goes to one destination, from all workers of a queue together; None: nothing is said.

    `rate`: "100/min", or "100/min, burst 20" where so many may go at once after a pause; a message counts
    once for each try, however many recipients it has there. All of them only narrow what `Config` allows.
    """

    max_sessions: int | None = None
    max_messages_per_session: int | None = None
    rate: str | Rate | None = None  # kept as a Rate

    def __post_init__(self) -> None:
        for name in ("max_sessions", "max_messages_per_session"):
            if getattr(self, name) is not None:
                check.count(f"LaneLimits.{name}", getattr(self, name))
        if self.rate is not None and not isinstance(self.rate, Rate):
            check.text("LaneLimits.rate", self.rate, "a rate such as '100/min'")
            object.__setattr__(self, "rate", Rate.parse(self.rate, "LaneLimits.rate"))

    @property
    def pace(self) -> Rate | None:
        """`rate`, as it is kept."""
        return cast("Rate | None", self.rate)


def checked_limits(name: str, given: object, relay: str | None) -> Limits:
    """The limits as they are kept, sorted by destination; `relay`: the name of the one there is, if any."""
    pairs = given.items() if isinstance(given, Mapping) else given
    if not isinstance(pairs, Iterable) or isinstance(pairs, str):
        raise ConfigError(f"{name}: expected LaneLimits(...) by destination, got {check.kind_of(given)}")
    found: dict[str, LaneLimits] = {}
    for pair in pairs:
        if not isinstance(pair, tuple) or len(pair) != 2:
            raise ConfigError(f"{name}: expected LaneLimits(...) by destination, got {check.kind_of(pair)}")
        destination = _destination(name, pair[0], relay)
        check.kind(f"{name}[{destination!a}]", pair[1], LaneLimits, "LaneLimits(...)")
        if destination in found:
            raise ConfigError(f"{name}: expected each destination once, got {destination!a} twice")
        found[destination] = pair[1]
    return tuple(sorted(found.items()))


def read_limits(given: object) -> object:
    """The limits of a table of tables."""
    if not isinstance(given, Mapping):
        return given
    return {key: _read(key, value) for key, value in given.items()}


def _read(destination: object, given: object) -> object:
    from .config_sources import nearest

    if not isinstance(given, Mapping):
        return given
    known = [item.name for item in fields(LaneLimits)]
    for key in given:
        if key not in known:
            near = nearest(str(key), known)
            hint = f"did you mean {near!r}?" if near else f"expected one of {', '.join(known)}"
            where = f"Config.limits[{check.shown(destination)}]"
            raise ConfigError(f"{where}: there is no setting {check.shown(key)}; {hint}")
    return LaneLimits(**cast("dict[str, Any]", given))


def _destination(name: str, given: object, relay: str | None) -> str:
    """The destination as it is looked for, or a `ConfigError`."""
    if not isinstance(given, str) or not re.fullmatch(r"[^\s@/,\x00-\x20\x7f]{1,255}", given):
        raise ConfigError(f"{name}: expected {_EXPECTED}; got {check.shown(given)}")
    key = given.lower().rstrip(".") or given
    is_known = key in (ANYWHERE, relay) or key in {provider.name for provider in PROVIDERS}
    if is_known or re.fullmatch(r"\[[0-9a-z.:]+\]", key):
        return key
    if "." not in key or not key.strip("."):
        raise ConfigError(f"{name}: expected {_EXPECTED}; got {check.shown(given)}")
    return "." + check.domain(name, key[1:]) if key.startswith(".") else check.domain(name, key)
