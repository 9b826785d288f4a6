"""The server's side of AUTH: PLAIN (RFC 4616), LOGIN, CRAM-MD5 (RFC 2195)."""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable, Mapping

#: Sends a challenge, returns the client's response to it, both without base64.
Ask = Callable[[bytes], Awaitable[bytes]]

MECHANISMS = ("CRAM-MD5", "PLAIN", "LOGIN")


async def authenticate(
    mechanism: str, initial: bytes | None, ask: Ask, credentials: Mapping[str, str], challenge: bytes
) -> str | None:
    """The user who proved to know the password, or None."""
    if mechanism == "PLAIN":
        return _check_plain(await ask(b"") if initial is None else initial, credentials)
    if mechanism == "LOGIN":
        user = await ask(b"Username:") if initial is None else initial
        return _check_password(user, await ask(b"Password:"), credentials)
    return _check_cram_md5(await ask(challenge), credentials, challenge)


def _check_plain(response: bytes, credentials: Mapping[str, str]) -> str | None:
    parts = response.split(b"\0")  # RFC 4616 2: [authzid] NUL authcid NUL passwd
    return _check_password(parts[1], parts[2], credentials) if len(parts) == 3 else None


def _check_password(user: bytes, password: bytes, credentials: Mapping[str, str]) -> str | None:
    name = user.decode("utf-8", "replace")
    expected = credentials.get(name)
    return name if expected is not None and expected.encode() == password else None


def _check_cram_md5(response: bytes, credentials: Mapping[str, str], challenge: bytes) -> str | None:
    user, _, digest = response.rpartition(b" ")
    name = user.decode("utf-8", "replace")
    password = credentials.get(name)
    if password is None:
        return None
    expected = hmac.new(password.encode(), challenge, "md5").hexdigest()
    return name if expected.encode() == digest else None
