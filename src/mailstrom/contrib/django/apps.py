"""The application, for INSTALLED_APPS: it brings the command mailstrom_worker."""

from __future__ import annotations

from django.apps import AppConfig

__all__ = ["MailstromConfig"]


class MailstromConfig(AppConfig):  # type: ignore[misc]  # Django has no types
    """No models: the queue's tables are mailstrom's own."""

    name = "mailstrom.contrib.django"
    label = "mailstrom"
