"""A short look at every door with inputs that hypothesis draws; `python -m tests.fuzz` looks for long.

MAILSTROM_FUZZ says how many inputs each door gets.
"""

from __future__ import annotations

import os

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from mailstrom import Email
from tests.emails import emails
from tests.fuzz.checks import check_email
from tests.fuzz.doors import Door, doors
from tests.fuzz.drawn import inputs
from tests.fuzz.faults import Fault, fault_of, smallest

INPUTS = int(os.environ.get("MAILSTROM_FUZZ", "60"))
# what fails is made small by `smallest`
LOOKING = settings(
    max_examples=INPUTS,
    database=None,
    deadline=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)


@pytest.mark.parametrize("door", doors(), ids=lambda door: door.name)
@LOOKING
@given(drawn=st.data())
def test_whatever_comes_in_is_refused_or_comes_out_the_same(door: Door, drawn: st.DataObject) -> None:
    found = fault_of(door, drawn.draw(inputs(door)))

    if isinstance(found, Fault):
        pytest.fail(str(smallest(door, found)), pytrace=False)


@LOOKING
@given(email=emails())
def test_every_email_that_can_be_made_comes_out_the_same(email: Email) -> None:
    check_email(email)


@pytest.mark.parametrize("door", doors(), ids=lambda door: door.name)
def test_the_inputs_that_others_are_made_from_lead_somewhere(door: Door) -> None:
    found = [fault_of(door, example) for example in door.examples]

    assert [str(fault) for fault in found if isinstance(fault, Fault)] == []
    assert any(found) or door.name in ("path", "DkimSigner.private_key")
