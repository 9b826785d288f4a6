"""From the arguments of `mailstrom send` and standard input to what is submitted."""

from __future__ import annotations

import mimetypes
import re
from pathlib import Path

from ..errors import MessageError
from ..message.attachment import UNKNOWN_TYPE, Attachment
from ..message.email import Email
from ..submission import Submission
from .exit_codes import CommandError, ExitCode
from .send_arguments import SendArguments
from .terminal import Streams


def submission_for(arguments: SendArguments, streams: Streams) -> Submission:
    """What is sent; raises `CommandError` where the arguments do not fit together."""
    if arguments.composes:
        _check_new_message(arguments)
        return _submission(arguments, _new_email(arguments, streams))
    _check_finished_message(arguments)
    return _submission(arguments, _finished_message(arguments, streams))


def _submission(arguments: SendArguments, email: Email | bytes) -> Submission:
    return Submission(
        email,
        recipients=list(arguments.recipients) or None,  # a new message takes none
        return_path=arguments.reverse_path,
        stream=arguments.stream,
        priority=arguments.priority,
    )


def cut_at_lone_dot(content: bytes) -> bytes:
    """The lines before the first that is a dot alone, as sendmail reads without -i."""
    found = re.search(rb"^\.\r?(?:\n|\Z)", content, re.MULTILINE)
    return content if found is None else content[: found.start()]


def read_file(path: str) -> bytes:
    """The octets of a file; a `CommandError` names it where that fails."""
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise CommandError(ExitCode.NO_INPUT, f"{path}: {error.strerror or error}") from error


def _check_new_message(arguments: SendArguments) -> None:
    if arguments.message is not None or arguments.from_header:
        raise _usage(
            "--message and -t take a finished message: leave out --to, --subject, --text and the like"
        )
    if arguments.recipients:
        raise _usage(
            f"{arguments.recipients[0]}: name the recipients of a new message with --to, --cc or --bcc"
        )
    for one, other in (("text", "text_file"), ("html", "html_file")):
        if getattr(arguments, one) is not None and getattr(arguments, other) is not None:
            raise _usage(f"give --{one} or --{other.replace('_', '-')}, not both")


def _check_finished_message(arguments: SendArguments) -> None:
    if arguments.from_header and arguments.recipients:
        # sendmail's descendants disagree: for some these are added, for others left out
        raise _usage("give recipients or -t (those in the header), not both")
    if arguments.message is None and not arguments.from_header and not arguments.recipients:
        raise _usage(
            "no recipients: give --to for a new message; -t, or recipients, for one on standard input"
        )


def _new_email(arguments: SendArguments, streams: Streams) -> Email:
    html = _body(arguments.html, arguments.html_file, streams)
    text = _body(arguments.text, arguments.text_file, streams)
    if text is None and html is None and not arguments.attach:
        text = _decoded(_standard_input(streams, "the text", "Ctrl-D"), "standard input")
    return Email(
        from_=arguments.from_ or None,
        to=arguments.to,
        cc=arguments.cc,
        bcc=arguments.bcc,
        subject=arguments.subject,
        text=text,
        html=html,
        attachments=[_attachment(path) for path in arguments.attach],
    )


def _body(given: str | None, path: str | None, streams: Streams) -> str | None:
    if path is None:
        return given
    if path == "-":
        return _decoded(_standard_input(streams, "the text", "Ctrl-D"), "standard input")
    return _decoded(read_file(path), path)


def _decoded(content: bytes, source: str) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise CommandError(
            ExitCode.BAD_MESSAGE, f"{source}: expected text in UTF-8: {error.reason}"
        ) from error


def _attachment(path: str) -> Attachment:
    guessed, encoding = mimetypes.guess_type(path)
    # RFC 2046 5.2.1: message/* and multipart/* may not be encoded as a file needs to be
    is_plain_file = guessed and not encoding and not guessed.startswith(("message/", "multipart/"))
    content, filename = read_file(path), Path(path).name
    try:
        return Attachment(filename, content, guessed if is_plain_file and guessed else UNKNOWN_TYPE)
    except MessageError as error:
        raise CommandError(ExitCode.BAD_MESSAGE, f"--attach {path}: {error}") from error


def _finished_message(arguments: SendArguments, streams: Streams) -> bytes:
    if arguments.message not in (None, "-"):
        assert arguments.message is not None
        return read_file(arguments.message)
    keeps_dots = arguments.dots or "i" in arguments.sendmail_options or arguments.message == "-"
    end = "Ctrl-D" if keeps_dots else "a line with a lone dot"
    content = _standard_input(streams, "the message, header and all", end)
    return content if keeps_dots else cut_at_lone_dot(content)


def _standard_input(streams: Streams, what: str, end: str) -> bytes:
    if streams.stdin.isatty():
        streams.complain(f"reading {what} from standard input, until {end}")
        if end != "Ctrl-D":
            return b"".join(iter(streams.stdin.readline, b".\n"))
    return streams.stdin.read()


def _usage(text: str) -> CommandError:
    return CommandError(ExitCode.USAGE, text)
