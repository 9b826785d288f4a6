"""Where a claim's mail goes now: the rules of `route`, fed by the resolver and the network."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from ..abc import Clock, Network, Resolver
from ..config import Config, RelayConfig, RemoteDeliveryConfig
from ..route.addresses import (
    ADDRESSES_PER_PASS,
    Family,
    cut_at_own_addresses,
    family_of,
    hosts_with_addresses,
    literal_route,
    route_for_pass,
    why_no_host,
)
from ..route.mx import (
    AddressAnswer,
    DnsOutcome,
    Host,
    MxRecord,
    Route,
    RouteFailure,
    Shuffle,
    deferred,
    lane_of,
    loop_failure,
    mx_hosts,
    parse_literal,
)
from .world import World

HOSTS_AT_ONCE = 10  # address look-ups of one MX set under way together
HOSTS_LIMIT = 50  # looked up for one route, however many the domain publishes
PATIENCE_SECS = 5.0  # for slow look-ups when another host of the set can be used already
FAMILY_SKIP_SECS = 600.0
RELAY_KEPT_SECS = 60.0
OWN_ADDRESSES_KEPT_SECS = 300.0


class FamilyMemory:
    """Which address families have no route from here; used in the worker's loop only."""

    def __init__(self, skip_secs: float = FAMILY_SKIP_SECS) -> None:
        self._skip_secs = skip_secs
        self._skipped_until: dict[Family, float] = {}

    def note_unreachable(self, address: str, now: float) -> None:
        """The system said ENETUNREACH for `address`: its family is skipped for a while."""
        self._skipped_until[family_of(address)] = now + self._skip_secs

    def note_reachable(self, address: str) -> None:
        """A connection to `address` was made: its family works."""
        self._skipped_until.pop(family_of(address), None)

    def usable(self, route: Route, now: float) -> Route:
        """The route without skipped families; as it was when nothing would be left."""
        if not self._skipped_until:
            return route
        kept = tuple(
            replace(host, addresses=left)
            for host in route.hosts
            if (left := tuple(a for a in host.addresses if not self._is_skipped(a, now)))
        )
        return replace(route, hosts=kept) if kept else route

    def _is_skipped(self, address: str, now: float) -> bool:
        return now < self._skipped_until.get(family_of(address), now)


class Router:
    """Turns a route key into hosts and addresses, or into a failure. Used in the worker's loop only.

    `own_names`: names of this host beside `RemoteDeliveryConfig.own_names`, the helo name above
    all. A relay needs no `resolver`: its name is looked up by the system.
    """

    def __init__(
        self,
        delivery: RemoteDeliveryConfig | RelayConfig,
        resolver: Resolver | None,
        network: Network,
        clock: Clock,
        *,
        shuffle: Shuffle,
        own_names: Collection[str] = (),
        addresses_per_pass: int = ADDRESSES_PER_PASS,
    ) -> None:
        self._delivery = delivery
        self._resolver = resolver
        self._network = network
        self._clock = clock
        self._shuffle = shuffle
        self._own_names = frozenset(own_names)
        self._addresses_per_pass = addresses_per_pass
        self._families = FamilyMemory()
        self._kept_relay: tuple[Route, float] | None = None  # and until when
        self._own_addresses: tuple[frozenset[str], float] | None = None

    async def route(self, route_key: str, tries: int = 0) -> Route | RouteFailure:
        """The hosts of one pass: at most 5 addresses, the choice turning with `tries`.

        Trouble is a `RouteFailure`, never an exception. Takes at most
        `RemoteDeliveryConfig.dns_timeout_secs`.
        """
        found = await self.whole_route(route_key)
        if isinstance(found, RouteFailure):
            return found
        return route_for_pass(found, tries, self._addresses_per_pass)

    async def whole_route(self, route_key: str) -> Route | RouteFailure:
        """All hosts and addresses that passes may visit, as `route` for the rest."""
        found = await self._found_route(route_key)
        if isinstance(found, RouteFailure):
            return found
        return self._families.usable(found, self._clock.monotonic())

    def note_unreachable(self, address: str) -> None:
        """ENETUNREACH for `address`: its family is skipped for 10 minutes where another is there."""
        self._families.note_unreachable(address, self._clock.monotonic())

    def note_reachable(self, address: str) -> None:
        """A connection to `address` was made: its family is used again."""
        self._families.note_reachable(address)

    async def _found_route(self, route_key: str) -> Route | RouteFailure:
        delivery = self._delivery
        if isinstance(delivery, RelayConfig):
            return await self._relay_route(delivery)
        if route_key.startswith("relay:"):
            return deferred("4.3.5", f"queued for {route_key}, and no relay is configured now")
        if route_key.startswith("["):
            return literal_route(
                route_key,
                families=delivery.ip_families,
                allow_private=delivery.allow_private_addresses,
                own_addresses=await self._addresses_of_this_host(),
            )
        return await self._remote_route(route_key, delivery)

    async def _relay_route(self, relay: RelayConfig) -> Route | RouteFailure:
        if self._kept_relay is not None and self._clock.monotonic() < self._kept_relay[1]:
            return self._kept_relay[0]
        name = relay.domain_name
        addresses = await self._relay_lookup(name)
        if isinstance(addresses, RouteFailure):
            return addresses
        route = Route(hosts=(Host(name=name, addresses=addresses),), lane=relay.route_key)
        self._kept_relay = (route, self._clock.monotonic() + RELAY_KEPT_SECS)
        return route

    async def _relay_lookup(self, name: str) -> tuple[str, ...] | RouteFailure:
        literal = parse_literal(name)
        if literal is not None:
            return (literal,)
        try:
            found = await self._network.resolve_host(name)
        except OSError as error:
            # a moment without DNS must never bounce the queue: a relay's failure is never final
            return deferred("4.4.3", f"the relay {name} could not be looked up: {error}")
        if not found:
            return deferred("4.4.3", f"the relay {name} has no address")
        return tuple(found)

    async def _remote_route(self, domain: str, delivery: RemoteDeliveryConfig) -> Route | RouteFailure:
        deadline = self._clock.monotonic() + delivery.dns_timeout_secs
        answer = await self._asked().mx(domain)
        own_names = self._own_names.union(delivery.own_names)
        tiers = mx_hosts(domain, answer, own_names=own_names, shuffle=self._shuffle)
        if isinstance(tiers, RouteFailure):
            return tiers
        records = [record for tier in tiers for record in tier]
        answers = await self._lookup_in_turn(records, delivery, deadline)
        hosts = _usable(records, answers, delivery)
        nearer = cut_at_own_addresses(hosts, await self._addresses_of_this_host())
        if nearer:
            return Route(hosts=nearer, lane=lane_of(tiers))
        return _nowhere(domain, records, answers, hosts, delivery)

    async def _lookup_in_turn(
        self, records: Sequence[MxRecord], delivery: RemoteDeliveryConfig, deadline: float
    ) -> dict[str, AddressAnswer]:
        """The addresses of the first hosts, and of further ones until some host can be used."""
        answers: dict[str, AddressAnswer] = {}
        for start in range(0, min(len(records), HOSTS_LIMIT), HOSTS_AT_ONCE):
            batch = records[start : start + HOSTS_AT_ONCE]
            answers |= await self._lookup_together(batch, delivery, deadline)
            if _usable(batch, answers, delivery):
                break
        return answers

    async def _lookup_together(
        self, batch: Sequence[MxRecord], delivery: RemoteDeliveryConfig, deadline: float
    ) -> dict[str, AddressAnswer]:
        tasks = {
            record.host: asyncio.ensure_future(self._asked().addresses(record.host)) for record in batch
        }
        try:
            await asyncio.wait(tasks.values(), timeout=min(PATIENCE_SECS, self._left(deadline)))
            if not _usable(batch, _answers_so_far(tasks), delivery):
                await asyncio.wait(tasks.values(), timeout=self._left(deadline))
            return _answers_so_far(tasks)
        finally:
            await cancel(tasks.values())

    def _left(self, deadline: float) -> float:
        return max(0.0, deadline - self._clock.monotonic())

    def _asked(self) -> Resolver:
        if self._resolver is None:
            raise ValueError("Router: remote delivery needs a resolver")
        return self._resolver

    async def _addresses_of_this_host(self) -> frozenset[str]:
        """Ours by configuration of the machine; none where private addresses are allowed."""
        delivery = self._delivery
        if isinstance(delivery, RelayConfig) or delivery.allow_private_addresses:
            return frozenset()
        now = self._clock.monotonic()
        if self._own_addresses is None or now >= self._own_addresses[1]:
            self._own_addresses = (await self._read_own_addresses(), now + OWN_ADDRESSES_KEPT_SECS)
        return self._own_addresses[0]

    async def _read_own_addresses(self) -> frozenset[str]:
        try:
            return frozenset(await self._network.own_addresses())
        except OSError:
            return frozenset()


