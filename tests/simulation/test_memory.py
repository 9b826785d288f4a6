"""What a worker has done it does not keep: at rest it holds no more after many mails than after a few."""

from __future__ import annotations

import gc
from collections import Counter
from dataclasses import replace
from functools import _lru_cache_wrapper
from pathlib import Path

from .plan import DomainPlan, HostPlan, MailPlan, Plan
from .planning import plan_for
from .story import Story

ROOMS = ("mailstrom.engine", "mailstrom.smtp", "mailstrom.net", "mailstrom.route", "mailstrom.schedule")
HOSTS = (
    HostPlan(name="mx0.hosts.example", ip="198.51.100.1", trouble=0.4, recipient_limit=1),
    HostPlan(name="mx1.hosts.example", ip="198.51.100.2", greylists=True),
)


class _Resting(Story):
    """Counts what of a worker is there when the queue is at rest, before its process ends."""

    others: list[object]
    held: Counter[str]

    def _end(self) -> None:
        self._until(self.world.timeline.now + 7200.0)
        _forget_what_is_remembered()
        # who is held cannot have its id given to another: what other tests left does not blur the count
        others = set(map(id, self.others))
        self.held = Counter(_name(each) for each in _there() if id(each) not in others)
        super()._end()


def test_a_worker_at_rest_holds_nothing_of_what_it_has_done(tmp_path: Path) -> None:
    few, many = _held_after(3, tmp_path), _held_after(60, tmp_path)

    assert few["mailstrom.engine.worker.Engine"] == 1
    assert not many - few


def _held_after(mails: int, folder: Path) -> Counter[str]:
    story = _Resting(_plan(mails), folder)
    story.others = _there()
    try:
        story.run()
    finally:
        story.world.end()
    return story.held


def _plan(mails: int) -> Plan:
    return replace(
        plan_for(0),
        queue="memory",
        processes=1,
        tries=3,
        hosts=HOSTS,
        domains=(DomainPlan(name="d0.example", mx=tuple(host.name for host in HOSTS)),),
        mails=tuple(map(_mail, range(mails))),
        acts=(),
    )


def _mail(number: int) -> MailPlan:
    to = tuple(f"m{number}r{each}@d0.example" for each in range(3))
    return MailPlan(number=number, at=30.0 * number, process=0, to=to)


def _forget_what_is_remembered() -> None:
    """Of a limited number, such as replies that hosts give again and again, whoever asked."""
    for each in gc.get_objects():
        if isinstance(each, _lru_cache_wrapper) and each.__module__.startswith(ROOMS):
            each.cache_clear()


def _there() -> list[object]:
    """Objects of the worker's classes."""
    gc.collect()
    return [each for each in gc.get_objects() if _name(each).startswith(ROOMS)]


def _name(thing: object) -> str:
    return f"{type(thing).__module__}.{type(thing).__qualname__}"
