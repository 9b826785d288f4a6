"""Statuses: what they hold, how they read, and that they come back from JSON as they were."""

from __future__ import annotations

import json
import pickle
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailstrom.status import (
    REPLY_TEXT_LIMIT,
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
    printable,
)

AT = datetime(2025, 1, 1, 12, tzinfo=UTC)
KINDS = (Queued, Deferred, Delivered, Failed)

any_text = st.text(st.characters(), max_size=20)  # lone surrogates, NUL and ESC included
moments = st.datetimes(timezones=st.just(UTC))
codes = st.builds(EnhancedCode, st.sampled_from((2, 4, 5)), st.integers(0, 999), st.integers(0, 999))
replies = st.builds(Reply, code=st.integers(200, 599), enhanced=st.none() | codes, text=any_text)
tls_used = st.builds(TlsUsed, version=any_text, cipher=any_text, verified=any_text, resumed=st.booleans())
results = st.one_of(
    *[
        st.builds(
            kind,
            tries=st.integers(0, 1000),
            reason=st.none() | any_text,
            reply=st.none() | replies,
            enhanced_code=st.none() | codes,
            next_attempt_at=st.none() | moments,
            uncertain=st.booleans(),
            cause=st.none() | st.sampled_from(Cause),
        )
        for kind in KINDS
    ]
)
attempts = st.builds(
    Attempt,
    at=moments,
    duration_secs=st.floats(0, 1e6),
    host=any_text,
    ip=st.none() | st.ip_addresses().map(str),
    port=st.none() | st.integers(1, 65535),
    phase=st.sampled_from(Phase),
    reply=st.none() | replies,
    tls=st.none() | tls_used,
    state=st.sampled_from(("delivered", "deferred", "failed")),
    reason=st.none() | any_text,
    uncertain=st.booleans(),
)
recipients = st.builds(
    RecipientStatus,
    recipient=any_text,
    address=any_text,
    result=results,
    attempts=st.lists(attempts, max_size=2).map(tuple),
)
messages = st.builds(
    MessageStatus,
    message_id=any_text,
    recipients=st.lists(recipients, min_size=1, max_size=3).map(tuple),
    submitted_at=moments,
    completed_at=st.none() | moments,
    metadata=st.dictionaries(any_text, any_text, max_size=2),
)


def a_status(*found: DeliveryResult, **fields: object) -> MessageStatus:
    """One recipient for each result: 0@dest.example, 1@dest.example ..."""
    each = tuple(
        RecipientStatus(recipient=f"{place}@dest.example", address=f"{place}@dest.example", result=result)
        for place, result in enumerate(found)
    )
    return MessageStatus(
        **{"message_id": "id@sender.example", "recipients": each, "submitted_at": AT, **fields}  # type: ignore[arg-type]
    )


@settings(max_examples=40, deadline=None)
@given(messages)
def test_a_status_comes_back_from_json_as_it_was(status: MessageStatus) -> None:
    written = json.dumps(status.to_dict())

    assert MessageStatus.from_dict(json.loads(written)) == status


def test_a_status_that_was_written_before_tls_sessions_were_resumed_is_read() -> None:
    tls = TlsUsed(version="TLSv1.2", cipher="ECDHE-RSA-AES256-GCM-SHA384", verified="pkix")
    attempt = Attempt(at=AT, host="mx1.dest.example", phase=Phase.DOT, tls=tls, state="delivered")
    recipient = replace(a_status(Delivered()).recipients[0], attempts=(attempt,))
    status = a_status(recipients=(recipient,))
    written = status.to_dict()

    del written["recipients"][0]["attempts"][0]["tls"]["resumed"]

    assert MessageStatus.from_dict(written) == status


@settings(max_examples=40, deadline=None)
@given(messages)
def test_a_status_comes_back_from_pickle_as_it_was(status: MessageStatus) -> None:
    assert pickle.loads(pickle.dumps(status)) == status


@settings(max_examples=60, deadline=None)
@given(st.one_of(results, replies, attempts))
def test_whatever_is_in_it_each_is_one_line_that_can_be_shown_anywhere(
    value: DeliveryResult | Reply | Attempt,
) -> None:
    """Threat S27: no line ends, escapes, NUL, or text that turns round."""
    assert str(value).isprintable()


@settings(max_examples=40, deadline=None)
@given(messages)
def test_a_message_and_a_recipient_are_one_line_too(status: MessageStatus) -> None:
    """Threat S27."""
    assert str(status).isprintable()
    assert all(str(recipient).isprintable() for recipient in status)


@pytest.mark.parametrize(
    ("result", "line"),
    [
        (Queued(), "queued"),
        (Queued(next_attempt_at=AT), "queued; first try at 2025-01-01 12:00:00 UTC"),
        (
            Deferred(tries=1, reason="mx1 answered RCPT with 450 later", next_attempt_at=AT),
            "deferred after 1 try: mx1 answered RCPT with 450 later; next try at 2025-01-01 12:00:00 UTC",
        ),
        (
            Deferred(tries=2, uncertain=True, reason="lost"),
            "deferred after 2 tries (may have been delivered): lost; held",
        ),
        (Delivered(tries=1, reply=Reply(code=250, text="ok")), "delivered: 250 ok"),
        (Failed(cause=Cause.REFUSED, reason="550 no such user"), "failed: 550 no such user"),
        (Failed(cause=Cause.EXPIRED, reason="busy"), "failed (expired): busy"),
        (
            Failed(cause=Cause.UNCERTAIN, uncertain=True, reason="lost"),
            "failed (uncertain) (may have been delivered): lost",
        ),
    ],
)
def test_a_result_reads_like_a_sentence(result: DeliveryResult, line: str) -> None:
    assert str(result) == line


