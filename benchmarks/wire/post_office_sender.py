"""django-post_office: emails are put into its tables, then its command sends them in several processes.

Options: `database`, a file of SQLite's that is made here; `processes`, how many the command uses.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import django
from django.conf import settings
from django.core.management import call_command

from .turn import Letter, Task, take_turn

_LOGGING = {
    "version": 1,
    "handlers": {"console": {"class": "logging.StreamHandler"}},
    "loggers": {"post_office": {"handlers": ["console"], "level": "WARNING"}},
}


@contextmanager
def prepared(task: Task) -> Iterator[Callable[[], None]]:
    """Puts all emails into the tables at once, and runs the command until none is left."""
    settings.configure(
        INSTALLED_APPS=["django.contrib.contenttypes", "post_office"],
        DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": task.options["database"]}},
        DEFAULT_AUTO_FIELD="django.db.models.AutoField",
        EMAIL_BACKEND="post_office.EmailBackend",
        EMAIL_HOST="127.0.0.1",
        EMAIL_PORT=task.port,
        LOGGING=_LOGGING,
        POST_OFFICE={"BACKENDS": {"default": "django.core.mail.backends.smtp.EmailBackend"}},
        TEMPLATES=[{"BACKEND": "django.template.backends.django.DjangoTemplates"}],
        USE_TZ=True,
    )
    django.setup()
    call_command("migrate", verbosity=0)
    yield lambda: _send(task)


def _send(task: Task) -> None:
    from post_office import mail  # type: ignore[import-untyped,unused-ignore]

    mail.send_many([_arguments(number, letter) for number, letter in task.numbered()])
    lock = f"{task.options['database']}.lock"
    call_command("send_queued_mail", processes=task.options["processes"], lockfile=lock)


def _arguments(number: int, letter: Letter) -> dict[str, Any]:
    return {
        "sender": letter["from"],
        "recipients": [letter["to"]],
        "subject": f"{letter['subject']}, {number}",
        "message": letter["text"],
        "html_message": letter["html"],
    }


if __name__ == "__main__":
    take_turn(prepared)
