"""The names, parameters, classes and texts that a user's code leans on, looked at from outside."""

from __future__ import annotations

import copy
import dataclasses
import importlib
import inspect
import json
import pickle
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

import pytest

import mailstrom
from mailstrom import (
    AsyncMailstrom,
    Attempt,
    Cause,
    ClosedError,
    Config,
    ConfigError,
    Deferred,
    Delivered,
    DeliveryResult,
    DuplicateMessage,
    Email,
    EnhancedCode,
    Failed,
    IdempotencyConflict,
    Mailstrom,
    MailstromError,
    MessageError,
    MessageNotFound,
    MessageStatus,
    NotRunningError,
    Phase,
    PreparedEmail,
    Queued,
    QueueFull,
    RecipientStatus,
    RelayConfig,
    RemoteDeliveryConfig,
    Reply,
    RetryPolicy,
    SmtpAuth,
    Storage,
    StorageError,
    StorageFull,
    Submission,
    TlsUsed,
    WorkerStatus,
)

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
REPLY = Reply(code=550, enhanced=EnhancedCode(5, 1, 1), text="No such user")
OPTIONS = dict.fromkeys(
    [
        *("recipients", "return_path", "send_at", "expires_at", "idempotency_key", "metadata"),
        *("stream", "priority"),
    ]
)


def parameters(function: Callable[..., Any]) -> list[tuple[str, str, Any]]:
    """Name, kind and default of each, without self."""
    found = inspect.signature(function).parameters.values()
    return [(each.name, each.kind.name, each.default) for each in found if each.name != "self"]


def plain(name: str, default: Any = inspect.Parameter.empty) -> tuple[str, str, Any]:
    return (name, "POSITIONAL_OR_KEYWORD", default)


def keyword(name: str, default: Any) -> tuple[str, str, Any]:
    return (name, "KEYWORD_ONLY", default)


SIGNATURES = {
    "start": [plain("role", "auto")],
    "pause": [],
    "send_email": [plain("email"), *(keyword(name, None) for name in OPTIONS), keyword("connection", None)],
    "send_emails": [plain("emails"), keyword("connection", None)],
    "query_status": [plain("message_id")],
    "query_recent": [],
    "wait": [plain("message_id"), plain("timeout", None)],
    "drain": [plain("timeout", None)],
    "cancel": [plain("message_id", None), ("chosen", "VAR_KEYWORD", inspect.Parameter.empty)],
    "worker_status": [],
    "die": [],
    "close": [plain("timeout", 30.0)],
}


@pytest.mark.parametrize("facade", [Mailstrom, AsyncMailstrom])
@pytest.mark.parametrize("name", SIGNATURES)
def test_a_method_has_the_parameters_that_were_promised(facade: type, name: str) -> None:
    assert parameters(getattr(facade, name)) == SIGNATURES[name]


@pytest.mark.parametrize("facade", [Mailstrom, AsyncMailstrom])
def test_a_facade_takes_config_and_storage_by_place_and_observers_by_name(facade: type) -> None:
    assert parameters(facade) == [plain("config", None), plain("storage", None), keyword("observers", ())]


def test_a_submission_has_the_options_of_send_email() -> None:
    assert [*parameters(Submission), keyword("connection", None)] == SIGNATURES["send_email"]


@pytest.mark.parametrize(
    ("made", "names"),
    [
        (
            RelayConfig,
            [
                plain("domain_name"),
                plain("port", None),
                plain("tls", "starttls"),
                plain("auth", None),
                plain("ca_file", None),
                plain("allow_cleartext_auth", False),
            ],
        ),
        (SmtpAuth, [plain("username"), plain("password"), plain("mechanism", None)]),
    ],
)
def test_a_setting_has_the_parameters_that_were_promised(made: type, names: list[Any]) -> None:
    assert parameters(made) == names


def test_the_settings_of_config_stand_in_the_promised_order_with_their_defaults() -> None:
    promised = {
        "helo_name": None,
        "smtp_timeout_secs": None,
        "base_resend_delay_secs": 60,
        "require_tls": False,
        "delivery": RemoteDeliveryConfig(),
        "retry": RetryPolicy(),
        "timeouts": mailstrom.SmtpTimeouts(),
        "mode": "live",
        "redirect_to": None,
        "allow_domains": None,
        "default_from": None,
    }

    config = Config()

    assert [item.name for item in dataclasses.fields(Config)][: len(promised)] == list(promised)
    assert {name: getattr(config, name) for name in promised} == promised


def test_the_retry_policy_is_that_of_the_crate() -> None:
    policy = RetryPolicy()
    promised = (3, None, 3, 0.1, None, 900, "retry")

    found = dataclasses.astuple(policy)[:7]

    assert found == promised
    assert RetryPolicy.rfc5321().max_age == timedelta(days=5)


