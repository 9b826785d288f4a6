"""Send mail from a Python program: `import mailstrom`, call `send_email()`, and go on.

    from mailstrom import Config, Email, Mailstrom

    with Mailstrom(Config(helo_name="mail.mydomain.example")) as m:
        m.start()
        message_id = m.send_email(Email(from_="me@mydomain.example", to="you@yours.example", text="Hello\\n"))
        print(m.wait(message_id, timeout=30).recipients[0].result)
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from . import dkim as dkim
    from . import message as message
    from .abc import SharedStorage, Storage
    from .aio import AsyncMailstrom
    from .config import Config
    from .config_delivery import (
        RelayConfig,
        RemoteDeliveryConfig,
        ResolverSetup,
        SmtpAuth,
        SmtpTimeouts,
    )
    from .dkim import DkimSigner
    from .errors import (
        ClosedError,
        ConfigError,
        DuplicateMessage,
        IdempotencyConflict,
        MailstromError,
        MessageError,
        MessageNotFound,
        NotRunningError,
        QueueFull,
        StorageError,
        StorageFull,
    )
    from .event import Event, EventKind
    from .facade import Mailstrom
    from .message.attachment import Attachment
    from .message.email import Email
    from .message.mailbox import Group, Mailbox
    from .message.prepared import DsnOptions, PreparedEmail
    from .schedule.retry import RetryPolicy
    from .status import (
        Attempt,
        Cause,
        Deferred,
        Delivered,
        DeliveryResult,
        EnhancedCode,
        Failed,
        MessageStatus,
        Phase,
        Queued,
        RecipientStatus,
        Reply,
        TlsUsed,
        WorkerStatus,
    )
    from .storage.memory import MemoryStorage
    from .storage.postgres import PostgresStorage
    from .storage.sqlite import SqliteStorage
    from .submission import Submission

__all__ = [
    "AsyncMailstrom",
    "Attachment",
    "Attempt",
    "Cause",
    "ClosedError",
    "Config",
    "ConfigError",
    "Deferred",
    "Delivered",
    "DeliveryResult",
    "DkimSigner",
    "DsnOptions",
    "DuplicateMessage",
    "Email",
    "EnhancedCode",
    "Event",
    "EventKind",
    "Failed",
    "Group",
    "IdempotencyConflict",
    "Mailbox",
    "Mailstrom",
    "MailstromError",
    "MemoryStorage",
    "MessageError",
    "MessageNotFound",
    "MessageStatus",
    "NotRunningError",
    "Phase",
    "PostgresStorage",
    "PreparedEmail",
    "QueueFull",
    "Queued",
    "RecipientStatus",
    "RelayConfig",
    "RemoteDeliveryConfig",
    "Reply",
    "ResolverSetup",
    "RetryPolicy",
    "SharedStorage",
    "SmtpAuth",
    "SmtpTimeouts",
    "SqliteStorage",
    "Storage",
    "StorageError",
    "StorageFull",
    "Submission",
    "TlsUsed",
    "WorkerStatus",
]

# where each public name lives; it is loaded when it is first used, so that `import mailstrom` is quick
_HOMES = {
    "AsyncMailstrom": "aio",
    "Attachment": "message.attachment",
    "Attempt": "status",
    "Cause": "status",
    "ClosedError": "errors",
    "Config": "config",
    "ConfigError": "errors",
    "Deferred": "status",
    "Delivered": "status",
    "DeliveryResult": "status",
    "DkimSigner": "dkim",
    "DsnOptions": "message.prepared",
    "DuplicateMessage": "errors",
    "Email": "message.email",
    "EnhancedCode": "status",
    "Event": "event",
    "EventKind": "event",
    "Failed": "status",
    "Group": "message.mailbox",
    "IdempotencyConflict": "errors",
    "Mailbox": "message.mailbox",
    "Mailstrom": "facade",
    "MailstromError": "errors",
    "MemoryStorage": "storage.memory",
    "MessageError": "errors",
    "MessageNotFound": "errors",
    "MessageStatus": "status",
    "NotRunningError": "errors",
    "Phase": "status",
    "PostgresStorage": "storage.postgres",
    "PreparedEmail": "message.prepared",
    "QueueFull": "errors",
    "Queued": "status",
    "RecipientStatus": "status",
    "RelayConfig": "config_delivery",
    "RemoteDeliveryConfig": "config_delivery",
    "Reply": "status",
    "ResolverSetup": "config_delivery",
    "RetryPolicy": "schedule.retry",
    "SharedStorage": "abc",
    "SmtpAuth": "config_delivery",
    "SmtpTimeouts": "config_delivery",
    "SqliteStorage": "storage.sqlite",
    "Storage": "abc",
    "StorageError": "errors",
    "StorageFull": "errors",
    "Submission": "submission",
    "TlsUsed": "status",
    "WorkerStatus": "status",
}

_ROOMS = ("dkim", "message")  # mailstrom.dkim.verify(...) after "import mailstrom" alone


def __getattr__(name: str) -> object:
    from importlib import import_module

    if name in _ROOMS:
        return import_module(f".{name}", __name__)
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value: object = getattr(import_module(f".{_HOMES[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, *_ROOMS})
