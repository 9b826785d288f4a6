"""The arguments of `mailstrom send`, and the help that teaches them."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from typing import Self, get_args

from ..records import Priority

EXAMPLES = """\
examples:
  a new message, straight to the mail hosts of its recipients:
    mailstrom send --from me@mydomain.example --to you@yours.example --subject Hello --text "Good day."
    uptime | mailstrom send --from me@mydomain.example --to ops@yours.example --subject uptime

  through a relay, with a file:
    MAILSTROM_RELAY_PASSWORD=... mailstrom send --relay smtp+starttls://user@mail.mydomain.example \\
        --from me@mydomain.example --to you@yours.example --text-file letter.txt --attach report.pdf

  a finished message (RFC 5322), from a file or as sendmail takes it:
    mailstrom send --message letter.eml
    mailstrom send -t -i < letter.eml
    mailstrom send -i -f bounces@mydomain.example you@yours.example < letter.eml

Settings come from --config, else from the environment (MAILSTROM_RELAY_URL, MAILSTROM_HELO_NAME,
MAILSTROM_DEFAULT_FROM, ...); options go before both.

It ends as soon as nothing more can happen within --timeout. Nothing is kept: what was not
delivered by then is told, and is yours to send again. With --queue-only it puts the message into
a queue on SQLite or PostgreSQL instead, tells its id, and leaves the rest to a `mailstrom worker`:
    mailstrom send --queue-only --storage sqlite:///mail.db --message letter.eml

exit codes (those of sysexits.h):
   0  delivered to every recipient; with --queue-only: it stands in the queue
  64  the command line is wrong
  65  the message cannot be sent as it stands
  66  a file cannot be read
  69  at least one recipient failed for good
  70  mailstrom itself could not go on
  75  none failed, but at least one had no final answer in time (deferred, or still waiting);
      with --queue-only: the queue cannot be reached, or has no room
  78  a setting cannot be used
 130  interrupted
