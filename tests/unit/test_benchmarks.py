"""The benchmarks still run, and their arithmetic is right. No speed is asserted: see `make bench`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from email import policy
from email.message import EmailMessage
from email.parser import BytesParser
from email.utils import getaddresses
from pathlib import Path

import pytest

from benchmarks.comparisons import Claim, Comparison, Scale, comparisons
from benchmarks.composers import COMPOSERS
from benchmarks.environment import what_runs
from benchmarks.letters import TONGUES, letters
from benchmarks.memory import peak_octets
from benchmarks.queue_filling import due_domains, fill, fill_for_one
from benchmarks.queue_mail import MOST
from benchmarks.queue_places import sqlite_place
from benchmarks.rounds import Effort, measured, percentile, ratio, surplus
from benchmarks.table import block
from mailstrom.abc import InternalMessageStatus, SharedStorage
from mailstrom.storage.urls import storage_from_url

ONCE = Effort(rounds=1, turn_secs=0)
SMALL = Scale(effort=ONCE, large_effort=ONCE, attachment_octets=1 << 14, large_octets=1 << 16)
SAMPLES = {"slow": [8.0, 4.0, 6.0], "fast": [2.0, 2.0, 2.0]}


def test_every_comparison_runs_and_has_figures(tmp_path: Path) -> None:
    for comparison in comparisons(SMALL, tmp_path):
        samples = comparison.measure()

        assert min(min(values) for values in samples.values()) > 0, comparison.title
        assert len(list(block(comparison, samples))) == 1 + len(samples) + len(comparison.claims)


@pytest.mark.parametrize("tongue", TONGUES)
def test_every_composer_does_the_same_work(tongue: str) -> None:
    (letter,) = letters(tongue, 1)

    made = {name: compose(letter, b"the file\n") for name, compose in COMPOSERS.items()}

    read = {name: _read(content) for name, content in made.items()}
    assert all(content.isascii() and b"\n" not in content.replace(b"\r\n", b"") for content in made.values())
    assert read == dict.fromkeys(read, read["EmailMessage"])
    assert read["EmailMessage"]["text/plain"] == letter.text


@pytest.mark.parametrize("tongue", TONGUES)
def test_no_two_letters_are_alike_and_each_has_4_kb(tongue: str) -> None:
    made = letters(tongue, 64)

    sizes = [len((letter.text + letter.html).encode()) for letter in made]
    assert len({(letter.from_, letter.to, letter.cc, letter.subject, letter.text) for letter in made}) == 64
    assert all(3900 <= size <= 4300 for size in sizes), (min(sizes), max(sizes))


def test_in_each_round_every_variant_has_its_turn_and_another_one_begins() -> None:
    turns: list[str] = []
    variants = {name: lambda number, name=name: turns.append(name) for name in "abc"}

    samples = measured(variants, Effort(rounds=3, turn_secs=0))

    assert "".join(turns[-9:]) == "abcbcacab"
    assert {name: len(values) for name, values in samples.items()} == {"a": 3, "b": 3, "c": 3}


def test_a_ratio_is_the_median_of_the_ratios_of_the_rounds() -> None:
    assert ratio(SAMPLES, "slow", "fast") == 3.0


def test_a_surplus_is_the_median_of_the_differences_of_the_rounds() -> None:
    assert surplus(SAMPLES, "slow", "fast") == 4.0


@pytest.mark.parametrize(("percent", "value"), [(1, 1), (50, 50), (99, 99), (100, 100)])
def test_a_percentile_is_one_of_the_values(percent: int, value: int) -> None:
    assert percentile(range(100, 0, -1), percent) == value
    assert percentile([7.0], percent) == 7.0


def test_the_peak_counts_what_was_given_back_too() -> None:
    def make() -> bytes:
        passing = bytes(1 << 20)
        return passing[: 1 << 19]

    assert 1.5 <= peak_octets(make) / (1 << 20) < 1.6


@pytest.mark.parametrize(
    ("limit", "at_least", "verdict"),
    [
        (3.0, False, "target at most 3: met"),
        (2.9, False, "target at most 2.9: MISSED"),
        (3.0, True, "target at least 3: met"),
        (3.1, True, "target at least 3.1: MISSED"),
    ],
)
def test_the_table_says_whether_a_target_was_met(limit: float, at_least: bool, verdict: str) -> None:
    claim = Claim("slow", lambda samples: ratio(samples, "slow", "fast"), "×", limit, at_least)

    lines = list(block(Comparison("Two", lambda: SAMPLES, (claim,)), {"fast": [2.0], "slow": [6.0]}))

    assert lines[0] == "Two  (1 rounds)"
    assert [line.split() for line in lines[1:3]] == [
        ["fast", "2.00", "s", "1.000", "×"],
        ["slow", "6.00", "s", "3.000", "×"],
    ]
    assert lines[3] == f"  → slow: 3 ×, {verdict}"


def test_the_table_shows_a_figure_in_its_unit() -> None:
    [_, line] = block(Comparison("One", dict, unit="MB"), {"it": [46.0]})

    assert line.split() == ["it", "46.00", "MB", "1.000", "×"]


def test_the_head_of_the_table_names_python_and_the_versions() -> None:
    python, machine, packages = what_runs()

    assert "Python 3." in python
    assert "processors" in machine
    assert packages.startswith("mailstrom ")


def test_a_filled_queue_has_what_was_asked_for(filled: SharedStorage) -> None:
    statuses = filled.retrieve_all_recent()

    finished = [status for status in statuses if status.completed]
    assert len(finished) == 500
    assert len(statuses) - len(finished) == 2000
    assert {status.recipients[0].result for status in finished} == {finished[0].recipients[0].result}
    assert _domains(statuses) == set(due_domains(2000))
    assert len({status.message_id for status in statuses}) == 2500


def test_in_a_filled_queue_the_next_claim_of_each_domain_has_100_recipients(filled: SharedStorage) -> None:
    now = datetime.now(UTC)

    claims = [filled.claim(now, owner="me", lease=timedelta(minutes=1)) for _ in due_domains(2000)]

    taken = {claim.route_key: len(claim.recipients) for claim in claims if claim is not None}
    assert taken == dict.fromkeys(due_domains(2000), 100)
    assert filled.purge(now) == 0


def test_a_queue_filled_for_one_domain_has_mail_for_no_other(tmp_path: Path) -> None:
    url = sqlite_place(tmp_path).new_queue()

    fill_for_one(url, 2000)

    with closing(storage_from_url(url)) as storage:
        statuses = storage.retrieve_all_recent()
    assert len({status.message_id for status in statuses}) == 2000
    assert _domains(statuses) == {MOST}


@pytest.fixture
def filled(tmp_path: Path) -> Iterator[SharedStorage]:
    url = sqlite_place(tmp_path).new_queue()
    fill(url, finished=500, due=2000)
    with closing(storage_from_url(url)) as storage:
        yield storage


def _domains(statuses: Sequence[InternalMessageStatus]) -> set[str]:
    return {recipient.route_key for status in statuses for recipient in status.recipients}


def _read(content: bytes) -> dict[str, object]:
    """What a reader of the standard library finds in a message, but for what is new each time."""
    message = BytesParser(EmailMessage, policy=policy.default).parsebytes(content)
    found: dict[str, object] = {
        part.get_content_type(): part.get_content() for part in message.walk() if not part.is_multipart()
    }
    for part in ("text/plain", "text/html"):
        found[part] = str(found[part]).replace("\r\n", "\n")
    for name in ("From", "To", "Cc"):
        found[name] = getaddresses([str(message[name])])
    found["fields"] = sorted({name.lower() for name in message})
    return found | {name: str(message[name]) for name in ("Subject", "Date")}
