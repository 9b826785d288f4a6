"""Command lines: the only place where an address becomes octets for a server.

A command ends at its CRLF and its parts at spaces and angle brackets, so none of these may
come in with an address: whoever smuggles one in writes commands of his own (RFC 5321 section
4.1.2). Everything variable passes through `path` or `xtext`, which refuse or encode it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from mailstrom.message.prepared import DsnOptions

COMMAND_LIMIT = 512  # RFC 5321 4.5.3.1.4: octets of a command line with CRLF, before parameters

# C0, DEL, C1, and the line and paragraph separators; lone surrogates cannot be encoded
_FORBIDDEN = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_PLAIN = re.compile(f"[!#-;=?-~]{{0,{COMMAND_LIMIT}}}")  # nearly all addresses: nothing to be looked at twice
_QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"')
_DELIMITERS = re.compile(r'[ <>"]')
# RFC 3461 4: every printable character stands for itself in xtext but "+" and "="
_NOT_XTEXT = re.compile(rb"[^!-*,-<>-~]")


class CommandError(ValueError):
    """A value that must not stand in a command line; the text does not repeat it."""


def command(verb: str, *parts: bytes, parameters: Sequence[bytes] = ()) -> bytes:
    """One command line with its CRLF; raises `CommandError` where it is too long."""
    base = verb.encode("ascii") + b"".join(parts)
    if len(base) + 2 > COMMAND_LIMIT:
        raise CommandError(f"{verb}: a command line of more than {COMMAND_LIMIT} octets")
    return b" ".join((base, *parameters)) + b"\r\n"


def path(address: str) -> bytes:
    """`<address>`, the empty address as the null reverse-path `<>`."""
    if not _PLAIN.fullmatch(address):
        _check_path(address)
    return b"<" + address.encode("utf-8") + b">"


def xtext(value: str) -> bytes:
    """A parameter's value as xtext: what is not plain becomes `+` and two hex digits."""
    if _FORBIDDEN.search(value):
        raise CommandError("a parameter with a control character")
    return _NOT_XTEXT.sub(lambda found: b"+%02X" % found[0][0], value.encode("utf-8"))


def mail_dsn_parameters(dsn: DsnOptions) -> list[bytes]:
    """RET and ENVID (RFC 3461 sections 4.3, 4.4)."""
    parameters = []
    if dsn.ret is not None:
        parameters.append(b"RET=" + xtext(dsn.ret))
    if dsn.envid is not None:
        parameters.append(b"ENVID=" + xtext(dsn.envid))
    return parameters


def rcpt_dsn_parameters(dsn: DsnOptions, recipient: str) -> list[bytes]:
    """NOTIFY and ORCPT (RFC 3461 sections 4.1, 4.2); an address beyond ASCII goes without ORCPT."""
    parameters = []
    if dsn.notify:
        parameters.append(b"NOTIFY=" + ",".join(dsn.notify).encode("ascii"))
    if recipient.isascii():
        parameters.append(b"ORCPT=rfc822;" + xtext(recipient))
    return parameters


def _check_path(address: str) -> None:
    if len(address) > COMMAND_LIMIT:
        raise CommandError(f"an address of more than {COMMAND_LIMIT} characters")
    if _FORBIDDEN.search(address):
        raise CommandError("an address with a control character")
    # RFC 5321 4.1.2: space and angle brackets may stand inside a quoted string only
    if _DELIMITERS.search(_QUOTED.sub("", address)):
        raise CommandError("an address with a space, an angle bracket or a lone quote outside quotes")
