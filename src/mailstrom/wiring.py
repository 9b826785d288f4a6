"""Which parts stand behind the facade's arguments."""

from __future__ import annotations

import atexit
import logging
import os
import sys
import threading
from collections.abc import Callable, Coroutine
from importlib import import_module
from typing import TYPE_CHECKING, Any

from .abc import Clock, SharedStorage, Storage, StorageRunner
from .config import Config, EventLoop, RemoteDeliveryConfig
from .config_storage import StorageConfig
from .engine.event_loop import loop_maker
from .engine.host_lock import HostLock
from .engine.platform import Calls, Flag, Looks, Loop, Platform, Turn
from .engine.prefork import prefork_server
from .engine.thread import CallThread, LookThread, LoopThread
from .errors import ConfigError
from .net.clock import SystemClock
from .secret import Secret
from .storage.exclusive import ExclusiveStorage
from .storage.fork import call_around_fork, call_in_forked_child
from .storage.memory import MemoryStorage
from .storage.urls import storage_from, storage_from_url
from .submission import NewIds

if TYPE_CHECKING:
    from .abc import Resolver
    from .engine.world import World

_WORKER = ("asyncio", "ssl", "mailstrom.engine.carriers", "mailstrom.engine.runtime", "mailstrom.net.tcp")
_CARRIER = ("aiosmtplib", "encodings.idna", "mailstrom.net.tls")  # idna: the system looks names up with it
_RESOLVER = (
    "dns.exception",
    "dns.message",
    "dns.resolver",
    "dns.rdtypes.ANY.CNAME",
    "dns.rdtypes.ANY.DNAME",
    "dns.rdtypes.ANY.MX",
    "dns.rdtypes.ANY.NS",
    "dns.rdtypes.ANY.OPT",
    "dns.rdtypes.ANY.RRSIG",
    "dns.rdtypes.ANY.SOA",
    "dns.rdtypes.ANY.TSIG",
    "dns.rdtypes.IN.A",
    "dns.rdtypes.IN.AAAA",
    "mailstrom.net.dns",
)
_RESOLVER_BY_HTTPS = ("dns.asyncquery", "dns._asyncio_backend")

_log = logging.getLogger("mailstrom")


def config_of(given: Config | Secret | None) -> Config:
    """The configuration: as given, of a relay URL (sealed), or the default."""
    if given is None:
        return Config()
    if isinstance(given, Config):
        return given
    if isinstance(given, Secret):
        return Config.from_dict({"delivery": given})
    raise ConfigError(f"config: expected a Config, a relay URL or None, got {type(given).__name__}")


def storage_of(given: Storage | SharedStorage | StorageConfig | str | Secret | None) -> SharedStorage:
    """What the engine works with: a plain storage lifted, that of a URL or settings; without one memory."""
    if given is None:
        return ExclusiveStorage(MemoryStorage())
    if isinstance(given, (str, Secret)):
        return storage_from_url(given)
    if isinstance(given, StorageConfig):
        return storage_from(given)
    if isinstance(given, SharedStorage):
        return given
    if isinstance(given, Storage):
        return ExclusiveStorage(given)
    raise ConfigError(
        "storage: expected a Storage such as MemoryStorage(), or a URL such as 'sqlite:///mail.db', "
        f"got {type(given).__name__}"
    )


def warn_of_prefork(storage: SharedStorage) -> None:
    """Says in the log that each worker process of a web server has a queue of its own, where it has."""
    if storage.durable:
        return
    server = prefork_server(sys.modules, os.environ, sys.argv)
    if server is not None:
        _log.warning(
            "each worker process of %s has a queue of its own in its memory, lost when it is recycled; "
            "name one for all: Mailstrom(storage='sqlite:///mail.db')",
            server,
        )


def load_worker(config: Config) -> None:
    """Loads all that a worker will use, now, on the caller's thread.

    In a child forked while another thread loads a module, that module is half there for good.
    """
    names = [*_WORKER]
    if config.mode == "live":
        names += _CARRIER
        if isinstance(config.delivery, RemoteDeliveryConfig):
            is_by_https = config.delivery.resolver_setup.protocol == "https"
            names += (*_RESOLVER, *_RESOLVER_BY_HTTPS) if is_by_https else _RESOLVER
    for name in names:
        import_module(name)
    loop_maker(config.event_loop)


class SystemPlatform(Platform):
    """This process and this machine, as they are."""

    clock = SystemClock()

    def __init__(self) -> None:
        self._new_ids = NewIds()

    def new_id(self) -> str:
        return self._new_ids()

    def flag(self) -> Flag:
        return threading.Event()

    def calls(self, name: str) -> Calls:
        return CallThread(name)

    def looks(self, name: str, secs: float, look: Callable[[], bool]) -> Looks:
        return LookThread(name, secs, look)

    def loop(
        self,
        name: str,
        main: Callable[[], Coroutine[Any, Any, None]],
        on_crash: Callable[[], None],
        kind: EventLoop,
    ) -> Loop:
        return LoopThread(name, main, on_crash, loop_maker(kind))

    def turn(self, identity: str) -> Turn:
        lock = HostLock(identity)
        call_around_fork(lock.before_fork, lock.after_fork)
        call_in_forked_child(lock.after_fork_in_child)
        return lock

    def at_exit(self, call: Callable[[], object]) -> None:
        atexit.register(call)

    def not_at_exit(self, call: Callable[[], object]) -> None:
        atexit.unregister(call)

    def world(self, config: Config, clock: Clock, run_storage: StorageRunner) -> World:
        return system_world(config, clock, run_storage)


def system_world(config: Config, clock: Clock, run_storage: StorageRunner) -> World:
    """The world as it is: real sockets, the configured name servers, chance of its own."""
    import random

    from .engine.world import World
    from .net.tcp import TcpNetwork

    return World(
        clock=clock,
        network=TcpNetwork(),
        make_resolver=lambda: _resolver(config, clock),
        run_storage=run_storage,
        chance=random.Random(),
    )


def _resolver(config: Config, clock: Clock) -> Resolver:
    from .net.dns import DnsResolver

    delivery = config.delivery
    if not isinstance(delivery, RemoteDeliveryConfig):
        raise ConfigError("a relay is looked up by the system, not by a resolver of ours")
    return DnsResolver(delivery.resolver_setup, clock, timeout_secs=delivery.dns_timeout_secs)
