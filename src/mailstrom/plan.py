"""Where an email would go now, and how securely: the values that `Mailstrom.plan` returns.

Nothing of it is a promise: hosts of equal preference are tried in random order, the DNS changes,
and what a host offers is seen only by who connects to it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from .engine.hops import TlsDemand
from .route.left_out import LeftOut
from .route.mx import RouteFailure
from .status import one_line

__all__ = ["LeftOut", "Plan", "PlannedHop", "PlannedLimit", "PlannedRoute", "RouteFailure", "TlsDemand"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedHop:
    """One host that a try would visit, and the TLS that it would demand."""

    host: str  # MX or relay name, or the address literal
    preference: int  # lower is tried first; 0 for a relay or a literal
    addresses: tuple[str, ...]  # in the order of trial
    port: int
    tls: TlsDemand

    def __str__(self) -> str:
        return one_line(f"{self.host}:{self.port} [{', '.join(self.addresses)}], TLS {self.tls}")


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedLimit:
    """A limit of `Config.limits` or of a large provider that holds for a route."""

    setting: str  # of LaneLimits: "max_sessions"
    value: int | str  # 10, "100/min"
    counts_with: str | None = None  # the destination, the provider or the lane whose mail counts together

    def __str__(self) -> str:
        where = "" if self.counts_with is None else f" for {self.counts_with}"
        return one_line(f"{self.setting} {self.value}{where}")


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedRoute:
    """Recipients whose mail goes the same way: to which hosts, or why to none.

    There are hops, or there is a `failure`, or (in a `Config.mode` other than "live") neither: mail is
    kept here. A failure is what the recipients would be told: "deferred", tried again by the schedule,
    or "failed", with its cause.
    """

    route_key: str  # a domain, "relay:NAME", or an address literal
    recipients: tuple[str, ...]  # addresses as on the wire
    lane: str | None = None  # with whom it shares limits and connections; None: no host is known
    hops: tuple[PlannedHop, ...] = ()  # as the first try would visit them, two sessions at most
    left_out: tuple[LeftOut, ...] = ()  # published, and not visited
    failure: RouteFailure | None = None
    limits: tuple[PlannedLimit, ...] = ()  # beside those that hold everywhere

    def __str__(self) -> str:
        if self.failure is not None:
            why = f"{self.failure.reason} ({self.failure.enhanced_code})"
            return one_line(f"{self.route_key}: {self.failure.state}: {why}")
        where = "; ".join(str(hop) for hop in self.hops) or "kept here"
        return one_line(f"{self.route_key}: {where}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What would become of an email that is sent now: `plan["you@x.example"]` is the route of one."""

    mode: str  # Config.mode: only "live" sends anything
    redirect_to: str | None = None  # the one address that everything goes to, instead of the recipients
    routes: tuple[PlannedRoute, ...]

    def __getitem__(self, address: str) -> PlannedRoute:
        for route in self.routes:
            if address in route.recipients:
                return route
        raise KeyError(address)

    def __iter__(self) -> Iterator[PlannedRoute]:
        return iter(self.routes)

    def __str__(self) -> str:
        return "\n".join(str(route) for route in self.routes)

    def to_dict(self) -> dict[str, Any]:
        """Plain dicts, lists and strings, ready for `json.dumps`."""
        routes = [_route_to_dict(route) for route in self.routes]
        return {"mode": self.mode, "redirect_to": self.redirect_to, "routes": routes}


def _route_to_dict(route: PlannedRoute) -> dict[str, Any]:
    return {
        "route_key": route.route_key,
        "recipients": list(route.recipients),
        "lane": route.lane,
        "hops": [_hop_to_dict(hop) for hop in route.hops],
        "left_out": [
            {"host": each.host, "address": each.address, "reason": each.reason} for each in route.left_out
        ],
        "failure": None if route.failure is None else _failure_to_dict(route.failure),
        "limits": [
            {"setting": each.setting, "value": each.value, "counts_with": each.counts_with}
            for each in route.limits
        ],
    }


def _hop_to_dict(hop: PlannedHop) -> dict[str, Any]:
    tls = {"mode": hop.tls.mode, "is_implicit": hop.tls.is_implicit, "setting": hop.tls.setting}
    return {
        "host": hop.host,
        "preference": hop.preference,
        "addresses": list(hop.addresses),
        "port": hop.port,
        "tls": tls,
    }


def _failure_to_dict(failure: RouteFailure) -> dict[str, Any]:
    return {
        "state": failure.state,
        "enhanced_code": str(failure.enhanced_code),
        "reason": failure.reason,
        "cause": None if failure.cause is None else str(failure.cause),
    }
