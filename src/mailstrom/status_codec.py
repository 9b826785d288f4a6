"""Statuses as plain dicts, lists and strings, and back: for JSON and for storages.

What is read may have been written by a newer version, with which this one shares a storage: what
it says beside is left out, and words that are not known here say so where they can.
"""

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

_CAUSES, _PHASES = frozenset(Cause), frozenset(Phase)


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
    """The result that `result_to_dict` wrote; a cause that is not known here is None."""
    code = given["enhanced_code"]
    return RESULTS[given["state"]](
        tries=given["tries"],
        reason=given["reason"],
        reply=_reply_from_dict(given["reply"]),
        enhanced_code=None if code is None else EnhancedCode.parse(code),
        next_attempt_at=instant(given["next_attempt_at"]),
        uncertain=given["uncertain"],
        cause=Cause(given["cause"]) if given["cause"] in _CAUSES else None,
    )


def attempt_to_dict(attempt: Attempt) -> dict[str, Any]:
    """An attempt as plain values."""
    return {  # by name: asdict() would take longer than all else that becomes of a result
        "at": attempt.at.isoformat(),
        "duration_secs": attempt.duration_secs,
        "host": attempt.host,
        "ip": attempt.ip,
        "port": attempt.port,
        "phase": str(attempt.phase),
        "reply": _reply_to_dict(attempt.reply),
        "tls": _tls_to_dict(attempt.tls),
        "state": attempt.state,
        "reason": attempt.reason,
        "uncertain": attempt.uncertain,
    }


def attempt_from_dict(given: Mapping[str, Any]) -> Attempt:
    """The attempt that `attempt_to_dict` wrote."""
    phase, reason = _phase_from(given)
    return Attempt(
        **{
            **_known(Attempt, given),
            "at": datetime.fromisoformat(given["at"]),
            "phase": phase,
            "reply": _reply_from_dict(given["reply"]),
            "tls": None if given["tls"] is None else TlsUsed(**_known(TlsUsed, given["tls"])),
            "reason": reason,
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


def _tls_to_dict(tls: TlsUsed | None) -> dict[str, Any] | None:
    if tls is None:
        return None
    return {
        "version": tls.version,
        "cipher": tls.cipher,
        "verified": tls.verified,
        "resumed": tls.resumed,
    }


def _reply_from_dict(given: Mapping[str, Any] | None) -> Reply | None:
    if given is None:
        return None
    enhanced = given["enhanced"]
    return Reply(
        code=given["code"],
        enhanced=None if enhanced is None else EnhancedCode.parse(enhanced),
        text=given["text"],
    )


def _phase_from(given: Mapping[str, Any]) -> tuple[Phase, str | None]:
    """The phase and the reason; one that is not known here stands in the reason."""
    phase, reason = given["phase"], given["reason"]
    if phase in _PHASES:
        return Phase(phase), reason
    at = f"at {phase!r}, which this version does not know"
    return Phase.CONNECT, at if reason is None else f"{at}: {reason}"


def _known(kind: type[object], given: Mapping[str, Any]) -> dict[str, Any]:
    """What of it is a field of this dataclass."""
    return {item.name: given[item.name] for item in dataclasses.fields(kind) if item.name in given}  # type: ignore[arg-type]


def _text(value: object | None) -> str | None:
    return None if value is None else str(value)


def instant(text: str | None) -> datetime | None:
    """The instant that `isoformat` wrote."""
    return None if text is None else datetime.fromisoformat(text)
