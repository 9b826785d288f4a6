"""The load benchmarks still run, and their bad hosts are as bad as they should be. No speed is asserted."""

from __future__ import annotations

import smtplib
import socket
from contextlib import closing
from pathlib import Path

import pytest

from benchmarks.load.bad_host import ADDRESS, bad_host
from benchmarks.load.calls import FSYNC, call_secs, calls_of
from benchmarks.load.large import megabytes_for_large, secs_for_many
from benchmarks.queue_places import sqlite_place
from benchmarks.wire.peers import SINK, missing
from tests.interop.mailbox import free_ports

READER = "reader@most.example"


@pytest.fixture(autouse=True)
def needs_a_sink() -> None:
    absent = missing()
    if SINK in absent:
        pytest.skip(absent[SINK])


def outcome_at(port: int) -> int:
    """The reply code that one message ends with: that of the greeting, of RCPT, or 250."""
    try:
        with smtplib.SMTP(ADDRESS, port) as client:
            client.sendmail("a@me.example", [READER], b"Subject: Hello\r\n\r\n")
    except smtplib.SMTPConnectError as refused:
        return int(refused.smtp_code)
    except smtplib.SMTPRecipientsRefused as refused:
        return int(refused.recipients[READER][0])
    return 250


@pytest.mark.parametrize(
    ("kind", "codes"),
    [
        ("greylists everything", [450, 450]),
        ("answers every second connection with 421", [421, 250, 421, 250]),
    ],
)
def test_two_bad_hosts_ask_for_patience(kind: str, codes: list[int]) -> None:
    (port,) = free_ports(1)

    with bad_host(kind, port):
        assert [outcome_at(port) for _ in codes] == codes


@pytest.mark.parametrize(("kind", "said"), [("never answers", b""), ("sends an octet a second", b"2")])
def test_two_bad_hosts_take_their_time(kind: str, said: bytes) -> None:
    (port,) = free_ports(1)

    with bad_host(kind, port), closing(socket.create_connection((ADDRESS, port), timeout=0.3)) as connection:
        heard = connection.recv(1000) if said else b""
        with pytest.raises(TimeoutError):
            connection.recv(1000)

    assert heard == said


def test_an_email_to_many_is_delivered_in_transactions_of_100(tmp_path: Path) -> None:
    accepted_secs, secs = secs_for_many(None, tmp_path, 250)  # it fails by itself where they are not three

    assert 0 < accepted_secs <= secs


def test_the_calls_of_all_threads_are_timed_one_by_one(tmp_path: Path) -> None:
    samples = call_secs(sqlite_place(tmp_path).new_queue(), tmp_path, (1, 16), 1)

    assert {name: len(each) for name, each in samples.items()} == {
        FSYNC: 160,
        calls_of(1): 160,
        calls_of(16): 160,
    }


def test_the_memory_for_large_mail_is_what_it_adds_and_less_than_the_mail(tmp_path: Path) -> None:
    """Row 58: a content is read while it is sent."""
    queue = sqlite_place(tmp_path).new_queue()

    megabytes = megabytes_for_large(queue, tmp_path, messages=2, octets=20_000_000)

    assert 0 <= megabytes < 20