"""

LONGEST_SECS = 315_360_000.0  # nobody's clock or calendar ends before


@dataclass(frozen=True, slots=True, kw_only=True)
class SendArguments:
    """The arguments of `mailstrom send`, as parsed."""

    from_: str | None = None
    to: Sequence[str] = ()
    cc: Sequence[str] = ()
    bcc: Sequence[str] = ()
    subject: str | None = None
    text: str | None = None
    text_file: str | None = None
    html: str | None = None
    html_file: str | None = None
    attach: Sequence[str] = ()
    message: str | None = None
    from_header: bool = False
    dots: bool = False
    return_path: str | None = None
    full_name: str | None = None
    sendmail_options: Sequence[str] = ()
    recipients: Sequence[str] = ()
    relay: str | None = field(default=None, repr=False)  # may hold a password
    relay_password_file: str | None = None
    relay_ca_file: str | None = None
    config: str | None = None
    queue_only: bool = False
    stream: str | None = None
    priority: Priority | None = None
    storage: str | None = field(default=None, repr=False)  # may hold a password
    helo: str | None = None
    require_tls: bool = False
    timeout: float = 60.0
    grace: float = 5.0
    json: bool = False
    verbose: int = 0

    @classmethod
    def of(cls, given: argparse.Namespace) -> Self:
        """Those that argparse found."""
        return cls(**{field.name: getattr(given, field.name) for field in fields(cls)})

    @property
    def reverse_path(self) -> str | None:
        """The envelope sender, without <>; None: the message's own."""
        return (
            None if self.return_path is None else self.return_path.strip().removeprefix("<").removesuffix(">")
        )

    @property
    def composes(self) -> bool:
        """Whether a new message is written, rather than a finished one sent."""
        parts = (self.subject, self.text, self.text_file, self.html, self.html_file)
        return any(part is not None for part in parts) or bool(self.to or self.cc or self.bcc or self.attach)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `mailstrom send`."""
    parser.epilog = EXAMPLES
    _add_new_message(parser.add_argument_group("a new message"))
    _add_finished_message(parser.add_argument_group("a finished message"))
    delivery = parser.add_argument_group("where it goes")
    add_delivery(delivery)
    _add_queue(delivery)
    _add_output(parser.add_argument_group("waiting and telling"))


def _add_new_message(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--from", dest="from_", metavar="ADDRESS", help="who it is from: 'Name <me@mydomain.example>'"
    )
    for name in ("to", "cc", "bcc"):
        group.add_argument(
            f"--{name}", action="append", default=[], metavar="ADDRESS", help="may be repeated"
        )
    group.add_argument("--subject", metavar="TEXT")
    group.add_argument("--text", metavar="TEXT", help="the text (else from --text-file, else standard input)")
    group.add_argument("--text-file", metavar="FILE", help="the text from a UTF-8 file; - is standard input")
    group.add_argument("--html", metavar="HTML", help="the same as HTML, beside the text or alone")
    group.add_argument("--html-file", metavar="FILE", help="the HTML from a UTF-8 file")
    group.add_argument("--attach", action="append", default=[], metavar="FILE", help="may be repeated")


def _add_finished_message(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--message", metavar="FILE", help="the whole message (RFC 5322) from a file")
    group.add_argument(
        "-t", dest="from_header", action="store_true", help="recipients: those of To, Cc and Bcc"
    )
    group.add_argument(
        "-i", dest="dots", action="store_true", help="a line with a lone dot does not end the input"
    )
    group.add_argument(
        "-f", "--return-path", metavar="ADDRESS", help="envelope sender (bounces go there); <> for none"
    )
    group.add_argument("-F", dest="full_name", metavar="NAME", help="name for the From that -f stands in for")
    group.add_argument(
        "-o",
        dest="sendmail_options",
        action="append",
        default=[],
        metavar="X",
        help="as sendmail: -oi is -i, others are ignored",
    )
    group.add_argument("-b", dest="sendmail_mode", choices=("m",), help=argparse.SUPPRESS)
    group.add_argument("-B", dest="sendmail_body", help=argparse.SUPPRESS)
    group.add_argument(
        "recipients",
        nargs="*",
        metavar="RECIPIENT",
        help="envelope recipients, instead of those in the header",
    )


def add_delivery(group: argparse._ArgumentGroup) -> None:
    """The arguments that say how mail is delivered."""
    group.add_argument(
        "--relay",
        metavar="URL",
        help="smtp+starttls://user@host, smtps://user@host or smtp://host (no TLS); "
        "without it: to the MX of each domain",
    )
    group.add_argument(
        "--relay-password-file",
        metavar="FILE",
        help="a file with the relay's password, if it is not in MAILSTROM_RELAY_PASSWORD",
    )
    group.add_argument(
        "--relay-ca-file", metavar="FILE", help="PEM file that vouches for the relay's certificate"
    )
    group.add_argument(
        "--config", metavar="FILE", help="settings from a TOML file, instead of the environment"
    )
    group.add_argument("--helo", metavar="NAME", help="our name in EHLO; default: this host's")
    group.add_argument("--require-tls", action="store_true", help="never in clear")


def _add_queue(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--queue-only", action="store_true", help="into the queue of --storage; a worker delivers it"
    )
    group.add_argument(
        "--stream", metavar="NAME", help="takes turns with other streams to its destination (the sender)"
    )
    group.add_argument(
        "--priority", choices=get_args(Priority), help="whose turn comes sooner (normal; low for bulk mail)"
    )
    group.add_argument(
        "--storage",
        metavar="URL",
        help="sqlite:///mail.db or postgresql://user@host/database; without it: `storage` in the file of "
        "--config, or MAILSTROM_STORAGE",
    )


def _add_output(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--timeout", type=secs_above_zero, default=60.0, metavar="SECS", help="how long to wait (60)"
    )
    group.add_argument(
        "--grace",
        type=secs_above_zero,
        default=5.0,
        metavar="SECS",
        help="how much longer for what is being sent when the time is over (5)",
    )
    group.add_argument("--json", action="store_true", help="the status as JSON, with every attempt")
    group.add_argument("-v", "--verbose", action="count", default=0, help="show the log; -vv: all of it")


def secs_above_zero(text: str) -> float:
    """A duration in seconds, for argparse."""
    try:
        secs = float(text)
    except ValueError:
        secs = 0.0
    if not 0 < secs <= LONGEST_SECS:
        raise argparse.ArgumentTypeError(
            f"expected seconds, a number above 0 and no more than ten years, got {text!r}"
        )
    return secs
