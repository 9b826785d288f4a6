"""The relay's password: a canary that must sing nowhere but in AUTH, inside verified TLS."""

from __future__ import annotations

import base64
import dataclasses
import hmac
import json
import logging
import pickle
import threading
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import mailstrom
from mailstrom import (
    AsyncMailstrom,
    Config,
    ConfigError,
    Event,
    Mailstrom,
    MemoryStorage,
    MessageStatus,
    RelayConfig,
    RetryPolicy,
    SmtpAuth,
    SmtpTimeouts,
)
from mailstrom.secret import Secret
from mailstrom.testing.peer import Handler
from mailstrom.testing.script import Step, close, expect, hang, reset, send, start_tls
from mailstrom.testing.smtp_server import Action, Answer, LoopbackServer, ScriptedServer, SmtpServer
from tests.builders import an_email
from tests.lone_engine import LoneEngine, simulate
from tests.scenarios.stages import RELAY, YOU
from tests.scenarios.tls_hosts import GO_AHEAD, a_relay_config, at_relay, ca_file, server_context

OURS = str(Path(mailstrom.__file__).parent)
USER, CANARY = "user", "c4nary/pass@word:9"
MECHANISMS = ["CRAM-MD5", "PLAIN", "LOGIN"]
URL_QUOTED = "c4nary%2Fpass%40word%3A9"


def disguises() -> list[str]:
    """The password as it is, and in every dress in which it travels."""
    plain = base64.b64encode(f"\0{USER}\0{CANARY}".encode()).decode()
    bearer = base64.b64encode(f"user={USER}\x01auth=Bearer {CANARY}\x01\x01".encode()).decode()
    return [CANARY, URL_QUOTED, "c4nary", base64.b64encode(CANARY.encode()).decode(), plain, bearer]


def sings(*shown: object) -> list[str]:
    """The dresses in which the password stands in any of these."""
    text = "\n".join(each if isinstance(each, str) else repr(each) for each in shown)
    return [disguise for disguise in disguises() if disguise in text]


def all_of(status: MessageStatus) -> list[object]:
    """A status in each form in which it may be seen or kept."""
    lines = [str(recipient.result) for recipient in status]
    pickled = pickle.dumps(status).decode("latin-1")
    return [status, status.to_dict(), json.dumps(status.to_dict()), pickled, *lines]


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> Callable[[], str]:
    """Everything that anybody logged, with the locals of every frame of every exception."""
    caplog.set_level(logging.DEBUG)
    for name in ("mailstrom", "aiosmtplib", "asyncio"):
        caplog.set_level(logging.DEBUG, logger=name)

    def written() -> str:
        told = [f"{record.getMessage()} {record.__dict__!r}" for record in caplog.records]
        for record in caplog.records:
            if record.exc_info and record.exc_info[1]:
                told += with_locals(record.exc_info[1])
        return "\n".join(told)

    return written


def with_locals(error: BaseException) -> Iterator[str]:
    """The traceback as tools print it that show the locals of each frame."""
    return traceback.TracebackException.from_exception(error, capture_locals=True).format()


# --- a real instance over real sockets


def a_real_config(port: int, ca: str, mechanism: str | None = None) -> Config:
    return Config(
        helo_name="sender.example",
        delivery=RelayConfig("127.0.0.1", port, auth=SmtpAuth(USER, CANARY, mechanism), ca_file=ca),
        retry=RetryPolicy(tries=1),
        timeouts=SmtpTimeouts(auth_secs=0.2, quit_secs=0.2),
    )