def test_a_moment_is_shown_in_utc() -> None:


    elsewhere = AT.astimezone(timezone(timedelta(hours=9)))

    assert str(Queued(next_attempt_at=elsewhere)) == str(Queued(next_attempt_at=AT))


@pytest.mark.parametrize("kind", KINDS)
def test_the_four_results_have_one_shape(kind: type[DeliveryResult]) -> None:
    absent = (None, None, None, None, None)
    result = kind()

    found = (result.reason, result.reply, result.enhanced_code, result.next_attempt_at, result.cause)
    assert (found, result.tries, result.uncertain) == (absent, 0, False)


def test_results_can_be_matched() -> None:
    def words(result: DeliveryResult) -> str:
        match result:
            case Queued():
                return "waits"
            case Deferred(next_attempt_at=None):
                return "held"
            case Deferred(tries=tries):
                return f"tried {tries} times"
            case Delivered(reply=Reply(code=code)):
                return f"taken with {code}"
            case Delivered():
                return "taken"
            case Failed(cause=Cause.EXPIRED):
                return "too late"
            case Failed():
                return "refused"

    each = [
        Queued(),
        Deferred(),
        Deferred(tries=2, next_attempt_at=AT),
        Delivered(reply=Reply(code=250)),
        Delivered(),
        Failed(cause=Cause.EXPIRED),
        Failed(),
    ]
    assert [words(result) for result in each] == [
        "waits",
        "held",
        "tried 2 times",
        "taken with 250",
        "taken",
        "too late",
        "refused",
    ]


@pytest.mark.parametrize(
    ("found", "state", "completed", "succeeded"),
    [
        ([Queued()], "queued", False, False),
        ([Delivered()], "delivered", True, True),
        ([Failed()], "failed", True, False),
        ([Deferred()], "deferred", False, False),
        ([Delivered(), Failed()], "failed", True, False),
        ([Delivered(), Queued()], "queued", False, False),
        ([Failed(), Deferred()], "deferred", False, False),
        ([Queued(), Deferred()], "deferred", False, False),
        ([Delivered(), Delivered()], "delivered", True, True),
    ],
)
def test_a_message_is_as_far_as_the_worst_that_still_matters(
    found: list[DeliveryResult], state: str, completed: bool, succeeded: bool
) -> None:
    status = a_status(*found)

    assert (status.state, status.completed, status.succeeded) == (state, completed, succeeded)


def test_to_dict_tells_what_has_to_be_worked_out_too() -> None:
    written = a_status(Delivered(), Failed()).to_dict()

    assert (written["state"], written["completed"], written["succeeded"]) == ("failed", True, False)
    assert [each["result"]["state"] for each in written["recipients"]] == ["delivered", "failed"]


@pytest.mark.parametrize(
    "asked",
    ["you@bücher.example", "you@xn--bcher-kva.example", "YOU@XN--BCHER-KVA.example", "<you@bücher.example>"],
)
def test_a_recipient_is_found_as_it_was_given_and_as_it_is_on_the_wire(asked: str) -> None:
    you = RecipientStatus(
        recipient="You <you@bücher.example>", address="you@xn--bcher-kva.example", result=Queued()
    )

    assert a_status(recipients=(you,))[asked] is you


def test_of_two_that_differ_in_case_each_is_found_by_its_own() -> None:
    """RFC 5321 2.4: local parts are case-sensitive."""
    small, large = (
        RecipientStatus(recipient=address, address=address, result=Queued())
        for address in ("you@dest.example", "YOU@dest.example")
    )
    status = a_status(recipients=(small, large))

    assert (status["you@dest.example"], status["YOU@dest.example"]) == (small, large)


def test_who_is_no_recipient_is_a_key_error() -> None:
    with pytest.raises(KeyError, match=r"nobody@dest\.example"):
        a_status(Queued())["nobody@dest.example"]


def test_a_message_gives_its_recipients_in_order() -> None:
    status = a_status(Queued(), Delivered(), Failed())

    assert list(status) == list(status.recipients)


@given(any_text | st.text(max_size=3000))
def test_a_replys_text_is_kept_short_and_plain(text: str) -> None:
    """Rows 18 and 19: whatever the host sent can be stored."""
    kept = Reply(code=550, text=text).text

    assert kept.isascii()
    assert kept.isprintable()
    assert len(kept) <= REPLY_TEXT_LIMIT
    assert printable(kept) == kept


@pytest.mark.parametrize("code", [0, 199, 600, -550])
def test_what_is_no_reply_code_is_no_reply(code: int) -> None:
    with pytest.raises(ValueError, match="code"):
        Reply(code=code)


@given(codes)
def test_an_enhanced_code_reads_as_it_is_written(code: EnhancedCode) -> None:
    """RFC 3463 section 2."""
    assert EnhancedCode.parse(f"{code} text") == code


@pytest.mark.parametrize("text", ["", "3.1.1", "5.1", "5.1.1.1", "5.1111.1", "55.1.1", " 5.1.1", "5..1"])
def test_what_is_no_enhanced_code_is_none(text: str) -> None:
    assert EnhancedCode.parse(text) is None