def router_for(config: Config, world: World, resolver: Resolver | None, helo_name: str) -> Router:
    """The router for a configuration in a world."""
    return Router(
        config.delivery,
        resolver,
        world.network,
        world.clock,
        shuffle=world.chance.shuffle,
        own_names=(helo_name,),
    )


def _usable(
    records: Iterable[MxRecord], answers: Mapping[str, AddressAnswer], delivery: RemoteDeliveryConfig
) -> tuple[Host, ...]:
    return hosts_with_addresses(
        [record for record in records if record.host in answers],
        answers,
        families=delivery.ip_families,
        allow_private=delivery.allow_private_addresses,
    )


def _nowhere(
    domain: str,
    records: Sequence[MxRecord],
    answers: Mapping[str, AddressAnswer],
    ours: Sequence[Host],
    delivery: RemoteDeliveryConfig,
) -> RouteFailure:
    """Why no host is left; `ours` are the hosts that turned out to be this machine, or behind it."""
    if not ours:
        if len(records) > len(answers):
            return deferred("4.4.4", f"the first {len(answers)} mail hosts of {domain} have no address")
        return why_no_host(domain, answers, delivery.ip_families)
    own_preference = min(host.preference for host in ours)
    nearer = {r.host: answers[r.host] for r in records if r.preference < own_preference and r.host in answers}
    # we are a backup MX and the better ones cannot be looked up now: not a loop, only bad weather
    return why_no_host(domain, nearer, delivery.ip_families) if nearer else loop_failure(domain)


def _answers_so_far(tasks: Mapping[str, asyncio.Future[AddressAnswer]]) -> dict[str, AddressAnswer]:
    return {host: task.result() if task.done() else _TOO_SLOW for host, task in tasks.items()}


_TOO_SLOW = AddressAnswer(
    ipv4_outcome=DnsOutcome.FAILED,
    ipv6_outcome=DnsOutcome.FAILED,
    detail="timed out",
    is_unanswered=True,
)


async def cancel(tasks: Collection[asyncio.Future[Any]]) -> None:
    """Ends the tasks that are not done, and waits until they are."""
    left = [task for task in tasks if not task.done()]
    for task in left:
        task.cancel()
    await asyncio.gather(*left, return_exceptions=True)  # of those alone: Python 3.12 waits for no others
    for task in tasks:
        if not task.cancelled():
            task.exception()  # noted: nobody else asks for it