def watched_delivery(server: Handler, mechanism: str | None = None) -> tuple[MessageStatus, list[object]]:
    """Sends one email through a real relay; the status, and all that can be seen of the instance."""
    events: list[Event] = []
    answered = threading.Event()

    def observe(event: Event) -> None:
        events.append(event)
        if event.result is not None:
            answered.set()

    with ca_file() as ca, LoopbackServer(server) as running:
        config = a_real_config(running.port, ca, mechanism)
        with Mailstrom(config, MemoryStorage(), observers=[observe]) as m:
            message_id = m.start().send_email(an_email())
            assert answered.wait(10)
            status = m.query_status(message_id)
            seen: list[object] = [m, vars(m), config, str(config), dataclasses.asdict(config)]
            seen += [m.query_recent(), m.worker_status(), m.outbox]
            m.die()
    return status, [*seen, *events, *map(str, events), pickle.dumps(events).decode("latin-1")]


@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_a_delivery_through_a_real_relay_shows_the_password_nowhere(
    mechanism: str, log: Callable[[], str]
) -> None:
    """Threat S10. The crate's SMTP library logged each line it wrote, credentials and content too."""
    server = SmtpServer(tls_context=server_context(), credentials={USER: CANARY})

    status, seen = watched_delivery(server, mechanism)

    assert status.succeeded
    assert [message.user for message in server.ledger.messages] == [USER]
    assert sings(log(), *seen, *all_of(status)) == []
    assert "Hi." not in log()


REFUSALS: dict[str, Answer] = {
    "535": "535 5.7.8 no",
    "454": "454 4.7.0 later",
    "closed": Action.CLOSE,
    "reset": Action.RESET,
    "silence": Action.HANG,
    "garbage": b"\x00\xffgarbage\r\n",
    "two replies": b"235 ok\r\n235 ok\r\n",
    "250": "250 ok",
}


@pytest.mark.parametrize("answer", REFUSALS.values(), ids=REFUSALS)
@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_a_refusal_by_a_real_relay_shows_the_password_nowhere(
    mechanism: str, answer: Answer, log: Callable[[], str]
) -> None:
    """Threat S10: nor do exceptions on the way, whatever becomes of the AUTH command."""
    server = SmtpServer(tls_context=server_context(), credentials={USER: CANARY}, on_auth=answer)

    status, seen = watched_delivery(server, mechanism)

    assert not status.succeeded
    assert sings(log(), *seen, *all_of(status)) == []


# --- a host that tells what it was told


def echoes() -> Iterator[tuple[str, str]]:
    yield "the password", f"535 5.7.8 wrong password {CANARY} for {USER}"
    yield "its base64", f"535 5.7.8 cannot verify {base64.b64encode(CANARY.encode()).decode()}"
    yield "the response", f"535 5.7.8 AUTH PLAIN {disguises()[4]}"
    yield "many lines", f"535-5.7.8 no\n535-5.7.8 {CANARY}\n535 5.7.8 {CANARY}"


@pytest.mark.parametrize("reply", dict(echoes()).values(), ids=dict(echoes()))
def test_a_relay_that_repeats_the_password_in_its_reply_does_not_get_it_into_the_status(
    reply: str, log: Callable[[], str]
) -> None:
    """Threat S10: the reply's text is kept, logged and shown to people."""
    server = SmtpServer(tls_context=server_context(), credentials={USER: CANARY}, on_auth=reply)
    shown: list[object] = []

    async def story(sim: LoneEngine) -> None:
        at_relay(sim, server)
        status = await sim.first_try(an_email())
        assert str(status[YOU].result.enhanced_code) == "4.7.8"
        shown.extend([*all_of(status), sim.events])

    with ca_file() as ca:
        simulate(story, config=a_relay_config(ca, auth=SmtpAuth(USER, CANARY, "PLAIN")))

    assert sings(log(), *shown) == []


# --- what goes wrong in the middle, with every frame's locals


