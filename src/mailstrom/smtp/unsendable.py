"""What must not be sent, nor mended here: content with a bare CR or LF (RFC 5321 section 2.3.8)."""

from __future__ import annotations

from mailstrom.errors import MessageError
from mailstrom.message.prepared import ClaimedEmail, PreparedEmail
from mailstrom.message.wire import check_line_ends
from mailstrom.schedule.verdict import Scope, Verdict
from mailstrom.status import Cause, EnhancedCode, Phase

__all__ = ["unsendable", "unsendable_for"]

UNSENDABLE_CONTENT = EnhancedCode(5, 6, 0)  # RFC 3463 3.7


def unsendable(email: ClaimedEmail) -> Verdict | None:
    """The verdict on an email that must not be sent, as far as its content is at hand."""
    if isinstance(email, PreparedEmail):
        try:
            check_line_ends(email.content)
        except MessageError as error:
            return unsendable_for(error)
    return None


def unsendable_for(error: MessageError) -> Verdict:
    """The verdict where this was found in the content."""
    return Verdict(
        state="failed",
        scope=Scope.MESSAGE,
        phase=Phase.DATA,
        reason=str(error),
        enhanced_code=UNSENDABLE_CONTENT,
        cause=Cause.POLICY,
    )
