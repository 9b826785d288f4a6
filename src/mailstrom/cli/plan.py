"""`mailstrom plan`: where mail would go, without sending any."""

from __future__ import annotations

import argparse
import json
import logging
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

from ..errors import MessageError
from ..status import one_line
from .exit_codes import CommandError, ExitCode
from .page import Line, Page
from .page_view import write_page
from .send_arguments import SendArguments, add_delivery, secs_above_zero
from .storage_option import told_log
from .terminal import Streams

if TYPE_CHECKING:
    from ..plan import Plan, PlannedRoute

__all__ = ["ABOUT", "add_arguments", "exit_code_for", "plan_page", "run"]

ABOUT = "Tells where mail to some addresses would go, without connecting to a mail host."
HELP = """\
For each destination: its mail hosts in the order in which they would be tried, their addresses and port,
the TLS that is demanded and which setting says so, the lane (mail in one lane shares limits and
connections), and what is published and left out. Or why there is no host, as a sender would be told.

The DNS is asked, by the rules of delivery; no mail host is connected to, and nothing is stored.

examples:
  mailstrom plan you@yours.example
  mailstrom plan --config mailstrom.toml you@yours.example them@theirs.example
  mailstrom plan --json you@[192.0.2.9]

Settings come from --config, else from the environment, as those of `mailstrom send`.

exit codes: 0 there is a way to each; 64 the command line is wrong; 66 a file cannot be read; 69 mail to
at least one would fail for good; 70 nobody reads what is written, or mailstrom itself could not go on;
75 none would fail, but for at least one there is no host now; 78 a setting cannot be used
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `mailstrom plan`."""
    parser.epilog = HELP
    parser.add_argument("addresses", nargs="+", metavar="ADDRESS", help="of recipients")
    add_delivery(parser.add_argument_group("where it goes"))
    parser.add_argument(
        "--timeout", type=secs_above_zero, default=30.0, metavar="SECS", help="how long to look up (30)"
    )
    parser.add_argument("--json", action="store_true", help="the same for programs")


def run(given: argparse.Namespace, streams: Streams) -> ExitCode:
    """Looks up, and tells a paragraph per destination."""
    from ..facade import Mailstrom
    from ..storage.memory import MemoryStorage
    from .send_config import config_for

    arguments = SendArguments(
        relay=given.relay,
        relay_password_file=given.relay_password_file,
        relay_ca_file=given.relay_ca_file,
        config=given.config,
        helo=given.helo,
        require_tls=given.require_tls,
    )
    config = config_for(arguments, os.environ)
    with told_log(streams, logging.ERROR), Mailstrom(config, MemoryStorage()) as mailstrom:
        try:
            plan = mailstrom.plan(given.addresses, timeout=given.timeout)
        except MessageError as error:
            raise CommandError(ExitCode.USAGE, str(error)) from error
    if given.json:
        streams.write(json.dumps(plan.to_dict(), indent=2))
    else:
        write_page(plan_page(plan), streams)
    return exit_code_for(plan)


def exit_code_for(plan: Plan) -> ExitCode:
    """Failed weighs more than not yet: it will not change by waiting."""
    states = {route.failure.state for route in plan if route.failure is not None}
    if not states:
        return ExitCode.OK
    return ExitCode.UNAVAILABLE if "failed" in states else ExitCode.NOT_YET


def plan_page(plan: Plan) -> Page:
    """A paragraph for each route."""
    page = []
    if plan.mode != "live":
        page.append(Line(f"Nothing is sent: Config.mode is {plan.mode!r}."))
    if plan.redirect_to is not None:
        page.append(Line(one_line(f"All of it goes to {plan.redirect_to} instead (Config.redirect_to).")))
    for route in plan:
        page += [Line(), *_route_lines(route)] if page else [*_route_lines(route)]
    return page


def _route_lines(route: PlannedRoute) -> Iterator[Line]:
    yield Line(one_line(route.route_key), "heading")
    yield Line(f"  for {one_line(', '.join(route.recipients))}")
    if (failure := route.failure) is not None:
        said = one_line(f"{failure.state}: {failure.reason} ({failure.enhanced_code})")
        yield Line(f"  {said}", failure.state)
    for hop in route.hops:
        yield Line(f"  {hop.preference:>3}  {one_line(f'{hop.host} port {hop.port}, TLS {hop.tls}')}")
        yield Line(f"       {one_line(', '.join(hop.addresses))}")
    for each in route.left_out:
        what = each.host if each.address is None else f"{each.host} [{each.address}]"
        yield Line(f"  left out: {one_line(f'{what}: {each.reason}')}")
    if route.lane is not None:
        yield Line(f"  lane {one_line(route.lane)}")
    if route.limits:
        yield Line(f"  limits: {one_line(', '.join(str(limit) for limit in route.limits))}")
