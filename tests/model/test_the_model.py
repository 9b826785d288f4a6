"""The protocol keeps its promises in every state that can be reached, and needs each of its rules."""

from __future__ import annotations

import pytest

from tests.model.exploring import explore, stuck
from tests.model.invariants import ALWAYS, BEHIND_EACH_STEP, no_dot_behind_the_end
from tests.model.rules import PROTOCOL, Rules
from tests.model.worlds import WORLDS, explored

ALONE = ("one recipient in trouble", "one recipient")


@pytest.mark.parametrize("name", WORLDS)
def test_every_promise_holds_in_every_state(name: str) -> None:
    found = explored(name)

    assert found.broken == []
    assert len(found.states) > 5_000


@pytest.mark.parametrize("name", WORLDS)
def test_from_every_state_each_recipient_can_come_to_its_end_or_be_held(name: str) -> None:
    assert stuck(explored(name)) == []


@pytest.mark.parametrize("rule", Rules._fields)
def test_without_the_rule_a_promise_is_broken(rule: str) -> None:
    broken = PROTOCOL._replace(**{rule: False})

    worlds = ["two recipients"] if rule == "claims_take_whole_claims_over" else ALONE
    assert any(_is_broken(name, broken) for name in worlds)


def test_what_a_worker_sends_that_slept_between_mark_and_dot_is_told_as_uncertain() -> None:
    """Row 52: no look at the clock helps where the process stands still right behind it."""
    sleepy = PROTOCOL._replace(looks_at_the_lease_before_the_dot=False)
    promises = [each for each in ALWAYS if each is not no_dot_behind_the_end]

    found = [explore(WORLDS[name], sleepy, always=promises) for name in ALONE]

    assert [each.broken for each in found] == [[], []]


def test_every_promise_says_what_it_promises() -> None:
    promises = [*ALWAYS, *BEHIND_EACH_STEP]

    assert all(each.__doc__ for each in promises)
    assert len({each.__name__ for each in promises}) == len(promises)


def _is_broken(name: str, rules: Rules) -> bool:
    found = explore(WORLDS[name], rules)
    return bool(found.broken or stuck(found))
