"""What `mailstrom queue` shows of the values that a storage hands out."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

from mailstrom import Attempt, Deferred, Delivered, EnhancedCode, MessageStatus, Phase, Queued, Reply
from mailstrom.cli.message_pages import list_page, message_json, message_page, state_of
from mailstrom.cli.page import plain_text
from mailstrom.cli.queue_pages import overview_json, overview_page, trouble_page
from mailstrom.records import Backlog, InternalMessageStatus, InternalRecipientStatus, Order, Overview, Trying
from mailstrom.storage.sql.looking import Details

NOW = datetime(2026, 3, 1, 12, 0, 5, tzinfo=UTC)
HOUR = timedelta(hours=1)
BUSY = Backlog(
    destination="dest.example",
    state="deferred",
    recipients=1204,
    oldest_submitted_at=NOW - 30 * HOUR,
    next_due_at=NOW + HOUR / 4,
    last_reason="450 4.2.0 busy\x1b[2J\nAll well",
)
HELD = Backlog(
    destination="relay:smtp.provider.example",
    state="held",
    recipients=2,
    oldest_submitted_at=NOW - 72 * HOUR,
    next_due_at=NOW + HOUR,
    last_reason=None,
)
OVERVIEW = Overview(
    backlog=(HELD, BUSY),
    oldest_due_at=NOW - timedelta(seconds=3),
    last_delivered_at=NOW - timedelta(seconds=14),
)
DETAILS = Details(sender="me@sender.example", size=1842)
ATTEMPT = Attempt(
    at=NOW - HOUR,
    duration_secs=0.31,
    host="mx1.dest.example",
    ip="198.51.100.7",
    port=25,
    phase=Phase.RCPT,
    reply=Reply(code=450, enhanced=EnhancedCode(4, 2, 0), text="busy"),
    state="deferred",
)


def a_recipient(address: str = "you@dest.example", **more: object) -> InternalRecipientStatus:
    given = {"result": Deferred(tries=1, reason="busy", next_attempt_at=NOW + HOUR), "due_at": NOW + HOUR}
    return InternalRecipientStatus(
        recipient=address, address=address, route_key="dest.example", **{**given, **more}
    )


def a_status(*recipients: InternalRecipientStatus) -> InternalMessageStatus:
    return InternalMessageStatus(
        message_id="1@sender.example",
        recipients=recipients,
        submitted_at=NOW - 3 * HOUR,
        expires_at=NOW + 24 * HOUR,
        metadata={"order": "4711"},
    )


def test_the_fullest_destination_comes_first_and_what_peers_said_moves_no_cursor() -> None:
    assert plain_text(overview_page(OVERVIEW, NOW, "sqlite:/mail.db", 50)) == (
        "The queue in sqlite:/mail.db, 2026-03-01 12:00:05 UTC\n"
        "1,206 recipients: 1,204 deferred, 2 held.\n"
        "Oldest due: 3 s ago.\n"
        "Last delivery: 14 s ago.\n"
        "\n"
        "destination                  state     recipients  oldest   next try  last error\n"
        "dest.example                 deferred       1,204    30 h  in 15 min  450 4.2.0 busy?[2J All well\n"
        "relay:smtp.provider.example  held               2     3 d          -\n"
    )


def test_what_is_left_out_is_counted() -> None:
    shown = plain_text(overview_page(OVERVIEW, NOW, "sqlite:/mail.db", 1))

    assert shown.endswith("\n\nNot shown: 1 line with 2 recipients (see --limit).\n")
    assert "provider" not in shown


def test_an_empty_queue_says_so() -> None:
    empty = Overview(backlog=(), oldest_due_at=None, last_delivered_at=None)

    assert plain_text(overview_page(empty, NOW, "sqlite:/mail.db", 50)).splitlines()[1:] == [
        "It is empty.",
        "Oldest due: nothing is due.",
        "Last delivery: none is known.",
    ]


def test_the_keys_of_the_overview_do_not_change() -> None:
    assert json.loads(json.dumps(overview_json(OVERVIEW, NOW))) == {
        "at": "2026-03-01T12:00:05+00:00",
        "recipients": 1206,
        "states": {"claimed": 0, "queued": 0, "deferred": 1204, "held": 2},
        "oldest_due_at": "2026-03-01T12:00:02+00:00",
        "last_delivered_at": "2026-03-01T11:59:51+00:00",
        "backlog": [
            {
                "destination": "relay:smtp.provider.example",
                "state": "held",
                "recipients": 2,
                "oldest_submitted_at": "2026-02-26T12:00:05+00:00",
                "next_due_at": "2026-03-01T13:00:05+00:00",
                "last_reason": None,
            },
            {
                "destination": "dest.example",
                "state": "deferred",
                "recipients": 1204,
                "oldest_submitted_at": "2026-02-28T06:00:05+00:00",
                "next_due_at": "2026-03-01T12:15:05+00:00",
                "last_reason": "450 4.2.0 busy\x1b[2J\nAll well",
            },
        ],
    }


def test_a_message_is_shown_with_every_attempt() -> None:
    status = a_status(a_recipient(attempts=(ATTEMPT,)), a_recipient("b@dest.example", result=Delivered()))

    assert plain_text(message_page(status, DETAILS, NOW)) == (
        "1@sender.example\n"
        "  state      deferred\n"
        "  sender     me@sender.example\n"
        "  size       1,842 octets\n"
        "  submitted  2026-03-01 09:00:05 UTC (3 h ago)\n"
        "  expires    2026-03-02 12:00:05 UTC\n"
        "  metadata   order=4711\n"
        "\n"
        "you@dest.example\n"
        "  deferred after 1 try: busy; next try at 2026-03-01 13:00:05 UTC\n"
        "  destination dest.example, due in 60 min\n"
        "  2026-03-01 11:00:05 UTC mx1.dest.example [198.51.100.7], 0.3 s, in clear\n"
        "      deferred at rcpt: 450 4.2.0 busy\n"
        "\n"
        "b@dest.example\n"
        "  delivered\n"
    )


def test_a_recipient_that_crashed_in_the_dot_is_shown_as_such() -> None:
    shown = plain_text(message_page(a_status(a_recipient(crashes=5, dot_sent=True)), DETAILS, NOW))

    assert "  passes in a row that came to no end: 5\n" in shown
    assert "  the final dot may have been sent, and nobody heard the reply yet\n" in shown


def test_a_list_has_one_row_for_each_message() -> None:
    status = a_status(a_recipient("a@dest.example", result=Delivered()), a_recipient())

    assert plain_text(list_page([status], {status.message_id: DETAILS}, NOW, is_all=False)) == (
        "message id        age  state     open  sender             first open recipient, and why it waits\n"
        "1@sender.example  3 h  deferred     1  me@sender.example  you@dest.example: busy\n"
        "\n"
        "There are more of them (see --limit).\n"
    )


def test_whoever_is_being_tried_is_shown_as_such_with_what_was_ordered_meanwhile() -> None:
    claimed = a_recipient(result=Queued(next_attempt_at=NOW - HOUR), due_at=NOW - HOUR, crashes=1)
    details = Details(
        trying={claimed.address: Trying(lease_secs=41.6, mark=Order.CANCEL)}, sender="", size=None
    )
    status = a_status(claimed)

    assert plain_text(message_page(status, details, NOW)).partition("order=4711\n\n")[2] == (
        "you@dest.example\n"
        "  queued; first try at 2026-03-01 11:00:05 UTC\n"
        "  destination dest.example\n"
        "  being tried at this moment; cancelled when that ends\n"
        "  its lease ends in 42 s, if the worker does not renew it\n"
    )
    listed = plain_text(list_page([status], {status.message_id: details}, NOW, is_all=True))
    assert listed.splitlines()[1].split()[:5] == ["1@sender.example", "3", "h", "claimed", "1"]


def test_what_crashed_before_the_try_that_is_under_way_is_counted_without_it() -> None:
    details = Details(trying={"you@dest.example": Trying(lease_secs=60.0, mark=None)})

    shown = plain_text(message_page(a_status(a_recipient(crashes=3)), details, NOW))

    assert "  passes in a row that came to no end: 2\n" in shown


def test_what_is_held_is_told_once_with_the_reason_it_had_before() -> None:
    held = Deferred(tries=1, reason="held; before that: 535 5.7.8 authentication failed")

    shown = plain_text(message_page(a_status(a_recipient(result=held)), DETAILS, NOW))

    assert "  held after 1 try: 535 5.7.8 authentication failed\n  destination dest.example\n" in shown
    assert shown.count("held") == 1


def test_a_message_as_json_is_a_status_and_what_the_queue_knows_beside() -> None:
    address, mark = "b@dest.example", Order.HOLD
    status = a_status(a_recipient(), a_recipient(address), a_recipient("c@dest.example", due_at=None))
    details = Details(sender="me@sender.example", size=9, trying={address: Trying(lease_secs=1.0, mark=mark)})

    told = json.loads(json.dumps(message_json(status, details)))

    assert MessageStatus.from_dict(told) == status.public()
    assert (told["sender"], told["size"], told["send_at"]) == ("me@sender.example", 9, None)
    keys = ("destination", "due_at", "held", "claimed", "mark")
    assert [tuple(each[key] for key in keys) for each in told["recipients"]] == [
        ("dest.example", "2026-03-01T13:00:05+00:00", False, False, None),
        ("dest.example", None, False, True, "hold"),
        ("dest.example", None, True, False, None),
    ]


def test_what_the_queue_says_when_it_is_gone_stands_in_its_place() -> None:
    assert plain_text(trouble_page("sqlite:/mail.db", NOW, "it is\x1b gone")) == (
        "The queue in sqlite:/mail.db, 2026-03-01 12:00:05 UTC\nIt cannot be reached: it is? gone\n"
    )


def test_a_deferred_recipient_without_a_next_try_is_held() -> None:
    held = a_recipient(result=Deferred(tries=1), due_at=NOW + HOUR)  # due once, to expire

    assert [state_of(a_recipient()), state_of(held)] == ["deferred", "held"]
