"""What the configuration says of one hop: its port, the TLS it demands, and which setting says so."""

from __future__ import annotations

from dataclasses import dataclass

from ..config import Config, RelayConfig
from ..smtp.session import Hop, TlsMode

__all__ = ["TlsDemand", "TlsMode", "demanded_tls", "falls_back_to_clear", "hop_to"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsDemand:
    """The TLS without which nothing is sent over a hop.

    `mode`: "verified" (chain and name), "encrypted" (any certificate), "opportunistic" (where it
    is offered), "none" (in clear).
    """

    mode: TlsMode
    is_implicit: bool = False  # from the first octet (port 465), not by STARTTLS
    setting: str  # "Config.require_tls=True": what says so

    def __str__(self) -> str:
        return f"{self.mode} ({self.setting})"


def demanded_tls(config: Config) -> TlsDemand:
    """The demand for every hop of this configuration."""
    delivery = config.delivery
    if isinstance(delivery, RelayConfig):
        mode: TlsMode = "none" if delivery.tls == "none" else "verified"
        setting = f"RelayConfig.tls={delivery.tls!r}"
        return TlsDemand(mode=mode, is_implicit=delivery.tls == "implicit", setting=setting)
    mode = "encrypted" if config.require_tls else "opportunistic"
    return TlsDemand(mode=mode, setting=f"Config.require_tls={config.require_tls}")


def falls_back_to_clear(config: Config) -> bool:
    """Whether a host whose TLS handshake fails is visited once more, in clear."""
    delivery = config.delivery
    return not isinstance(delivery, RelayConfig) and delivery.plain_fallback


def hop_to(config: Config, host: str, ip: str, tls: TlsMode) -> Hop:
    """The hop to an address of a host; `tls` is the demand, or "none" for a fall-back."""
    delivery = config.delivery
    if isinstance(delivery, RelayConfig):
        implicit = delivery.tls == "implicit"
        port = delivery.port or 25
        return Hop(host=host, ip=ip, port=port, tls=tls, implicit_tls=implicit, is_relay=True)
    source = delivery.source_ipv6 if ":" in ip else delivery.source_ipv4
    return Hop(host=host, ip=ip, port=delivery.port, tls=tls, source_address=source)
