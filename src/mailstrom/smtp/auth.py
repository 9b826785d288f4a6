"""AUTH: one mechanism on one connection, and no password where anybody can read it.

RFC 4954: the client names a mechanism that EHLO offered, and proves itself in one or two
exchanges, which 235 ends. aiosmtplib carries the exchanges. What is decided here:

- no credentials without verified TLS, unless the configuration says so in so many words;
- the mechanism that is configured, or the strongest that is offered (a challenge before a
  password); no weaker one after a refusal, which would be what an attacker waits for;
- a relay that refuses us, or does not offer AUTH, holds the queue; it does not fail the mail.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING

from mailstrom.config import SmtpAuth
from mailstrom.schedule.verdict import Fault, FaultKind
from mailstrom.status import Phase, Reply, TlsUsed

from .protocol import StrictProtocol

if TYPE_CHECKING:
    from aiosmtplib import SMTP

STRONGEST_FIRST = ("CRAM-MD5", "PLAIN", "LOGIN")  # XOAUTH2 only when it is configured


def choose_mechanism(
    extensions: Mapping[str, str], auth: SmtpAuth, tls: TlsUsed | None, *, allow_cleartext: bool
) -> str | Fault:
    """The mechanism to use with this host, or why none may be."""
    verified = tls is not None and tls.verified != "unverified"
    if not verified and not allow_cleartext:
        return Fault(kind=FaultKind.AUTH_UNSAFE, phase=Phase.AUTH)
    offered = extensions.get("AUTH", "").upper().split()
    wanted = STRONGEST_FIRST if auth.mechanism is None else (auth.mechanism,)
    for mechanism in wanted:
        if mechanism in offered:
            return mechanism
    detail = f"offered: {' '.join(offered) or 'nothing'}; wanted: {' or '.join(wanted)}"
    return Fault(kind=FaultKind.AUTH_MISSING, phase=Phase.AUTH, detail=detail)


async def authenticate(
    client: SMTP, protocol: StrictProtocol, auth: SmtpAuth, mechanism: str, secs: float
) -> Reply | None:
    """None when the host let us in, else its reply. Raises `DialogueError`."""
    from aiosmtplib import SMTPException

    exchange = {
        "CRAM-MD5": client.auth_crammd5,
        "PLAIN": client.auth_plain,
        "LOGIN": client.auth_login,
        "XOAUTH2": client.auth_xoauth2,
    }[mechanism]
    protocol.phase = Phase.AUTH
    with suppress(SMTPException, ValueError):  # the reply tells more, and no secret
        await exchange(auth.username, auth.password.reveal(), timeout=secs)
    assert protocol.last_reply is not None
    reply = protocol.last_reply.reply
    return None if reply.code == 235 else reply
