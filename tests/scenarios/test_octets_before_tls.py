"""Something stands behind the 220 to STARTTLS that would be read as if it had come inside TLS."""

from __future__ import annotations

import pytest

from mailstrom.testing.script import send, start_tls
from mailstrom.testing.smtp_server import ScriptedServer, SmtpServer
from tests.builders import a_config, an_email, with_mx
from tests.lone_engine import LoneEngine, simulate
from tests.scenarios.stages import outcome, visits
from tests.scenarios.tls_hosts import (
    UP_TO_220,
    a_relay_config,
    at_mx_or_relay,
    ca_file,
    server_context,
    tls_used,
)

INJECTED = {
    "a reply": b"250-mx\r\n250 AUTH PLAIN\r\n",
    "a reply without its end": b"250 ok",
    "another 220": b"220 go ahead\r\n",
    "an octet": b"2",
    "an empty line": b"\r\n",
    "a 421": b"421 4.3.2 closing\r\n",
    "garbage": b"\x00\xff\x1b[2J",
    "much": b"250 ok\r\n" * 500,
}
MODES = ["MX", "require_tls", "relay"]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("octets", INJECTED.values(), ids=INJECTED)
def test_octets_behind_the_220_abort_the_connection(octets: bytes, mode: str) -> None:
    """Row 28, threat S16: aborted, not merely discarded (CVE-2011-0411)."""
    server = ScriptedServer([*UP_TO_220, send(b"220 go ahead\r\n" + octets), start_tls(server_context())])

    async def story(sim: LoneEngine) -> None:
        at_mx_or_relay(sim, server)
        status = await sim.first_try(an_email())
        assert outcome(status) == ("deferred", "4.7.0", False, 1)
        assert [state for _, _, state in visits(status)] == ["deferred"]
        assert tls_used(status) == [None]
        assert len(sim.network.connects) == 1

    with ca_file() as ca:
        configs = {
            "MX": a_config(),
            "require_tls": a_config(require_tls=True),
            "relay": a_relay_config(ca),
        }
        simulate(story, config=configs[mode])

    (transcript,) = server.transcripts
    assert transcript.clear.upper() == b"EHLO SENDER.EXAMPLE\r\nSTARTTLS\r\n"
    assert transcript.in_tls == b""


def test_the_next_mx_is_asked_instead() -> None:
    """Row 28."""
    attacked = ScriptedServer([*UP_TO_220, send(b"220 go ahead\r\n250 ok\r\n"), start_tls(server_context())])
    second = SmtpServer(tls_context=server_context())

    async def story(sim: LoneEngine) -> None:
        with_mx(sim, attacked, second)
        status = await sim.deliver(an_email())
        assert visits(status)[1:] == [("2", "dot", "delivered")]

    simulate(story, config=a_config())
