"""Staging never writes to real people: `Config.redirect_to` takes their place on the wire.

Only the envelope changes. A header field with the true recipients would show the Bcc ones.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

from ..config import Config
from ..message.address import parse_mailbox
from ..route.addresses import route_key_for


def forward_paths(addresses: Iterable[str], redirect: Redirect | None) -> list[str]:
    """Whom the envelope names for these."""
    return list(dict.fromkeys(addresses)) if redirect is None else [redirect.address]


@dataclass(frozen=True, slots=True, kw_only=True)
class Redirect:
    """The one forward-path that all mail goes to, and where that leads."""

    address: str
    route_key: str

    @classmethod
    def of(cls, config: Config) -> Self | None:
        """The redirect that `Config.redirect_to` asks for, whatever the recipients; None: none."""
        if config.redirect_to is None:
            return None
        mailbox = parse_mailbox(config.redirect_to, field="Config.redirect_to")
        route_key = route_key_for(mailbox.route_domain, config.relay_key)
        return cls(address=mailbox.address, route_key=route_key)
