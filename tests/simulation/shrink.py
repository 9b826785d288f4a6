"""Makes the plan of a failing story smaller, as long as it fails in the same way."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import fields, replace
from typing import TypeVar

from .plan import DomainPlan, HostPlan, MailPlan, Plan

T = TypeVar("T")

Failure = str  # what went wrong, without what differs from story to story


def failure_of(plan: Plan, run: Callable[[Plan], object]) -> Failure | None:
    """How the story of a plan fails; None: it does not."""
    try:
        run(plan)
    except Exception as error:
        # what follows a colon names the mail, and numbers tell which
        return re.sub(r"[0-9.]+", "#", f"{type(error).__name__} {error}".partition(":")[0])
    return None


def shrink(plan: Plan, run: Callable[[Plan], object], tries: int = 300) -> Plan:
    """The smallest plan found within so many tries that fails as this one does."""
    failure, left = failure_of(plan, run), tries
    assert failure is not None, "this story ends well"
    while True:
        for smaller in smaller_plans(plan):
            if left == 0:
                return plan
            left -= 1
            if failure_of(smaller, run) == failure:
                plan = smaller
                break
        else:
            return plan


def smaller_plans(plan: Plan) -> Iterator[Plan]:
    """Plans with something left out, most first."""
    for acts in _without_some(plan.acts):
        yield replace(plan, acts=acts)
    for mails in _without_some(plan.mails):
        yield replace(plan, mails=mails)
    yield from _without_the_unused(plan)
    for place, mail in enumerate(plan.mails):
        for simpler in _simpler(mail, MailPlan(number=mail.number, at=mail.at, process=0, to=mail.to[:1])):
            yield replace(plan, mails=_put(plan.mails, place, simpler))
    for place, host in enumerate(plan.hosts):
        for simpler_host in _simpler(host, HostPlan(name=host.name, ip=host.ip)):
            yield replace(plan, hosts=_put(plan.hosts, place, simpler_host))
    for place, domain in enumerate(plan.domains):
        for simpler_domain in _simpler(domain, DomainPlan(name=domain.name, mx=domain.mx[:1])):
            yield replace(plan, domains=_put(plan.domains, place, simpler_domain))


def _without_some(items: Sequence[T]) -> Iterator[tuple[T, ...]]:
    """Without a half, a quarter, an eighth ..., one of them."""
    size = len(items) // 2 or len(items)
    while size:
        for start in range(0, len(items), size):
            yield (*items[:start], *items[start + size :])
        size //= 2


def _without_the_unused(plan: Plan) -> Iterator[Plan]:
    asked = {address.rpartition("@")[2] for mail in plan.mails for address in mail.to}
    domains = tuple(domain for domain in plan.domains if domain.name in asked)
    named = {name for domain in domains for name in domain.mx}
    hosts = tuple(host for host in plan.hosts if host.name in named)
    if (domains, hosts) != (plan.domains, plan.hosts):
        yield replace(plan, domains=domains, hosts=hosts)


def _simpler(item: T, plain: T) -> Iterator[T]:
    """One field at a time as it is by default."""
    for field in fields(item):  # type: ignore[arg-type]
        value = getattr(plain, field.name)
        if value != getattr(item, field.name):
            yield replace(item, **{field.name: value})  # type: ignore[type-var]


def _put(items: Sequence[T], place: int, item: T) -> tuple[T, ...]:
    return (*items[:place], item, *items[place + 1 :])
