"""docs/from-rust.md knows every public name of the crate, and its Python names are there as shown.

A code span on the right is one of

    Name                    it exists, and is not to be called
    Name = value            a field with this default
    Name(a, b=1) -> Result  it is called so, and returns that (the arrow may be left out)
"""

from __future__ import annotations

import dataclasses
import inspect
from pathlib import Path

import pytest

import mailstrom
import mailstrom.abc
from tests.docs.tables import Table, code_spans, tables_of

PAGE = Path(__file__).parents[2] / "docs" / "from-rust.md"

CRATE = {
    "Config": "helo_name smtp_timeout_secs base_resend_delay_secs require_tls delivery",
    "DeliveryConfig": "Relay Remote",
    "DeliveryResult": "Queued Deferred Delivered Failed completed",
    "Error": "Send EmailParser General Storage DnsUnavailable Lock Io LettreEmailAddress",
    "InternalMessageStatus": "message_id recipients attempts_remaining as_message_status",
    "InternalRecipientStatus": "email_addr smtp_email_addr domain mx_servers current_mx result "
    "as_recipient_status",
    "Mailstrom": "new start send_email query_status query_recent worker_status die",
    "MailstromStorage": "store update_status retrieve retrieve_status retrieve_all_incomplete "
    "retrieve_all_recent",
    "MemoryStorage": "new",
    "MemoryStorageError": "NotFound",
    "MessageStatus": "message_id recipient_status succeeded completed",
    "PreparedEmail": "to from message_id message",
    "RecipientStatus": "recipient result",
    "RelayConfig": "domain_name port use_tls auth",
    "RemoteDeliveryConfig": "resolver_setup",
    "ResolverSetup": "SystemConf Google Cloudflare Quad9 Specific",
    "SmtpAuth": "mechanism username password",
    "WorkerStatus": "Ok Terminated ChannelDisconnected LockPoisoned StorageWriteFailed "
    "StorageReadFailed ResolverCreationFailed Unknown",
}


def names_table() -> Table:
    [table] = [table for table in tables_of(PAGE.read_text(encoding="utf-8")) if "crate" in table.columns]
    return table


def python_spans() -> list[str]:
    """What the table shows on the right, and what it shows beside that in the remarks."""
    spans = [span for row in names_table().rows for span in code_spans(row["mailstrom"])]
    remarks = [span for row in names_table().rows for span in code_spans(row["what differs"])]
    return spans + [span for span in remarks if span[0].isupper()]


def there(dotted: str) -> object:
    found: object = mailstrom
    for name in dotted.split("."):
        found = getattr(found, name)
    return found


def is_shown_as_it_is(span: str) -> bool:
    if " = " in span:
        name, _, value = span.partition(" = ")
        return field_default(name) == eval(value, dict(vars(mailstrom)))
    if "(" in span:
        name, _, rest = span.partition("(")
        parameters, _, result = rest.rpartition(")")
        shown = call_of(there(name))
        return shown[0] == f"({parameters})" and result in ("", f" -> {shown[1]}")
    return isinstance(there(span), type) or not inspect.isroutine(there(span))


def field_default(dotted: str) -> object:
    owner, _, name = dotted.rpartition(".")
    [item] = [item for item in dataclasses.fields(there(owner)) if item.name == name]
    return item.default if item.default_factory is dataclasses.MISSING else item.default_factory()


def call_of(called: object) -> tuple[str, str]:
    """Its parameters as they are written in a call's description, and its result."""
    assert callable(called), called
    signature = inspect.signature(called)
    bare = [
        parameter.replace(annotation=inspect.Parameter.empty)
        for parameter in signature.parameters.values()
        if parameter.name != "self"
    ]
    without = signature.replace(parameters=bare, return_annotation=inspect.Signature.empty)
    return str(without), str(signature.return_annotation)


def test_every_public_name_of_the_crate_has_a_row() -> None:
    left = [span for row in names_table().rows for span in code_spans(row["crate"])]

    wanted = {f"{owner}::{name}" for owner, names in CRATE.items() for name in names.split()}
    assert wanted <= set(left)
    assert len(left) == len(set(left))


@pytest.mark.parametrize("span", sorted(set(python_spans())))
def test_a_name_on_the_right_is_there_as_it_is_shown(span: str) -> None:
    assert is_shown_as_it_is(span), call_of(there(span.partition("(")[0])) if "(" in span else span


def test_a_row_without_a_counterpart_says_none() -> None:
    for row in names_table().rows:
        assert code_spans(row["mailstrom"]) or row["mailstrom"] == "none", row
