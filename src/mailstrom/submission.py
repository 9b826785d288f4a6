"""What a caller hands in, checked and made ready for the queue."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, get_args

from .abc import InternalMessageStatus, InternalRecipientStatus, PreparedEmail, SharedStorage
from .config import Config
from .config_checks import LONGEST_SECS, is_unicode
from .errors import MailstromError, MessageError, MessageNotFound
from .message.email import Email
from .message.prepare import Seal, SealFor, fingerprint, prepare
from .records import Priority
from .route.addresses import route_key_for
from .status import Queued

if TYPE_CHECKING:
    from email.message import Message

    from .message.address import Addresses
    from .message.mailbox import Mailbox

METADATA_LIMIT = 4096  # characters of all keys and values
KEY_LIMIT = 255  # characters of an idempotency key
STREAM_LIMIT = 40  # characters
ID_OCTETS, IDS_AT_ONCE = 12, 100
CURSOR_LIMIT = 2**63  # what the cursor of an event is below

AT_ONCE = Queued()
PRIORITIES = (None, *get_args(Priority))

FIRST = datetime(1, 1, 1, tzinfo=UTC)  # what a datetime can hold
LAST = datetime(9999, 12, 31, tzinfo=UTC)

UNSIGNED_DOMAINS_TOLD = 1000  # then the log has heard enough of them

_log = logging.getLogger("mailstrom")

Entry = tuple[PreparedEmail, InternalMessageStatus]


@dataclass(frozen=True, slots=True)
class Submission:
    """An email for `send_emails` with the options of `send_email`."""

    email: Email | Message | bytes
    recipients: Addresses | None = field(default=None, kw_only=True)
    return_path: str | None = field(default=None, kw_only=True)
    send_at: datetime | None = field(default=None, kw_only=True)
    expires_at: datetime | None = field(default=None, kw_only=True)
    idempotency_key: str | None = field(default=None, kw_only=True)
    metadata: Mapping[str, str] | None = field(default=None, kw_only=True)
    stream: str | None = field(default=None, kw_only=True)
    priority: Priority | None = field(default=None, kw_only=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """Now, twice: the wall clock (for Date and `send_at`), and the queue's steady clock."""

    wall: datetime
    steady: datetime

    def steadily(self, at: datetime) -> datetime:
        """The wall clock's instant `at`, as the queue's clock will show it."""
        try:
            return self.steady + (at - self.wall)
        except OverflowError:  # datetime.max is how some say "never"
            return LAST if at > self.wall else FIRST


