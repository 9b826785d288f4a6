"""Statuses as plain dicts, lists and strings, and back: for JSON and for storages."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from .status import (
    Attempt,
    Cause,
    Deferred,
    Delivered,
    DeliveryResult,
    EnhancedCode,
    Failed,
    Phase,
    Queued,
    RecipientStatus,
    Reply,
    TlsUsed,
)

RESULTS: Mapping[str, type[Queued | Deferred | Delivered | Failed]] = {
    kind.state: kind for kind in (Queued, Deferred, Delivered, Failed)
}


def result_to_dict(result: DeliveryResult) -> dict[str, Any]:
    """A result as plain values."""
    return {
        "state": result.state,
        "completed": result.completed,
        "tries": result.tries,
        "reason": result.reason,
        "reply": _reply_to_dict(result.reply),
        "enhanced_code": _text(result.enhanced_code),
        "next_attempt_at": None if result.next_attempt_at is None else result.next_attempt_at.isoformat(),
        "uncertain": result.uncertain,
        "cause": _text(result.cause),
    }


def result_from_dict(given: Mapping[str, Any]) -> DeliveryResult:
    """The result that `result_to_dict` wrote."""
    code = given["enhanced_code"]
    return RESULTS[given["state"]](
        tries=given["tries"],
        reason=given["reason"],
        reply=_reply_from_dict(given["reply"]),
        enhanced_code=None if code is None else EnhancedCode.parse(code),
        next_attempt_at=instant(given["next_attempt_at"]),
        uncertain=given["uncertain"],
        cause=None if given["cause"] is None else Cause(given["cause"]),
    )


def attempt_to_dict(attempt: Attempt) -> dict[str, Any]:
    """An attempt as plain values."""
    return {
        **{item.name: getattr(attempt, item.name) for item in dataclasses.fields(attempt)},
        "at": attempt.at.isoformat(),
        "phase": str(attempt.phase),
        "reply": _reply_to_dict(attempt.reply),
        "tls": None if attempt.tls is None else dataclasses.asdict(attempt.tls),
    }


def attempt_from_dict(given: Mapping[str, Any]) -> Attempt:
    """The attempt that `attempt_to_dict` wrote."""
    return Attempt(
        **{
            **given,
            "at": datetime.fromisoformat(given["at"]),
            "phase": Phase(given["phase"]),
            "reply": _reply_from_dict(given["reply"]),
            "tls": None if given["tls"] is None else TlsUsed(**given["tls"]),
        }
    )


def recipient_to_dict(status: RecipientStatus) -> dict[str, Any]:
    """A recipient's status as plain values."""
    return {
        "recipient": status.recipient,
        "address": status.address,
        "result": result_to_dict(status.result),
        "attempts": [attempt_to_dict(attempt) for attempt in status.attempts],
    }


def recipient_from_dict(given: Mapping[str, Any]) -> RecipientStatus:
    """The status that `recipient_to_dict` wrote."""
    return RecipientStatus(
        recipient=given["recipient"],
        address=given["address"],
        result=result_from_dict(given["result"]),
        attempts=tuple(attempt_from_dict(attempt) for attempt in given["attempts"]),
    )


def _reply_to_dict(reply: Reply | None) -> dict[str, Any] | None:
    if reply is None:
        return None
    return {"code": reply.code, "enhanced": _text(reply.enhanced), "text": reply.text}


def _reply_from_dict(given: Mapping[str, Any] | None) -> Reply | None:
    if given is None:
        return None
    enhanced = given["enhanced"]
    return Reply(
        code=given["code"],
        enhanced=None if enhanced is None else EnhancedCode.parse(enhanced),
        text=given["text"],
    )


def _text(value: object | None) -> str | None:
    return None if value is None else str(value)


def instant(text: str | None) -> datetime | None:
    """The instant that `isoformat` wrote."""
    return None if text is None else datetime.fromisoformat(text)
