"""The application, for INSTALLED_APPS: `manage.py migrate` makes its tables, mailstrom_worker delivers."""

from __future__ import annotations

from django.apps import AppConfig
from django.db.models.signals import post_migrate

from .tables import make_tables

__all__ = ["MailstromConfig"]


class MailstromConfig(AppConfig):  # type: ignore[misc]  # Django has no types
    """No models: the queue's tables are mailstrom's own."""

    name = "mailstrom.contrib.django"
    label = "mailstrom"

    def ready(self) -> None:
        """Hears of `migrate`."""
        post_migrate.connect(make_tables, sender=self)
