"""TXT records, asked of the system's name servers: for commands, not for delivery."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dns.resolver import Resolver

__all__ = ["txt_records"]


def txt_records(name: str, *, timeout_secs: float = 15.0, resolver: Resolver | None = None) -> list[str]:
    """The TXT records of a name, each with its strings joined; empty where there are none.

    Waits. Raises `OSError` where it cannot be known now.
    """
    from dns.exception import DNSException
    from dns.resolver import NXDOMAIN, NoAnswer, get_default_resolver

    asked = resolver or get_default_resolver()
    try:
        answer = asked.resolve(f"{name.rstrip('.')}.", "TXT", lifetime=timeout_secs)
    except (NXDOMAIN, NoAnswer):
        return []
    except DNSException as error:
        raise OSError(f"{name}: {error}") from error
    return [b"".join(record.strings).decode("utf-8", "replace") for record in answer]
