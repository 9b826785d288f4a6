"""The command line: which command is meant, and how every error becomes one line and a code."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NoReturn

from ..errors import ConfigError, MailstromError, MessageError
from .exit_codes import CommandError, ExitCode
from .terminal import Streams

ABOUT = "Delivers mail to the hosts of its recipients, or through a relay, and tells what became of it."


class Parser(argparse.ArgumentParser):
    """argparse, with full option names only and the exit code mail programs use for misuse."""

    def __init__(self, **settings: object) -> None:
        settings |= {"allow_abbrev": False, "formatter_class": argparse.RawDescriptionHelpFormatter}
        super().__init__(**settings)  # type: ignore[arg-type]

    def error(self, message: str) -> NoReturn:
        """Tells what is wrong with the arguments, and how to get help."""
        raise CommandError(ExitCode.USAGE, f"{message} (see {self.prog} --help)")


@dataclass(frozen=True, slots=True)
class Command:
    """One command: what it is for, its arguments, and what it does."""

    about: str
    add_arguments: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace, Streams], ExitCode]


def run_command_line(arguments: Sequence[str], streams: Streams | None = None) -> int:
    """Runs the command; its exit code. Every error is told in one line on standard error."""
    streams = streams or Streams.of_process()
    try:
        return _run(arguments, streams)
    except CommandError as error:
        return _ended(streams, error.code, str(error))
    except MessageError as error:
        return _ended(streams, ExitCode.BAD_MESSAGE, str(error))
    except ConfigError as error:
        return _ended(streams, ExitCode.BAD_CONFIG, str(error))
    except (MailstromError, OSError) as error:
        return _ended(streams, ExitCode.BROKEN, str(error) or type(error).__name__)
    except KeyboardInterrupt:
        return _ended(streams, ExitCode.INTERRUPTED, "interrupted")


def _ended(streams: Streams, code: ExitCode, text: str) -> int:
    streams.complain(text)
    return code


def _run(arguments: Sequence[str], streams: Streams) -> int:
    commands = _commands()
    if not arguments or arguments[0] not in commands:
        _parser_of_all(commands).parse_args(arguments or ["--help"])
        raise AssertionError("the parser ends with help, the version, or an error")
    name, *rest = arguments
    command = commands[name]
    parser = Parser(prog=f"mailstrom {name}", description=command.about)
    command.add_arguments(parser)
    return command.run(parser.parse_intermixed_args(rest), streams)


def _commands() -> dict[str, Command]:
    from . import demo, send

    return {
        "send": Command(send.ABOUT, send.add_arguments, send.run),
        "demo": Command(demo.ABOUT, demo.add_arguments, demo.run),
    }


def _parser_of_all(commands: dict[str, Command]) -> Parser:
    listed = "\n".join(f"  {name:<6} {command.about}" for name, command in commands.items())
    parser = Parser(
        prog="mailstrom",
        description=ABOUT,
        epilog=f"commands:\n{listed}\n\n'mailstrom COMMAND --help' tells more.",
    )
    parser.add_argument("--version", action="version", version=f"mailstrom {_version()}")
    parser.add_argument("command", choices=tuple(commands), metavar="COMMAND", help=", ".join(commands))
    return parser


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return f"{version('mailstrom')} (Python {sys.version.split()[0]})"
    except PackageNotFoundError:
        return f"not installed as a package (Python {sys.version.split()[0]})"
