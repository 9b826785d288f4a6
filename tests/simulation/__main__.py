"""Tells stories by chance and checks each: `python -m tests.simulation --help`."""

from __future__ import annotations

import argparse
import multiprocessing
import sys
import time
from collections.abc import Iterable, Iterator

from .plan import DAY
from .planning import plan_for
from .shrink import shrink
from .story import run
from .telling import Told, be_quiet, digest, tell
from .writing import as_test

TELL_EVERY_SECS = 10.0


def main() -> int:
    """The command."""
    options = _options()
    be_quiet()
    if options.seed is not None:
        return _tell_one(options.seed, smaller=options.shrink, log=options.log)
    if options.digest:
        print(digest(range(options.first, options.first + options.seeds)))
        return 0
    return _tell_many(range(options.first, options.first + options.seeds), options.jobs)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seeds", type=int, default=300, help="how many stories (default: %(default)s)")
    parser.add_argument("--first", type=int, default=0, help="the first seed (default: %(default)s)")
    parser.add_argument("--jobs", type=int, default=1, help="in so many processes (default: %(default)s)")
    parser.add_argument("--seed", type=int, help="tell only this one, and show how it fails")
    parser.add_argument(
        "--shrink",
        action="store_true",
        help="look for a smaller plan that fails as it does, and print it as a test",
    )
    parser.add_argument("--digest", action="store_true", help="print a hash of all that happens in them")
    parser.add_argument("--log", action="store_true", help="print all that happens")
    return parser.parse_args()


def _tell_one(seed: int, *, smaller: bool, log: bool) -> int:
    plan = plan_for(seed)
    if smaller:
        plan = shrink(plan, run)
        print(as_test(plan))
    story = run(plan)
    if log:
        print("\n".join(story.log.lines))
    print(f"seed {seed} ends well after {story.world.timeline.now / DAY:.1f} days")
    return 0


def _tell_many(seeds: range, jobs: int) -> int:
    began = told_at = time.monotonic()
    days, failed = 0.0, 0
    for count, told in enumerate(_all_told(seeds, jobs), 1):
        days += told.days
        if told.failure is not None:
            failed += 1
            print(f"seed {told.seed} fails: {told.failure.partition(chr(10))[0]}")
            print(f"    python -m tests.simulation --seed {told.seed} --shrink", flush=True)
        if time.monotonic() - told_at > TELL_EVERY_SECS:
            told_at = time.monotonic()
            print(_rate(count, len(seeds), days, told_at - began), file=sys.stderr, flush=True)
    print(_rate(len(seeds), len(seeds), days, time.monotonic() - began) + f", {failed} failed")
    return 1 if failed else 0


def _all_told(seeds: Iterable[int], jobs: int) -> Iterator[Told]:
    if jobs == 1:
        yield from map(tell, seeds)
        return
    with multiprocessing.get_context("spawn").Pool(jobs, initializer=be_quiet) as pool:
        yield from pool.imap_unordered(tell, seeds, chunksize=4)


def _rate(count: int, of: int, days: float, secs: float) -> str:
    return f"{count} of {of} stories, {days:.0f} days in {secs:.0f} s: {60 * days / secs:.0f} days a minute"


if __name__ == "__main__":
    sys.exit(main())
