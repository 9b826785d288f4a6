"""A process dies at any point of a delivery: nothing is lost, and only the final dot may double mail.

Row 50. Each death is `os._exit`, in a process of its own; another one works the queue off. Judged
is what the host took, and what the queue tells of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from mailstrom import Mailstrom
from mailstrom.abc import Event
from mailstrom.storage.postgres import PostgresStorage
from mailstrom.testing.smtp_server import DEFAULT_EXTENSIONS, Action, LoopbackServer, SmtpServer
from tests.crashes.conftest import live
from tests.crashes.points import DELIVERY, NOT_SENT, ONCE, PURGE, TWICE_FLAGGED, Fate, Point, Side, point
from tests.crashes.program import MESSAGE_ID, Life, OutboxLife, Place, config, send
from tests.postgres import query
from tests.torture.oracle import judge
from tests.torture.sqlite_kills import all_events

IN_ONE_WRITE = [each for each in DELIVERY if each.call in ("mark_dots_sent", "dot", "reply", "settle")]
WHILE_SENDING = [each for each in DELIVERY if each.call == "store"]
WORK_OFF_SECS = 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """A queue, the host that all its mail goes to, and a folder."""

    place: Place
    server: SmtpServer
    port: int
    folder: Path

    def dies(self, at: Point, *, sends: bool = True) -> None:
        """A process lives until that point; its claims are free from then on."""
        life = Life(place=self.place, port=self.port, point=at, folder=self.folder, sends=sends)
        live(life.live, self.folder)
        self._end_leases()

    def work_off(self, *, retention: timedelta = timedelta(0), sends: bool = False) -> None:
        """Another process delivers what is left."""
        with Mailstrom(config(self.port), self.place.storage(retention=retention)) as m:
            m.start(role="always")
            if sends:
                assert send(m) == MESSAGE_ID
            assert m.drain(WORK_OFF_SECS)

    def fate(self) -> Fate:
        """What became of the mail, once all promises are seen to be kept."""
        events = self.events()
        verdict = judge(self._promised(), self.server.ledger.messages, events)
        assert verdict.holds, str(verdict)
        assert self.server.ledger.violations == ()
        return Fate(
            copies=verdict.arrived,
            flagged=any(event.result is not None and event.result.uncertain for event in events),
        )

    def events(self) -> list[Event]:
        """Everything the queue tells."""
        with closing(self.place.storage()) as storage:
            return list(all_events(storage))

    def _promised(self) -> list[str]:
        return [MESSAGE_ID] if (self.folder / "promised").exists() else []

    def _end_leases(self) -> None:
        """On PostgreSQL the lease clock goes on; on SQLite the kernel tells that the owner is dead."""
        if issubclass(self.place.storage_class, PostgresStorage):
            ends = "UPDATE mailstrom.recipients SET lease_until = 0 WHERE place = 'claimed'"
            query(self.place.path_or_dsn, ends)


@pytest.fixture
def scene(place: Place, tmp_path: Path) -> Iterator[Scene]:
    with LoopbackServer(SmtpServer()) as running:
        yield Scene(place=place, server=running.server, port=running.port, folder=tmp_path)


@pytest.mark.parametrize("at", DELIVERY, ids=str)
def test_mail_whose_process_dies_is_delivered_by_the_next(place: Place, tmp_path: Path, at: Point) -> None:
    hesitates = at.call in ("renew", "give_back_many")
    server = SmtpServer(on_rcpt=[Action.HANG] if hesitates else [])
    with LoopbackServer(server) as running:
        scene = Scene(place=place, server=server, port=running.port, folder=tmp_path)

        scene.dies(at)
        scene.work_off()

        assert scene.fate() == at.fate


@pytest.mark.parametrize("at", IN_ONE_WRITE, ids=str)
def test_mail_that_goes_out_in_one_write_fares_no_worse(place: Place, tmp_path: Path, at: Point) -> None:
    """RFC 3030: what holds of the final dot holds of the last chunk, and of all that is written with it."""
    server = SmtpServer(extensions=DEFAULT_EXTENSIONS | {"CHUNKING"})
    with LoopbackServer(server) as running:
        scene = Scene(place=place, server=server, port=running.port, folder=tmp_path)

        scene.dies(at)
        scene.work_off()

        assert scene.fate() == at.fate
    assert not [each for session in server.ledger.sessions for each in session.commands if each == "DATA"]


@pytest.mark.parametrize("at", WHILE_SENDING, ids=str)
def test_a_caller_that_died_in_send_email_and_repeats_it_with_its_key_sends_once(
    scene: Scene, at: Point
) -> None:
    """Row 60."""
    scene.dies(at)

    scene.work_off(sends=True)

    assert scene.fate() == Fate(copies=1)


@pytest.mark.parametrize(("side", "fate"), [(Side.BEFORE, NOT_SENT), (Side.AFTER, ONCE)], ids=str)
def test_mail_in_an_outbox_is_sent_if_its_transaction_was_committed(
    scene: Scene, side: Side, fate: Fate
) -> None:
    outbox = OutboxLife(place=scene.place, port=scene.port, side=side, folder=scene.folder)
    live(outbox.live, scene.folder)

    scene.work_off()

    assert scene.fate() == fate


@pytest.mark.parametrize(
    ("first", "second", "fate"),
    [
        (point("claim_many", Side.AFTER), point("claim_many", Side.AFTER), Fate(copies=1)),
        (point("dot", Side.AFTER), point("claim_many", Side.AFTER), TWICE_FLAGGED),
        (point("dot", Side.AFTER), point("settle", Side.BEFORE), TWICE_FLAGGED),
        (point("dot", Side.AFTER), point("settle", Side.COMMIT), TWICE_FLAGGED),
        (point("dot", Side.AFTER), point("settle", Side.AFTER), TWICE_FLAGGED),
        (point("dot", Side.AFTER), point("dot", Side.AFTER), Fate(copies=3, flagged=True)),
    ],
    ids=str,
)
def test_one_that_dies_while_it_makes_good_for_another_loses_nothing_either(
    scene: Scene, first: Point, second: Point, fate: Fate
) -> None:
    """The first that is settled of mail whose dot was sent is that it is uncertain."""
    scene.dies(first)
    scene.dies(second, sends=False)

    scene.work_off()

    assert scene.fate() == fate


@pytest.mark.parametrize("at", PURGE, ids=str)
def test_what_was_delivered_stays_so_when_a_purge_is_cut_off(scene: Scene, at: Point) -> None:
    scene.work_off(retention=timedelta(hours=1), sends=True)
    scene.dies(at, sends=False)

    scene.work_off()

    assert scene.fate() == at.fate
    with closing(scene.place.storage()) as storage:
        now = datetime.now(UTC)
        assert (storage.purge(now), storage.purge(now)) == (int(at.side is not Side.AFTER), 0)