def test_a_storage_of_ones_own_needs_the_six_methods_and_no_other() -> None:
    assert set(Storage.__abstractmethods__) == {
        "store",
        "update_status",
        "retrieve",
        "retrieve_status",
        "retrieve_all_incomplete",
        "retrieve_all_recent",
    }


def test_a_prepared_email_is_plain_data() -> None:
    names = {item.name for item in dataclasses.fields(PreparedEmail)}

    assert {"message_id", "reverse_path", "recipients", "content"} <= names
    assert {"needs_smtputf8", "needs_8bitmime", "dsn"} <= names


ERRORS: list[tuple[MailstromError, type[BaseException] | None]] = [
    (ConfigError("Config.mode: expected 'live'"), ValueError),
    (MessageError("to", given=["x" * 300], expected="an address"), ValueError),
    (MessageNotFound("a@b.example"), LookupError),
    (DuplicateMessage("a@b.example"), None),
    (IdempotencyConflict("key", "a@b.example"), None),
    (QueueFull("the queue is full"), None),
    (NotRunningError("call start()"), RuntimeError),
    (ClosedError("closed"), RuntimeError),
    (StorageError("it failed"), None),
    (StorageFull("no room"), StorageError),
]


@pytest.mark.parametrize(("error", "cousin"), ERRORS, ids=lambda given: type(given).__name__)
def test_an_error_is_a_mailstrom_error_and_its_cousin_of_the_standard_library(
    error: MailstromError, cousin: type[BaseException] | None
) -> None:
    assert isinstance(error, MailstromError)
    assert cousin is None or isinstance(error, cousin)


@pytest.mark.parametrize(
    "copied", [copy.copy, copy.deepcopy, lambda value: pickle.loads(pickle.dumps(value))]
)
@pytest.mark.parametrize("error", [error for error, _ in ERRORS], ids=lambda error: type(error).__name__)
def test_an_error_survives_pickling_and_copying(
    error: MailstromError, copied: Callable[[MailstromError], MailstromError]
) -> None:
    error.add_note("seen from outside")

    again = copied(error)

    assert type(again) is type(error)
    assert (str(again), again.args, vars(again)) == (str(error), error.args, vars(error))


def test_an_error_of_send_emails_keeps_its_index_when_it_is_pickled() -> None:
    with Mailstrom(Config(mode="capture")) as m, pytest.raises(MessageError) as caught:
        m.send_emails([an_email(), an_email(to=None)])

    again = pickle.loads(pickle.dumps(caught.value))

    assert (again.index, again.field, str(again)) == (1, "recipients", str(caught.value))
    assert str(again).startswith("emails[1]: ")


def test_a_message_error_names_what_was_given_and_what_was_expected() -> None:
    with pytest.raises(MessageError) as caught:
        an_email(to="nobody")

    assert (caught.value.field, caught.value.given) == ("to", "'nobody'")
    assert "user@example.org" in caught.value.expected


RESULTS: list[tuple[DeliveryResult, str, bool, str]] = [
    (Queued(), "queued", False, "queued"),
    (
        Deferred(tries=1, reason="greylisted", next_attempt_at=NOW),
        "deferred",
        False,
        "deferred after 1 try: greylisted; next try at 2026-03-01 12:00:00 UTC",
    ),
    (Delivered(tries=1, reply=Reply(code=250, text="ok")), "delivered", True, "delivered: 250 ok"),
    (
        Failed(tries=1, reply=REPLY, cause=Cause.REFUSED),
        "failed",
        True,
        "failed: 550 5.1.1 No such user",
    ),
    (
        Failed(tries=3, reason="no\nhost\r\nanswered", cause=Cause.TRIES_EXHAUSTED),
        "failed",
        True,
        "failed (tries exhausted): no host answered",
    ),
]


@pytest.mark.parametrize(
    ("result", "state", "completed", "line"), RESULTS, ids=[line for *_, line in RESULTS]
)
def test_a_result_has_the_one_shape_and_is_one_line_for_people(
    result: DeliveryResult, state: str, completed: bool, line: str
) -> None:
    shape = ("tries", "reason", "reply", "next_attempt_at", "uncertain", "cause")

    assert all(hasattr(result, name) for name in shape)
    assert (result.state, result.completed, str(result)) == (state, completed, line)


@pytest.mark.parametrize("kind", [Queued, Deferred, Delivered, Failed])
def test_what_is_absent_in_a_result_is_none(kind: type[DeliveryResult]) -> None:
    result = kind()

    assert (result.reason, result.reply, result.next_attempt_at, result.cause) == (None, None, None, None)
    assert (result.tries, result.uncertain) == (0, False)


