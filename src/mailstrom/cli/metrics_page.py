"""`mailstrom worker --metrics-port`: what Prometheus reads of a worker, over HTTP."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from .exit_codes import CommandError, ExitCode

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

    from ..facade import Mailstrom

DESTINATIONS = 20  # that have metrics of their own


def add_metrics_arguments(parser: argparse.ArgumentParser) -> None:
    """Whether there is such a page, and where."""
    parser.add_argument(
        "--metrics-port", type=_port, metavar="PORT", help="show metrics to Prometheus at this port"
    )
    parser.add_argument(
        "--metrics-address",
        default="127.0.0.1",
        metavar="ADDRESS",
        help="and at this address of this machine (127.0.0.1)",
    )


@contextmanager
def metrics_page_of(given: argparse.Namespace) -> Iterator[MetricsPage | None]:
    """The page that the arguments ask for, if they do. Raises `CommandError`."""
    if given.metrics_port is None:
        yield None
        return
    page = MetricsPage(given.metrics_address, given.metrics_port)
    try:
        yield page
    finally:
        page.close()


class MetricsPage:
    """Is up when it is made, and shows a `Mailstrom` from when it is told to."""

    def __init__(self, address: str, port: int) -> None:
        from ..metrics import Metrics

        self.metrics = Metrics()  # to be its observer
        self._registry, self._end = _served(address, port)

    def show(self, mailstrom: Mailstrom) -> None:
        """Shows what was counted of it, and its queue."""
        from ..metrics import QueueGauges
        from ..metrics.prometheus import MailstromCollector

        queue = QueueGauges(mailstrom.overview, destinations=DESTINATIONS)
        self._registry.register(MailstromCollector(self.metrics, queue))

    def close(self) -> None:
        """Takes it down."""
        self._end()


def _served(address: str, port: int) -> tuple[CollectorRegistry, Callable[[], None]]:
    """What is shown there, and what ends that."""
    try:
        from prometheus_client import CollectorRegistry, start_http_server
    except ImportError:
        text = "--metrics-port needs the extra 'prometheus': pip install 'mailstrom[prometheus]'"
        raise CommandError(ExitCode.UNAVAILABLE, text) from None
    registry = CollectorRegistry()
    try:
        server, thread = start_http_server(port, address, registry)
    except OSError as error:
        text = f"metrics cannot be shown at {address} port {port}: {error.strerror or error}"
        raise CommandError(ExitCode.BAD_CONFIG, text) from error

    def end() -> None:
        server.shutdown()
        server.server_close()
        thread.join()

    return registry, end


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 0 < int(text) < 65536):
        raise argparse.ArgumentTypeError(f"expected a port from 1 to 65535, got {text!r}")
    return int(text)
