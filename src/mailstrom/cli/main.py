"""The command line: which command is meant, and how every error becomes one line and a code."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from typing import NoReturn

from ..errors import ConfigError, MailstromError, MessageError, MessageNotFound, QueueFull, StorageError
from .commands import Command, CommandGroup, all_commands
from .exit_codes import CommandError, ExitCode
from .terminal import Streams, silence


class Parser(argparse.ArgumentParser):
    """argparse, with full option names only and the exit code mail programs use for misuse."""

    def __init__(self, **settings: object) -> None:
        settings |= {"allow_abbrev": False, "formatter_class": argparse.RawDescriptionHelpFormatter}
        super().__init__(**settings)  # type: ignore[arg-type]

    def error(self, message: str) -> NoReturn:
        """Tells what is wrong with the arguments, and how to get help."""
        raise CommandError(ExitCode.USAGE, f"{message} (see {self.prog} --help)")


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
    except BrokenPipeError:
        silence(streams.stdout)  # as `| head` leaves it
        return ExitCode.BROKEN
    except MessageNotFound as error:
        return _ended(streams, ExitCode.NO_INPUT, str(error))
    except (StorageError, QueueFull) as error:
        return _ended(streams, ExitCode.NOT_YET, str(error))
    except (MailstromError, OSError) as error:
        return _ended(streams, ExitCode.BROKEN, str(error) or type(error).__name__)
    except KeyboardInterrupt:
        return _ended(streams, ExitCode.INTERRUPTED, "interrupted")


def _ended(streams: Streams, code: ExitCode, text: str) -> int:
    streams.complain(text)
    return code


def _run(arguments: Sequence[str], streams: Streams) -> int:
    prog = "mailstrom"
    meant: Command | CommandGroup = all_commands()
    while isinstance(meant, CommandGroup):
        if not arguments or arguments[0] not in meant.commands:
            return _run_alone(prog, meant, arguments, streams)
        name, *arguments = arguments
        prog, meant = f"{prog} {name}", meant.commands[name]
    return _run_command(prog, meant, arguments, streams)


def _run_alone(prog: str, group: CommandGroup, arguments: Sequence[str], streams: Streams) -> int:
    """What a group does when none of its commands is named."""
    names_one = bool(arguments) and not arguments[0].startswith("-")
    if group.alone is None or names_one:
        _parser_of_all(prog, group).parse_args(arguments or ["--help"])
        raise AssertionError("the parser ends with help, the version, or an error")
    return _run_command(prog, group.alone, arguments, streams, listed=_listed(prog, group.commands))


def _run_command(
    prog: str, command: Command, arguments: Sequence[str], streams: Streams, listed: str = ""
) -> int:
    parser = Parser(prog=prog, description=command.about)
    command.add_arguments(parser)
    parser.epilog = f"{listed}\n\n{parser.epilog}" if listed else parser.epilog
    return command.run(parser.parse_intermixed_args(arguments), streams)


def _parser_of_all(prog: str, group: CommandGroup) -> Parser:
    listed = _listed(prog, group.commands)
    parser = Parser(prog=prog, description=group.about, epilog=listed)
    parser.add_argument("--version", action="version", version=f"mailstrom {_version()}")
    parser.add_argument(
        "command", choices=tuple(group.commands), metavar="COMMAND", help=", ".join(group.commands)
    )
    return parser


def _listed(prog: str, commands: Mapping[str, Command | CommandGroup]) -> str:
    width = max(map(len, commands))
    listed = "\n".join(f"  {name:<{width}}  {command.about}" for name, command in commands.items())
    return f"commands:\n{listed}\n\n'{prog} COMMAND --help' tells more."


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return f"{version('mailstrom')} (Python {sys.version.split()[0]})"
    except PackageNotFoundError:
        return f"not installed as a package (Python {sys.version.split()[0]})"
