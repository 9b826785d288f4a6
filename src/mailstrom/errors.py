"""Every exception mailstrom raises.

    MailstromError
    ├── ConfigError (ValueError)            a setting cannot be used; raised when the Config is made
    ├── MessageError (ValueError)           an email cannot be sent as given; names the field
    ├── MessageNotFound (LookupError)       no message with that id
    ├── DuplicateMessage                    a message with that Message-ID is already stored
    ├── IdempotencyConflict                 the idempotency key was used for different content
    ├── QueueFull                           the queue's bound on messages or bytes is reached
    ├── NotRunningError (RuntimeError)      nobody can deliver what is being waited for
    ├── ClosedError (RuntimeError)          the Mailstrom was closed
    └── StorageError                        the storage failed; nothing was accepted
        └── StorageFull                     ... because it has no room

Trouble in delivery is not here: a bounce is an ordinary day, and stands in the status.
"""

from __future__ import annotations


class MailstromError(Exception):
    """The root: catch it to catch everything mailstrom raises.

    `index` is the position of the email at fault where several were given, else None.
    """

    index: int | None = None

    def __reduce__(self) -> tuple[object, ...]:
        # as it stands: the arguments of __init__ are no longer those of the text
        return _rebuilt, (type(self), self.args, dict(vars(self)))


class ConfigError(MailstromError, ValueError):
    """A setting that cannot be used: names it, says what was given and what to do."""


class MessageError(MailstromError, ValueError):
    """An email that cannot be sent as it stands.

    `field` is the part at fault ("to", "subject", "headers['X-Tag']"), `given` what stood
    there (shortened), `expected` what would have been right. `at` is the place at fault, counted
    from 0, where it is known: a character of the text that was given or, in a message that was
    read, the octet.
    """

    def __init__(self, field: str, *, given: object = None, expected: str, at: int | None = None) -> None:
        self.field = field
        self.given = _shortened(given)
        self.expected = expected
        self.at = at
        super().__init__(f"{field}: expected {expected}, got {self.given}")


class MessageNotFound(MailstromError, LookupError):
    """No message with this id is known here."""

    def __init__(self, message_id: str) -> None:
        self.message_id = message_id
        super().__init__(
            f"no message {_shortened(message_id)}: it was never stored, was purged after its "
            "retention, or was stored by another process (MemoryStorage belongs to one process)"
        )


class DuplicateMessage(MailstromError):
    """A message with this Message-ID is already stored; it was not overwritten."""

    def __init__(self, message_id: str) -> None:
        self.message_id = message_id
        super().__init__(
            f"message {_shortened(message_id)} is already stored and was left as it is: "
            "use another Message-ID, or pass idempotency_key= to make repeats harmless"
        )


class IdempotencyConflict(MailstromError):
    """The idempotency key was used before, for different content or recipients."""

    def __init__(self, idempotency_key: str, message_id: str) -> None:
        self.idempotency_key = idempotency_key
        self.message_id = message_id
        super().__init__(
            f"idempotency key {_shortened(idempotency_key)} already belongs to message "
            f"{_shortened(message_id)}, which differs from this one: use a new key"
        )


class QueueFull(MailstromError):
    """The queue's bound is reached; the message was not accepted, nothing was dropped."""


class NotRunningError(MailstromError, RuntimeError):
    """Nobody can deliver what is being waited for: call start()."""


class ClosedError(MailstromError, RuntimeError):
    """This Mailstrom was closed; make a new one."""


class StorageError(MailstromError):
    """The storage failed; what was being stored was not accepted.

    `transaction_lost`: with `connection=`, the caller's own transaction went with it. It is rolled
    back already, or can only be: what was written in it before has to be written again.
    """

    transaction_lost: bool = False


class StorageFull(StorageError):
    """The storage has no room left; what was being stored was not accepted."""


def _shortened(given: object, limit: int = 200) -> str:
    text = ascii(given)
    return text if len(text) <= limit else text[: limit - 3] + "..."


def _rebuilt(
    kind: type[MailstromError], args: tuple[object, ...], named: dict[str, object]
) -> MailstromError:
    """The pickled or copied exception, without the work of its `__init__`."""
    error = kind.__new__(kind, *args)
    error.args = args
    vars(error).update(named)
    return error
