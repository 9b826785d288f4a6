"""What the wire benchmarks make of their turns; that they run stands in `tests/interop`."""

from __future__ import annotations

import json
import os
from email import message_from_string
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from benchmarks.plots import plot
from benchmarks.table import block
from benchmarks.wire.comparisons import WireComparison
from benchmarks.wire.letters import RECIPIENT, SENDER, write_letters
from benchmarks.wire.rows import Rows
from benchmarks.wire.table import samples_of, wire_table
from benchmarks.wire.turns import Pace, Receiver, Row, Turn
from benchmarks.wire.watching import cpu_secs, memory_octets

TURNS = {
    "peer": [Turn(rate=1000.0, cpu_secs=0.4, megabytes=90.0)] * 3,
    "mailstrom": [
        Turn(rate=2000.0, cpu_secs=0.2, megabytes=40.0),
        Turn(rate=1500.0, cpu_secs=0.3, megabytes=41.0),
        Turn(rate=3000.0, cpu_secs=0.1, megabytes=42.0),
    ],
}


def a_comparison(*names: str) -> WireComparison:
    """Of rows with these names, with a target for mailstrom."""
    receiver = Receiver(port=25, taken=lambda: 0)
    return WireComparison(
        title="Some bytes",
        rows=[Row(name=name, receiver=receiver, command=lambda _count: []) for name in names],
        bases=("peer",),
        targets=(("mailstrom", 1.5, "peer"),),
        pace=Pace(rounds=3),
    )


def a_ground(folder: Path, **given: Any) -> Rows:
    """For rows that are not run."""
    receiver = Receiver(port=2525, taken=lambda: 0)
    return Rows(folder=folder, letters=folder / "letters.json", receiver=receiver, **given)


def test_the_table_has_medians_the_range_what_was_used_and_the_ratio_of_each_row() -> None:
    title, head, *rows, verdict = wire_table(a_comparison(*TURNS), TURNS)

    assert title == "Some bytes  (3 rounds)"
    assert head.split() == ["msg/s", "min–max", "CPU", "s/1k", "MB", "×", "peer"]
    assert [row.split() for row in rows] == [
        ["peer", "1,000", "1,000–1,000", "0.400", "90", "1.00"],
        ["mailstrom", "2,000", "1,500–3,000", "0.200", "41", "2.00"],
    ]
    assert verdict == "  → mailstrom: 2 × peer, target at least 1.5: met"


def test_where_a_peer_is_not_there_nothing_is_compared_with_it() -> None:
    turns = {"mailstrom": TURNS["mailstrom"]}

    _title, head, *rows = wire_table(a_comparison("mailstrom"), turns)

    assert "peer" not in head
    assert [row.split() for row in rows] == [["mailstrom", "2,000", "1,500–3,000", "0.200", "41"]]


def test_who_is_absent_has_no_row(tmp_path: Path) -> None:
    rows = a_ground(tmp_path, absent=("Nodemailer",))

    assert rows.nodemailer("ready") == rows.nodemailer("signed") == []
    assert [row.name for row in rows.aiosmtplib()] == ["aiosmtplib"]


def test_each_further_setting_gives_mailstrom_a_further_row_with_it(tmp_path: Path) -> None:
    rows = a_ground(tmp_path, settings=({}, {"max_sessions_per_lane": 5}))

    found = {row.name: json.loads(row.command(7)[-1]) for row in rows.mailstrom("memory")}

    usual = {
        "helo_name": "sender.example",
        "delivery": "smtp://127.0.0.1:2525",
        "event_loop": "asyncio",
    }
    assert {name: (task["config"], task["count"]) for name, task in found.items()} == {
        "mailstrom, memory": (usual, 7),
        "mailstrom, memory, max_sessions_per_lane=5": ({**usual, "max_sessions_per_lane": 5}, 7),
    }


def test_rates_processor_time_and_memory_are_kept_as_samples() -> None:
    kept = list(samples_of(a_comparison(*TURNS), TURNS))

    assert [(comparison.title, comparison.unit) for comparison, _ in kept] == [
        ("Some bytes", "msg/s"),
        ("Some bytes, processor time of 1,000", "s"),
        ("Some bytes, memory", "MB"),
    ]
    assert [runs[0]["mailstrom"] for _, runs in kept] == [
        [2000.0, 1500.0, 3000.0],
        [0.2, 0.3, 0.1],
        [40.0, 41.0, 42.0],
    ]
    assert all(len(list(block(comparison, runs[0]))) == 3 for comparison, runs in kept)


def test_the_letters_are_500_different_ones_to_one_recipient_without_message_id(tmp_path: Path) -> None:
    letters = json.loads(write_letters(tmp_path).read_text(encoding="utf-8"))

    messages = [message_from_string(letter["content"]) for letter in letters]
    assert len({letter["content"] for letter in letters}) == 500
    assert {"Message-ID" in message for message in messages} == {False}
    assert messages[7]["To"] == "Bob Carter <bob7@one.example.com>"
    assert (letters[7]["sender"], letters[7]["recipient"]) == (
        SENDER.replace("@", "7@"),
        RECIPIENT.replace("@", "7@"),
    )


def test_a_picture_has_a_bar_for_each_row_as_long_as_its_rate() -> None:
    lines = plot("Ready <bytes>", {"peer": 1000.0, "mailstrom, memory": 4000.0})

    shapes = ET.fromstring("\n".join(lines))
    bars = [shape for shape in shapes if shape.get("x") and shape.tag.endswith("rect")]
    lengths = [float(bar.attrib["width"]) for bar in bars]
    assert lengths[0] == pytest.approx(lengths[1] / 4, abs=0.1)
    assert bars[0].get("fill") != bars[1].get("fill")
    assert [shape.text for shape in shapes if shape.text and not shape.text.isspace()] == [
        "Ready <bytes>, msg/s",
        "peer",
        "1,000",
        "mailstrom, memory",
        "4,000",
    ]


def test_what_a_process_uses_is_that_of_the_kernel() -> None:
    times = os.times()
    least = times.user + times.system

    assert cpu_secs(os.getpid()) >= least - 0.02
    assert memory_octets(os.getpid()) > 1 << 20


def test_a_process_that_has_ended_uses_nothing() -> None:
    nobody = 1 << 22  # proc(5): no process has a number so high

    assert (cpu_secs(nobody), memory_octets(nobody)) == (0.0, 0)
