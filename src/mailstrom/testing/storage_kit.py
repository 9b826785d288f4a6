"""What the clauses of the storage contract are written with: entries, a bench, comparisons."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TypeVar

from ..abc import Claim, InternalMessageStatus, InternalRecipientStatus, Outcome, PreparedEmail, SharedStorage
from ..status import Attempt, Cause, Deferred, Delivered, DeliveryResult, Phase, Queued

Entry = tuple[PreparedEmail, InternalMessageStatus]
Error = TypeVar("Error", bound=Exception)
Found = TypeVar("Found")

NOW = datetime(2030, 1, 1, 12, 0, tzinfo=UTC)
EXPIRES_AT = NOW + timedelta(days=1)  # every entry
LEASE = timedelta(seconds=60)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """What a clause of `SharedStorage` works on."""

    storage: SharedStorage
    advance_lease_clock: Callable[[float], None]

    def claim(self, now: datetime = NOW, owner: str = "one", skip: Sequence[str] = ()) -> Claim:
        """A claim that must be there."""
        claim = self.storage.claim(now, owner=owner, lease=LEASE, skip=skip)
        return there(claim, f"a claim at {now}, skip={skip!r}")

    def nothing_to_claim(self, now: datetime = NOW, skip: Sequence[str] = ()) -> None:
        """There must be no work."""
        claim = self.storage.claim(now, owner="another", lease=LEASE, skip=skip)
        holds(claim is None, f"no claim at {now}, skip={skip!r}, not {claim}")


def an_entry(
    name: str = "one",
    *addresses: str,
    due_at: datetime | None = NOW,
    idempotency_key: str | None = None,
    fingerprint: str = "",
) -> Entry:
    """An email and its first status; without addresses to you@dest.example."""
    recipients = addresses or ("you@dest.example",)
    email = PreparedEmail(
        message_id=f"{name}@sender.example",
        reverse_path="me@sender.example",
        recipients=recipients,
        content=f"Message-ID: <{name}@sender.example>\r\n\r\nHello {name}.\r\n".encode(),
    )
    status = InternalMessageStatus(
        message_id=email.message_id,
        recipients=tuple(queued(address, due_at) for address in recipients),
        submitted_at=NOW,
        send_at=due_at,
        expires_at=EXPIRES_AT,
        metadata={"name": name},
        idempotency_key=idempotency_key,
        fingerprint=fingerprint,
    )
    return email, status


def delivered(status: InternalMessageStatus, at: datetime = NOW) -> InternalMessageStatus:
    """The status with each recipient delivered."""
    recipients = tuple(replace(each, result=Delivered(tries=1), due_at=None) for each in status.recipients)
    return replace(status, recipients=recipients, completed_at=at)


def an_attempt(host: str) -> Attempt:
    """An attempt at a host that was refused at RCPT."""
    return Attempt(at=NOW, host=host, ip="192.0.2.25", port=25, phase=Phase.RCPT, state="deferred")


def with_first(status: InternalMessageStatus, recipient: InternalRecipientStatus) -> InternalMessageStatus:
    """The status with another first recipient."""
    return replace(status, recipients=(recipient, *status.recipients[1:]))


def deferred_recipient(recipient: InternalRecipientStatus) -> InternalRecipientStatus:
    """The recipient with every field filled."""
    later = NOW + timedelta(minutes=3)
    return replace(
        recipient,
        result=Deferred(tries=1, reason="busy", next_attempt_at=later, uncertain=True),
        attempts=(an_attempt("mx1.dest.example"),),
        due_at=later,
        crashes=2,
        dot_sent=True,
    )


def settle_all(bench: Bench, claim: Claim, result: DeliveryResult, now: datetime = NOW) -> bool:
    """Settles each recipient of the claim with the same result."""
    outcomes = [Outcome(address=each.address, result=result) for each in claim.recipients]
    return bench.storage.settle(claim, outcomes, now)


def claim_all(bench: Bench, claims: list[Claim]) -> None:
    """Claims until nothing is left."""
    while (claim := bench.storage.claim(NOW, owner="one", lease=LEASE)) is not None:
        claims.append(claim)


def status_of(bench: Bench, name: str = "one") -> InternalMessageStatus:
    """The status of the message that `an_entry(name)` made."""
    return bench.storage.retrieve_status(f"{name}@sender.example")


def gone_by_cancel(bench: Bench) -> None:
    """The message is completed, its one recipient cancelled, and nothing is left to do."""
    status = status_of(bench)
    result = status.recipients[0].result
    equal((result.state, result.cause), ("failed", Cause.CANCELLED))
    equal((status.completed_at, bench.storage.is_idle(), bench.storage.next_due(NOW)), (NOW, True, None))


def addresses_of(claim: Claim) -> list[str]:
    """The claim's recipients."""
    return [each.address for each in claim.recipients]


def ids_of(statuses: Iterable[InternalMessageStatus]) -> list[str]:
    """The messages' ids."""
    return [each.message_id for each in statuses]


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

    threads = [threading.Thread(target=run, args=(call,)) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return errors


def queued(address: str, due_at: datetime | None) -> InternalRecipientStatus:
    """A recipient as it is stored at first."""
    domain = address.rpartition("@")[2]
    return InternalRecipientStatus(
        recipient=address, address=address, route_key=domain, result=Queued(), due_at=due_at
    )
