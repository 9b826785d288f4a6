"""Which route keys have something ready, found one after the other without reading what they have."""

from __future__ import annotations

from .dialect import Dialect


def due_keys(dialect: Dialect) -> str:
    """A WITH whose `due_keys` are those with something due by :now and not in :skip, as their turn comes.

    First those behind :after in the order of the alphabet, then the others, each once. Who reads only
    the first causes no more looks than it takes to find that.
    """
    # not EXISTS: of that a planner makes a join, and reads all that is ready where it thinks that is little;
    # and in order: where most of the table is ready, it would look for one without an index, in vain for NULL
    return f"""
        {ready_keys(dialect)}, due_keys AS (
            SELECT keys.route_key FROM keys
            WHERE (keys.lap = 1 OR keys.route_key <= :after)
                AND keys.route_key NOT IN ({dialect.each_text.format(":skip")})
                AND (SELECT 1 FROM {dialect.prefix}recipients AS d WHERE d.place = 'ready'
                    AND d.route_key = keys.route_key AND d.due_at <= :now
                    ORDER BY d.due_at LIMIT 1) IS NOT NULL)"""


def ready_keys(dialect: Dialect) -> str:
    """A WITH whose `keys` are all that have something ready, and NULL where the alphabet ends."""
    following = (
        f"(SELECT route_key FROM {dialect.prefix}recipients WHERE place = 'ready' AND route_key > {{}}"
        " ORDER BY route_key LIMIT 1)"
    )
    return f"""
        WITH RECURSIVE keys (lap, route_key) AS (
            SELECT 1, {following.format(":after")}
            UNION ALL
            SELECT CASE WHEN k.route_key IS NULL THEN 2 ELSE k.lap END,
                {following.format("coalesce(k.route_key, '')")}
            FROM keys AS k WHERE k.lap = 1 OR k.route_key <= :after)"""
