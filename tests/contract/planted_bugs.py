"""SQLite and PostgreSQL with a bug each: the contract must say so.

By the topic of the clauses that should see the bug first, and a sentence that says what is wrong.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TypeAlias

from mailstrom.abc import CLAIM_LIMIT
from mailstrom.storage.postgres import PostgresStorage
from mailstrom.storage.sqlite import SqliteStorage
from tests.contract import careless_storages as careless
from tests.contract.planting import Edit, Opening, Unlike, planted

Bugs: TypeAlias = Mapping[str, Mapping[str, Opening]]

_sqlite = partial(planted, SqliteStorage)
_postgres = partial(planted, PostgresStorage)

_HELD = "_settling._held"
_KEYS = "_claiming._picking._keys"
_STREAMS = "_claiming._picking._streams"
_TURNS = "_claiming._picking._turns"
_COMPLETE = "_settling._writing._complete"
_FALLEN = "_claiming._make_ready"
_NEXT = "_waiting._next"
_IS_CLAIMED = "CASE WHEN r.place = 'claimed' AND r.lease_until > :lease_now THEN 1 ELSE 0 END"

SQLITE_BUGS: Bugs = {
    "storing": {
        "of several entries some are stored": careless.StoresOneByOne,
        "an idempotency key is looked for, then inserted": careless.ChecksKeyThenInserts,
    },
    "claims": {
        "a skipped route key is claimed": _sqlite(
            Edit(_KEYS, "keys.route_key NOT IN (SELECT value FROM json_each(:skip))", "1 = 1")
        ),
        "a claim goes by due time alone": _sqlite(
            Edit(
                _KEYS,
                "SELECT route_key FROM due_keys",
                "SELECT route_key FROM due_keys ORDER BY (SELECT min(d.due_at) FROM mailstrom_recipients AS d"
                " WHERE d.place = 'ready' AND d.route_key = due_keys.route_key)",
            )
        ),
        "the first key of the alphabet is served until it is empty": _sqlite(Edit(_KEYS, ":after", "''")),
        "within a key what was stored first comes first": _sqlite(
            Edit(_TURNS, "ORDER BY a.number, h.due_at, h.seq", "ORDER BY a.number, h.seq")
        ),
        "a claim takes what fell due apart": _sqlite(
            Edit(_TURNS, "SELECT a.number, h.due_at,", "SELECT a.number, 0,"),
        ),
        "no crash is counted ahead": _sqlite(
            Edit("_claiming._write_ahead", "crashes = crashes + 1", "crashes = crashes")
        ),
        "what crashed is tried again at once": _sqlite(
            Edit("_claiming._write_ahead", "coalesce(given.due_at,", "coalesce(NULL,")
        ),
        "all recipients of a claim wait for the same crash": _sqlite(
            Edit(
                "_claiming._write_ahead",
                "coalesce(given.due_at,",
                "coalesce((SELECT max(json_extract(value, '$[3]')) FROM json_each(:rows)),",
            )
        ),
        "a token comes again": _sqlite(
            Edit(
                "_claiming._new_tokens",
                "UPDATE mailstrom_counters SET value = value + :count WHERE name = 'token' RETURNING value",
                "SELECT coalesce(max(token), 0) + :count FROM mailstrom_recipients"
                " WHERE lease_until IS NOT NULL",
            )
        ),
        "a lease never ends": _sqlite(Edit(_FALLEN, "r.lease_until <= :lease_now", "r.lease_until < 0")),
        "two that complete at once count as one": _sqlite(
            Edit(_COMPLETE, "remaining - :remaining", "remaining - 1")
        ),
    },
    "steps": {
        "each step begins at the first key": careless.BeginsEachStepAnew,
        "what fell due becomes ready once in a step": _sqlite(Edit(_FALLEN, "RETURNING 1", "")),
        "what was claimed is ready": _sqlite(
            Edit("_claiming._write_ahead", "SET place = 'claimed'", "SET place = 'ready'")
        ),
        "a turn begins where the turn before began": _sqlite(
            Edit(_TURNS, "(r.due_at, r.seq, r.position) > (", "(r.due_at, r.seq, r.position) >= ("),
        ),
        "a message to many has one turn in a step": _sqlite(
            Edit(_TURNS, "ORDER BY r.priority", f"AND r.position < {CLAIM_LIMIT} ORDER BY r.priority")
        ),
    },
    "streams": {
        "what was stored first comes first, whatever its stream": _sqlite(
            Edit(_TURNS, "(r.priority, r.stream) = (a.level, a.stream)", "1 = 1"),
            Edit(_TURNS, "ORDER BY r.priority, r.stream,", "ORDER BY"),
        ),
        "each step begins at the first stream": careless.BeginsEachStepAtTheFirstStream,
        "a stream that waits after a crash takes the turns of others": _sqlite(
            Edit(_STREAMS, "(d.due_at) <= (:now)", "1 = 1")
        ),
        "only ASCII is a name": _sqlite(
            Edit(_TURNS, "= (a.level, a.stream)", "= (a.level, trim(a.stream, 'ß'))")
        ),
    },
    "leases": {
        "the end of a lease takes the token": _sqlite(
            Edit(_FALLEN, "SET place = 'ready'", "SET place = 'ready', token = NULL, lease_until = NULL")
        ),
        "a late result is refused though nobody took over": _sqlite(
            Edit(_HELD, "r.lease_until IS NOT NULL", "r.lease_until > :lease_now")
        ),
        "a late renewal is refused though nobody took over": _sqlite(
            Edit("_leasing._renew", "r.lease_until IS NOT NULL", "r.lease_until > :lease_now")
        ),
        "a claim of which a part was claimed anew keeps the rest": _sqlite(
            Edit("_claiming._lose", "r.lease_until IS NOT NULL", "1 = 0")
        ),
        "no token stands in WHERE": careless.SettlesForAnybody,
        "a claim that was settled is settled again": _sqlite(
            Edit(_HELD, "r.lease_until IS NOT NULL", "1 = 1")
        ),
        "a given back claim counts a crash": careless.GiveBackCountsACrash,
        "the dot is marked for some where another is settled": careless.MarksEachAlone,
        "who was tried until its lease ended still is": _sqlite(
            Edit("_looking._trying", "AND r.lease_until > :lease_now", "")
        ),
        "the mark of the dot outlives the result": _sqlite(
            Edit("_settling._writing._update", "dot_sent = :dot_sent", "dot_sent = dot_sent")
        ),
    },
    "contents": {
        "a claim that was settled reads on": _sqlite(
            Edit("_contents._of_claim", "AND r.lease_until IS NOT NULL", "")
        ),
        "a claim reads what another of its owner is for": _sqlite(
            Edit("_contents._of_claim", "r.token = :token AND", "")
        ),
        "a read begins at the next block": _sqlite(
            Edit("_contents._of_claim", "b.start <= :start", "b.start >= :start"),
            Edit("_contents._of_claim", "ORDER BY b.start DESC", "ORDER BY b.start"),
        ),
        "who asks for all of it has the blocks in disorder": _sqlite(
            Edit("_claiming._contents._all", "ORDER BY b.start", "ORDER BY b.start DESC")
        ),
    },
    "dots": {
        "a mark that is refused is made": careless.MarksWhatItRefuses,
        "marks of one call are for all claims of the owner": careless.MarksForAllClaims,
    },
    "results": {
        "a settlement is taken in part": careless.SettlesWhatItHolds,
        "the first that completes completes the message": _sqlite(
            Edit(_COMPLETE, "WHEN mailstrom_messages.remaining <= :remaining", "WHEN 1 = 1")
        ),
        "what is held is never ended": _sqlite(Edit(_FALLEN, "r.place = 'held'", "r.place = ''")),
    },
    "due": {
        "nobody wakes when a lease ends": _sqlite(Edit(_NEXT, "WHERE place = 'claimed'", "WHERE place = ''")),
        "who waits is woken for skipped route keys": _sqlite(
            Edit(_NEXT, "AND route_key NOT IN (SELECT value FROM json_each(:skip))", "")
        ),
        "what was never tried is pulled in": _sqlite(
            Edit("_controlling._deferred_beyond", "(r.state = 'deferred' OR r.crashes > 0) AND", "")
        ),
        "what waits after a crash is not pulled in": _sqlite(
            Edit("_controlling._deferred_beyond", "OR r.crashes > 0", "")
        ),
    },
    "cancel": {
        "cancel ends a delivery under way": _sqlite(
            Edit("_controlling._select", _IS_CLAIMED, "0"), Edit("_controlling._applies", _IS_CLAIMED, "0")
        ),
        "a final dot is sent though a cancel waits": _sqlite(
            Edit("_leasing._mark_alone", "AND mark IS NULL", "")
        ),
        "an order is forgotten when the claim is settled": _sqlite(Edit(_HELD, "r.mark,", "NULL,")),
        "an order is forgotten when the lease ends": _sqlite(
            Edit("_claiming._picked", "r.mark,", "NULL,")
        ),
    },
    "order_parts": {
        "each part of an order begins at the beginning": _sqlite(
            Edit("_controlling._behind", "(r.seq, r.position) > (:after_seq, :after_position)", "1 = 1")
        ),
        "an order goes on with the next message": _sqlite(
            Edit(
                "_controlling._behind",
                "(r.seq, r.position) > (:after_seq, :after_position)",
                "r.seq > :after_seq",
            )
        ),
    },
    "events": {
        "events show the latest change alone": _sqlite(
            Edit(
                "_events._told",
                "WHERE e.id > :after",
                "WHERE e.id IN (SELECT max(id) FROM mailstrom_events GROUP BY seq, address)"
                " AND e.id > :after",
            )
        ),
        "an event is told once": careless.TellsOnce,
    },
    "notes": {
        "a note is replaced without a look at its version": _sqlite(
            Edit("_notes._next", "AND n.version = :before", "")
        ),
        "a note that stands is put as a new one": _sqlite(
            Edit("_notes._first", "WHERE n.expires_at <= :now", "WHERE 1 = 1")
        ),
        "the version of a note comes again": careless.CountsEachNoteAnew,
    },
    "keeping": {
        "a body goes before its message is completed": _sqlite(
            Edit("_purging._with_body", "m.completed_at <= :until", "m.submitted_at <= :until"),
            Edit("_purging._strip", "m.completed_at IS NOT NULL", "1 = 1"),
            Edit("_purging._strip", "AND completed_at IS NOT NULL", ""),
        ),
        "a status goes with the body": _sqlite(
            Edit("_purging._over", "m.completed_at <= :until", "m.completed_at IS NOT NULL")
        ),
        "who is forgotten stays in events": _sqlite(
            Edit("_purging._erase", "AND address = :address", "AND 1 = 0")
        ),
        "who is forgotten stays in attempts": _sqlite(
            Edit(
                "_purging._erase",
                "DELETE FROM mailstrom_recipients",
                "UPDATE mailstrom_recipients SET recipient = '-', address = '-', mailbox = '-'",
            )
        ),
        "who is written in capitals is not forgotten": _sqlite(
            Edit("_purging._of_address", "r.mailbox = :mailbox", "r.address = :mailbox")
        ),
        "who waits for mail is forgotten": _sqlite(
            Edit("_purging._of_address", "AND r.place = 'completed'", "")
        ),
    },
    "crashes": {
        "a body goes with one of those that it is for": _sqlite(
            Edit("_purging._strip", "m.completed_at IS NOT NULL", "1 = 1")
        ),
        "an id is told before the commit": careless.StoresBeforeTheCommit,
        "a claim is not written ahead": careless.ClaimsBeforeTheCommit,
        "the mark of the dot is in memory when the dot goes out": careless.MarksDotBeforeTheCommit,
        "a settlement is told before its commit": careless.SettlesBeforeTheCommit,
    },
    "outbox": {
        "what is rolled back is stored": careless.StoresBesideTheTransaction,
        "what was stored before a refusal stays in the transaction": careless.StoresWithoutASavepoint,
    },
}

# What one transaction at a time cannot get wrong.
POSTGRES_BUGS: Bugs = {
    "several": {
        "two claim without a lock": _postgres(Unlike("_claiming", skip_locked="")),
        "a settlement looks whether it holds the claim without a lock": _postgres(
            Unlike("_settling", for_update="")
        ),
        "a message is completed where no recipient is seen to be left": _postgres(
            Edit(
                _COMPLETE,
                "WHEN mailstrom.messages.remaining <= given.remaining",
                "WHEN NOT EXISTS (SELECT 1 FROM mailstrom.recipients AS r"
                " WHERE r.seq = mailstrom.messages.seq AND r.place <> 'completed')",
            )
        ),
        "two number events at once": _postgres(Unlike("_events", for_update="")),
    },
    "outbox": {
        "an event has its number before it is committed": _postgres(Unlike("_events", commits_in_order=True)),
        "an open transaction holds up the events behind it": _postgres(
            Edit(
                "_events._number",
                "WHERE number IS NULL",
                "WHERE number IS NULL AND"
                " CAST(CAST(xmin AS TEXT) AS BIGINT) < txid_snapshot_xmin(txid_current_snapshot())",
            )
        ),
        "an open transaction holds up others that store": careless.StoresOneAfterTheOther,
    },
}
