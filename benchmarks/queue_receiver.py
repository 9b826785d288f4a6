"""The receiving side, in a process of its own: an SMTP server, and a name server that leads to it.

    python -m benchmarks.queue_receiver DUE CONTENT_DELAY_SECS

It tells its two ports in one line, then a line for each thing that happens, with its instant on
the clock that all processes of a machine share: "ehlo" where a connection's first octets came,
"content" where a message was whole. It ends when its standard input does.
"""

from __future__ import annotations

import sys
from time import monotonic

from mailstrom.testing.dns_server import DnsServer
from mailstrom.testing.hooks import Hook
from mailstrom.testing.smtp_server import LoopbackServer, SmtpServer

from .queue_filling import due_domains


def main(due: str, content_delay_secs: str) -> None:
    """Serves until nobody wants it any more."""
    server = SmtpServer(
        delays={"content": float(content_delay_secs)}, on_ehlo=_told("ehlo"), on_content=_told("content")
    )
    with LoopbackServer(server) as smtp, DnsServer(_zone(due_domains(int(due)))) as dns:
        print(smtp.port, dns.port, flush=True)
        sys.stdin.read()


def _told(kind: str) -> Hook:
    def tell(_argument: str, _count: int) -> None:
        print(kind, monotonic(), flush=True)

    return tell


def _zone(domains: list[str]) -> dict[str, dict[str, object]]:
    """Each domain has an MX host of its own, and so a lane; all are at this address."""
    zone: dict[str, dict[str, object]] = {domain: {"MX": [[10, f"mx.{domain}."]]} for domain in domains}
    return zone | {f"mx.{domain}": {"A": ["127.0.0.1"]} for domain in domains}


if __name__ == "__main__":
    main(*sys.argv[1:])
