"""The tables.

    messages      a row per message                   bodies    its octets, until they are purged
    recipients    a row per message and recipient     blocks    in their place those of a large one
    notes         small facts with an end             events    what was told of them
    counters, schema    about the tables themselves

**Why the time of a claim stays flat.** `recipients.place` says where a recipient is:

    ready        it fell due: the next claim may take it
    later        it waits for due_at
    held         nobody tries it; where it has a due_at, it falls due then, to be ended
    claimed      a claim has it until lease_until
    completed    delivered or failed

and each has a partial index of its own; that of the last leads `forget` to an address. A claim
reads nothing but the first four: what is finished is in none of them, what waits is in one that
is read from its early end only, and what is ready is found by route key, then due time. So a
claim costs as much with a million finished recipients as with none, and with 100,000 due as
with one. On PostgreSQL each change of place leaves a dead entry in the index it came from; to
keep those few, autovacuum looks at `recipients` after every hundredth part has changed, and does
not pause. A transaction that is left open for hours keeps it from cleaning up, here as anywhere.

A lease that ended leaves owner, token and `lease_until` on the row: as long as nobody else
claims it, a late result still counts. So `lease_until` is set from the claim to its end,
whatever the place is.
"""

from __future__ import annotations

from .dialect import Dialect


def first_tables(dialect: Dialect) -> list[str]:
    """Version 1."""
    words = {
        "t": dialect.prefix,
        "word": dialect.word,
        "number": dialect.number,
        "serial": dialect.serial,
        "octets": dialect.octets,
        "busy": dialect.busy,
    }
    tables = [table.format_map(words) for table in _TABLES]
    indexes = _INDEXES if dialect.commits_in_order else (*_INDEXES, *_INDEXES_OF_NUMBERS)
    return [*tables, *dialect.own_tables, *(_index(dialect, *index) for index in indexes)]


def streams(dialect: Dialect) -> list[str]:
    """Version 2: what a version 1 at work stores has normal priority, and one stream."""
    added = (f"stream {dialect.word} NOT NULL DEFAULT ''", "priority INTEGER NOT NULL DEFAULT 2")
    return [
        *(
            f"ALTER TABLE {dialect.prefix}{table} ADD COLUMN {column}"
            for table in ("messages", "recipients")
            for column in added
        ),
        _index(dialect, *_TURNS),
    ]


def tables_of_blocks(dialect: Dialect) -> list[str]:
    """Version 3: where a content lies that is too large for one row."""
    return [
        f"""CREATE TABLE {dialect.prefix}blocks (
        seq {dialect.number} NOT NULL,
        start {dialect.number} NOT NULL, -- of its octets in the content, from 0
        content {dialect.octets} NOT NULL,
        PRIMARY KEY (seq, start)
    )"""
    ]


_TABLES = (
    """CREATE TABLE {t}messages (
        seq {serial},
        message_id {word} NOT NULL UNIQUE,
        sender TEXT NOT NULL, -- the reverse-path in lower case
        envelope TEXT NOT NULL,
        submitted_at {number} NOT NULL,
        send_at {number},
        expires_at {number},
        completed_at {number},
        metadata TEXT NOT NULL,
        idempotency_key {word} UNIQUE,
        fingerprint TEXT NOT NULL,
        remaining INTEGER NOT NULL, -- recipients that are not completed
        has_body INTEGER NOT NULL DEFAULT 1,
        reported INTEGER NOT NULL DEFAULT 0 -- as completed, by retrieve_all_recent
    )""",
    "CREATE TABLE {t}bodies (seq {number} PRIMARY KEY, content {octets} NOT NULL)",
    """CREATE TABLE {t}recipients (
        seq {number} NOT NULL,
        position INTEGER NOT NULL, -- in the message, from 0
        place {word} NOT NULL,
        route_key {word} NOT NULL,
        due_at {number},
        recipient TEXT NOT NULL,
        address TEXT NOT NULL,
        mailbox {word} NOT NULL, -- the address in lower case
        state TEXT NOT NULL,
        held INTEGER NOT NULL,
        result TEXT NOT NULL,
        attempts TEXT NOT NULL,
        crashes INTEGER NOT NULL,
        dot_sent INTEGER NOT NULL,
        owner TEXT,
        token {number},
        lease_until {number},
        mark TEXT, -- what an order asks for when the claim ends
        marked_at {number},
        PRIMARY KEY (seq, position)
    ){busy}""",
    """CREATE TABLE {t}events (
        id {serial},
        number {number}, -- where transactions do not commit in order: the cursor; see `events`
        seq {number} NOT NULL,
        at {number} NOT NULL,
        kind TEXT NOT NULL,
        address TEXT,
        result TEXT
    )""",
    """CREATE TABLE {t}notes (
        namespace {word} NOT NULL,
        key {word} NOT NULL,
        value TEXT NOT NULL,
        expires_at {number} NOT NULL,
        version {number} NOT NULL,
        PRIMARY KEY (namespace, key)
    )""",
    "CREATE TABLE {t}counters (name {word} PRIMARY KEY, value {number} NOT NULL)",
)

_INDEXES = (  # table, what for, columns, of which rows (None: all)
    ("messages", "open", "seq", "completed_at IS NULL"),
    ("messages", "unreported", "seq", "reported = 0 AND completed_at IS NOT NULL"),
    ("messages", "completed", "completed_at", "completed_at IS NOT NULL"),
    ("messages", "to_strip", "completed_at", "completed_at IS NOT NULL AND has_body = 1"),
    ("recipients", "ready", "route_key, due_at, seq, position", "place = 'ready'"),
    ("recipients", "later", "due_at, route_key", "place = 'later'"),
    ("recipients", "held", "due_at, route_key", "place = 'held'"),
    ("recipients", "claimed", "lease_until, route_key", "place = 'claimed'"),
    ("recipients", "token", "token", "lease_until IS NOT NULL"),
    ("recipients", "finished", "mailbox", "place = 'completed'"),
    ("events", "seq", "seq", None),
    ("events", "delivered", "id", "kind = 'delivered'"),
    ("notes", "expires_at", "expires_at", None),
)

# beside `ready`, which finds a route key's due work whatever its stream is
_TURNS = ("recipients", "turns", "route_key, priority, stream, due_at, seq, position", "place = 'ready'")

_INDEXES_OF_NUMBERS = (
    ("events", "number", "number", "number IS NOT NULL"),
    ("events", "untold", "id", "number IS NULL"),
)


def _index(dialect: Dialect, table: str, name: str, columns: str, which: str | None) -> str:
    whole = f"{dialect.prefix}{table}"
    # in a file that is the application's, too, the name must be ours alone
    create = f"CREATE INDEX {whole.replace('.', '_')}_{name} ON {whole} ({columns})"
    return create if which is None else f"{create} WHERE {which}"
