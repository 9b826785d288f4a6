"""The project with settings of a test's own, each of its programs in a process of its own."""

from __future__ import annotations

import email
import email.message
import email.policy
import json
import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

from mailstrom import PreparedEmail, SharedStorage
from mailstrom.storage.postgres import PostgresStorage
from mailstrom.storage.sqlite import SqliteStorage
from tests.interop.outbox_kinds import django_database

ROOT = Path(__file__).parents[3]
ENQUEUES = {"role": "never"}

Open = Callable[[], SharedStorage]


class Site:
    """The project, with a default database of its own, in a folder of its own."""

    def __init__(self, folder: Path, place: str, open_queue: Open) -> None:
        self.folder = folder
        self.database = django_database(place)
        self.options: dict[str, object] = dict(ENQUEUES)
        self.style_before = False  # of Django 6.1
        self.is_migrated = True
        self._open_queue = open_queue

    def tell(self, story: str) -> object:
        """What the story comes to."""
        done = self._run("-m", "tests.interop.django_site", story)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def tell_error(self, story: str) -> str:
        """The last line of what it says where it fails."""
        done = self._run("-m", "tests.interop.django_site", story)
        assert done.returncode == 1, done.stdout
        return done.stderr.strip().rpartition("\n")[2]

    def manage(self, *arguments: str) -> str:
        """What manage.py says."""
        done = self._run("-m", "tests.interop.django_site.manage", *arguments)
        assert done.returncode == 0, done.stderr
        return done.stdout + done.stderr

    def worker(self, *arguments: str) -> subprocess.Popen[str]:
        """manage.py mailstrom_worker, at work."""
        command = [*self._python(), "-m", "tests.interop.django_site.manage", "mailstrom_worker", *arguments]
        return subprocess.Popen(
            command,
            cwd=self.folder,
            env=self._environ(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def queued(self) -> list[PreparedEmail]:
        """What a worker finds to send."""
        found = []
        with closing(self._open_queue()) as queue:
            now, lease = datetime.now(UTC) + timedelta(seconds=1), timedelta(minutes=1)
            while (claim := queue.claim(now, owner="worker", lease=lease)) is not None:
                found.append(claim.email)
        return found

    def use_queue(self, kind: Callable[[str], SharedStorage], place: str) -> None:
        """It has its queue there, and not in its default database."""
        self.options["storage"] = place if "://" in place else f"sqlite:///{place}"
        self._open_queue = lambda: kind(place)

    def _run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*self._python(), *arguments],
            cwd=self.folder,
            env=self._environ(),
            capture_output=True,
            text=True,
        )

    def _python(self) -> list[str]:
        # Django 6.1 warns of EMAIL_BACKEND itself
        return [sys.executable, "-X", "dev", "-W", "default" if self.style_before else "error"]

    def _environ(self) -> dict[str, str]:
        return {
            **os.environ,
            "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}",
            "SITE_DATABASE": json.dumps(self.database),
            "SITE_OPTIONS": json.dumps(self.options),
            "SITE_BEFORE": "1" if self.style_before else "",
            "SITE_MIGRATED": "1" if self.is_migrated else "",
        }


def site_on_sqlite(folder: Path) -> Site:
    """With its queue in its default database, a file in the folder."""
    path = folder / "site.db"
    return Site(folder, str(path), lambda: SqliteStorage(path))


def site_on_postgres(folder: Path, dsn: str) -> Site:
    """The same in PostgreSQL."""
    return Site(folder, dsn, lambda: PostgresStorage(dsn))


def subjects(queued: list[PreparedEmail]) -> list[str]:
    """As somebody would read them."""
    return [parsed(each)["Subject"] for each in queued]


def parsed(prepared: PreparedEmail) -> email.message.EmailMessage:
    """As a reader's program has it."""
    return email.message_from_bytes(prepared.content, policy=email.policy.default)