@pytest.mark.parametrize(
    "step", [close(), reset(), hang(), send("334 %%% no base64"), send("334 "), send("999")]
)
@pytest.mark.parametrize("mechanism", [*MECHANISMS, "XOAUTH2"])
def test_trouble_amid_auth_shows_the_password_nowhere(
    mechanism: str, step: Step, log: Callable[[], str]
) -> None:
    """Threat S10."""
    offer = f"250-mx\r\n250 AUTH {mechanism}"
    in_tls = [start_tls(server_context()), expect("EHLO "), send(offer), expect("AUTH "), step]
    server = ScriptedServer([*GO_AHEAD, *in_tls])
    shown: list[object] = []

    async def story(sim: LoneEngine) -> None:
        at_relay(sim, server)
        status = await sim.first_try(an_email())
        shown.extend([*all_of(status), sim.events, sim.config, sim.engine, vars(sim.engine)])

    with ca_file() as ca:
        simulate(story, config=a_relay_config(ca, auth=SmtpAuth(USER, CANARY, mechanism)))

    assert sings(log(), *shown) == []


class BrokenNetworkError(Exception):
    """Nothing that the engine knows."""


def test_an_internal_error_amid_auth_shows_the_password_nowhere_in_its_traceback(
    log: Callable[[], str],
) -> None:
    """Threat S10: what is logged has a traceback, and tools show the locals of its frames."""
    server = SmtpServer(tls_context=server_context(), credentials={USER: CANARY})

    async def story(sim: LoneEngine) -> None:
        at_relay(sim, server)
        start_tls_as_it_is = sim.network.start_tls

        async def failing_later(transport: Any, *args: Any, **kwargs: Any) -> Any:
            secured = await start_tls_as_it_is(transport, *args, **kwargs)
            write = secured.write

            def broken_write(octets: bytes) -> None:
                if octets.startswith(b"AUTH"):
                    raise BrokenNetworkError("in the middle of it")
                write(octets)

            secured.write = broken_write
            return secured

        sim.network.start_tls = failing_later  # type: ignore[method-assign]
        status = await sim.first_try(an_email())
        assert status[YOU].result.state == "deferred"

    with ca_file() as ca:
        simulate(story, config=a_relay_config(ca, auth=SmtpAuth(USER, CANARY, "PLAIN")))

    assert "an internal error ended the try" in log()
    assert sings(log()) == []


# --- configuration


RELAY_TABLE = {"domain_name": RELAY, "auth": {"username": USER, "password": CANARY}}
WRONG: dict[str, Callable[[], object]] = {
    "port in the URL": lambda: RelayConfig.from_url(f"smtps://{USER}:{URL_QUOTED}@relay.example:x"),
    "scheme": lambda: RelayConfig.from_url(f"http://{USER}:{URL_QUOTED}@relay.example"),
    "password not quoted": lambda: RelayConfig.from_url(f"smtps://{USER}:{CANARY}@relay.example/path?x#y"),
    "cleartext": lambda: RelayConfig.from_url(f"smtp://{USER}:{URL_QUOTED}@relay.example"),
    "asyncio facade": lambda: AsyncMailstrom(f"smtp://{USER}:{URL_QUOTED}@relay.example"),
    "facade": lambda: Mailstrom(f"smtp://{USER}:{URL_QUOTED}@relay.example"),
    "unknown key": lambda: Config.from_dict({"delivery": {"relay": RELAY_TABLE | {"prot": 1}}}),
    "unknown auth key": lambda: Config.from_dict(
        {"delivery": {"relay": {"domain_name": RELAY, "auth": {"username": USER, "pasword": CANARY}}}}
    ),
    "mechanism": lambda: SmtpAuth(USER, CANARY, "PLANE"),
    "arguments in the wrong order": lambda: SmtpAuth(USER, "x", CANARY),
    "user name": lambda: SmtpAuth("a\r\nb", CANARY),
    "relay none": lambda: RelayConfig(RELAY, tls="none", auth=SmtpAuth(USER, CANARY)),
    "environment": lambda: Config.from_env(
        {"MAILSTROM_RELAY_URL": f"smtp://{USER}:{URL_QUOTED}@relay.example", "MAILSTROM_HELO_NAME": "a b"}
    ),
    "pickle of the secret": lambda: pickle.dumps(Secret(CANARY)),
    "pickle of the configuration": lambda: pickle.dumps(a_relay_config(auth=SmtpAuth(USER, CANARY))),
}


