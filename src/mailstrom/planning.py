"""Makes a `Plan`: what a worker would do with an email now, but for connecting to a mail host.

    recipients ──allow_domains, redirect_to──► groups by route key ──Router──► hops
                                                                     └─ what it heard ─► left_out

The rules and the router are those of delivery. The resolver is a new one, so the answers are those of
the DNS now, not of a running worker's cache.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from .abc import Clock, InternalRecipientStatus, Resolver
from .config import Config, RelayConfig
from .engine.bounds import Bounds, BoundsTable
from .engine.carriers import own_name
from .engine.hops import demanded_tls, hop_to
from .engine.platform import Platform
from .engine.redirect import Redirect
from .engine.routing import Router, cancel, router_for
from .engine.thread import run_inline
from .engine.triage import DOMAIN_NOT_ALLOWED, is_allowed
from .engine.world import World
from .plan import LeftOut, Plan, PlannedHop, PlannedLimit, PlannedRoute
from .route.addresses import route_for_pass
from .route.left_out import Heard, left_for_later, left_out
from .route.mx import AddressAnswer, Host, MxAnswer, Route, RouteFailure, deferred

ROUTES_AT_ONCE = 50  # looked up for one plan
THREAD = "mailstrom-plan"


def make_plan(
    config: Config,
    recipients: Sequence[InternalRecipientStatus],
    platform: Platform,
    clock: Clock,
    timeout_secs: float,
) -> Plan:
    """The plan for these recipients; what is not known after `timeout_secs` is told as such.

    Blocks; looks up in an event loop of its own. Raises `NotRunningError` where the system has no
    thread for that.
    """
    made: list[Plan] = []
    errors: list[Exception] = []

    async def main() -> None:
        try:
            world = platform.world(config, clock, run_inline)
            made.append(await _planned(config, recipients, world, timeout_secs))
        except Exception as error:  # noqa: BLE001  it is raised to the caller
            errors.append(error)

    loop = platform.loop(THREAD, main, lambda: None, config.event_loop)
    loop.start()
    loop.join()
    if errors:
        raise errors[0]
    return made[0]


async def _planned(
    config: Config, recipients: Sequence[InternalRecipientStatus], world: World, timeout_secs: float
) -> Plan:
    groups = _grouped(config, recipients)
    to_find = [route_key for route_key, refusal in groups if refusal is None]
    found: Mapping[str, PlannedRoute] = {}
    if config.mode == "live" and to_find:
        found = await _found(config, world, to_find, timeout_secs)
    routes = []
    for (route_key, refusal), addresses in groups.items():
        without = PlannedRoute(route_key=route_key, recipients=(), failure=refusal)
        route = found.get(route_key, without) if refusal is None else without
        routes.append(replace(route, recipients=tuple(addresses)))
    return Plan(mode=config.mode, redirect_to=config.redirect_to, routes=tuple(routes))


def _grouped(
    config: Config, recipients: Iterable[InternalRecipientStatus]
) -> Mapping[tuple[str, RouteFailure | None], list[str]]:
    """The addresses of those that go the same way, or are refused before they go anywhere."""
    redirect = Redirect.of(config)
    groups: defaultdict[tuple[str, RouteFailure | None], list[str]] = defaultdict(list)
    for recipient in recipients:
        if not is_allowed(recipient.address, config.allow_domains):
            groups[recipient.route_key, DOMAIN_NOT_ALLOWED].append(recipient.address)
            continue
        groups[redirect.route_key if redirect else recipient.route_key, None].append(recipient.address)
    return groups


async def _found(
    config: Config, world: World, route_keys: Iterable[str], timeout_secs: float
) -> Mapping[str, PlannedRoute]:
    """What each key leads to, without recipients; raises what keeps the resolver from being made."""
    resolver = None if isinstance(config.delivery, RelayConfig) else _Listening(world.make_resolver())
    look_ups = _LookUps(config, world, resolver)
    tasks = {key: asyncio.ensure_future(look_ups.route(key)) for key in route_keys}
    try:
        await asyncio.wait(tasks.values(), timeout=timeout_secs)
        return {
            key: task.result() if task.done() else _unknown(key, timeout_secs) for key, task in tasks.items()
        }
    finally:
        await cancel(tasks.values())
        await look_ups.close()


class _LookUps:
    """The look-ups of one plan. Used in one event loop."""

    def __init__(self, config: Config, world: World, resolver: _Listening | None) -> None:
        self._config = config
        self._world = world
        self._resolver = resolver
        self._own_name = asyncio.ensure_future(own_name(config, world))  # may take long
        self._router: Router | None = None
        self._bounds = BoundsTable(config)
        self._slots = asyncio.Semaphore(ROUTES_AT_ONCE)

    async def route(self, route_key: str) -> PlannedRoute:
        """What the key leads to, without recipients."""
        async with self._slots:
            helo_name = await asyncio.shield(self._own_name)
            if self._router is None:
                self._router = router_for(self._config, self._world, self._resolver, helo_name)
            whole = await self._router.whole_route(route_key)
        missing = self._left_out(route_key, whole, helo_name)
        if isinstance(whole, RouteFailure):
            return PlannedRoute(route_key=route_key, recipients=(), left_out=missing, failure=whole)
        in_pass = route_for_pass(whole, tries=0)
        return PlannedRoute(
            route_key=route_key,
            recipients=(),
            lane=whole.lane,
            hops=tuple(_hop(self._config, host) for host in in_pass.hosts),
            left_out=(*missing, *left_for_later(whole, in_pass)),
            limits=tuple(_limits(self._bounds.of(route_key, whole.lane) or Bounds())),
        )

    async def close(self) -> None:
        """Ends what is under way."""
        await cancel([self._own_name])
        if self._resolver is not None:
            await self._resolver.close()

    def _left_out(
        self, domain: str, whole: Route | RouteFailure, helo_name: str
    ) -> tuple[LeftOut, ...]:
        delivery, resolver = self._config.delivery, self._resolver
        if resolver is None or domain not in resolver.mx_answers or isinstance(delivery, RelayConfig):
            return ()
        heard = Heard(
            domain=domain,
            mx=resolver.mx_answers[domain],
            addresses=resolver.address_answers,
            own_names=(helo_name, *delivery.own_names),
            families=delivery.ip_families,
            allow_private=delivery.allow_private_addresses,
        )
        return left_out(heard, None if isinstance(whole, RouteFailure) else whole)


class _Listening(Resolver):
    """Asks another resolver, and remembers what it said. Used in one event loop."""

    def __init__(self, inner: Resolver) -> None:
        self.mx_answers: dict[str, MxAnswer] = {}
        self.address_answers: dict[str, AddressAnswer | None] = {}  # None: asked for, not answered yet
        self._inner = inner

    async def mx(self, domain: str) -> MxAnswer:
        self.mx_answers[domain] = answer = await self._inner.mx(domain)
        return answer

    async def addresses(self, host: str) -> AddressAnswer:
        self.address_answers.setdefault(host, None)
        self.address_answers[host] = answer = await self._inner.addresses(host)
        return answer

    async def close(self) -> None:
        await self._inner.close()


def _hop(config: Config, host: Host) -> PlannedHop:
    tls = demanded_tls(config)
    hop = hop_to(config, host.name, host.addresses[0], tls.mode)
    return PlannedHop(
        host=host.name, preference=host.preference, addresses=host.addresses, port=hop.port, tls=tls
    )


def _limits(bounds: Bounds) -> Iterator[PlannedLimit]:
    if (cap := bounds.cap) is not None:
        yield PlannedLimit(setting="max_sessions", value=cap.most, counts_with=cap.name)
    if bounds.max_messages_per_session is not None:
        yield PlannedLimit(setting="max_messages_per_session", value=bounds.max_messages_per_session)
    if (meter := bounds.meter) is not None:
        yield PlannedLimit(setting="rate", value=str(meter.rate), counts_with=meter.name)


def _unknown(route_key: str, secs: float) -> PlannedRoute:
    failure = deferred("4.4.3", f"where it goes is not known after {secs:g} s: look-ups take too long")
    return PlannedRoute(route_key=route_key, recipients=(), failure=failure)
