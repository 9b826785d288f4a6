"""`mailstrom health`: whether the queue moves, told by what stands in it.

It asks the storage and the name servers, not a worker: so it tells as well of a worker that is
not there.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from ..errors import MailstromError, StorageError
from ..status import one_line
from .complaints import code_for, complaint
from .exit_codes import CommandError, ExitCode
from .health_report import Health, health_json, health_page
from .page_view import write_page
from .send_arguments import secs_above_zero
from .storage_option import (
    STORAGE_HELP,
    add_storage_arguments,
    config_with_storage,
    opened_queue,
    place_of,
)
from .terminal import Streams

if TYPE_CHECKING:
    from ..config import Config, ResolverSetup

ABOUT = "Tells whether a queue moves: how long its mail is overdue, and whether all it needs can be reached."

DNS_SECS = 5.0
ASKED_NAME = "arpa"  # every name server knows of it; any answer will do, also "no"

EXPLANATION = f"""\
It reads the queue itself, and works without a worker on this machine. Healthy is a queue whose
oldest due mail waits no longer than --max-age, where the name servers (or those who know the
relay's name) answer within {DNS_SECS:g} s.

examples:
  mailstrom health --config mailstrom.toml
  mailstrom health --config mailstrom.toml --json --max-age 300

The keys of --json do not change: healthy, at, problems (a list of texts), storage {{reachable, error}},
oldest_due_at, oldest_due_secs, last_delivered_at, max_age_secs, resolver {{reachable, error}}. What is
not known is null.

{STORAGE_HELP}
exit codes: 0 healthy; 1 not healthy; 64 the command line is wrong; 66 a file cannot be read, or there
is no queue; 70 nobody reads what is written, or mailstrom itself could not go on; 75 the queue cannot
be reached; 78 a setting cannot be used, or a right is missing. With --json all but 64 and 70 are told
as JSON
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `mailstrom health`."""
    parser.epilog = EXPLANATION
    add_storage_arguments(parser)
    parser.add_argument(
        "--max-age",
        type=secs_above_zero,
        default=900.0,
        metavar="SECS",
        help="how long due mail may wait (900)",
    )
    parser.add_argument("--no-dns", action="store_true", help="do not ask the name servers")
    parser.add_argument("--json", action="store_true", help="the same for programs")


def run(given: argparse.Namespace, streams: Streams) -> ExitCode:
    """Looks, tells, and returns what came of it."""
    health = Health(at=datetime.now(UTC), max_age_secs=given.max_age)
    try:
        health = _looked_at(health, given, streams)
    except (CommandError, MailstromError) as error:
        if not given.json or code_for(error) is ExitCode.USAGE:
            raise
        health = _without_queue(health, error)
    if given.json:
        streams.write(json.dumps(health_json(health), indent=2))
    else:
        write_page(health_page(health), streams)
    return health.exit_code


def _looked_at(health: Health, given: argparse.Namespace, streams: Streams) -> Health:
    config = config_with_storage(given, os.environ)
    try:
        with opened_queue(config, streams) as storage:
            health = replace(health, place=place_of(storage), overview=storage.overview(health.at))
    except StorageError as error:
        health = _without_queue(health, error)
    return health if given.no_dns else replace(health, asks_dns=True, dns_error=_dns_error(config))


def _without_queue(health: Health, error: CommandError | MailstromError) -> Health:
    return replace(health, storage_error=one_line(complaint(error)), storage_code=code_for(error))


def _dns_error(config: Config) -> str | None:
    """What is wrong with name look-ups; None: nothing."""
    from ..config import RelayConfig

    delivery = config.delivery
    if isinstance(delivery, RelayConfig):
        return asyncio.run(_relay_error(delivery.domain_name))
    timeout_secs = min(DNS_SECS, delivery.dns_timeout_secs)
    return asyncio.run(_resolver_error(delivery.resolver_setup, timeout_secs))


async def _relay_error(name: str) -> str | None:
    from ..net.tcp import TcpNetwork

    try:
        async with asyncio.timeout(DNS_SECS):
            await TcpNetwork().resolve_host(name)
    except TimeoutError:
        return f"nothing is heard of {name} within {DNS_SECS:g} s"
    except OSError as error:
        return one_line(f"{name}: {error.strerror or error}")
    return None


async def _resolver_error(setup: ResolverSetup, timeout_secs: float) -> str | None:
    from ..net.clock import SystemClock
    from ..net.dns import DnsResolver, ResolverError
    from ..route.mx import DnsOutcome

    try:
        resolver = DnsResolver(setup, SystemClock(), timeout_secs=timeout_secs)
    except ResolverError as error:
        return one_line(str(error))
    answer = await resolver.mx(ASKED_NAME)
    await resolver.close()
    return one_line(answer.detail) if answer.outcome is DnsOutcome.FAILED else None
