"""What the clauses of the storage contract are written with: a bench, entries, comparisons."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, Self, TypeVar

from ..abc import (
    Binding,
    Claim,
    InternalMessageStatus,
    InternalRecipientStatus,
    Order,
    Ordered,
    Outcome,
    PreparedEmail,
    Priority,
    Selection,
    Settlement,
    SharedStorage,
    Terms,
)
from ..records import Waits
from ..status import Attempt, Cause, Deferred, Delivered, DeliveryResult, Phase, Queued

Entry = tuple[PreparedEmail, InternalMessageStatus]
Error = TypeVar("Error", bound=Exception)
Found = TypeVar("Found")

NOW = datetime(2030, 1, 1, 12, 0, tzinfo=UTC)
LATER = NOW + timedelta(minutes=3)
EXPIRES_AT = NOW + timedelta(days=1)  # every entry
LEASE = timedelta(seconds=60)
MOST_OF_LEASE_SECS = 45  # what the check itself takes must fit into the rest
WHOLE_LEASE_SECS = 61
_ENDLESS = 2000  # calls, where a few hundred are enough
_HANGING_SECS = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Transaction:
    """A caller's transaction, open, with the way in through it."""

    binding: Binding
    commit: Callable[[], object]
    rollback: Callable[[], object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """What a clause of `SharedStorage` works on: a storage with an empty queue, and what can be done to it.

    What is None or False cannot be done; the clauses that need it do not apply then. Leaving
    the bench closes every storage that was opened on it.
    """

    storage: SharedStorage
    advance_lease_clock: Callable[[float], None]
    another: Callable[[], SharedStorage] | None = None  # on the same queue, as a process beside has it
    reopen: Callable[[], SharedStorage] | None = None  # on the same queue, once the process before is dead
    in_transaction: Callable[[], AbstractContextManager[Transaction]] | None = None  # rolls back at its end
    overlapping: bool = False  # a transaction that has stored something holds up no other writer
    status_retention: timedelta | None = None  # how long purge leaves what is completed
    opened: ExitStack = field(default_factory=ExitStack, repr=False, compare=False)

    def __enter__(self) -> Self:
        self.opened.callback(self.storage.close)
        return self

    def __exit__(self, *exception: object) -> None:
        self.opened.close()

    def beside(self) -> Bench:
        """The same queue, as another process at work has it."""
        return self._with(there(self.another, "another="))

    def crashed(self) -> Bench:
        """The same queue after the process died as it stood, and its leases ended."""
        survivor = self._with(there(self.reopen or self.another, "reopen="))
        survivor.advance_lease_clock(WHOLE_LEASE_SECS)
        return survivor

    def transaction(self) -> AbstractContextManager[Transaction]:
        """A caller's transaction, begun."""
        return there(self.in_transaction, "in_transaction=")()

    def store(self, *entries: Entry) -> list[str]:
        """The ids of the entries, stored in one call."""
        return self.storage.store(entries)

    def claim(
        self, now: datetime = NOW, owner: str = "one", skip: Collection[str] = (), backoff: Waits = ()
    ) -> Claim:
        """A claim that must be there."""
        claim = self.storage.claim(now, owner=owner, lease=LEASE, skip=skip, backoff=backoff)
        return there(claim, f"a claim at {now}, skip={skip!r}")

    def claim_many(self, limit: int, now: datetime = NOW, owner: str = "one", **terms: Any) -> list[Claim]:
        """What one step grants."""
        return self.storage.claim_many(now, Terms(owner=owner, lease=LEASE, limit=limit, **terms))

    def claims(self, now: datetime = NOW, owner: str = "one") -> list[Claim]:
        """All there is to claim."""
        return until_empty(partial(self.storage.claim, now, owner=owner, lease=LEASE))

    def nothing_to_claim(self, now: datetime = NOW, skip: Collection[str] = ()) -> None:
        """There must be no work."""
        claim = self.storage.claim(now, owner="nobody", lease=LEASE, skip=skip)
        holds(claim is None, f"no claim at {now}, skip={skip!r}, not {claim}")

    def renew(self, claim: Claim) -> Claim | None:
        """The one claim renewed."""
        [renewed] = self.storage.renew([claim], LEASE)
        return renewed

    def settle(self, claim: Claim, *outcomes: Outcome, now: datetime = NOW) -> bool:
        """Whether the one settlement was taken."""
        [taken] = self.storage.settle([Settlement(claim=claim, outcomes=outcomes)], now)
        return taken

    def settle_all(self, claim: Claim, result: DeliveryResult, now: datetime = NOW) -> bool:
        """Whether the same result for each recipient of the claim was taken."""
        [taken] = self.storage.settle([settlement(claim, result)], now)
        return taken

    def content_of(self, claim: Claim) -> bytes | None:
        """The content of the claim's email, wherever it is; None where it cannot be read."""
        if isinstance(claim.email, PreparedEmail):
            return claim.email.content
        content = b""
        while len(content) < claim.email.octets:
            if not (block := self.storage.read_content(claim, len(content))):
                return None
            content += block
        return content

    def order(self, order: Order, now: datetime = NOW, *, name: str = "one") -> list[Ordered]:
        """What the order changed of the message that `an_entry(name)` made."""
        return list(self.storage.order(order, Selection(message_id=id_of(name)), now))

    def status(self, name: str = "one") -> InternalMessageStatus:
        """The status of the message that `an_entry(name)` made."""
        return self.storage.retrieve_status(id_of(name))

    def first(self, name: str = "one") -> InternalRecipientStatus:
        """The first recipient of the message that `an_entry(name)` made."""
        return self.status(name).recipients[0]

    def _with(self, opening: Callable[[], SharedStorage]) -> Bench:
        storage = opening()
        self.opened.callback(storage.close)
        return replace(self, storage=storage)


# Entries


def id_of(name: str) -> str:
    """The id of the message that `an_entry(name)` makes."""
    return f"{name}@sender.example"


def an_entry(
    name: str = "one",
    *addresses: str,
    due_at: datetime | None = NOW,
    sender: str = "me@sender.example",
    route_key: str | None = None,
    submitted_at: datetime = NOW,
    idempotency_key: str | None = None,
    fingerprint: str = "",
    stream: str = "",
    priority: Priority = "normal",
) -> Entry:
    """An email and its first status; without addresses to you@dest.example."""
    recipients = addresses or ("you@dest.example",)
    email = PreparedEmail(
        message_id=id_of(name),
        reverse_path=sender,
        recipients=recipients,
        content=f"Message-ID: <{id_of(name)}>\r\n\r\nHello {name}.\r\n".encode(),
    )
    status = InternalMessageStatus(
        message_id=email.message_id,
        recipients=tuple(queued(address, due_at, route_key) for address in recipients),
        submitted_at=submitted_at,
        send_at=due_at,
        expires_at=EXPIRES_AT,
        metadata={"name": name},
        idempotency_key=idempotency_key,
        fingerprint=fingerprint,
        stream=stream,
        priority=priority,
    )
    return email, status


def a_keyed(name: str, key: str = "key", fingerprint: str = "same") -> Entry:
    """An entry with an idempotency key."""
    return an_entry(name, idempotency_key=key, fingerprint=fingerprint)


def queued(address: str, due_at: datetime | None, route_key: str | None = None) -> InternalRecipientStatus:
    """A recipient as it is stored at first."""
    domain = address.rpartition("@")[2]
    return InternalRecipientStatus(
        recipient=address, address=address, route_key=route_key or domain, result=Queued(), due_at=due_at
    )


def delivered(status: InternalMessageStatus, at: datetime = NOW) -> InternalMessageStatus:
    """The status with each recipient delivered."""
    recipients = tuple(replace(each, result=Delivered(tries=1), due_at=None) for each in status.recipients)
    return replace(status, recipients=recipients, completed_at=at)


def with_first(status: InternalMessageStatus, recipient: InternalRecipientStatus) -> InternalMessageStatus:
    """The status with another first recipient."""
    return replace(status, recipients=(recipient, *status.recipients[1:]))


def deferred_recipient(recipient: InternalRecipientStatus) -> InternalRecipientStatus:
    """The recipient with every field filled."""
    return replace(
        recipient,
        result=Deferred(tries=1, reason="busy", next_attempt_at=LATER, uncertain=True),
        attempts=(an_attempt("mx1.dest.example"),),
        due_at=LATER,
        crashes=2,
        dot_sent=True,
    )


# Results


def an_attempt(host: str) -> Attempt:
    """An attempt at a host that was refused at RCPT."""
    return Attempt(at=NOW, host=host, ip="192.0.2.25", port=25, phase=Phase.RCPT, state="deferred")


def deferred_until(at: datetime | None) -> Deferred:
    """The result of a try that is to be repeated then; None: held."""
    return Deferred(tries=1, reason="busy", next_attempt_at=at)


def delivered_to(address: str) -> Outcome:
    """This recipient is delivered."""
    return Outcome(address=address, result=Delivered(tries=1))


def settlement(claim: Claim, result: DeliveryResult) -> Settlement:
    """The same result for each recipient of the claim."""
    outcomes = (Outcome(address=each.address, result=result) for each in claim.recipients)
    return Settlement(claim=claim, outcomes=tuple(outcomes))


def gone_by_cancel(bench: Bench) -> None:
    """The message is completed, its one recipient cancelled, and nothing is left to do."""
    status = bench.status()
    result = status.recipients[0].result
    equal((result.state, result.cause), ("failed", Cause.CANCELLED))
    equal((status.completed_at, bench.storage.is_idle(), bench.storage.next_due(NOW)), (NOW, True, None))


def addresses_of(*claims: Claim) -> list[str]:
    """The recipients of the claims."""
    return [each.address for claim in claims for each in claim.recipients]


def ids_of(statuses: Iterable[InternalMessageStatus]) -> list[str]:
    """The messages' ids."""
    return [each.message_id for each in statuses]


# Comparisons


def equal(found: object, expected: object) -> None:
    """Fails, and shows both, where they differ."""
    if found != expected:
        raise AssertionError(f"expected {expected!r}, got {found!r}")


def holds(fact: bool, what: str) -> None:
    """Fails where it is not so; not an `assert`, which python -O leaves out."""
    if not fact:
        raise AssertionError(f"expected {what}")


def refuted(fact: bool, what: str) -> None:
    """Fails where it is so."""
    if fact:
        raise AssertionError(f"expected False of {what}")


def there(found: Found | None, what: str) -> Found:
    """What was found; fails where it is None."""
    if found is None:
        raise AssertionError(f"expected {what}, got None")
    return found


def until_empty(call: Callable[[], Found | None]) -> list[Found]:
    """What the calls give until one gives nothing; fails where that never comes."""
    found: list[Found] = []
    for _ in range(_ENDLESS):
        each = call()
        if not each:
            return found
        found.append(each)
    raise AssertionError(f"expected nothing left after {_ENDLESS} calls, got {found[-1]!r}")


def raises(kind: type[Error], call: Callable[[], object]) -> Error:
    """The error of this kind that the call must end in."""
    try:
        result = call()
    except kind as error:
        return error
    raise AssertionError(f"expected {kind.__name__}, got {result!r}")


def at_once(calls: Sequence[Callable[[], object]]) -> list[Exception]:
    """The exceptions of calls that run in a thread each, begun together."""
    together = threading.Barrier(len(calls))
    errors: list[Exception] = []

    def run(call: Callable[[], object]) -> None:
        together.wait()
        try:
            call()
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(call,), daemon=True) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(_HANGING_SECS)
        holds(not thread.is_alive(), f"calls that end within {_HANGING_SECS} s")
    return errors


def results_at_once(calls: Sequence[Callable[[], Found]]) -> list[Found]:
    """The results of such calls, in the order in which they came; none may end in an exception."""
    results: list[Found] = []
    errors = at_once([partial(_collect, call, results) for call in calls])
    equal(errors, [])
    return results


def _collect(call: Callable[[], Found], results: list[Found]) -> None:
    results.append(call())
