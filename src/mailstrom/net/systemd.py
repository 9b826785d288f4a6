"""What a service tells systemd that has started it with Type=notify (sd_notify(3))."""

from __future__ import annotations

import os
import socket
from contextlib import suppress

__all__ = ["notify"]


def notify(*assignments: str) -> bool:
    """Sends assignments such as "READY=1" to NOTIFY_SOCKET; False where nobody wants to hear.

    A service works as well without: trouble with the socket is passed over.
    """
    path = os.environ.get("NOTIFY_SOCKET", "")
    if not path:
        return False
    # sd_notify(3): a leading @ stands for the NUL of the abstract namespace
    address = f"\0{path[1:]}" if path.startswith("@") else path
    with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as told:
        told.sendto("\n".join(assignments).encode(), address)
        return True
    return False
