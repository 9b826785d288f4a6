"""docs/configuration.md tells every setting and its default, and no other."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path

import pytest

import mailstrom
import mailstrom.dkim
from mailstrom.config_limits import LaneLimits
from mailstrom.config_storage import StorageConfig
from mailstrom.route.providers import PROVIDERS
from tests.docs.tables import Table, code_spans, tables_of

PAGE = Path(__file__).parents[2] / "docs" / "configuration.md"
COLUMNS = ("setting", "default", "unit", "meaning")
PARTS = (
    mailstrom.Config,
    mailstrom.RemoteDeliveryConfig,
    mailstrom.ResolverSetup,
    mailstrom.RelayConfig,
    mailstrom.SmtpAuth,
    mailstrom.RetryPolicy,
    mailstrom.SmtpTimeouts,
    LaneLimits,
    mailstrom.dkim.DkimSigner,
    StorageConfig,
    mailstrom.MemoryStorage,
)
REQUIRED = "required"


def setting_tables() -> dict[str, Table]:
    tables = tables_of(PAGE.read_text(encoding="utf-8"))
    return {table.heading: table for table in tables if table.columns == COLUMNS}


def told(table: Table) -> dict[str, object]:
    """Each setting of the table with its default."""
    return {_only(code_spans(row["setting"])): _default(row["default"]) for row in table.rows}


def settings_of(part: type) -> dict[str, object]:
    """Each setting of the code with its default."""
    if not dataclasses.is_dataclass(part):
        return {name: parameter.default for name, parameter in inspect.signature(part).parameters.items()}
    parameters = inspect.signature(part).parameters
    return {item.name: _field_default(item, parameters) for item in dataclasses.fields(part) if item.init}


def _field_default(item: dataclasses.Field[object], parameters: Mapping[str, inspect.Parameter]) -> object:
    if item.default_factory is not dataclasses.MISSING:
        return item.default_factory()
    default = parameters[item.name].default
    return REQUIRED if default is inspect.Parameter.empty else default


def _default(cell: str) -> object:
    if cell == REQUIRED:
        return REQUIRED
    return eval(_only(code_spans(cell)), {**vars(mailstrom), "timedelta": timedelta})


def _only(spans: list[str]) -> str:
    assert len(spans) == 1, spans
    return spans[0]


def test_each_part_of_the_configuration_has_a_table() -> None:
    assert list(setting_tables()) == [part.__name__ for part in PARTS]


@pytest.mark.parametrize("part", PARTS, ids=lambda part: part.__name__)
def test_a_table_tells_the_settings_of_its_part_and_their_defaults(part: type) -> None:
    table = setting_tables()[part.__name__]

    assert list(told(table).items()) == list(settings_of(part).items())


@pytest.mark.parametrize("part", PARTS, ids=lambda part: part.__name__)
def test_a_number_of_seconds_has_its_unit(part: type) -> None:
    for row in setting_tables()[part.__name__].rows:
        if _only(code_spans(row["setting"])).endswith("_secs"):
            assert row["unit"].startswith("s"), row


@pytest.mark.parametrize("part", PARTS, ids=lambda part: part.__name__)
def test_a_number_of_seconds_is_a_float(part: type) -> None:
    for name, default in settings_of(part).items():
        if name.endswith("_secs") and default is not None:
            assert isinstance(default, float), name


def test_the_table_of_providers_is_the_one_that_is_shipped() -> None:
    [table] = [each for each in tables_of(PAGE.read_text(encoding="utf-8")) if each.columns[0] == "provider"]

    told = [
        (
            _only(code_spans(row["provider"])),
            tuple(code_spans(row["MX hosts"])),
            row["`max_sessions`"],
            row["`max_messages_per_session`"],
        )
        for row in table.rows
    ]

    assert told == [
        (each.name, each.mx_suffixes, _number(each.max_sessions), _number(each.max_messages_per_session))
        for each in PROVIDERS
    ]


def _number(number: int | None) -> str:
    return "" if number is None else str(number)
