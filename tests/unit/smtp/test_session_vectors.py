"""The dialogues of tests/vectors/4-smtp, played by a server in memory."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from mailstrom.schedule.verdict import Verdict
from mailstrom.smtp.command import CommandError, path
from mailstrom.smtp.reply import ParsedReply, ReplyParser
from mailstrom.smtp.session import OpenFailure, Session, TlsMode
from mailstrom.status import Phase

from .scene import Scene, always, an_email, server_context
from .vector_server import VectorServer, events, without_starttls

Case = dict[str, Any]

VECTORS = Path(__file__).parents[2] / "vectors" / "4-smtp"
WORDS = {"delivered": "delivered", "deferred": "temporary", "failed": "permanent"}


def cases(name: str) -> list[Any]:
    found = json.loads((VECTORS / name).read_text(encoding="utf-8"))["cases"]
    return [pytest.param(case, id=case["id"]) for case in found]


# -- sessions.json -------------------------------------------------------------------------


@pytest.mark.parametrize("case", cases("sessions.json"))
def test_each_recipient_ends_as_the_table_says(case: Case) -> None:
    """RFC 5321; and nothing but the message and its commands is on the wire."""
    recipients = [r for r in case["recipients"] if _can_be_written(r)]
    script = events(case["script"])
    server = VectorServer([script, without_starttls(script)], server_context())
    scene = Scene(server)
    content = _content(case)

    verdicts = scene.run(_delivered(scene, content, recipients))

    told = dict.fromkeys(case["recipients"], "refused-before-sending")
    told |= {recipient: WORDS[verdict.state] for recipient, verdict in verdicts.items()}
    allowed = [case["expect"], *_as_list(case.get("also_accept"))]
    assert told in [expect["recipients"] for expect in allowed]
    assert server.wrong is None
    assert all(sent == content for sent in server.contents if sent)
    _check_parameters(case["expect"], server.lines)
    _check_patience(case.get("timeouts", {}), scene.loop.time())


def _can_be_written(recipient: str) -> bool:
    try:
        return bool(path(recipient))
    except CommandError:
        return False


def _content(case: Case) -> bytes:
    head = b"Subject: Hello\r\n\r\n"
    wanted = case.get("content", "")
    body = "Grüße\r\n".encode() if wanted == "8-bit" else (wanted.encode() or b"Hi.\r\n")
    size = case.get("message_size", 0)
    padding = b"".join(b"x" * 62 + b"\r\n" for _ in range(size // 64 + 1))
    return (head + body + padding)[: size - 2] + b"\r\n" if size else head + body


async def _delivered(scene: Scene, content: bytes, recipients: Sequence[str]) -> Mapping[str, Verdict]:
    if not recipients:
        return {}
    email = an_email(content=content, needs_8bitmime=not content.isascii(), recipients=tuple(recipients))
    opened = await scene.open()
    if isinstance(opened, OpenFailure) and opened.plain_retry:
        opened = await scene.open(tls="none")
    if isinstance(opened, OpenFailure):
        return dict.fromkeys(recipients, opened.verdict)
    report = await opened.deliver(email, recipients, before_dot=always)
    await opened.quit()
    return report.verdicts


def _check_parameters(expect: Case, lines: Sequence[bytes]) -> None:
    mail = [line.decode().upper() for line in lines if line.upper().startswith(b"MAIL")]
    for parameter in _as_list(expect.get("must_send")):
        assert any(parameter.upper() in line for line in mail)
    for parameter in _as_list(expect.get("must_not_send")):
        assert not any(parameter.upper() in line for line in mail)


def _check_patience(timeouts: Mapping[str, float], waited: float) -> None:
    """RFC 5321 4.5.3.2."""
    assert waited >= max(timeouts.values(), default=0)


# -- sessions_mox.json ---------------------------------------------------------------------

TLS_MODES: Mapping[str, TlsMode] = {
    "Opportunistic": "opportunistic",
    "RequiredStartTLS": "encrypted",
    "Skip": "none",
}


@pytest.mark.parametrize("case", cases("sessions_mox.json"))
def test_a_dialogue_ends_as_it_does_for_mox(case: Case) -> None:
    """RFC 5321, but where the two differ in policy: see `_agrees`."""
    server = VectorServer([events(case["script"])], server_context())
    scene = Scene(server)
    recipients = [f"r{number}@dest.example" for number in range(case["recipients"])]
    mode = TLS_MODES[case.get("tls_mode", "Opportunistic")]
    expected = case["expect_errors"]

    told = scene.run(_told(scene, recipients, mode, len(expected)))

    assert server.wrong is None
    assert len(told) == len(expected)
    for verdicts, error in zip(told, expected, strict=True):
        assert all(_agrees(verdict, error) for verdict in verdicts)


async def _told(
    scene: Scene, recipients: Sequence[str], mode: TlsMode, deliveries: int
) -> list[list[Verdict]]:
    opened = await scene.open(tls=mode)
    if isinstance(opened, OpenFailure):
        return [[opened.verdict] * len(recipients)] * deliveries
    told = []
    for _ in range(deliveries):
        report = await opened.deliver(an_email(), recipients, before_dot=always)
        told.append(list(report.verdicts.values()))
    await opened.quit()
    return told


def _agrees(verdict: Verdict, error: Case | None) -> bool:
    kind = "" if error is None else error.get("kind") or ""
    if error is None or not kind:
        return verdict.state == "delivered"
    if kind in ("ErrTLS", "ErrBotched", "ErrUnexpectedEOF", "ErrProtocol"):
        # RFC 5321 4.5.4.1: a host that lacks TLS today, hangs up or talks nonsense may do better
        # later, so the mail is kept and tried again; mox gives up where TLS is demanded.
        return verdict.state == "deferred"
    # RFC 5321 4.2.1: a refusal is what its first digit says
    return verdict.state == ("failed" if error["permanent"] else "deferred")


# -- transcripts_go.json -------------------------------------------------------------------


@pytest.mark.parametrize("case", cases("transcripts_go.json"))
def test_both_sides_of_a_transcript_are_understood(case: Case) -> None:
    """RFC 5321 4.2: what a server sent is a sequence of replies, one for each thing it got."""
    asked, replies = _asked(case["client_sends"].encode()), _replies(case["server_sends"].encode())

    assert len(replies) - len(asked) in (0, 1)  # one more: the greeting
    for thing, reply in _paired(asked, replies):
        if thing.upper().startswith(b"DATA"):
            assert reply.code in (354, *range(400, 600))


@pytest.mark.parametrize("case", cases("transcripts_go.json"))
def test_we_say_the_same_to_a_host_that_answers_so(case: Case) -> None:
    """RFC 5321 4.5.2: the content goes out octet for octet, dots doubled."""
    paired = _paired(_asked(case["client_sends"].encode()), _replies(case["server_sends"].encode()))
    if any(thing.upper().startswith(b"LHLO") for thing, _ in paired):
        return  # RFC 2033: LMTP is another protocol
    server = Replayer(paired)
    scene = Scene(server)

    scene.run(_replay(scene, paired))

    told = [_without_parameters(thing) for thing, _ in paired]
    told.append(b"QUIT")  # RFC 5321 4.1.1.10: we always say it
    assert [line for line in map(_without_parameters, server.heard) if line not in told] == []
    assert [thing for thing in server.heard if thing.endswith(b"\r\n.\r\n")] == [
        thing for thing, _ in paired if thing.endswith(b"\r\n.\r\n")
    ]


Pair = tuple[bytes, ParsedReply]


def _asked(octets: bytes) -> list[bytes]:
    """Each command line, and each content with its final dot."""
    asked: list[bytes] = []
    while octets:
        end = b"\r\n"
        if asked and asked[-1].upper() == b"DATA\r\n":
            end = b"\r\n.\r\n" if not octets.startswith(b".\r\n") else b".\r\n"
        cut = octets.index(end) + len(end)
        asked.append(octets[:cut])
        octets = octets[cut:]
    return asked


def _replies(octets: bytes) -> list[ParsedReply]:
    parser = ReplyParser()
    parser.feed(octets)
    found = list(iter(parser.next, None))
    parser.end()
    return [reply for reply in found if reply is not None]


def _paired(asked: Sequence[bytes], replies: Sequence[ParsedReply]) -> list[Pair]:
    return list(zip(asked, replies[len(replies) - len(asked) :], strict=True))


def _without_parameters(thing: bytes) -> bytes:
    verb, _, rest = thing.partition(b":<")
    return verb.upper().split()[0] if not rest else verb.upper() + b":<" + rest.partition(b">")[0]


class Replayer:
    """Answers what it is asked as the transcript did in the end."""

    def __init__(self, paired: Sequence[Pair]) -> None:
        self._answers = {_key(thing): reply for thing, reply in paired}
        self.heard: list[bytes] = []

    async def __call__(self, peer: Any) -> None:
        await peer.write(b"220 hello world\r\n")
        while line := await peer.read_line():
            self.heard.append(line)
            await self._answer(peer, _key(line))
            if line == b"DATA\r\n":
                content = b""
                while not content.endswith(b"\r\n.\r\n"):
                    content += await peer.read_some()
                self.heard.append(content)
                await self._answer(peer, b"<content>")

    async def _answer(self, peer: Any, key: bytes) -> None:
        reply = self._answers.get(key)
        lines = ("not in the transcript",) if reply is None else reply.lines
        code = 502 if reply is None else reply.code
        joints = ["-"] * (len(lines) - 1) + [" "]
        for joint, line in zip(joints, lines, strict=True):
            await peer.write(f"{code}{joint}{line}\r\n".encode())


def _key(thing: bytes) -> bytes:
    return b"<content>" if thing.endswith(b"\r\n.\r\n") else thing[:4].upper().rstrip()


async def _replay(scene: Scene, paired: Sequence[Pair]) -> None:
    things = [thing for thing, _ in paired]
    opened = await scene.open(tls="none")
    if isinstance(opened, OpenFailure):
        assert opened.verdict.phase is Phase.EHLO
        return
    await _replay_message(opened, things)
    await opened.quit()


async def _replay_message(session: Session, things: Sequence[bytes]) -> None:
    contents = [thing for thing in things if thing.endswith(b"\r\n.\r\n")]
    senders = [_path(thing) for thing in things if thing.upper().startswith(b"MAIL")]
    recipients = list(dict.fromkeys(_path(thing) for thing in things if thing.upper().startswith(b"RCPT")))
    if not contents:
        return
    content = contents[-1].removesuffix(b".\r\n").replace(b"\r\n.", b"\r\n").removeprefix(b".")
    email = an_email(content=content, reverse_path=senders[-1])
    report = await session.deliver(email, recipients, before_dot=always)
    assert {verdict.state for verdict in report.verdicts.values()} == {"delivered"}


def _path(line: bytes) -> str:
    return line.partition(b"<")[2].partition(b">")[0].decode()


def _as_list(given: Any) -> list[Any]:
    if given is None:
        return []
    return given if isinstance(given, list) else [given]
