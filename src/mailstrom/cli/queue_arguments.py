"""The arguments of `mailstrom queue` and its commands: which mail is meant."""

from __future__ import annotations

import argparse
from datetime import datetime
from typing import cast

from ..errors import MessageError
from ..records import EVERYTHING, Order, Selection
from ..selection import Chosen, selection_of
from .exit_codes import CommandError, ExitCode
from .send_arguments import secs_above_zero
from .storage_option import STORAGE_HELP, add_storage_arguments

SELECTING = ("domain", "address", "sender", "destination", "state", "submitted_before")

EXIT_CODES = """\
exit codes: 0 done, also where there was nothing to do; 1 not done; 64 the command line is wrong;
66 a file, or the message, is not there; 75 the queue cannot be reached; 78 a setting cannot be used
"""

OVERVIEW_HELP = f"""\
How much mail waits, by destination and state, the fullest first. A destination is the recipient's
domain, or relay:NAME. The states:

  queued    not tried yet
  claimed   being tried at this moment
  deferred  tried without success, and tried again later
  held      tried by nobody until it is released

examples:
  mailstrom queue --storage sqlite:///mail.db
  mailstrom queue --config mailstrom.toml --watch
  mailstrom queue list --domain dest.example
  mailstrom queue show 4711.1f2e@mydomain.example
  mailstrom queue hold --destination dest.example
  mailstrom queue retry --all --yes

{STORAGE_HELP}
{EXIT_CODES}"""
LIST_HELP = f"""\
The messages with work left, the oldest first.

examples:
  mailstrom queue list --state held
  mailstrom queue list --domain dest.example --sender news@mydomain.example --json

{STORAGE_HELP}
{EXIT_CODES}"""
SHOW_HELP = f"""\
One message: each recipient with its result and every attempt that is kept.

example:
  mailstrom queue show 4711.1f2e@mydomain.example

{STORAGE_HELP}
{EXIT_CODES}"""
ORDER_HELP: dict[Order, str] = {
    Order.CANCEL: "What is cancelled has failed for good. There is no way back.",
    Order.HOLD: "What is held stays in the queue, and nobody tries it until it is released.",
    Order.RELEASE: "What is released is due at once, and its crashes are forgotten.",
    Order.RETRY: "What waits for its next try is due at once. What is held stays held: release it.",
}
SELECTION_HELP = """\
Give a message id, or say which mail is meant; of several options all have to apply. For more than
one message you are asked first, if this is a terminal; --yes answers that.
What is being tried at this moment is not interrupted: the order takes effect if that try does not
deliver it. A recipient that is delivered or failed never changes.
"""


def add_overview_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `mailstrom queue` itself."""
    parser.epilog = OVERVIEW_HELP
    add_storage_arguments(parser)
    parser.add_argument("--watch", action="store_true", help="again and again, until Ctrl-C")
    parser.add_argument(
        "--interval", type=secs_above_zero, default=2.0, metavar="SECS", help="how often with --watch (2)"
    )
    _add_limit(parser, "lines")
    _add_json(parser)


def add_list_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `mailstrom queue list`."""
    parser.epilog = LIST_HELP
    add_storage_arguments(parser)
    _add_selection(parser)
    _add_limit(parser, "messages")
    _add_json(parser)


def add_show_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `mailstrom queue show`."""
    parser.epilog = SHOW_HELP
    add_storage_arguments(parser)
    parser.add_argument("message_id", metavar="ID", help="what send_email returned; <ID> is understood, too")
    _add_json(parser)


def add_order_arguments(order: Order, parser: argparse.ArgumentParser) -> None:
    """The arguments of `mailstrom queue cancel`, `hold`, `release` and `retry`."""
    parser.epilog = f"""\
{ORDER_HELP[order]}

{SELECTION_HELP}
examples:
  mailstrom queue {order} 4711.1f2e@mydomain.example
  mailstrom queue {order} --domain dest.example
  mailstrom queue {order} --all --yes

{STORAGE_HELP}
{EXIT_CODES}"""
    add_storage_arguments(parser)
    parser.add_argument("message_id", nargs="?", metavar="ID", help="the message")
    _add_selection(parser)
    parser.add_argument("--all", action="store_true", help="everything in the queue")
    parser.add_argument("--yes", action="store_true", help="do not ask")
    _add_json(parser)


def selection_for_list(given: argparse.Namespace) -> Selection:
    """Which recipients the arguments mean; where they say nothing, all."""
    chosen = _chosen(given)
    return _selection(None, chosen) if chosen else EVERYTHING


def selection_for_order(given: argparse.Namespace) -> Selection:
    """The same; but who means all has to say so."""
    chosen = _chosen(given)
    names_any = given.message_id is not None or bool(chosen)
    if given.all and names_any:
        raise CommandError(ExitCode.USAGE, "--all means everything: leave it out, or the others")
    if not given.all and not names_any:
        raise CommandError(ExitCode.USAGE, "which mail? Give a message id, --domain or the like, or --all")
    return EVERYTHING if given.all else _selection(given.message_id, chosen)


def _chosen(given: argparse.Namespace) -> Chosen:
    """The options as the keywords of `Mailstrom.cancel` and the like."""
    named = {name: getattr(given, name) for name in SELECTING if getattr(given, name) is not None}
    if "sender" in named:
        named["sender"] = named["sender"].strip().removeprefix("<").removesuffix(">")
    if named.get("state") in ("deferred", "held"):
        named["held"] = named["state"] == "held"
    if named.get("state") == "held":
        del named["state"]
    return cast("Chosen", named)


def _selection(message_id: str | None, chosen: Chosen) -> Selection:
    try:
        return selection_of(message_id, chosen)
    except MessageError as error:
        raise CommandError(ExitCode.USAGE, f"--{error}") from error


def _add_selection(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("which mail")
    group.add_argument("--domain", metavar="DOMAIN", help="of the recipient's address")
    group.add_argument("--address", metavar="ADDRESS", help="of the recipient")
    group.add_argument("--sender", metavar="ADDRESS", help="the envelope sender; <> for none")
    group.add_argument(
        "--destination", metavar="NAME", help="as the overview shows it: a domain, or relay:NAME"
    )
    group.add_argument("--state", choices=("queued", "deferred", "held"))
    group.add_argument(
        "--submitted-before",
        type=_instant,
        metavar="INSTANT",
        help="such as 2026-03-01T12:00:00+00:00 (without an offset: local time)",
    )


def _add_limit(parser: argparse.ArgumentParser, what: str) -> None:
    parser.add_argument(
        "--limit", type=_count, default=50, metavar="N", help=f"show at most N {what} (50); --json shows all"
    )


def _add_json(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="the same for programs")


def _instant(text: str) -> datetime:
    try:
        return datetime.fromisoformat(text).astimezone()
    except (ValueError, OverflowError):
        raise argparse.ArgumentTypeError(
            f"expected an instant such as 2026-03-01T12:00:00+00:00, got {text!r}"
        ) from None


def _count(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"expected a whole number above 0, got {text!r}")
    return int(text)
