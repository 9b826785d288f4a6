"""A server that takes only so many recipients in one transaction."""

from __future__ import annotations

import pytest

from mailstrom.testing.smtp_server import DEFAULT_EXTENSIONS, Action, SmtpServer
from tests.builders import a_config, with_mx
from tests.lone_engine import LoneEngine, simulate
from tests.scenarios.stages import a_message, outcome, visits

TEN = [f"r{number}@dest.example" for number in range(10)]
EITHER_WAY = pytest.mark.parametrize(
    "extensions", [DEFAULT_EXTENSIONS, DEFAULT_EXTENSIONS - {"PIPELINING"}], ids=["pipelined", "one by one"]
)


@EITHER_WAY
def test_the_rest_goes_in_new_transactions_over_the_same_connection(extensions: frozenset[str]) -> None:
    """Row 8: limit 3 of 10. It is not a try of its own, and nobody gets the message twice."""
    server = SmtpServer(recipient_limit=3, extensions=extensions)

    async def story(sim: LoneEngine) -> None:
        with_mx(sim, server)
        status = await sim.deliver(a_message(), recipients=TEN)
        assert {outcome(status, address) for address in TEN} == {("delivered", "2.0.0", False, 1)}
        assert all(visits(status, address) == [("1", "dot", "delivered")] for address in TEN)
        assert sim.loop.time() == 0.0

    simulate(story, config=a_config())

    assert [message.recipients for message in server.ledger.messages] == [
        tuple(TEN[start : start + 3]) for start in (0, 3, 6, 9)
    ]
    assert {message.content for message in server.ledger.messages} == {a_message()}
    assert (len(server.ledger.sessions), server.ledger.violations) == (1, ())


@EITHER_WAY
@pytest.mark.parametrize("reply", ["452 4.5.3 too many", "552 5.5.3 too many", "452 too many"])
def test_452_and_552_mean_the_same_after_an_accepted_recipient(
    reply: str, extensions: frozenset[str]
) -> None:
    """Row 8: RFC 5321 4.5.3.1.10: servers of old say 552."""
    taken: list[str] = []

    def one_at_a_time(address: str, _: int) -> str | None:
        if taken and taken[-1] == "open":
            return reply
        taken.append("open")
        return None

    server = SmtpServer(
        extensions=extensions, on_rcpt=one_at_a_time, on_content=lambda *_: taken.append("sent")
    )

    async def story(sim: LoneEngine) -> None:
        with_mx(sim, server)
        status = await sim.deliver(a_message(), recipients=TEN[:3])
        assert {outcome(status, address) for address in TEN[:3]} == {("delivered", "2.0.0", False, 1)}

    simulate(story, config=a_config())

    assert [message.recipients for message in server.ledger.messages] == [(address,) for address in TEN[:3]]


@pytest.mark.parametrize(
    ("reply", "expected"),
    [("452 4.2.2 mailbox full", "deferred"), ("552 5.2.2 mailbox full", "failed")],
)
def test_for_the_first_recipient_it_is_no_matter_of_number(reply: str, expected: str) -> None:
    """Row 8: only after an accepted recipient can there be too many."""
    server = SmtpServer(on_rcpt=reply)

    async def story(sim: LoneEngine) -> None:
        with_mx(sim, server)
        status = await sim.first_try(a_message(), recipients=TEN[:2])
        assert {outcome(status, address) for address in TEN[:2]} == {(expected, reply[4:9], False, 1)}

    simulate(story, config=a_config())

    assert not server.ledger.messages


@pytest.mark.parametrize(
    ("then", "expected"),
    [("451 4.3.0 later", ("deferred", "4.3.0", False, 1)), (Action.CLOSE, ("deferred", "4.4.2", True, 1))],
)
def test_when_a_later_part_fails_the_earlier_ones_stay_delivered(
    then: str | Action, expected: tuple[str, str, bool, int]
) -> None:
    """Row 8: delivered in parts."""
    server = SmtpServer(recipient_limit=3, on_content=[None, then])

    async def story(sim: LoneEngine) -> None:
        with_mx(sim, server)
        status = await sim.first_try(a_message(), recipients=TEN)
        assert {outcome(status, address) for address in TEN[:3]} == {("delivered", "2.0.0", False, 1)}
        assert {outcome(status, address) for address in TEN[3:6]} == {expected}
        assert {status[address].result.state for address in TEN[6:]} == {"deferred"}
        assert not any(status[address].result.uncertain for address in TEN[6:])
        assert (await sim.wait(status.message_id)).succeeded

    simulate(story, config=a_config())

    received = [address for message in server.ledger.messages for address in message.recipients]
    assert sorted(received) == TEN


def test_a_host_lost_between_the_parts_leaves_the_rest_to_the_next_mx() -> None:
    """Row 8, row 3."""
    first, second = SmtpServer(recipient_limit=3, on_mail=[None, Action.CLOSE]), SmtpServer()

    async def story(sim: LoneEngine) -> None:
        with_mx(sim, first, second)
        status = await sim.deliver(a_message(), recipients=TEN)
        assert {outcome(status, address) for address in TEN} == {("delivered", "2.0.0", False, 1)}

    simulate(story, config=a_config())

    assert [message.recipients for message in first.ledger.messages] == [tuple(TEN[:3])]
    assert [message.recipients for message in second.ledger.messages] == [tuple(TEN[3:])]


def test_a_refusal_by_a_backup_that_takes_one_at_a_time_is_one_attempt() -> None:
    """Deferred by the best host it stands, though its visit to the backup goes on for the others."""

    def refuses_the_first(address: str, _: int) -> str | None:
        return "550 5.1.1 unknown" if address == TEN[0] else None

    first = SmtpServer(on_rcpt="450 4.2.0 greylisted")
    second = SmtpServer(recipient_limit=1, on_rcpt=refuses_the_first)

    async def story(sim: LoneEngine) -> None:
        with_mx(sim, first, second)
        status = await sim.first_try(a_message(), recipients=TEN[:3])
        assert visits(status, TEN[0]) == [("1", "rcpt", "deferred"), ("2", "rcpt", "failed")]

    simulate(story, config=a_config())
