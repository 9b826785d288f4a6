"""How the commands end: the codes of sysexits.h, which mail programs and their callers know."""

from __future__ import annotations

from enum import IntEnum, unique


@unique
class ExitCode(IntEnum):
    """What a command returns to its caller."""

    OK = 0  # done; send: delivered to every recipient; the demo: all went as it should
    UNEXPECTED = 1  # the demo went wrong; a signature does not pass; a queue is not healthy; nothing was done
    USAGE = 64  # EX_USAGE: the command line is wrong
    BAD_MESSAGE = 65  # EX_DATAERR: the message cannot be sent as it stands
    NO_INPUT = 66  # EX_NOINPUT: a file cannot be read; queue: there is no such message
    UNAVAILABLE = 69  # EX_UNAVAILABLE: a recipient failed for good; or an extra is not installed
    BROKEN = 70  # EX_SOFTWARE: mailstrom itself could not go on
    NOT_YET = 75  # EX_TEMPFAIL: no final answer for a recipient, or no way to the queue; try again later
    BAD_CONFIG = 78  # EX_CONFIG: a setting cannot be used
    INTERRUPTED = 130  # Ctrl-C


class CommandError(Exception):
    """Ends a command with one line for the person at the terminal, and an exit code."""

    def __init__(self, code: ExitCode, text: str) -> None:
        self.code = code
        super().__init__(text)
