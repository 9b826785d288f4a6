"""What `mailstrom health` finds: a value, its verdict, and how it is told. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ..records import Overview
from .exit_codes import ExitCode
from .page import Line, Page, age_text, iso_text, moment_text


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """What was found. An error is None where that part could be reached, or was not asked."""

    at: datetime
    max_age_secs: float
    place: str = "the queue"
    overview: Overview | None = None
    storage_error: str | None = None
    storage_code: ExitCode = ExitCode.NOT_YET  # what the command returns for that
    asks_dns: bool = False
    dns_error: str | None = None

    @property
    def oldest_due_secs(self) -> float | None:
        """How long the oldest due mail has waited."""
        return None if self.overview is None else self._secs_since(self.overview.oldest_due_at)

    @property
    def last_delivered_secs(self) -> float | None:
        """How long ago something was delivered."""
        return None if self.overview is None else self._secs_since(self.overview.last_delivered_at)

    @property
    def problems(self) -> list[str]:
        """What is wrong, a line each."""
        found = []
        if self.storage_error is not None:
            is_away = self.storage_code is ExitCode.NOT_YET
            found.append(f"the queue cannot be {'reached' if is_away else 'used'}: {self.storage_error}")
        if (self.oldest_due_secs or 0.0) > self.max_age_secs:
            waited, limit = age_text(self.oldest_due_secs or 0.0), age_text(self.max_age_secs)
            found.append(f"the oldest due mail has waited for {waited}, the limit is {limit}")
        if self.dns_error is not None:
            found.append(f"names cannot be looked up: {self.dns_error}")
        return found

    @property
    def exit_code(self) -> ExitCode:
        """What the command returns."""
        if self.storage_error is not None:
            return self.storage_code
        return ExitCode.UNEXPECTED if self.problems else ExitCode.OK

    def _secs_since(self, at: datetime | None) -> float | None:
        return None if at is None else (self.at - at).total_seconds()


def health_page(health: Health) -> Page:
    """For a person."""
    state = "unhealthy" if health.problems else "healthy"
    page = [Line(f"{state}: {health.place}, {moment_text(health.at)}", state)]
    page += [Line(f"  {problem}") for problem in health.problems]
    if health.overview is not None:
        page += [Line(f"oldest due     {_ago(health.oldest_due_secs, 'nothing is due')}")]
        page += [Line(f"last delivery  {_ago(health.last_delivered_secs, 'none is known')}")]
    if health.asks_dns and health.dns_error is None:
        page += [Line("names          can be looked up")]
    return page


def health_json(health: Health) -> dict[str, Any]:
    """For a program; what is not known is None."""
    overview = health.overview
    return {
        "healthy": not health.problems,
        "at": iso_text(health.at),
        "problems": health.problems,
        "storage": {"reachable": health.storage_error is None, "error": health.storage_error},
        "oldest_due_at": iso_text(None if overview is None else overview.oldest_due_at),
        "oldest_due_secs": health.oldest_due_secs,
        "last_delivered_at": iso_text(None if overview is None else overview.last_delivered_at),
        "max_age_secs": health.max_age_secs,
        "resolver": {
            "reachable": health.dns_error is None if health.asks_dns else None,
            "error": health.dns_error,
        },
    }


def _ago(secs: float | None, never: str) -> str:
    return never if secs is None else f"{age_text(secs)} ago"
