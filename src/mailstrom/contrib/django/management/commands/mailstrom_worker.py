"""`manage.py mailstrom_worker`: delivers what the project's processes have stored."""

from __future__ import annotations

import logging
from argparse import ArgumentParser

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from .....cli.exit_codes import CommandError as WorkerError
from .....cli.send_arguments import secs_above_zero
from .....cli.terminal import Streams
from .....cli.worker import ABOUT, deliver
from .....errors import MailstromError
from ...settings import Settings

__all__ = ["Command"]

DEFAULT_MAILER = "default"


class Command(BaseCommand):  # type: ignore[misc]  # Django has no types
    """The engine as a process of its own, until SIGTERM or Ctrl-C; a second signal ends it at once."""

    help = ABOUT

    def add_arguments(self, parser: ArgumentParser) -> None:
        """As those of `mailstrom worker`; the queue and all else come from the project's settings."""
        parser.add_argument(
            "--grace",
            type=secs_above_zero,
            default=30.0,
            metavar="SECS",
            help="how long what is in flight may go on after the first signal (30)",
        )
        parser.add_argument(
            "--mailer",
            default=DEFAULT_MAILER,
            metavar="ALIAS",
            help="the one of the setting MAILERS whose OPTIONS hold (default)",
        )

    def handle(self, *, grace: float, mailer: str, verbosity: int, **_: object) -> None:
        """Works until a signal comes, then drains."""
        level = logging.INFO if verbosity < 2 else logging.DEBUG
        try:
            config = Settings.of(_options(mailer)).config
            deliver(config, role="always", grace=grace, level=level, streams=Streams.of_process())
        except (MailstromError, WorkerError) as error:
            raise CommandError(str(error), returncode=getattr(error, "code", 1)) from error


def _options(mailer: str) -> dict[str, object]:
    mailers = getattr(settings, "MAILERS", {DEFAULT_MAILER: {}})
    if mailer not in mailers:
        raise CommandError(f"--mailer: there is no {mailer!a} in the setting MAILERS")
    options: dict[str, object] = mailers[mailer].get("OPTIONS", {})
    return options
