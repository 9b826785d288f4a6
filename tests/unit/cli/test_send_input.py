"""What `mailstrom send` makes of its arguments and of standard input."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from mailstrom import Attachment, Email, MessageError
from mailstrom.cli.exit_codes import CommandError, ExitCode
from mailstrom.cli.send_arguments import SendArguments
from mailstrom.cli.send_input import cut_at_lone_dot, submission_for
from mailstrom.cli.terminal import Streams

LETTER = b"From: me@sender.example\nTo: you@dest.example\n\nHello.\n.\nThe dot above is a line.\n"
UP_TO_THE_DOT = b"From: me@sender.example\nTo: you@dest.example\n\nHello.\n"


class Terminal(io.BytesIO):
    """Standard input at which a person types."""

    def isatty(self) -> bool:
        return True


def streams(stdin: bytes | Terminal = b"") -> Streams:
    given = stdin if isinstance(stdin, Terminal) else io.BytesIO(stdin)
    return Streams(stdin=given, stdout=io.StringIO(), stderr=io.StringIO())


def test_a_new_message_is_made_of_the_options() -> None:
    arguments = SendArguments(
        from_="Me <me@sender.example>",
        to=["a@dest.example, b@dest.example", "c@dest.example"],
        cc=["d@dest.example"],
        bcc=["e@dest.example"],
        subject="Hello",
        text="Good day.\n",
        html="<p>Good day.</p>\n",
        return_path="bounces@sender.example",
        stream="news",
        priority="low",
    )

    submission = submission_for(arguments, streams())

    assert submission.email == Email(
        from_="Me <me@sender.example>",
        to="a@dest.example, b@dest.example, c@dest.example",
        cc="d@dest.example",
        bcc="e@dest.example",
        subject="Hello",
        text="Good day.\n",
        html="<p>Good day.</p>\n",
    )
    assert submission.recipients is None
    assert submission.return_path == "bounces@sender.example"
    assert (submission.stream, submission.priority) == ("news", "low")


def test_the_text_comes_from_standard_input_where_nothing_else_is_said() -> None:
    arguments = SendArguments(from_="me@sender.example", to=["you@dest.example"], subject="uptime")

    email = submission_for(arguments, streams("up 5 days, für wahr\n".encode())).email

    assert isinstance(email, Email)
    assert email.text == "up 5 days, für wahr\n"


@pytest.mark.parametrize("option", ["html", "attach"])
def test_html_or_an_attachment_alone_leaves_standard_input_unread(option: str, tmp_path: Path) -> None:
    file = tmp_path / "report.pdf"
    file.write_bytes(b"%PDF")
    given = {"html": "<p>Hi.</p>"} if option == "html" else {"attach": [str(file)]}
    source = streams(b"not for the message")

    email = submission_for(
        SendArguments(from_="me@sender.example", to=["you@dest.example"], **given), source
    ).email  # type: ignore[arg-type]

    assert isinstance(email, Email)
    assert email.text is None
    assert source.stdin.read() == b"not for the message"


def test_files_are_read_as_text_html_and_attachments(tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_bytes(b"\xef\xbb\xbfHi.\n")
    (tmp_path / "letter.html").write_bytes(b"<p>Hi.</p>\n")
    (tmp_path / "report.pdf").write_bytes(b"%PDF")
    (tmp_path / "kept.eml").write_bytes(b"Subject: x\r\n\r\n")
    (tmp_path / "log.txt.gz").write_bytes(b"\x1f\x8b")
    arguments = SendArguments(
        from_="me@sender.example",
        to=["you@dest.example"],
        text_file=str(tmp_path / "letter.txt"),
        html_file=str(tmp_path / "letter.html"),
        attach=[str(tmp_path / name) for name in ("report.pdf", "kept.eml", "log.txt.gz")],
    )

    email = submission_for(arguments, streams()).email

    assert isinstance(email, Email)
    assert (email.text, email.html) == ("Hi.\n", "<p>Hi.</p>\n")
    assert email.attachments == (
        Attachment("report.pdf", b"%PDF", "application/pdf"),
        Attachment("kept.eml", b"Subject: x\r\n\r\n", "application/octet-stream"),
        Attachment("log.txt.gz", b"\x1f\x8b", "application/octet-stream"),
    )


def test_a_finished_message_from_a_file_is_handed_on_as_it_is(tmp_path: Path) -> None:
    file = tmp_path / "letter.eml"
    file.write_bytes(LETTER)

    submission = submission_for(SendArguments(message=str(file)), streams())

    assert (submission.email, submission.recipients) == (LETTER, None)


def test_recipients_on_the_command_line_replace_those_of_the_header() -> None:
    arguments = SendArguments(recipients=["a@dest.example", "b@dest.example"], return_path="<>", dots=True)

    submission = submission_for(arguments, streams(LETTER))

    assert submission.recipients == ["a@dest.example", "b@dest.example"]
    assert submission.return_path == ""


@pytest.mark.parametrize(
    ("arguments", "read"),
    [
        (SendArguments(from_header=True), UP_TO_THE_DOT),
        (SendArguments(from_header=True, dots=True), LETTER),
        (SendArguments(from_header=True, sendmail_options=["em", "i"]), LETTER),
        (SendArguments(message="-"), LETTER),
    ],
    ids=["plain", "-i", "-oi", "--message -"],
)
def test_a_lone_dot_ends_the_input_unless_it_is_said_not_to(arguments: SendArguments, read: bytes) -> None:
    assert submission_for(arguments, streams(LETTER)).email == read


@pytest.mark.parametrize(
    ("content", "kept"),
    [
        (b"a\r\n.\r\nb\r\n", b"a\r\n"),
        (b"a\n.", b"a\n"),
        (b".\n", b""),
        (b"a\n..\n.b\nc.\n. \n", b"a\n..\n.b\nc.\n. \n"),
        (b"", b""),
    ],
)
def test_only_a_dot_that_is_the_whole_line_ends_the_input(content: bytes, kept: bytes) -> None:
    assert cut_at_lone_dot(content) == kept


def test_at_a_terminal_it_is_said_what_is_read_and_how_it_ends() -> None:
    source = streams(Terminal(LETTER))

    submission = submission_for(SendArguments(from_header=True), source)

    assert submission.email == UP_TO_THE_DOT
    assert isinstance(source.stderr, io.StringIO)
    assert source.stderr.getvalue() == (
        "mailstrom: reading the message, header and all from standard input, until a line with a lone dot\n"
    )


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (SendArguments(), "no recipients"),
        (SendArguments(from_header=True, recipients=["a@dest.example"]), "not both"),
        (SendArguments(subject="Hi", from_header=True), "finished message"),
        (SendArguments(text="Hi", message="letter.eml"), "finished message"),
        (SendArguments(subject="Hi", recipients=["a@dest.example"]), "--to"),
        (SendArguments(text="Hi", text_file="letter.txt"), "--text or --text-file"),
        (SendArguments(html="Hi", html_file="letter.html"), "--html or --html-file"),
    ],
)
def test_arguments_that_do_not_fit_together_are_misuse(arguments: SendArguments, complaint: str) -> None:
    with pytest.raises(CommandError, match=complaint) as raised:
        submission_for(arguments, streams())

    assert raised.value.code is ExitCode.USAGE


@pytest.mark.parametrize("name", ["message", "text_file", "html_file"])
def test_a_file_that_cannot_be_read_is_named(name: str, tmp_path: Path) -> None:
    with pytest.raises(CommandError, match=r"letter.*No such file") as raised:
        submission_for(SendArguments(**{name: str(tmp_path / "letter")}), streams())  # type: ignore[arg-type]

    assert raised.value.code is ExitCode.NO_INPUT


def test_text_in_another_encoding_than_utf8_is_refused() -> None:
    with pytest.raises(CommandError, match="standard input: expected text in UTF-8") as raised:
        submission_for(SendArguments(subject="Grüße"), streams("Grüße\n".encode("latin-1")))

    assert raised.value.code is ExitCode.BAD_MESSAGE


def test_an_address_that_is_none_is_the_message_s_fault() -> None:
    with pytest.raises(MessageError, match="to: "):
        submission_for(SendArguments(from_="me@sender.example", to=["you@@"], text="Hi."), streams())
