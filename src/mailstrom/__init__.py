"""Send mail from a Python program: `import mailstrom`, call `send_email()`, and go on.

    from mailstrom import Config, Email, Mailstrom

    with Mailstrom(Config(helo_name="mail.mydomain.example")) as m:
        m.start()
        message_id = m.send_email(Email(from_="me@mydomain.example", to="you@yours.example", text="Hello\\n"))
        print(m.wait(message_id, timeout=30).recipients[0].result)
"""

from .abc import InternalMessageStatus, InternalRecipientStatus, PreparedEmail, SharedStorage, Storage
from .aio import AsyncMailstrom
from .config import (
    Config,
    RelayConfig,
    RemoteDeliveryConfig,
    ResolverSetup,
    SmtpAuth,
    SmtpTimeouts,
)
from .engine.events import Event, EventKind
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
from .facade import Mailstrom
from .message.email import Attachment, Email
from .message.prepared import DsnOptions
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
    "DsnOptions",
    "DuplicateMessage",
    "Email",
    "EnhancedCode",
    "Event",
    "EventKind",
    "Failed",
    "IdempotencyConflict",
    "InternalMessageStatus",
    "InternalRecipientStatus",
    "Mailstrom",
    "MailstromError",
    "MemoryStorage",
    "MessageError",
    "MessageNotFound",
    "MessageStatus",
    "NotRunningError",
    "Phase",
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
    "Storage",
    "StorageError",
    "StorageFull",
    "Submission",
    "TlsUsed",
    "WorkerStatus",
]
