"""The arguments of `mailstrom queue` and its commands: which mail is meant."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import BinaryIO, cast

from ..errors import MessageError
from ..records import EVERYTHING, Order, Selection
from ..selection import Chosen, selection_of
from .exit_codes import CommandError, ExitCode
from .send_arguments import secs_above_zero
from .storage_option import STORAGE_HELP, add_storage_arguments

SELECTING = ("address", "sender", "stream", "destination", "state", "submitted_before")  # beside the domains
MOST_SHOWN = 1_000_000_000
UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}

EXIT_CODES = """\
exit codes: 0 done, also where there was nothing to do; 1 not done; 64 the command line is wrong;
66 a file, the queue, or the message is not there; 70 nobody reads what is written, or mailstrom
itself could not go on; 75 the queue cannot be reached; 78 a setting cannot be used, or a right is
missing
"""

OVERVIEW_HELP = f"""\
How much mail waits, by destination and state, the fullest first. A destination is the recipient's
domain, or relay:NAME. The states:

  queued    not tried yet
  claimed   being tried at this moment; an order takes effect when that ends
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
The messages with work left, the oldest first. State, and the reason, are those of the first recipient
that is left.

examples:
  mailstrom queue list --state held
  mailstrom queue list --older-than 2h --domain dest.example --domain other.example
  mailstrom queue list --domain dest.example --sender news@mydomain.example --json

{STORAGE_HELP}
{EXIT_CODES}"""
SHOW_HELP = f"""\
One message: each recipient with its result, whether it is being tried at this moment, and every
attempt that is kept.

example:
  mailstrom queue show 4711.1f2e@mydomain.example

{STORAGE_HELP}
{EXIT_CODES}"""
EXPLAIN_HELP = f"""\
What one message waits for: each recipient with what holds it now, and until when.

  scheduled  its time has not come
  backoff    it was tried without success, and is tried again then
  held       nobody tries it until it is released
  claimed    it is being tried; until then, if the worker does not renew its lease
  due        nothing in the queue holds it: next in turn
  done       delivered or failed

example:
  mailstrom queue explain 4711.1f2e@mydomain.example

{STORAGE_HELP}
{EXIT_CODES}"""
ORDER_HELP: dict[Order, str] = {
    Order.CANCEL: "What is cancelled has failed for good. There is no way back.",
    Order.HOLD: "What is held stays in the queue, and nobody tries it until it is released.",
    Order.RELEASE: "What is released is due at once, and its crashes are forgotten.",
    Order.RETRY: "What waits for its next try is due at once. What is held stays held: release it.",
}
SELECTION_HELP = """\
Give message ids (- reads them from standard input, one a line), or say which mail is meant: of
several options all have to apply, of several --domain any. For more than one message that you did
not name you are asked first, if this is a terminal; --yes answers that.
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
    _add_selection(parser, ("queued", "claimed", "deferred", "held"))
    _add_limit(parser, "messages")
    _add_json(parser)


def add_show_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `mailstrom queue show`."""
    parser.epilog = SHOW_HELP
    add_storage_arguments(parser)
    parser.add_argument("message_id", metavar="ID", help="what send_email returned; <ID> is understood, too")
    _add_json(parser)


def add_explain_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `mailstrom queue explain`."""
    parser.epilog = EXPLAIN_HELP
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
  mailstrom queue {order} --domain dest.example --older-than 2h
  mailstrom queue {order} --all --yes
  mailstrom queue {order} - < ids.txt

