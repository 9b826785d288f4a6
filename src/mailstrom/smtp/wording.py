"""What an exception of the connection says, for a fault's detail."""

from __future__ import annotations

from mailstrom.status import printable

__all__ = ["said_by"]


def said_by(error: BaseException) -> str:
    """Its text, as short and printable as a status wants it."""
    import ssl

    if isinstance(error, ssl.SSLCertVerificationError):
        return error.verify_message
    if isinstance(error, ssl.SSLError) and error.reason:
        return error.reason.replace("_", " ").lower()
    return printable(str(error), 200) or type(error).__name__
