"""Which claimed recipients need no host."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from mailstrom.abc import Claim, InternalRecipientStatus, Outcome
from mailstrom.engine.triage import after_crash, is_newly_delayed, sort_out
from mailstrom.message.prepared import PreparedEmail
from mailstrom.schedule.retry import RetryPolicy
from mailstrom.status import Attempt, Cause, Deferred, EnhancedCode, Failed, Phase, Queued

NOW = datetime(2025, 1, 1, 12, tzinfo=UTC)


def a_recipient(address: str = "a@dest.example", **fields: object) -> InternalRecipientStatus:
    recipient = InternalRecipientStatus(
        recipient=address, address=address, route_key="dest.example", result=Queued(), due_at=NOW
    )
    return replace(recipient, **fields)


def a_claim(*recipients: InternalRecipientStatus, expires_at: datetime | None = None) -> Claim:
    addresses = tuple(recipient.address for recipient in recipients)
    return Claim(
        email=PreparedEmail(message_id="id@x.example", reverse_path="", recipients=addresses, content=b""),
        route_key="dest.example",
        recipients=recipients,
        submitted_at=NOW - timedelta(hours=1),
        expires_at=expires_at,
        owner="me",
        token=1,
        lease_until=NOW,
    )


def test_an_ordinary_recipient_is_to_be_tried() -> None:
    recipient = a_recipient()

    found = sort_out(a_claim(recipient), RetryPolicy(), None, NOW)

    assert (found.settled, found.to_try) == ((), (recipient,))


def test_a_message_whose_time_is_over_fails_with_its_last_reason() -> None:
    """RFC 3463 3.5: 4.4.7, delivery time expired."""
    recipient = a_recipient(result=Deferred(tries=2, reason="greylisted"))

    found = sort_out(a_claim(recipient, expires_at=NOW), RetryPolicy(), None, NOW)

    expired = Failed(tries=2, reason="greylisted", enhanced_code=EnhancedCode(4, 4, 7), cause=Cause.EXPIRED)
    assert found.settled == (Outcome(address="a@dest.example", result=expired),)


def test_a_domain_that_is_not_allowed_fails_by_policy_and_the_others_go_on() -> None:
    allowed, forbidden = a_recipient("a@ours.example"), a_recipient("a@OTHER.example")

    found = sort_out(a_claim(allowed, forbidden), RetryPolicy(), ("ours.example",), NOW)

    assert found.to_try == (allowed,)
    assert [outcome.result.cause for outcome in found.settled] == [Cause.POLICY]


def test_a_subdomain_of_an_allowed_domain_is_another_domain() -> None:
    found = sort_out(a_claim(a_recipient("a@sub.ours.example")), RetryPolicy(), ("ours.example",), NOW)

    assert found.to_try == ()


def test_a_crash_is_no_try_and_waits_longer_each_time() -> None:
    """Row 56."""
    policy = RetryPolicy(base_delay_secs=600.0)

    waits = []
    for crashes in range(4):
        outcome = after_crash(a_recipient(crashes=crashes), policy, NOW)
        assert outcome.result.next_attempt_at is not None
        waits.append((outcome.result.next_attempt_at - NOW, outcome.result.tries, outcome.crashes))

    minutes = [timedelta(minutes=minute) for minute in (1, 2, 4, 8)]
    assert waits == [(minute, 0, crashes + 1) for crashes, minute in enumerate(minutes)]


def test_the_fifth_crash_in_a_row_holds_the_recipient() -> None:
    """Row 56."""
    outcome = after_crash(a_recipient(crashes=4), RetryPolicy(), NOW)

    assert outcome.result.state == "deferred"
    assert outcome.result.next_attempt_at is None


def test_what_crashed_five_times_elsewhere_is_held_without_a_try() -> None:
    """Row 56."""
    found = sort_out(a_claim(a_recipient(crashes=5)), RetryPolicy(), None, NOW)

    assert found.to_try == ()
    assert [(o.result.next_attempt_at, o.crashes) for o in found.settled] == [(None, 5)]


def test_an_uncertain_recipient_is_tried_held_or_failed_as_the_policy_says() -> None:
    recipient = a_recipient(dot_sent=True, crashes=1)

    tried = sort_out(a_claim(recipient), RetryPolicy(on_uncertain="retry"), None, NOW)
    held = sort_out(a_claim(recipient), RetryPolicy(on_uncertain="hold"), None, NOW)
    failed = sort_out(a_claim(recipient), RetryPolicy(on_uncertain="fail"), None, NOW)

    (retry,) = tried.settled
    assert (retry.result.state, retry.result.uncertain) == ("deferred", True)
    assert (retry.result.next_attempt_at, retry.crashes) == (NOW + timedelta(minutes=15), 1)
    assert [(o.result.state, o.result.next_attempt_at, o.result.uncertain) for o in held.settled] == [
        ("deferred", None, True)
    ]
    assert [(o.result.cause, o.result.uncertain) for o in failed.settled] == [(Cause.UNCERTAIN, True)]


def test_nobody_waits_after_a_crash_for_longer_than_its_message_lasts() -> None:
    """Row 50: a wait of 15 minutes is none where the message is given up in 5."""
    ends_at = NOW + timedelta(minutes=5)
    died = a_recipient(dot_sent=True, crashes=1)

    (uncertain,) = sort_out(a_claim(died, expires_at=ends_at), RetryPolicy(), None, NOW).settled
    crashed = after_crash(a_recipient(crashes=3), RetryPolicy(), NOW, gives_up=ends_at)

    assert uncertain.result.next_attempt_at == crashed.result.next_attempt_at == ends_at


def test_the_sender_hears_once_that_a_message_is_delayed() -> None:
    claim = a_claim(a_recipient())
    attempt = Attempt(at=NOW, host="mx", phase=Phase.RCPT, state="deferred")
    first, later = a_recipient(), a_recipient(attempts=(attempt,))

    told = [is_newly_delayed(claim, recipient, timedelta(minutes=30), NOW) for recipient in (first, later)]

    assert told == [True, False]


def test_what_was_held_for_its_crashes_ends_when_its_message_expires() -> None:
    held = a_recipient(result=Deferred(reason="held"), crashes=5)

    (outcome,) = sort_out(a_claim(held, expires_at=NOW), RetryPolicy(), None, NOW).settled

    assert isinstance(outcome.result, Failed)
    assert outcome.result.cause is Cause.EXPIRED


def test_a_crash_forgets_nothing_that_may_have_been_delivered() -> None:
    """Row 56."""
    perhaps = a_recipient(result=Deferred(tries=1, uncertain=True))

    assert after_crash(perhaps, RetryPolicy(), NOW).result.uncertain
    assert after_crash(a_recipient(), RetryPolicy(), NOW, dot_sent=True).result.uncertain
    assert not after_crash(a_recipient(), RetryPolicy(), NOW).result.uncertain
