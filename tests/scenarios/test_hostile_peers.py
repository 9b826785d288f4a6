"""Text from the other side ends up in statuses and logs: short, plain, one line."""

from __future__ import annotations

import io
import json
import logging
import time
from collections.abc import Callable

import pytest

from mailstrom import Config, Mailstrom, MessageError, RetryPolicy
from mailstrom.testing.dns import Zone
from mailstrom.testing.smtp_server import SmtpServer
from tests.builders import a_config, an_email, mx, with_mx
from tests.lone_engine import LoneEngine, simulate
from tests.scenarios.stages import YOU

EVIL = (
    b"\x1b[2J\x1b]0;owned\x07 \x08\x08 \xe2\x80\xae\xe2\x80\xa8 \xc2\x85 \xff\xfe\x00 "
    b"\r mailstrom: x@y.example to z@y.example: delivered"
)
STAGES = ("greeting", "ehlo", "mail", "rcpt", "data", "content", "rset", "quit")


def plain_lines(text: str) -> list[str]:
    return [line for line in text.split("\n") if not (line.isascii() and line.isprintable())]


@pytest.fixture
def log() -> Callable[[], str]:
    """What a program that logs everything would have on its terminal."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(logging.Formatter("%(levelname)s %(message)s"))
    logger = logging.getLogger("mailstrom")
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    yield stream.getvalue  # type: ignore[misc]
    logger.removeHandler(handler)
    logger.setLevel(level)


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("code", [b"250", b"450", b"550"])
def test_what_a_host_says_is_one_plain_line_everywhere(
    stage: str, code: bytes, log: Callable[[], str]
) -> None:
    """Threat S27: CR, LF, ESC, bidi in every reply."""

    async def story(sim: LoneEngine) -> None:
        with_mx(sim, SmtpServer(**{f"on_{stage}": code + b" " + EVIL + b"\r\n"}))  # type: ignore[arg-type]
        status = await sim.first_try(an_email())
        shown = [str(status), str(status[YOU]), str(status[YOU].result), *map(str, status[YOU].attempts)]
        shown += [str(event) for event in sim.events]
        assert [line for line in shown if "\n" in line or not line.isprintable()] == []
        assert json.loads(json.dumps(status.to_dict()))["message_id"] == status.message_id
        assert len(log().splitlines()) <= 2

    simulate(story, config=a_config(retry=RetryPolicy(tries=1)))

    assert plain_lines(log()) == []


def test_what_the_dns_holds_is_one_plain_line_everywhere(log: Callable[[], str]) -> None:
    """Threat S27: a host name with escapes in it."""

    async def story(sim: LoneEngine) -> None:
        sim.zone.records["dest.example"] = mx("mx\\027[2J\\010.example")
        status = await sim.first_try(an_email())
        shown = [str(status[YOU].result), *map(str, status[YOU].attempts)]
        assert [line for line in shown if not line.isprintable()] == []

    simulate(story, config=a_config())

    assert plain_lines(log()) == []


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("idempotency_key", "key\x1b[2J"),
        ("idempotency_key", "key\nline"),
        ("metadata", {"order": 1}),
        ("metadata", {1: "order"}),
        ("metadata", {"k": "v" * 5000}),
        ("metadata", "order=1"),
    ],
)
def test_options_that_would_hurt_are_refused(option: str, value: object) -> None:
    """Threats S21 and S27: what the caller's users typed."""
    with Mailstrom(Config(mode="capture")) as m, pytest.raises(MessageError, match=option):
        m.send_email(an_email(), **{option: value})


def test_what_the_caller_typed_is_one_plain_line_in_an_exception() -> None:
    """Threat S27."""
    with Mailstrom(Config(mode="capture")) as m:
        for call in (m.query_status, m.cancel):
            with pytest.raises(LookupError) as caught:
                call("evil\x1b[2J\n\u202eid@x.example")
            assert str(caught.value).isprintable()
        with pytest.raises(MessageError) as refused:
            m.send_email(an_email(), recipients="x\x1b[2J\r\n@y.example")
        assert str(refused.value).isprintable()


def test_a_local_part_beyond_ascii_is_escaped_in_the_log(log: Callable[[], str]) -> None:
    """Threat S27: right-to-left text turns a log line round."""
    with Mailstrom(Config(mode="capture")) as m:
        m.start().wait(m.send_email(an_email(to="\u05d0\u05d1@dest.example")), timeout=30)

    assert "delivered" in log()
    assert plain_lines(log()) == []


def test_the_text_of_a_reply_is_bounded() -> None:
    """Threat S21: 1 KB of it is kept."""
    last = "550 5.1.1 " + "x" * 480

    async def story(sim: LoneEngine) -> None:
        lines = "\r\n".join([f"550-5.1.1 {'x' * 480}"] * 60 + [last]).encode() + b"\r\n"
        with_mx(sim, SmtpServer(on_rcpt=lines))
        status = await sim.deliver(an_email())
        result = status[YOU].result
        assert result.reply is not None
        assert result.reply.code == 550
        assert len(result.reply.text) <= 1024
        assert len(json.dumps(status.to_dict())) < 12_000

    simulate(story, config=a_config())


def test_the_attempts_kept_of_a_recipient_are_bounded() -> None:
    """Threat S21: five days of tries at hosts that come and go."""
    policy = RetryPolicy(tries=200, base_delay_secs=1, factor=1, jitter=0)

    async def story(sim: LoneEngine) -> None:
        with_mx(sim, SmtpServer(on_rcpt="450 4.2.1 later"))
        status = await sim.deliver(an_email())
        assert (status[YOU].result.tries, len(status[YOU].attempts)) == (200, 50)

    simulate(story, config=a_config(retry=policy))


def test_ten_times_the_input_takes_no_more_than_its_share_of_time() -> None:
    """Threat S21: linear parsers, from the address to the reply."""

    def secs(size: int) -> float:
        with Mailstrom(Config(mode="capture")) as m:
            best = float("inf")
            for _ in range(3):
                began = time.process_time()
                m.send_email(an_email(to=[f"user{i}@d{i % 97}.example" for i in range(size)]))
                m.send_email(an_email(subject="x " * size, text=". x\n" * size))
                with pytest.raises(MessageError):
                    m.send_email(an_email(to="(" * size + "a@x.example"))
                with pytest.raises(MessageError):
                    m.send_email(an_email(to='"' + "\\a" * size + "@x.example"))
                best = min(best, time.process_time() - began)
            return best

    secs(100)
    assert secs(10_000) < 25 * secs(1_000)


def test_a_zone_made_to_be_followed_for_ever_ends() -> None:
    """Threat S21: aliases of aliases, each name a new one."""
    records = {f"n{number}.example": {"CNAME": f"n{number + 1}.example"} for number in range(5000)}

    async def story(sim: LoneEngine) -> None:
        sim.zone.records |= Zone({"dest.example": mx("n0.example"), **records}).records
        status = await sim.first_try(an_email())
        assert status[YOU].result.state == "deferred"
        assert len(sim.zone.queries) < 200

    simulate(story, config=a_config())
