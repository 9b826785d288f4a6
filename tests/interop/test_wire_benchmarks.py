"""The wire benchmarks still run: every sender sends what it is given. No speed is asserted."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from benchmarks.queue_places import sqlite_place
from benchmarks.wire.delay import delayed
from benchmarks.wire.keys import ED25519, signing, write_keys
from benchmarks.wire.letters import write_letters
from benchmarks.wire.peers import SINK, missing
from benchmarks.wire.postfix import running_postfix
from benchmarks.wire.rows import Rows
from benchmarks.wire.sink import sinking
from benchmarks.wire.turns import Pace, Row, Turns, turns
from tests.interop.postfix import skip_unless_it_can_run

A_FEW = Pace(rounds=1, turn_secs=0, trial=30)


@pytest.fixture
def rows(tmp_path: Path) -> Iterator[Rows]:
    absent = missing()
    if SINK in absent:
        pytest.skip(absent[SINK])
    write_keys(tmp_path)
    with sinking(tmp_path) as sink:
        yield Rows(folder=tmp_path, letters=write_letters(tmp_path), receiver=sink, absent=absent)


def a_round(rows: list[Row]) -> Turns:
    """One turn of each; it fails where one sends too little or too much."""
    return turns(rows, A_FEW)


def test_every_peer_that_is_installed_sends_what_it_is_given(rows: Rows) -> None:
    peers = [*rows.smtp_source(), *rows.smtplib(), *rows.aiosmtplib(), *rows.post_office()]
    nodemailer = [*rows.nodemailer("ready"), *rows.nodemailer("composed"), *rows.nodemailer("signed")]

    taken = a_round([*peers, *nodemailer])

    assert {len(each) for each in taken.values()} == {1}
    assert rows.receiver.taken() == 30 * len(taken)


def test_mailstrom_sends_what_it_is_given_each_time_over_a_new_queue(rows: Rows, tmp_path: Path) -> None:
    sqlite = sqlite_place(tmp_path)
    signed = {"dkim": signing(tmp_path, ED25519)}

    taken = a_round(
        [
            *rows.mailstrom("memory"),
            *rows.mailstrom("SQLite, one by one", sqlite, batch=1),
            *rows.mailstrom("SQLite, Ed25519", sqlite, form="composed", config=signed),
            *rows.workers(2, sqlite),
        ]
    )

    assert list(taken) == [
        "mailstrom, memory",
        "mailstrom, SQLite, one by one",
        "mailstrom, SQLite, Ed25519",
        "mailstrom, two workers",
    ]
    assert rows.receiver.taken() == 30 * 4
    assert len(list(tmp_path.glob("queue*.db"))) == 3


def test_postfix_is_measured_to_its_last_delivery(rows: Rows) -> None:
    skip_unless_it_can_run()

    with running_postfix(f"smtp:[127.0.0.1]:{rows.receiver.port}") as postfix:
        a_round(rows.postfix(postfix.port, postfix.pid))

        assert (rows.receiver.taken(), postfix.taken()) == (30, 30)


def test_over_the_long_way_a_reply_takes_the_round_trip(rows: Rows) -> None:
    with (
        delayed(rows.receiver.port, 0.1) as port,
        closing(socket.create_connection(("127.0.0.1", port))) as connection,
    ):
        greeting = connection.recv(1000)
        began_at = time.monotonic()
        connection.sendall(b"NOOP\r\nNOOP\r\n")
        reply = connection.recv(1000)

        assert time.monotonic() - began_at >= 0.1
        assert (greeting[:4], reply[:4]) == (b"220 ", b"250 ")
