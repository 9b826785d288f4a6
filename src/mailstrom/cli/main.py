"""The command line: which command is meant, and how every error becomes one line and a code."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
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


@dataclass(frozen=True, slots=True)
class CommandGroup:
    """A command that has commands of its own."""

    about: str
    commands: dict[str, Command]


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
    prog, about, commands = "mailstrom", ABOUT, _commands()
    while True:
        if not arguments or arguments[0] not in commands:
            _parser_of_all(prog, about, commands).parse_args(arguments or ["--help"])
            raise AssertionError("the parser ends with help, the version, or an error")
        name, *arguments = arguments
        command = commands[name]
        prog, about = f"{prog} {name}", command.about
        if isinstance(command, Command):
            parser = Parser(prog=prog, description=about)
            command.add_arguments(parser)
            return command.run(parser.parse_intermixed_args(arguments), streams)
        commands = command.commands


def _commands() -> Mapping[str, Command | CommandGroup]:
    from . import demo, dkim, send

    dkim_commands = {
        "keygen": Command(dkim.KEYGEN_ABOUT, dkim.add_keygen_arguments, dkim.keygen),
        "record": Command(dkim.RECORD_ABOUT, dkim.add_record_arguments, dkim.record),
        "verify": Command(dkim.VERIFY_ABOUT, dkim.add_verify_arguments, dkim.verify_message),
    }
    return {
        "send": Command(send.ABOUT, send.add_arguments, send.run),
        "demo": Command(demo.ABOUT, demo.add_arguments, demo.run),
        "dkim": CommandGroup(dkim.ABOUT, dkim_commands),
    }


def _parser_of_all(prog: str, about: str, commands: Mapping[str, Command | CommandGroup]) -> Parser:
    listed = "\n".join(f"  {name:<6} {command.about}" for name, command in commands.items())
    parser = Parser(
        prog=prog,
        description=about,
        epilog=f"commands:\n{listed}\n\n'{prog} COMMAND --help' tells more.",
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
