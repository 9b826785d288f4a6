"""The reply tables of tests/vectors/4-smtp against `smtp.reply` and `schedule.verdict`."""

from __future__ import annotations

import json
from base64 import b64decode
from pathlib import Path
from typing import Any

import pytest

from mailstrom.schedule.verdict import Meaning, judge_reply, read_reply
from mailstrom.smtp.reply import (
    ParsedReply,
    ReplyError,
    ReplyParser,
    ehlo_extensions,
    parse_line,
    split_enhanced_code,
)
from mailstrom.status import Phase

Case = dict[str, Any]

VECTORS = Path(__file__).parents[2] / "vectors" / "4-smtp"


def cases(name: str) -> list[Any]:
    found = json.loads((VECTORS / name).read_text(encoding="utf-8"))["cases"]
    return [pytest.param(case, id=case["id"]) for case in found]


def octets_of(case: Case) -> bytes:
    if "reply_b64" in case:
        return b64decode(case["reply_b64"])
    if (made := case.get("reply_generator")) is not None:
        return (made["prefix"] + made["repeat"] * made["count"] + made["end"]).encode()
    return str(case["reply"]).encode()


def outcome(octets: bytes) -> tuple[ParsedReply, bytes] | None:
    """The first reply and what stays behind it; None for an error, also at the end of the stream."""
    parser = ReplyParser()
    parser.feed(octets)
    try:
        reply = parser.next()
        if reply is None:
            parser.end()
    except ReplyError:
        return None
    assert reply is not None
    return reply, parser.rest


@pytest.mark.parametrize("case", cases("reply_parse.json"))
def test_a_reply_is_read_as_the_table_says(case: Case) -> None:
    """RFC 5321 4.2, RFC 2034, RFC 3463."""
    found = outcome(octets_of(case))

    allowed = [case["expect"], *_as_list(case.get("also_accept"))]
    assert any(_agrees(found, expect) for expect in allowed)
    if "extensions" in case:
        assert found is not None
        assert ehlo_extensions(found[0]) == case["extensions"]


def _agrees(found: tuple[ParsedReply, bytes] | None, expect: Case) -> bool:
    if found is None or "error" in expect:
        return found is None and "error" in expect
    reply, rest = found
    told = {
        "code": reply.code,
        "enhanced": None if reply.enhanced is None else str(reply.enhanced),
        "lines": list(reply.lines),
        "rest": rest.decode(),
    }
    return told == {"rest": "", **expect}


@pytest.mark.parametrize("case", cases("reply_parse_peers.json"))
def test_a_reply_is_read_as_other_programs_read_it(case: Case) -> None:
    """The same by other programs' own tests, but where the RFCs say otherwise."""
    if "text_after_code" in case:
        _check_enhanced(case["text_after_code"], case["expect"])
    elif "line" in case:
        _check_line(case["line"], case["expect"])
    else:
        _check_reply(octets_of(case), case["expect"])


def _check_enhanced(text: str, expect: Case) -> None:
    enhanced, rest = split_enhanced_code(text)
    wanted = expect.get("enhanced")
    if wanted is not None and wanted[0] not in "245":
        # RFC 3463 3.1: there are the classes 2, 4 and 5, and no others
        assert (enhanced, rest) == (None, text)
        return
    assert (None if enhanced is None else str(enhanced)) == wanted
    assert rest == expect.get("text", rest)


def _check_line(line: str, expect: Case) -> None:
    if "error" in expect:
        with pytest.raises(ReplyError):
            parse_line(line.encode())
        return
    code, final, text = parse_line(line.encode())
    assert {"code": code, "final": final, "text": text} == {"final": final, "text": text, **expect}


def _check_reply(octets: bytes, expect: Case) -> None:
    found = outcome(octets)
    if "error" in expect:
        # RFC 6531 3.7.4.2: text beyond ASCII may come, and a reply must not be lost for it
        assert found is None or not _is_utf8(octets)
        return
    assert found is not None
    reply = found[0]
    assert reply.code == expect.get("code", reply.code)
    enhanced = None if reply.enhanced is None else str(reply.enhanced)
    assert enhanced == expect.get("enhanced", enhanced)
    if "lines" in expect:
        assert _texts(octets, reply) & {tuple(expect["lines"])}
    if "text" in expect:
        assert expect["text"] in {joint.join(t) for t in _texts(octets, reply) for joint in ("\n", "\r\n")}


def _texts(octets: bytes, reply: ParsedReply) -> set[tuple[str, ...]]:
    """The lines without the enhanced code, and with it: not every source takes it off."""
    whole = octets.decode("utf-8", "backslashreplace").split("\n")[: len(reply.lines)]
    return {reply.lines, tuple(line.rstrip("\r")[4:] for line in whole)}


def _is_utf8(octets: bytes) -> bool:
    try:
        octets.decode()
    except UnicodeDecodeError:
        return False
    return True


STAGES = {
    "banner": Phase.GREETING,
    "EHLO": Phase.EHLO,
    "HELO": Phase.EHLO,
    "STARTTLS": Phase.STARTTLS,
    "AUTH": Phase.AUTH,
    "MAIL": Phase.MAIL,
    "RCPT": Phase.RCPT,
    "DATA": Phase.DATA,
    "end of data": Phase.DOT,
    "RSET": Phase.RSET,
    "QUIT": Phase.QUIT,
}
WORDS = {
    Meaning.SUCCESS: "success",
    Meaning.TRANSIENT: "temporary",
    Meaning.PERMANENT: "permanent",
    Meaning.HOST_REFUSES: "try-next-host",
    Meaning.USE_HELO: "fall-back-to-HELO",
    Meaning.NO_TLS: "no-tls",
    Meaning.UNEXPECTED: "protocol-error",
}
STATES = {
    "success": "delivered",
    "temporary": "deferred",
    "permanent": "failed",
    "try-next-host": "failed",
    "fall-back-to-HELO": "failed",
    "no-tls": "deferred",
    "protocol-error": "deferred",
}


@pytest.mark.parametrize("case", cases("reply_class.json"))
def test_a_reply_means_what_the_table_says(case: Case) -> None:
    """RFC 5321 4.3.2."""
    phase, (reply, _) = STAGES[case["stage"]], outcome(octets_of(case)) or pytest.fail("no reply")

    meaning = WORDS[read_reply(phase, reply.code)]
    if case["stage"] == "HELO" and meaning == "fall-back-to-HELO":
        meaning = "permanent"  # RFC 5321 3.2: there is nothing to fall back to

    assert meaning == case["expect"]
    if phase is Phase.DOT or meaning != "success":
        assert judge_reply(phase, reply.reply, "mx.example").state == STATES[meaning]


def _as_list(given: Any) -> list[Any]:
    if given is None:
        return []
    return given if isinstance(given, list) else [given]
