"""Which commands there are: the tree that main.py walks down."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

from .exit_codes import ExitCode
from .terminal import Streams

ABOUT = "Delivers mail to the hosts of its recipients, or through a relay, and tells what became of it."


@dataclass(frozen=True, slots=True)
class Command:
    """One command: what it is for, its arguments, and what it does."""

    about: str
    add_arguments: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace, Streams], ExitCode]


@dataclass(frozen=True, slots=True)
class CommandGroup:
    """A command that has commands of its own; without one it does what `alone` says, if anything."""

    about: str
    commands: Mapping[str, Command | CommandGroup]
    alone: Command | None = None


def all_commands() -> CommandGroup:
    """The whole tree."""
    from . import db, demo, dkim, health, plan, queue, queue_arguments, send, worker

    dkim_commands = {
        "keygen": Command(dkim.KEYGEN_ABOUT, dkim.add_keygen_arguments, dkim.keygen),
        "record": Command(dkim.RECORD_ABOUT, dkim.add_record_arguments, dkim.record),
        "verify": Command(dkim.VERIFY_ABOUT, dkim.add_verify_arguments, dkim.verify_message),
    }
    db_commands = {
        "upgrade": Command(db.UPGRADE_ABOUT, db.add_upgrade_arguments, db.upgrade),
        "version": Command(db.VERSION_ABOUT, db.add_version_arguments, db.version),
    }
    overview = Command(queue.ABOUT, queue_arguments.add_overview_arguments, queue.overview)
    commands: dict[str, Command | CommandGroup] = {
        "send": Command(send.ABOUT, send.add_arguments, send.run),
        "plan": Command(plan.ABOUT, plan.add_arguments, plan.run),
        "worker": Command(worker.ABOUT, worker.add_arguments, worker.run),
        "queue": CommandGroup(queue.ABOUT, _queue_commands(), alone=overview),
        "health": Command(health.ABOUT, health.add_arguments, health.run),
        "db": CommandGroup(db.ABOUT, db_commands),
        "dkim": CommandGroup(dkim.ABOUT, dkim_commands),
        "demo": Command(demo.ABOUT, demo.add_arguments, demo.run),
    }
    return CommandGroup(ABOUT, commands)


def _queue_commands() -> dict[str, Command]:
    from ..records import Order
    from . import queue, queue_arguments, queue_orders

    commands = {
        "list": Command(queue.LIST_ABOUT, queue_arguments.add_list_arguments, queue.list_messages),
        "show": Command(queue.SHOW_ABOUT, queue_arguments.add_show_arguments, queue.show),
        "explain": Command(queue.EXPLAIN_ABOUT, queue_arguments.add_explain_arguments, queue.explain),
    }
    for order in Order:
        add_arguments = partial(queue_arguments.add_order_arguments, order)
        run = partial(queue_orders.run, order)
        commands[str(order)] = Command(queue_orders.ABOUT[order], add_arguments, run)
    return commands
