"""The command line: which command is meant, and how every error becomes one line and a code."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from typing import NoReturn

from ..errors import MailstromError
from .commands import Command, CommandGroup, all_commands
from .complaints import code_for, complaint
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
    except BrokenPipeError:
        silence(streams.stdout)  # as `| head` leaves it
        return ExitCode.BROKEN
    except (CommandError, MailstromError, OSError) as error:
        return _ended(streams, code_for(error), complaint(error))
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
    """What a group does when none of its commands is named first."""
    names_one = bool(arguments) and not arguments[0].startswith("-")
    if group.alone is None or names_one:
        if not names_one and not {"-h", "--help", "--version"}.intersection(arguments):
            _check_command_is_first(prog, group, arguments)
        _parser_of_all(prog, group).parse_args(arguments or ["--help"])
        raise AssertionError("the parser ends with help, the version, or an error")
    parser = _parser_of(prog, group.alone)
    parser.epilog = f"{_listed(prog, group.commands)}\n\n{parser.epilog}"
    given, left = parser.parse_known_intermixed_args(arguments)
    _check_command_is_first(prog, group, left)
    if left:
        parser.error(f"unrecognized arguments: {' '.join(left)}")
    return group.alone.run(given, streams)


def _check_command_is_first(prog: str, group: CommandGroup, left: Sequence[str]) -> None:
    named = next((each for each in left if each in group.commands), None)
    if named is not None:
        raise CommandError(
            ExitCode.USAGE,
            f"options stand behind the command: {prog} {named} ... (see {prog} {named} --help)",
        )


def _run_command(prog: str, command: Command, arguments: Sequence[str], streams: Streams) -> int:
    return command.run(_parser_of(prog, command).parse_intermixed_args(arguments), streams)


def _parser_of(prog: str, command: Command) -> Parser:
    parser = Parser(prog=prog, description=command.about)
    command.add_arguments(parser)
    return parser


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
