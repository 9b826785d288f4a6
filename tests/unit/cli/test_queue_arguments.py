"""Which mail the options of `mailstrom queue` mean."""

from __future__ import annotations

import argparse
from datetime import UTC, datetime

import pytest

from mailstrom.cli.exit_codes import CommandError, ExitCode
from mailstrom.cli.queue_arguments import (
    add_list_arguments,
    add_order_arguments,
    selection_for_list,
    selection_for_order,
)
from mailstrom.records import EVERYTHING, Order, Selection

CASES = [
    (("--domain", "Bücher.example"), Selection(domain="xn--bcher-kva.example")),
    (("--address", "You@Dest.example"), Selection(address="You@dest.example")),
    (("--sender", "<>"), Selection(sender="")),
    (("--sender", "<me@sender.example>"), Selection(sender="me@sender.example")),
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


def for_list(*arguments: str) -> Selection:
    parser = argparse.ArgumentParser()
    add_list_arguments(parser)
    return selection_for_list(parser.parse_args(arguments))


def for_order(*arguments: str) -> Selection:
    parser = argparse.ArgumentParser()
    add_order_arguments(Order.HOLD, parser)
    return selection_for_order(parser.parse_args(arguments))


@pytest.mark.parametrize(
    ("arguments", "selection"), CASES, ids=lambda given: " ".join(given) if isinstance(given, tuple) else ""
)
def test_each_option_selects(arguments: tuple[str, ...], selection: Selection) -> None:
    assert for_list(*arguments) == selection
    assert for_order(*arguments) == selection


def test_a_message_id_is_understood_with_and_without_brackets() -> None:
    expected = Selection(message_id="1@sender.example", address="you@dest.example")

    for given in ("1@sender.example", "<1@sender.example>"):
        assert for_order(given, "--address", "you@dest.example") == expected


def test_a_list_without_options_is_of_everything() -> None:
    assert for_list() == EVERYTHING


def test_who_orders_everything_says_so() -> None:
    assert for_order("--all") == EVERYTHING
    for arguments in ((), ("--all", "--domain", "dest.example"), ("--all", "1@sender.example")):
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