class UnsignedDomains:
    """Warns of each From domain that no signer signs for, once; to be called from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._told: set[str | None] = set()

    def __call__(self, domain: str | None) -> None:
        with self._lock:
            if domain in self._told or len(self._told) >= UNSIGNED_DOMAINS_TOLD:
                return
            self._told.add(domain)
        where = f"domain {domain} in From" if domain else "no address in From"
        _log.warning("mail with %s goes out unsigned: no signer of Config.dkim is for it", where)


def submissions_of(emails: Iterable[Email | Message | bytes | Submission]) -> list[Submission]:
    """One for each email; a single one in the place of a list is refused."""
    one = isinstance(emails, (str, bytes, Mapping)) or hasattr(emails, "get_payload")
    if one or not isinstance(emails, Iterable):
        expected = "a list of emails (one alone: send_email)"
        raise MessageError("emails", given=emails, expected=expected)
    return [email if isinstance(email, Submission) else Submission(email) for email in emails]


def entries_for(
    submissions: Iterable[Submission],
    config: Config,
    moment: Moment,
    new_ids: Iterable[str],
    unsigned: UnsignedDomains,
) -> list[Entry]:
    """What is stored for these; an exception says at which index the trouble is, where there are several."""
    made: list[Entry] = []
    ids = iter(new_ids)
    seal, relay_key = _seal_for(config, moment.wall, unsigned), config.relay_key
    for submission in submissions:
        try:
            made.append(_entry(submission, config, relay_key, moment, next(ids), seal))
        except MailstromError as error:
            raise with_index(error, len(made)) from error.__cause__
    return made


def entry_for(
    submission: Submission, config: Config, moment: Moment, new_id: str, unsigned: UnsignedDomains
) -> Entry:
    """The prepared email and its first status."""
    seal = _seal_for(config, moment.wall, unsigned)
    return _entry(submission, config, config.relay_key, moment, new_id, seal)


def _entry(
    submission: Submission,
    config: Config,
    relay_key: str | None,
    moment: Moment,
    new_id: str,
    seal: SealFor | None,
) -> Entry:
    _check_options(submission, moment.wall)
    prepared = prepare(
        submission.email,
        recipients=submission.recipients,
        return_path=submission.return_path,
        default_from=config.default_from,
        now=moment.wall,
        random_id=new_id,
        seal=seal,
    )
    due_at, first_try, first = moment.steady, None, AT_ONCE
    if submission.send_at is not None:
        due_at = first_try = max(moment.steadily(submission.send_at), moment.steady)
        first = Queued(next_attempt_at=first_try)
    email = prepared.email
    written = zip(prepared.recipients, email.recipients, strict=True)
    recipients = tuple([_recipient(each, address, relay_key, first, due_at) for each, address in written])
    return email, InternalMessageStatus(
        message_id=email.message_id,
        recipients=recipients,
        submitted_at=moment.steady,
        send_at=first_try,
        expires_at=None if submission.expires_at is None else moment.steadily(submission.expires_at),
        metadata=dict(submission.metadata) if submission.metadata else {},
        idempotency_key=submission.idempotency_key,
        # without a key nothing is compared but whether it is the same store of the same email
        fingerprint=new_id if submission.idempotency_key is None else fingerprint(prepared),
        stream=_sender(email.reverse_path) if submission.stream is None else submission.stream,
        priority=submission.priority or ("low" if _is_bulk(submission.email) else "normal"),
    )


def _sender(reverse_path: str) -> str:
    """The stream of mail that names none: what stands behind a + may be another for each recipient."""
    local_part, at, domain = reverse_path.lower().rpartition("@")
    return f"{local_part.partition('+')[0]}{at}{domain}"


def _is_bulk(email: Email | Message | bytes) -> bool:
    """It says so itself, by Precedence; what is finished is not asked."""
    if isinstance(email, bytes) or (isinstance(email, Email) and not email.headers):
        return False
    headers = email.headers if isinstance(email, Email) else email.items()
    return ("precedence", "bulk") in [(name.lower(), str(value).strip().lower()) for name, value in headers]


def recipient_for(
    mailbox: Mailbox, config: Config, result: Queued, due_at: datetime
) -> InternalRecipientStatus:
    """A recipient as it is stored at first, due at `due_at`."""
    return _recipient(mailbox, mailbox.address, config.relay_key, result, due_at)


def _recipient(
    mailbox: Mailbox, address: str, relay_key: str | None, result: Queued, due_at: datetime
) -> InternalRecipientStatus:
    return InternalRecipientStatus(
        recipient=mailbox.shown(address),
        address=address,
        route_key=relay_key or route_key_for(mailbox.domain),
        result=result,
        due_at=due_at,
    )


def _seal_for(config: Config, now: datetime, unsigned: UnsignedDomains) -> SealFor | None:
    """What seals mail by the domain of From: DMARC goes by it, not by Sender (RFC 7489 section 3.1.1)."""
    signers = config.dkim_signers
    if not signers:
        return None
    from .dkim import sealing

    def seal_for(domain: str | None) -> Seal | None:
        seal = sealing(signers, domain, now)
        if seal is None:
            unsigned(domain)
        return seal

    return seal_for


def newly_stored(entries: Iterable[Entry], ids: Iterable[str], storage: SharedStorage) -> list[str]:
    """Which of the ids `store` returned are those of new messages, not of repeats."""
    new: dict[str, None] = {}
    for (_, status), message_id in zip(entries, ids, strict=True):
        if status.message_id == message_id and not _is_repeat(status, storage):
            new[message_id] = None
    return list(new)


class NewIds:
    """Ids of 24 hexadecimal digits that no one can foresee. Any thread, and in forked children, too.

    They are drawn from the system by the hundred: each draw gives the GIL away.
    """

    def __init__(self) -> None:
        self._drawn: list[str] = []
        self._pid = os.getpid()

    def __call__(self) -> str:
        """An id that nobody else has."""
        if self._pid != os.getpid():  # what the parent has drawn is the parent's
            self._drawn, self._pid = [], os.getpid()
        try:
            return self._drawn.pop()
        except IndexError:
            digits = os.urandom(ID_OCTETS * IDS_AT_ONCE).hex()
            first, *others = (digits[at : at + 2 * ID_OCTETS] for at in range(0, len(digits), 2 * ID_OCTETS))
            self._drawn += others
            return first


def with_index(error: MailstromError, index: int) -> MailstromError:
    """The error, saying at which index of `send_emails` it arose."""
    error.index = index
    error.args = (f"emails[{index}]: {error}", *error.args[1:])
    return error


def message_id_of(given: object) -> str:
    """A message id as it is stored: without <>; `MessageNotFound` for one that no message can have."""
    if not isinstance(given, str):
        raise MessageError("message_id", given=given, expected="the text that send_email returned")
    message_id = given.strip().removeprefix("<").removesuffix(">")
    if not may_be_stored(message_id):
        raise MessageNotFound(message_id)
    return message_id


def may_be_stored(text: str) -> bool:
    """Without NUL and lone surrogates, which the databases do not even search for."""
    return "\0" not in text and is_unicode(text)


def aware_instant(name: str, given: object) -> datetime:
    """An instant: a datetime that knows how far it is from UTC."""
    # a tzinfo alone is not enough: it may answer None
    if not isinstance(given, datetime) or given.utcoffset() is None:
        expected = "an aware datetime, such as datetime.now(UTC) + timedelta(hours=1)"
        raise MessageError(name, given=given, expected=expected)
    return given


def timeout_secs(given: object) -> float:
    """How many seconds to wait, within what the clock can add up; a time that is over is 0."""
    if not isinstance(given, (int, float)) or isinstance(given, bool) or given != given:  # NaN
        raise MessageError("timeout", given=given, expected="a number of seconds")
    return float(max(0, min(given, LONGEST_SECS)))


def timeout_secs_or_none(given: object) -> float | None:
    """The same, or None: as long as it takes."""
    return None if given is None else timeout_secs(given)


def cursor_of(given: object) -> int | None:
    """Behind which event to go on; None: at the oldest."""
    if given is None:
        return None
    if not isinstance(given, int) or isinstance(given, bool) or not 0 <= given < CURSOR_LIMIT:
        raise MessageError("after", given=given, expected="the cursor of an event, or None")
    return given


def _is_repeat(status: InternalMessageStatus, storage: SharedStorage) -> bool:
    """A repeat may have the same Message-ID as the first, if that is the caller's own."""
    if status.idempotency_key is None:
        return False
    try:
        return storage.retrieve_status(status.message_id).submitted_at != status.submitted_at
    except MailstromError:  # it was stored all the same
        return False


