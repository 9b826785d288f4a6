"""The rows: each sender as it is measured."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import count as numbers
from pathlib import Path
from typing import TypeAlias

from ..queue_mail import HELO
from ..queue_places import Place
from .keys import nodemailer_dkim
from .letters import RECIPIENT, SENDER
from .peers import NODEMAILER, POST_OFFICE, POSTFIX
from .senders import in_node, in_python, spoken_for
from .turns import Receiver, Row

__all__ = ["AIOSMTPLIB", "NODEMAILER_SIGNING", "ONE_WORKER", "SMTP_SOURCE", "TWO_WORKERS", "Rows"]

SMTP_SOURCE, AIOSMTPLIB, SMTPLIB = "smtp-source", "aiosmtplib", "smtplib"
NODEMAILER_SIGNING = f"{NODEMAILER}, RSA-2048"
ONE_WORKER, TWO_WORKERS = "mailstrom, one worker", "mailstrom, two workers"
PROGRAM = "/usr/sbin/smtp-source"
CONNECTIONS = 20  # mailstrom's own default for one destination
BATCH = 100  # emails that go into one call of send_emails
PROCESSES = 2  # of django-post_office's

_Command: TypeAlias = Callable[[int], Sequence[str]]  # of the number of messages
_Config: TypeAlias = Mapping[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """Makes rows that send these letters to this receiver.

    `absent`: peers that are not installed; their rows are not made. `settings`: of mailstrom's `Config`;
    each row of mailstrom's is made once for each of them.
    """

    folder: Path
    letters: Path
    receiver: Receiver
    absent: Collection[str] = ()
    settings: Sequence[_Config] = ({},)

    def smtp_source(self) -> list[Row]:
        """smtp-source, with its connections reused."""
        return self._peer(SMTP_SOURCE, partial(_source, self.receiver.port))

    def postfix(self, entrance: int, pid: int) -> list[Row]:
        """Postfix, from the first message that smtp-source gives it to the last that it has delivered."""
        return self._peer(POSTFIX, partial(_source, entrance), pid)

    def nodemailer(self, form: str) -> list[Row]:
        """Nodemailer, pooled; `form` is "ready", "composed" or "signed"."""

        def command(count: int) -> Sequence[str]:
            dkim = nodemailer_dkim(self.folder) if form == "signed" else None
            return in_node(
                "nodemailer_sender.cjs", self._task(count, form=form, connections=CONNECTIONS, dkim=dkim)
            )

        return self._peer(NODEMAILER_SIGNING if form == "signed" else NODEMAILER, command)

    def aiosmtplib(self) -> list[Row]:
        """aiosmtplib, with which mailstrom opens its connections."""
        return self._peer(
            AIOSMTPLIB,
            lambda count: in_python("aiosmtplib_sender", self._task(count, connections=CONNECTIONS)),
        )

    def smtplib(self) -> list[Row]:
        """The standard library's, which has one connection."""
        return self._peer(SMTPLIB, lambda count: in_python("smtplib_sender", self._task(count)))

    def post_office(self) -> list[Row]:
        """django-post_office, each time over a new file of SQLite's."""
        files = numbers(1)

        def command(count: int) -> Sequence[str]:
            database = f"{self.folder}/post_office{next(files)}.db"
            return in_python("post_office_sender", self._task(count, database=database, processes=PROCESSES))

        return self._peer(POST_OFFICE, command)

    def mailstrom(
        self,
        name: str,
        place: Place | None = None,
        *,
        form: str = "ready",
        batch: int = BATCH,
        config: _Config | None = None,
    ) -> list[Row]:
        """mailstrom, each time over a new queue, in memory where there is no place."""

        def command(config: _Config, count: int) -> Sequence[str]:
            storage = None if place is None else place.new_queue()
            task = self._task(count, form=form, batch=batch, storage=storage, config=config)
            return in_python("mailstrom_sender", task)

        return self._ours(f"mailstrom, {name}", command, config or {})

    def workers(self, number: int, place: Place) -> list[Row]:
        """So many `mailstrom worker` on one queue."""

        def command(config: _Config, count: int) -> Sequence[str]:
            task = self._task(count, batch=BATCH, storage=place.new_queue(), workers=number, config=config)
            return in_python("workers_sender", task)

        return self._ours(ONE_WORKER if number == 1 else TWO_WORKERS, command, {})

    def _peer(self, name: str, command: _Command, watched: int | None = None) -> list[Row]:
        if name.partition(",")[0] in self.absent:
            return []
        return [Row(name=name, receiver=self.receiver, command=command, watched=watched)]

    def _ours(
        self, name: str, command: Callable[[_Config, int], Sequence[str]], config: _Config
    ) -> list[Row]:
        relay = {
            "helo_name": HELO,
            "delivery": f"smtp://127.0.0.1:{self.receiver.port}",
            "event_loop": "asyncio",  # whatever is installed: the rows of uvloop say so
        }
        return [
            Row(
                name=f"{name}{_said(settings)}",
                receiver=self.receiver,
                command=partial(command, {**relay, **config, **settings}),
            )
            for settings in self.settings
        ]

    def _task(self, count: int, **options: object) -> dict[str, object]:
        return {"letters": str(self.letters), "port": self.receiver.port, "count": count, **options}


def _source(port: int, count: int) -> Sequence[str]:
    sizes = ["-d", "-s", str(CONNECTIONS), "-m", str(count), "-l", "4096"]
    envelope = ["-f", SENDER, "-t", RECIPIENT]
    return spoken_for([PROGRAM, "-4", *sizes, *envelope, f"127.0.0.1:{port}"])


def _said(settings: _Config) -> str:
    return "".join(f", {name}={value}" for name, value in settings.items())
