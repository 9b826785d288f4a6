"""Modes that stop before the socket: mail goes to a list, the console, or a folder of files."""

from __future__ import annotations

import hashlib
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, overload

from ..abc import InternalRecipientStatus
from ..message.prepared import PreparedEmail
from ..schedule.verdict import Scope, Verdict
from ..status import Attempt, Phase

if TYPE_CHECKING:
    from .job import Job
    from .redirect import Redirect
    from .world import World

Write = Callable[[PreparedEmail], None]


class Outbox(Sequence[PreparedEmail]):
    """What mode="capture" kept: one entry per message, its `recipients` those it was written to.

    Safe from any thread; entries are copies of the final bytes.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._emails: dict[str, PreparedEmail] = {}
        self._recipients: dict[str, dict[str, None]] = {}  # of each email, in order

    def add(self, email: PreparedEmail) -> None:
        """Keeps the email, joined with what was kept of it for other recipients."""
        with self._lock:
            self._emails[email.message_id] = email
            recipients = self._recipients.setdefault(email.message_id, {})
            recipients.update(dict.fromkeys(email.recipients))

    def clear(self) -> None:
        """Forgets everything."""
        with self._lock:
            self._emails.clear()
            self._recipients.clear()

    @overload
    def __getitem__(self, index: int) -> PreparedEmail: ...
    @overload
    def __getitem__(self, index: slice) -> list[PreparedEmail]: ...
    def __getitem__(self, index: int | slice) -> PreparedEmail | list[PreparedEmail]:
        return list(self)[index]

    def __len__(self) -> int:
        return len(self._emails)

    def __iter__(self) -> Iterator[PreparedEmail]:
        with self._lock:
            kept = [(email, tuple(self._recipients[each])) for each, email in self._emails.items()]
        return iter([replace(email, recipients=recipients) for email, recipients in kept])


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalCarrier:
    """Writes each claim with `write` and calls that delivered."""

    mode: str
    world: World
    write: Write
    redirect: Redirect | None = None

    async def carry(self, job: Job, recipients: Sequence[InternalRecipientStatus]) -> bool:
        """Settles every recipient as delivered; False: the claim was lost before its content was read."""
        email = await _whole(job)
        if email is None:
            return False
        now = self.world.clock.now()
        self.write(self._email(email, [recipient.address for recipient in recipients]))
        reason = f"not sent: mode is {self.mode!r}"
        verdict = Verdict(state="delivered", scope=Scope.MESSAGE, phase=Phase.DOT, reason=reason)
        attempt = Attempt(at=now, host=self.mode, phase=Phase.DOT, state="delivered", reason=reason)
        await job.settle({recipient.address: (verdict, (attempt,)) for recipient in recipients})
        return True

    async def close(self) -> None:
        """Holds nothing open."""

    async def abort(self) -> None:
        """Holds nothing open."""

    def _email(self, email: PreparedEmail, addresses: list[str]) -> PreparedEmail:
        if self.redirect is None:
            return replace(email, recipients=tuple(addresses))
        return replace(email, recipients=(self.redirect.address,))


async def _whole(job: Job) -> PreparedEmail | None:
    """Its email, with all of the content in memory."""
    email = job.claim.email
    if isinstance(email, PreparedEmail):
        return email
    content = bytearray()
    while len(content) < email.octets:
        block = await job.read_content(len(content))
        if block is None:
            return None
        content += block
    return email.with_content(bytes(content))


def write_to_console(email: PreparedEmail) -> None:
    """Prints the envelope and the content to standard output."""
    text = email.content.decode("utf-8", "replace").replace("\r\n", "\n")
    print(f"{_envelope(email)}\n{text}{'-' * 72}", file=sys.stdout, flush=True)


def file_writer(folder: str) -> Write:
    """Writes each message to a file of its own, `<message id>.eml`, in `folder`."""

    def write(email: PreparedEmail) -> None:
        Path(folder).mkdir(parents=True, exist_ok=True)
        Path(folder, f"{_file_name(email.message_id)}.eml").write_bytes(email.content)

    return write


def _file_name(message_id: str) -> str:
    """The id where it can be a name as it is; else what can, with a digest that tells it from others."""
    name = "".join(c if c.isalnum() or c in "@.-_+" else "_" for c in message_id)[:150]
    if name == message_id:
        return name
    return f"{name}-{hashlib.sha256(message_id.encode()).hexdigest()[:16]}"


def _envelope(email: PreparedEmail) -> str:
    return f"MAIL FROM:<{email.reverse_path}>\n" + "\n".join(f"RCPT TO:<{r}>" for r in email.recipients)
