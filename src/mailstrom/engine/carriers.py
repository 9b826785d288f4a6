"""Which carrier a configuration asks for."""

from __future__ import annotations

import logging
import re
import socket

from ..config import Config
from .contacts import Contacts
from .delivery import SmtpCarrier
from .events import Tell
from .job import Carrier, MakeCarrier
from .local import LocalCarrier, Outbox, Write, file_writer, write_to_console
from .redirect import Redirect
from .tools import make_tools
from .world import World

_log = logging.getLogger("mailstrom")


def carrier_maker(outbox: Outbox, tell: Tell | None = None) -> MakeCarrier:
    """Makes the carrier for `Config.mode`, in the worker's loop; "capture" writes to `outbox`."""

    async def make(config: Config, world: World, contacts: Contacts) -> Carrier:
        if config.mode == "live":
            helo_name = await own_name(config, world)
            return SmtpCarrier(await make_tools(config, world, contacts, helo_name, tell))
        write, redirect = _write(config, outbox), Redirect.of(config)
        return LocalCarrier(mode=config.mode, world=world, write=write, redirect=redirect)

    return make


async def own_name(config: Config, world: World) -> str:
    """Our name in EHLO: as configured, else the host's name if it has a dot, else looked up."""
    if config.helo_name is not None:
        return config.helo_name
    name = socket.gethostname()
    if "." not in name:
        name = await world.network.own_fqdn()
    if not re.fullmatch(r"[A-Za-z0-9._\-]{1,255}", name):
        name = "localhost"
    if "." not in name:
        # RFC 5321 4.1.1.1: the argument of EHLO is a fully qualified domain name
        _log.warning("the host name %r is no full domain name; set Config(helo_name=...)", name)
    return name


def _write(config: Config, outbox: Outbox) -> Write:
    writers = {"capture": outbox.add, "console": write_to_console}
    return writers.get(config.mode) or file_writer(config.mail_dir)