def _check_options(submission: Submission, now: datetime) -> None:
    expires_at, send_at = submission.expires_at, submission.send_at
    if send_at is not None:
        aware_instant("send_at", send_at)
    if expires_at is not None:
        aware_instant("expires_at", expires_at)
    if expires_at is not None and expires_at <= max(now, send_at or now):
        raise MessageError("expires_at", given=expires_at, expected="an instant after now and after send_at")
    if submission.idempotency_key is not None:
        _check_key(submission.idempotency_key)
    if submission.stream is not None:
        _check_stream(submission.stream)
    if submission.priority not in PRIORITIES:
        raise MessageError("priority", given=submission.priority, expected="'high', 'normal' or 'low'")
    if submission.metadata is not None:
        _check_metadata(submission.metadata)


def _check_key(key: object) -> None:
    right = isinstance(key, str) and 0 < len(key) <= KEY_LIMIT and key.isprintable()
    if not right:
        raise MessageError("idempotency_key", given=key, expected=f"1 to {KEY_LIMIT} printable characters")


def _check_stream(stream: object) -> None:
    right = isinstance(stream, str) and 0 < len(stream) <= STREAM_LIMIT and stream.isprintable()
    if not right:
        raise MessageError("stream", given=stream, expected=f"1 to {STREAM_LIMIT} printable characters")


def _check_metadata(metadata: object) -> None:
    if not isinstance(metadata, Mapping):
        raise MessageError("metadata", given=metadata, expected="a mapping of str to str")
    for key, value in metadata.items():
        if not isinstance(key, str) or not isinstance(value, str):
            raise MessageError(f"metadata[{key!r}]", given=value, expected="str keys and str values")
    if sum(len(key) + len(value) for key, value in metadata.items()) > METADATA_LIMIT:
        raise MessageError("metadata", expected=f"at most {METADATA_LIMIT} characters in all", given="more")
