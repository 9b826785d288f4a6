"""Which limits hold for mail of a route key in a lane, and with what else it shares them. A pure rule.

    the domain, an MX host, the relay ► '.mx.example' ► the provider, as configured, then as shipped ► '*'

Each setting is looked for by itself, from the left. Where it is found it has a name: what has the same
name counts together, in whatever lanes it is.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ..config import Config
from ..config_limits import ANYWHERE, LaneLimits
from ..route.providers import PROVIDERS, provider_of
from ..schedule.rate import Rate
from .slot import OF_ONE_KEY

KEPT = 100_000  # answers that are remembered

_RELAY = "relay:"


@dataclass(frozen=True, slots=True)
class Cap:
    """So many sessions at once with all that has this name."""

    name: str
    most: int


@dataclass(frozen=True, slots=True)
class Meter:
    """So many messages in a while to all that has this name."""

    name: str
    rate: Rate


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """What holds for a delivery; None: no limit but those of `Config` itself."""

    cap: Cap | None = None
    meter: Meter | None = None
    max_messages_per_session: int | None = None


class BoundsTable:
    """The bounds of each route key in each lane, as configured. Any thread."""

    def __init__(self, config: Config) -> None:
        self._limits = dict(config.limits_by_destination)
        self._has_providers = config.provider_limits
        #: Nothing is limited anywhere.
        self.is_empty = config.mode != "live" or not (self._limits or self._has_providers)
        self._suffixes = sorted((key for key in self._limits if key.startswith(".")), key=len, reverse=True)
        self._found: dict[tuple[str, str], Bounds | None] = {}

    @property
    def names_single_destinations(self) -> bool:
        """Keys of one lane may have different bounds."""
        providers = {provider.name for provider in PROVIDERS}
        return any(key != ANYWHERE and key not in providers and key[0] != "." for key in self._limits)

    def of(self, route_key: str, lane: str) -> Bounds | None:
        """The bounds of mail with this key in this lane; None: there are none."""
        if self.is_empty:
            return None
        try:
            return self._found[route_key, lane]
        except KeyError:
            found = self._look_up(route_key, lane)
        if len(self._found) >= KEPT:
            self._found = {}
        self._found[route_key, lane] = found
        return found

    def _look_up(self, route_key: str, lane: str) -> Bounds | None:
        cap, meter, messages = None, None, None
        for name, limits in self._that_apply(route_key.removeprefix(_RELAY), lane):
            if cap is None and limits.max_sessions is not None:
                cap = Cap(name, limits.max_sessions)
            if meter is None and limits.pace is not None:
                meter = Meter(name, limits.pace)
            messages = limits.max_messages_per_session if messages is None else messages
        bounds = Bounds(cap=cap, meter=meter, max_messages_per_session=messages)
        return None if bounds == Bounds() else bounds

    def _that_apply(self, destination: str, lane: str) -> Iterator[tuple[str, LaneLimits]]:
        """Names, and the limits that they have, the nearest first."""
        has_hosts = not lane.startswith(OF_ONE_KEY)
        hosts = lane.removeprefix(_RELAY).split(",") if has_hosts else []
        for name in (destination, *hosts):
            if name in self._limits:
                yield name, self._limits[name]
        for suffix in self._suffixes:
            if any(host.endswith(suffix) for host in hosts):
                yield suffix, self._limits[suffix]
        if (provider := provider_of(hosts)) is not None:
            if provider.name in self._limits:
                yield provider.name, self._limits[provider.name]
            if self._has_providers:
                yield provider.name, LaneLimits(
                    max_sessions=provider.max_sessions,
                    max_messages_per_session=provider.max_messages_per_session,
                )
        if has_hosts and ANYWHERE in self._limits:
            yield lane, self._limits[ANYWHERE]
