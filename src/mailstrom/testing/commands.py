"""Reading the arguments of SMTP commands as strictly as RFC 5321 4.1.2 and 4.1.1.11 write them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~\u0080-\U0010ffff-]+"
_QUOTED = r'"(?:[ !#-\[\]-~\u0080-\U0010ffff]|\\[ -~])*"'
_LABEL = r"[A-Za-z0-9\u0080-\U0010ffff](?:[A-Za-z0-9\u0080-\U0010ffff-]*[A-Za-z0-9\u0080-\U0010ffff])?"
_DOMAIN = rf"(?:{_LABEL}(?:\.{_LABEL})*|\[[A-Za-z0-9.:]+\])"
_MAILBOX = rf"(?:{_ATOM}(?:\.{_ATOM})*|{_QUOTED})@{_DOMAIN}"
_PARAMETER = r" [A-Za-z0-9][A-Za-z0-9-]*(?:=[!-<>-~\u0080-\U0010ffff]+)?"
_MAIL = re.compile(rf"FROM:<(?P<path>(?:{_MAILBOX})?)>(?P<parameters>(?:{_PARAMETER})*)", re.IGNORECASE)
_RCPT = re.compile(rf"TO:<(?P<path>{_MAILBOX}|postmaster)>(?P<parameters>(?:{_PARAMETER})*)", re.IGNORECASE)
_NAME = re.compile(rf"{_DOMAIN}")

_MAIL_PARAMETERS = {"SIZE": "SIZE", "BODY": "8BITMIME", "SMTPUTF8": "SMTPUTF8", "RET": "DSN", "ENVID": "DSN"}
_RCPT_PARAMETERS = {"NOTIFY": "DSN", "ORCPT": "DSN"}


@dataclass(frozen=True, slots=True, kw_only=True)
class PathArgument:
    """The path of MAIL or RCPT without its <>, and the ESMTP parameters in capitals."""

    path: str
    parameters: Mapping[str, str]


def read_mail(argument: str) -> PathArgument | None:
    """None: not the syntax of MAIL."""
    return _read(_MAIL, argument)


def read_rcpt(argument: str) -> PathArgument | None:
    """None: not the syntax of RCPT."""
    return _read(_RCPT, argument)


def is_helo_name(argument: str) -> bool:
    """A domain or an address literal."""
    return argument.isascii() and _NAME.fullmatch(argument) is not None


def unknown_mail_parameters(found: PathArgument, extensions: frozenset[str]) -> list[str]:
    """Parameters of MAIL that no offered extension brings."""
    return _unknown(found, extensions, _MAIL_PARAMETERS)


def unknown_rcpt_parameters(found: PathArgument, extensions: frozenset[str]) -> list[str]:
    """Parameters of RCPT that no offered extension brings."""
    return _unknown(found, extensions, _RCPT_PARAMETERS)


def _read(syntax: re.Pattern[str], argument: str) -> PathArgument | None:
    match = syntax.fullmatch(argument)
    if match is None:
        return None
    pairs = (parameter.partition("=") for parameter in match["parameters"].split())
    return PathArgument(path=match["path"], parameters={key.upper(): value for key, _, value in pairs})


def _unknown(found: PathArgument, extensions: frozenset[str], known: Mapping[str, str]) -> list[str]:
    return [
        key for key in found.parameters if key != "AUTH" and known.get(key, "no extension") not in extensions
    ]