def test_the_four_results_can_be_matched_by_class_and_by_shape() -> None:
    seen = []

    for result, *_ in RESULTS:
        match result:
            case Delivered(reply=Reply(code=250)):
                seen.append("taken over")
            case Failed(cause=Cause.REFUSED, reply=Reply(enhanced=EnhancedCode(5, 1, 1))):
                seen.append("unknown there")
            case Failed(cause=cause):
                seen.append(str(cause))
            case Queued() | Deferred():
                seen.append("waits")

    assert seen == ["waits", "waits", "taken over", "unknown there", "tries exhausted"]


def a_status(**changes: Any) -> MessageStatus:
    attempt = Attempt(
        at=NOW,
        host="mx.dest.example",
        ip="192.0.2.1",
        port=25,
        phase=Phase.RCPT,
        reply=REPLY,
        tls=TlsUsed(version="TLSv1.3", cipher="TLS_AES_256_GCM_SHA384", verified="unverified"),
        state="failed",
    )
    you = RecipientStatus(
        recipient="You <you@b\u00fccher.example>",
        address="you@xn--bcher-kva.example",
        result=RESULTS[3][0],
        attempts=(attempt,),
    )
    them = RecipientStatus(recipient="them@dest.example", address="them@dest.example", result=RESULTS[1][0])
    given = {"message_id": "a@s.example", "recipients": (you, them), "submitted_at": NOW}
    return MessageStatus(**{**given, "metadata": {"order": "7"}, **changes})


@pytest.mark.parametrize(
    "value",
    [a_status(), a_status().recipients[0], a_status().recipients[0].attempts[0], REPLY]
    + [result for result, *_ in RESULTS],
    ids=lambda value: type(value).__name__,
)
def test_a_value_is_frozen_hashable_and_equal_to_its_copies_and_its_pickle(value: Any) -> None:
    copies = [copy.deepcopy(value), pickle.loads(pickle.dumps(value)), dataclasses.replace(value)]

    assert copies == [value] * 3
    assert {hash(each) for each in copies} == {hash(value)}
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(value, dataclasses.fields(value)[0].name, None)
    assert str(value).isprintable()


def test_a_status_comes_back_the_same_from_json() -> None:
    status = a_status()

    again = MessageStatus.from_dict(json.loads(json.dumps(status.to_dict())))

    assert again == status


@pytest.mark.parametrize(
    "address",
    [
        "you@xn--bcher-kva.example",
        "you@b\u00fccher.example",
        "<you@xn--bcher-kva.example>",
        "You <you@b\u00fccher.example>",
        "YOU@B\u00dcCHER.example",
    ],
)
def test_a_status_is_asked_for_a_recipient_by_any_spelling_of_it(address: str) -> None:
    status = a_status()

    assert status[address] is status.recipients[0]


def test_a_status_knows_no_recipient_it_was_not_sent_to() -> None:
    with pytest.raises(KeyError, match=r"nobody@dest\.example"):
        a_status()["nobody@dest.example"]


@pytest.mark.parametrize(
    ("results", "state", "completed", "succeeded"),
    [
        ((Delivered(), Delivered()), "delivered", True, True),
        ((Delivered(), Failed()), "failed", True, False),
        ((Delivered(), Queued()), "queued", False, False),
        ((Failed(), Deferred()), "deferred", False, False),
    ],
)
def test_a_message_is_as_far_as_its_recipients(
    results: tuple[DeliveryResult, ...], state: str, completed: bool, succeeded: bool
) -> None:
    recipients = [
        RecipientStatus(recipient=f"{place}@dest.example", address=f"{place}@dest.example", result=result)
        for place, result in enumerate(results)
    ]

    status = a_status(recipients=tuple(recipients))

    assert (status.state, status.completed, status.succeeded) == (state, completed, succeeded)


def test_the_worker_has_the_states_that_were_promised_and_no_other() -> None:
    assert issubclass(WorkerStatus, StrEnum)
    assert {status.name for status in WorkerStatus} == {
        "NETWORK_FAILED",
        "NOT_STARTED",
        "OK",
        "PAUSED",
        "STANDBY",
        "STOPPING",
        "TERMINATED",
        "STORAGE_WRITE_FAILED",
        "STORAGE_READ_FAILED",
        "RESOLVER_CREATION_FAILED",
        "CRASHED",
    }


def test_every_public_name_has_a_docstring_that_begins_with_a_sentence() -> None:
    package = importlib.import_module("mailstrom")

    undocumented = [
        name
        for name in package.__all__
        if inspect.isclass(found := getattr(package, name))
        and not (found.__doc__ or "").split("\n")[0].strip().endswith((".", ":", ";", ","))
    ]

    assert undocumented == []


def an_email(**fields: Any) -> Email:
    return Email(**{"from_": "me@s.example", "to": "you@dest.example", "text": "Hi.\n", **fields})
