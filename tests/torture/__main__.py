"""Runs the torture: `python -m tests.torture --help`."""

from __future__ import annotations

import argparse

from . import postgres_kills, sqlite_kills


def main() -> None:
    """SQLite first, then PostgreSQL; a line per seed, and an exit code of 1 where one does not hold."""
    parser = argparse.ArgumentParser(prog="python -m tests.torture", description=__doc__)
    parser.add_argument("--short", action="store_true", help="a tenth of it: a minute or two")
    options = parser.parse_args()
    if options.short:
        sqlite_kills.main(seeds=4)
        postgres_kills.main(seeds=1, messages=300, kills=4, freezes=2, each_way=False)
    else:
        sqlite_kills.main()
        postgres_kills.main()


if __name__ == "__main__":
    main()
