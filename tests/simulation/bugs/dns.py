"""Slips in the DNS: what is kept of its answers, for how long, and what of that is believed."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from mailstrom.net.dns import DnsResolver
from mailstrom.net.dns_cache import TtlCache
from mailstrom.route.mx import DnsOutcome

from . import replaces


@replaces(TtlCache, "put")
def answers_of_the_dns_are_kept_for_ever(right: Any, self: Any, key: Any, value: Any, secs: float) -> None:
    right(self, key, value, 1e9)


@replaces(DnsResolver, "_confirmed")
async def a_domain_that_was_missing_once_is_missing_for_ever(right: Any, self: Any, key: Any) -> Any:
    answer = await right(self, key)
    missing = self.__dict__.setdefault("missing", {})
    if answer.outcome is DnsOutcome.NXDOMAIN:
        missing[key] = answer
    return missing.get(key, answer)


@replaces(DnsResolver, "_confirmed")
async def a_dns_that_fails_denies_the_domain(right: Any, self: Any, key: Any) -> Any:
    answer = await right(self, key)
    return replace(answer, outcome=DnsOutcome.NXDOMAIN) if answer.outcome is DnsOutcome.FAILED else answer


@replaces(DnsResolver, "_in_time")
async def a_failed_look_up_is_kept(right: Any, self: Any, key: Any) -> Any:
    failed = self.__dict__.setdefault("failed", {})
    if key not in failed:
        answer = await right(self, key)
        if answer.outcome is not DnsOutcome.FAILED:
            return answer
        failed[key] = answer, self._clock.monotonic() + 60.0
    answer, until = failed[key]
    return answer if self._clock.monotonic() < until else await right(self, key)
