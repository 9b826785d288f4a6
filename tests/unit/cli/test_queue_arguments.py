"""Which mail the options of `mailstrom queue` mean."""

from __future__ import annotations

import argparse
import io
from datetime import UTC, datetime, timedelta

import pytest

from mailstrom.cli.exit_codes import CommandError, ExitCode
from mailstrom.cli.queue_arguments import (
    add_list_arguments,
    add_order_arguments,
    selections_for_list,
    selections_for_order,
)
from mailstrom.records import EVERYTHING, Order, Selection

CASES = [
    (("--domain", "Bücher.example"), Selection(domain="xn--bcher-kva.example")),
    (("--address", "You@Dest.example"), Selection(address="You@dest.example")),
    (("--sender", "<>"), Selection(sender="")),
    (("--sender", "<me@sender.example>"), Selection(sender="me@sender.example")),
    (("--stream", "news"), Selection(stream="news")),
    (("--destination", "relay:smtp.provider.example"), Selection(destination="relay:smtp.provider.example")),
    (("--state", "queued"), Selection(state="queued")),
    (("--state", "deferred"), Selection(state="deferred", held=False)),
    (("--state", "held"), Selection(held=True)),
    (
        ("--submitted-before", "2026-03-01T12:00:00+00:00"),
        Selection(submitted_before=datetime(2026, 3, 1, 12, tzinfo=UTC)),
    ),
    (
        ("--domain", "dest.example", "--state", "held"),
        Selection(domain="dest.example", held=True),
    ),
]


def for_list(*arguments: str) -> list[Selection]:
    parser = argparse.ArgumentParser()
    add_list_arguments(parser)
    return [*selections_for_list(parser.parse_args(arguments))]


def for_order(*arguments: str, stdin: bytes = b"") -> list[Selection]:
    parser = argparse.ArgumentParser()
    add_order_arguments(Order.HOLD, parser)
    return [*selections_for_order(parser.parse_args(arguments), io.BytesIO(stdin))]


@pytest.mark.parametrize(
    ("arguments", "selection"), CASES, ids=lambda given: " ".join(given) if isinstance(given, tuple) else ""
)
def test_each_option_selects(arguments: tuple[str, ...], selection: Selection) -> None:
    assert for_list(*arguments) == [selection]
    assert for_order(*arguments) == [selection]


def test_a_message_id_is_understood_with_and_without_brackets() -> None:
    expected = Selection(message_id="1@sender.example", address="you@dest.example")

    for given in ("1@sender.example", "<1@sender.example>"):
        assert for_order(given, "--address", "you@dest.example") == [expected]


def test_messages_are_named_by_arguments_and_on_standard_input_each_once() -> None:
    found = for_order("1@sender.example", "-", stdin=b"<2@sender.example>\n\n 3@sender.example \r\n")

    assert [each.message_id for each in found] == [f"{number}@sender.example" for number in (1, 2, 3)]
    assert for_order("1@sender.example", "1@sender.example") == [Selection(message_id="1@sender.example")]


def test_each_of_several_domains_is_meant_and_each_message_with_each() -> None:
    domains = ("--domain", "dest.example", "--domain", "other.example")

    assert for_list(*domains) == [Selection(domain="dest.example"), Selection(domain="other.example")]
    assert [(each.message_id, each.domain) for each in for_order("1@a.example", "2@a.example", *domains)] == [
        ("1@a.example", "dest.example"),
        ("1@a.example", "other.example"),
        ("2@a.example", "dest.example"),
        ("2@a.example", "other.example"),
    ]


@pytest.mark.parametrize(
    ("given", "age"),
    [
        ("90s", timedelta(seconds=90)),
        ("30m", timedelta(minutes=30)),
        ("2h", timedelta(hours=2)),
        ("3d", timedelta(days=3)),
    ],
)
def test_an_age_is_an_instant_that_long_ago(given: str, age: timedelta) -> None:
    before, (selection,) = datetime.now(UTC), for_list("--older-than", given)

    assert selection.submitted_before is not None
    assert before - age <= selection.submitted_before <= datetime.now(UTC) - age


def test_a_list_without_options_is_of_everything() -> None:
    assert for_list() == for_list("--state", "claimed") == [EVERYTHING]


def test_who_orders_everything_says_so() -> None:
    assert for_order("--all") == [EVERYTHING]
    for arguments in ((), ("-",), ("--all", "--domain", "dest.example"), ("--all", "1@sender.example")):
        with pytest.raises(CommandError) as caught:
            for_order(*arguments)
        assert caught.value.code is ExitCode.USAGE


@pytest.mark.parametrize(
    "arguments", [("--domain", "not a domain"), ("--address", "nobody"), ("--sender", "x y")]
)
def test_what_is_no_address_or_domain_is_named_by_its_option(arguments: tuple[str, str]) -> None:
    with pytest.raises(CommandError, match=f"^{arguments[0]}: expected") as caught:
        for_order(*arguments)

    assert caught.value.code is ExitCode.USAGE