{STORAGE_HELP}
{EXIT_CODES}"""
    add_storage_arguments(parser)
    parser.add_argument("message_ids", nargs="*", metavar="ID", help="messages; - for standard input")
    _add_selection(parser, ("queued", "deferred", "held"))
    parser.add_argument("--all", action="store_true", help="everything in the queue")
    parser.add_argument("--yes", action="store_true", help="do not ask")
    _add_json(parser)


def selections_for_list(given: argparse.Namespace) -> Sequence[Selection]:
    """Which recipients the arguments mean, any of these; where they say nothing, all."""
    return _selections((), _chosen(given), given.domain) if is_chosen(given) else (EVERYTHING,)


def selections_for_order(given: argparse.Namespace, stdin: BinaryIO) -> Sequence[Selection]:
    """The same; but who means all has to say so."""
    if given.all and (given.message_ids or is_chosen(given)):
        raise CommandError(ExitCode.USAGE, "--all means everything: leave it out, or the others")
    if not given.all and not given.message_ids and not is_chosen(given):
        raise CommandError(ExitCode.USAGE, "which mail? Give a message id, --domain or the like, or --all")
    if given.all:
        return (EVERYTHING,)
    message_ids = dict.fromkeys(_named(given.message_ids, stdin))  # each once
    if given.message_ids and not message_ids:
        raise CommandError(ExitCode.USAGE, "which mail? There is no message id on standard input")
    return _selections(message_ids, _chosen(given), given.domain)


def is_chosen(given: argparse.Namespace) -> bool:
    """Whether any option says which mail is meant."""
    return any(getattr(given, name) is not None for name in ("domain", *SELECTING))


def _named(given: Iterable[str], stdin: BinaryIO) -> Iterable[str]:
    for message_id in given:
        if message_id == "-":
            lines = stdin.read().decode("utf-8", "replace").splitlines()
            yield from (line.strip() for line in lines if line.strip())
        else:
            yield message_id


def _chosen(given: argparse.Namespace) -> Chosen:
    """The options as the keywords of `Mailstrom.cancel` and the like."""
    named = {name: getattr(given, name) for name in SELECTING if getattr(given, name) is not None}
    if "sender" in named:
        named["sender"] = named["sender"].strip().removeprefix("<").removesuffix(">")
    if named.get("state") in ("deferred", "held"):
        named["held"] = named["state"] == "held"
    if named.get("state") in ("claimed", "held"):  # no state of a result
        del named["state"]
    return cast("Chosen", named)


def _selections(
    message_ids: Iterable[str], chosen: Chosen, domains: Sequence[str] | None
) -> Sequence[Selection]:
    """Each message with each domain, as far as they are given."""
    of_domains: list[Chosen] = [{**chosen, "domain": domain} for domain in domains or ()] or [chosen]
    named: list[str | None] = [*message_ids]
    return [_selection(message_id, each) for message_id in named or [None] for each in of_domains]


def _selection(message_id: str | None, chosen: Chosen) -> Selection:
    if message_id is None and not chosen:
        return EVERYTHING
    try:
        return selection_of(message_id, chosen)
    except MessageError as error:
        raise CommandError(ExitCode.USAGE, f"--{error}") from error


def _add_selection(parser: argparse.ArgumentParser, states: Sequence[str]) -> None:
    group = parser.add_argument_group("which mail")
    group.add_argument(
        "--domain", action="append", metavar="DOMAIN", help="of the recipient's address; may be repeated"
    )
    group.add_argument("--address", metavar="ADDRESS", help="of the recipient")
    group.add_argument("--sender", metavar="ADDRESS", help="the envelope sender; <> for none")
    group.add_argument("--stream", metavar="NAME", help="what it was sent with; else its sender")
    group.add_argument(
        "--destination", metavar="NAME", help="as the overview shows it: a domain, or relay:NAME"
    )
    group.add_argument("--state", choices=states)
    age = group.add_mutually_exclusive_group()
    age.add_argument(
        "--submitted-before",
        type=_instant,
        metavar="INSTANT",
        help="such as 2026-03-01T12:00:00+00:00 (without an offset: local time)",
    )
    age.add_argument(
        "--older-than",
        type=_ago,
        dest="submitted_before",
        metavar="AGE",
        help="submitted longer ago than that: 90s, 30m, 2h, 3d",
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


def _ago(text: str) -> datetime:
    number, unit = text[:-1], UNITS.get(text[-1:])
    if unit is None or not re.fullmatch("[0-9]{1,5}", number):
        raise argparse.ArgumentTypeError(f"expected an age such as 90s, 30m, 2h or 3d, got {text!r}")
    return datetime.now(UTC) - timedelta(**{unit: int(number)})


def _count(text: str) -> int:
    if not re.fullmatch("[0-9]{1,10}", text) or not 0 < int(text) <= MOST_SHOWN:
        raise argparse.ArgumentTypeError(
            f"expected a whole number above 0, at most {MOST_SHOWN}, got {text!r}"
        )
    return int(text)
