"""What every delivery of one engine shares, and how it is made."""

from __future__ import annotations

from dataclasses import dataclass

from ..abc import Resolver
from ..config import Config, RelayConfig
from ..schedule.retry import RetryPolicy
from ..smtp.session import TlsContext
from .contacts import Contacts
from .events import Tell
from .known_hosts import KnownHosts
from .lanes import Lanes
from .pool import Pool
from .redirect import Redirect
from .routing import Router, router_for
from .session_events import SessionEvents
from .world import World


@dataclass(frozen=True, slots=True, kw_only=True)
class Tools:
    """What every delivery of one engine shares."""

    config: Config
    policy: RetryPolicy
    world: World
    router: Router
    lanes: Lanes
    contacts: Contacts
    pool: Pool
    session_events: SessionEvents
    known_hosts: KnownHosts
    tls_context: TlsContext
    helo_name: str
    redirect: Redirect | None
    resolver: Resolver | None


async def make_tools(
    config: Config, world: World, contacts: Contacts, helo_name: str, tell: Tell | None
) -> Tools:
    """The tools of a new engine, made in its loop; raises when there is no resolver."""
    from ..net.tls import TlsContexts

    delivery = config.delivery
    ca_file = delivery.ca_file if isinstance(delivery, RelayConfig) else None
    if isinstance(delivery, RelayConfig) and delivery.auth is not None:
        contacts.lanes.send_one_ahead(delivery.route_key)
    resolver = None if isinstance(delivery, RelayConfig) else world.make_resolver()
    return Tools(
        config=config,
        policy=config.retry_policy,
        world=world,
        router=router_for(config, world, resolver, helo_name),
        lanes=contacts.lanes,
        contacts=contacts,
        pool=Pool(config),
        session_events=SessionEvents(world.clock, tell),
        known_hosts=KnownHosts(),
        tls_context=TlsContexts(ca_file, world.clock.monotonic),
        helo_name=helo_name,
        redirect=Redirect.of(config),
        resolver=resolver,
    )
