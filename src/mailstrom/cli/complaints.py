"""What ends a command: its exit code, and the one line that tells it."""

from __future__ import annotations

from ..errors import ConfigError, MailstromError, MessageError, MessageNotFound, QueueFull, StorageError
from ..storage.unusable import Unusable
from .exit_codes import CommandError, ExitCode

CODES: tuple[tuple[type[Exception], ExitCode], ...] = (  # the first that fits
    (MessageError, ExitCode.BAD_MESSAGE),
    (ConfigError, ExitCode.BAD_CONFIG),
    (Unusable, ExitCode.BAD_CONFIG),
    (MessageNotFound, ExitCode.NO_INPUT),
    (StorageError, ExitCode.NOT_YET),
    (QueueFull, ExitCode.NOT_YET),
)


def code_for(error: CommandError | MailstromError | OSError) -> ExitCode:
    """How a command ends that this has ended."""
    if isinstance(error, CommandError):
        return error.code
    return next((code for kind, code in CODES if isinstance(error, kind)), ExitCode.BROKEN)


def complaint(error: CommandError | MailstromError | OSError) -> str:
    """The line for it."""
    if isinstance(error, MessageNotFound):
        return (
            f"no message {error.message_id!a} is known in this queue: it was never stored here, or was "
            "purged after its retention"
        )
    return str(error) or type(error).__name__
