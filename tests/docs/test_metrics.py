"""docs/metrics.md tells every metric as it is, and names no other."""

from __future__ import annotations

import re
from pathlib import Path

from mailstrom.metrics import INSTRUMENTS, QUEUE_INSTRUMENTS, Instrument, Kind
from mailstrom.metrics.prometheus import exposed_name
from tests.docs.tables import code_spans, tables_of

PAGE = Path(__file__).parents[2] / "docs" / "metrics.md"
ALL = (*INSTRUMENTS, *QUEUE_INSTRUMENTS)
PARTS = ("_bucket", "_count", "_sum")  # of a histogram


def row_of(instrument: Instrument) -> tuple[list[str], list[str], str, list[str], list[str], str]:
    return (
        [instrument.name],
        [exposed_name(instrument)],
        instrument.kind,
        [instrument.unit],
        list(instrument.labels),
        instrument.about,
    )


def test_the_table_tells_each_metric() -> None:
    (table,) = [each for each in tables_of(PAGE.read_text(encoding="utf-8")) if "Prometheus" in each.columns]

    told = [
        (
            code_spans(row["name"]),
            code_spans(row["Prometheus"]),
            row["kind"],
            code_spans(row["unit"]),
            code_spans(row["labels"]),
            row["meaning"],
        )
        for row in table.rows
    ]

    assert told == [row_of(instrument) for instrument in ALL]


def test_every_metric_that_the_page_names_is_there_with_its_labels() -> None:
    known = {exposed_name(each): set(each.labels) for each in ALL}
    known |= {
        exposed_name(each) + part: {*each.labels, "le"}
        for each in ALL
        if each.kind is Kind.HISTOGRAM
        for part in PARTS
    }

    named = re.findall(r"\b(mailstrom_\w+)(?:\{([^}]*)\})?", PAGE.read_text(encoding="utf-8"))

    for name, matchers in named:
        if not name.endswith("_"):  # `mailstrom_queue_...`
            assert set(re.findall(r"(\w+)=", matchers)) <= known[name], name
