"""AUTH: one mechanism on one connection, and no password where anybody can read it.

RFC 4954: the client names a mechanism that EHLO offered, and proves itself in one or two
exchanges, which 235 ends. aiosmtplib carries the exchanges. What is decided here:

- no credentials without verified TLS, unless the configuration says so in so many words;
- the mechanism that is configured, or the strongest that is offered (a challenge before a
  password); no weaker one after a refusal, which would be what an attacker waits for;
- a relay that refuses us, or does not offer AUTH, holds the queue; it does not fail the mail.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from mailstrom.config import SmtpAuth
from mailstrom.schedule.verdict import Fault, FaultKind
from mailstrom.status import Phase, Reply, TlsUsed

from .protocol import DialogueError, StrictProtocol

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
    protocol.phase = Phase.AUTH
    problem = await _exchanged(client, auth, mechanism, secs)
    # raised anew: the traceback of what was caught leads through frames that hold the password
    if isinstance(problem, Fault):
        raise DialogueError(replace(problem, detail=_without_secrets(problem.detail, auth)))
    if problem is not None:
        raise RuntimeError(f"{problem} in the midst of AUTH {mechanism}")
    assert protocol.last_reply is not None
    code, enhanced = protocol.last_reply.code, protocol.last_reply.enhanced
    if code == 235:
        return None
    text = _without_secrets(" ".join(protocol.last_reply.lines), auth)
    return Reply(code=code, enhanced=enhanced, text=text)


async def _exchanged(client: SMTP, auth: SmtpAuth, mechanism: str, secs: float) -> Fault | str | None:
    """None: the last reply tells how it went; else the fault, or the name of an internal error."""
    from aiosmtplib import SMTPException

    exchange = {
        "CRAM-MD5": client.auth_crammd5,
        "PLAIN": client.auth_plain,
        "LOGIN": client.auth_login,
        "XOAUTH2": client.auth_xoauth2,
    }[mechanism]
    try:
        await exchange(auth.username, auth.password.reveal(), timeout=secs)
    except (SMTPException, ValueError):
        return None
    except DialogueError as error:
        return error.fault
    except Exception as error:  # noqa: BLE001  raised again by its name
        return type(error).__name__
    return None


def _without_secrets(text: str, auth: SmtpAuth) -> str:
    """The text without the credentials: there are hosts that repeat what they were told."""
    username, password = auth.username.encode(), auth.password.reveal().encode()
    responses = (
        password,
        b"\0%b\0%b" % (username, password),  # RFC 4616 2
        b"user=%b\1auth=Bearer %b\1\1" % (username, password),
    )
    for secret in (auth.password.reveal(), *(b64encode(response).decode() for response in responses)):
        text = text.replace(secret, "***")
    return text
