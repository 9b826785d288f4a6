"""`mailstrom send`: one message, delivered while you wait."""

from __future__ import annotations

import argparse
import json
import logging
import os
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, NoReturn

from ..errors import MessageError
from .exit_codes import CommandError, ExitCode
from .send_arguments import SendArguments, add_arguments
from .terminal import LogLines, Progress, Streams

if TYPE_CHECKING:
    from ..config import Config
    from ..facade import Mailstrom
    from ..status import DeliveryResult, MessageStatus, RecipientStatus
    from ..submission import Submission

__all__ = ["ABOUT", "add_arguments", "exit_code_for", "may_change_until", "run"]

ABOUT = "Sends one message and waits until its recipients have an answer."

LEVELS = (logging.ERROR, logging.INFO, logging.DEBUG)  # what becomes of recipients is told anyway
LOOK_SECS = 0.25
CLOSE_SECS = 5.0


def run(given: argparse.Namespace, streams: Streams) -> ExitCode:
    """Sends, waits, and tells one line per recipient; or leaves that to a worker."""
    from .send_config import config_for
    from .send_input import submission_for

    arguments = SendArguments.of(given)
    if arguments.storage is not None and not arguments.queue_only:
        raise CommandError(ExitCode.USAGE, "--storage is for --queue-only: nothing else is kept")
    config = config_for(arguments, os.environ)
    submission = submission_for(arguments, streams)
    progress = Progress(streams.stderr)
    with LogLines(streams, progress, LEVELS[min(arguments.verbose, 2)]):
        if arguments.queue_only:
            return _queue(config, submission, arguments, streams)
        return _deliver(config, submission, arguments, streams, progress)


def _queue(config: Config, submission: Submission, arguments: SendArguments, streams: Streams) -> ExitCode:
    """Stores it, for a worker to deliver."""
    from ..facade import Mailstrom
    from .storage_option import with_storage

    mailstrom = Mailstrom(with_storage(config, arguments.storage, os.environ))
    try:
        message_id = _submitted(mailstrom, submission)
        status = mailstrom.query_status(message_id)
    finally:
        mailstrom.die()  # nothing runs here, and close() would list what else waits in the queue
    told = json.dumps(status.to_dict(), indent=2) if arguments.json else None
    streams.write(told or f"queued as {message_id}; a worker delivers it")
    return ExitCode.OK


def _deliver(
    config: Config,
    submission: Submission,
    arguments: SendArguments,
    streams: Streams,
    progress: Progress,
) -> ExitCode:
    """Delivers it while somebody waits, out of a queue that lasts no longer."""
    from ..facade import Mailstrom
    from ..storage.memory import MemoryStorage

    with Mailstrom(config, MemoryStorage()) as mailstrom:
        message_id = _submitted(mailstrom.start(), submission)
        try:
            status = _awaited(mailstrom, message_id, arguments, progress)
        except KeyboardInterrupt:
            _give_up(mailstrom, message_id)
        if status.completed:
            mailstrom.close(CLOSE_SECS)
        else:
            mailstrom.die()
    _tell(status, streams, as_json=arguments.json)
    return exit_code_for(status)


def _submitted(mailstrom: Mailstrom, submission: Submission) -> str:
    try:
        return mailstrom.send_email(
            submission.email,
            recipients=submission.recipients,
            return_path=submission.return_path,
            stream=submission.stream,
            priority=submission.priority,
        )
    except MessageError as error:
        if error.field == "from_" and error.given == "None":
            raise CommandError(ExitCode.BAD_MESSAGE, "nobody is named as From: give --from") from error
        raise


def _give_up(mailstrom: Mailstrom, message_id: str) -> NoReturn:
    status = mailstrom.query_status(message_id)
    mailstrom.die()
    raise CommandError(
        ExitCode.INTERRUPTED, f"interrupted: no final answer for {_undecided(status)}"
    ) from None


def exit_code_for(status: MessageStatus) -> ExitCode:
    """Failed weighs more than not yet: it will not change by waiting."""
    states = {recipient.result.state for recipient in status.recipients}
    if states <= {"delivered"}:
        return ExitCode.OK
    return ExitCode.UNAVAILABLE if "failed" in states else ExitCode.NOT_YET


def may_change_until(status: MessageStatus, until: datetime) -> bool:
    """Whether any recipient is being tried now or is due before `until`."""
    return any(_is_due(recipient, until) for recipient in status.recipients)


def _is_due(recipient: RecipientStatus, until: datetime) -> bool:
    result = recipient.result
    if result.completed:
        return False
    if result.next_attempt_at is None:
        return result.state == "queued"  # a deferred one without an instant is held
    return result.next_attempt_at <= until


def _awaited(
    mailstrom: Mailstrom, message_id: str, arguments: SendArguments, progress: Progress
) -> MessageStatus:
    """The status when nothing more can come of waiting."""
    timeout = arguments.timeout
    began, until = time.monotonic(), datetime.now(UTC) + timedelta(seconds=timeout)
    try:
        while True:
            waited = time.monotonic() - began
            status = mailstrom.wait(message_id, min(LOOK_SECS, max(timeout - waited, 0.0)))
            if not may_change_until(status, until):
                return status
            if waited >= timeout:
                break
            progress.show(_waiting_line(status, waited, timeout))
        progress.show(f"the time is over; {arguments.grace:.0f} s more for what is being sent", at_once=True)
        mailstrom.pause()
        return mailstrom.wait(message_id, arguments.grace)
    finally:
        progress.clear()


def _waiting_line(status: MessageStatus, waited: float, timeout: float) -> str:
    open_ones = [recipient for recipient in status.recipients if not recipient.result.completed]
    done = len(status.recipients) - len(open_ones)
    first = open_ones[0]
    doing = "trying" if first.result.state == "queued" else str(first.result)
    return (
        f"{waited:.0f} of {timeout:.0f} s, {done} of {len(status.recipients)} done; {first.address}: {doing}"
    )


def _tell(status: MessageStatus, streams: Streams, *, as_json: bool) -> None:
    if as_json:
        streams.write(json.dumps(status.to_dict(), indent=2))
        return
    for recipient in status.recipients:
        streams.write(f"{recipient.recipient}: {_line(recipient.result)}")
    if not status.completed:
        streams.complain(f"no final answer for {_undecided(status)}; nothing is kept: send it again later")


def _undecided(status: MessageStatus) -> str:
    undecided = sum(not recipient.result.completed for recipient in status.recipients)
    return f"{undecided} of {len(status.recipients)} recipients"


def _line(result: DeliveryResult) -> str:
    """The result for a person; nobody here will make the next try that a deferred one speaks of."""
    if result.completed:
        return str(result)
    if result.state == "queued":
        return "queued: no answer in time; it may have been delivered"
    perhaps = " (may have been delivered)" if result.uncertain else ""
    return f"deferred{perhaps}: {result.reason}"