@pytest.mark.parametrize("given", [("us\ud800er", CANARY), (USER, CANARY + "\udcff"), (USER, "\0" + CANARY)])
def test_credentials_that_cannot_be_sent_are_refused_at_once(given: tuple[str, str]) -> None:
    """Threat S10: found out amid AUTH, it would be an exception with the password in it."""
    with pytest.raises(ConfigError, match="SmtpAuth") as caught:
        SmtpAuth(*given)

    assert sings(str(caught.value), *_frames_of_ours(caught.value)) == []


@pytest.mark.parametrize("make", WRONG.values(), ids=WRONG)
def test_what_is_wrong_with_the_settings_is_told_without_the_password(make: Callable[[], object]) -> None:
    """Threat S10: message, arguments, and the locals of each frame of ours."""
    with pytest.raises((ConfigError, TypeError)) as caught:
        make()

    chain = [caught.value, caught.value.__cause__, caught.value.__context__]
    ours = _frames_of_ours(caught.value)
    assert sings(*[repr(each) + str(each) + repr(getattr(each, "args", "")) for each in chain], *ours) == []


def _frames_of_ours(error: BaseException) -> list[str]:
    """The locals of each frame within the library; the caller's own frame holds what the caller wrote."""
    found = traceback.TracebackException.from_exception(error, capture_locals=True)
    frames: list[str] = []
    each: traceback.TracebackException | None = found
    while each is not None:
        frames += [str(frame.locals) for frame in each.stack if frame.filename.startswith(OURS)]
        each = each.__cause__ or each.__context__
    return frames


def test_the_settings_themselves_show_no_password(tmp_path: Path) -> None:
    """Threat S10: repr, str, format, asdict, json, and what a debugger shows."""
    file = tmp_path / "password"
    file.write_text(f"{CANARY}\n")
    auth = {"username": USER, "password_file": str(file)}
    configs = [
        Config.from_dict({"delivery": {"relay": RELAY_TABLE}}),
        Config.from_dict({"delivery": {"relay": {"domain_name": RELAY, "auth": auth}}}),
        Config.from_env({"MAILSTROM_RELAY_URL": f"smtps://{USER}:{URL_QUOTED}@relay.example"}),
        Config(delivery=RelayConfig.from_url(f"smtps://{USER}:{URL_QUOTED}@relay.example")),
    ]
    for config in configs:
        assert isinstance(config.delivery, RelayConfig)
        assert config.delivery.auth is not None
        assert config.delivery.auth.password.reveal() == CANARY
        shown = [config, f"{config}", dataclasses.asdict(config), dataclasses.astuple(config)]
        assert sings(*shown, json.dumps(dataclasses.asdict(config), default=str)) == []


def test_the_password_is_not_in_a_challenge_response_either() -> None:
    """Threat S10: CRAM-MD5 sends a digest only."""
    server = SmtpServer(
        tls_context=server_context(), credentials={USER: CANARY}, auth_mechanisms=["CRAM-MD5"]
    )

    async def story(sim: LoneEngine) -> None:
        at_relay(sim, server)
        assert (await sim.deliver(an_email())).succeeded

    with ca_file() as ca:
        simulate(story, config=a_relay_config(ca, auth=SmtpAuth(USER, CANARY)))

    commands, replies = server.ledger.sessions[0].commands, server.ledger.sessions[0].replies
    assert sings(commands) == []
    challenge = base64.b64decode(next(reply for reply in replies if reply.startswith("334 "))[4:])
    digest = hmac.new(CANARY.encode(), challenge, "md5").hexdigest()
    assert base64.b64encode(f"{USER} {digest}".encode()).decode() in commands
