"""`Config.envelope_behind_dot`: where much waits for a host that takes it, a message costs one round trip."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import pytest

from mailstrom import RetryPolicy
from mailstrom.testing.dns import FakeResolver
from mailstrom.testing.hooks import Action, Answer
from mailstrom.testing.smtp_server import SmtpServer
from tests.builders import a_config
from tests.lone_engine import LoneEngine, simulate
from tests.scenarios.lane_tools import a_domain, domains, send_to, states

IP = "198.51.100.1"
LATENCY_SECS = 0.05  # each way
MAIL = 200
REFUSED = "503 5.5.0 pipelined after the end of DATA"


def one_lane(**settings: Any) -> Any:
    """All mail goes over two sessions."""
    return a_config(**{"envelope_behind_dot": True, "max_sessions_per_lane": 2, **settings})


def far_domain(sim: LoneEngine, server: SmtpServer) -> None:
    a_domain(sim, "dest.example", IP, server)
    sim.network.listen(IP, 25, server, latency_secs=LATENCY_SECS)


def taken(server: SmtpServer) -> Counter[bytes]:
    """How often each content was taken."""
    return Counter(message.content for message in server.ledger.messages)


def told(server: SmtpServer) -> list[list[str]]:
    """The verbs of each session."""
    return [[command.partition(" ")[0] for command in each.commands] for each in server.ledger.sessions]


def is_perhaps_twice(sim: LoneEngine, message_id: str) -> bool:
    """The reply to a final dot of it was not heard."""
    return any(attempt.uncertain for attempt in sim.status(message_id).recipients[0].attempts)


async def all_sent(sim: LoneEngine, ids: list[str]) -> None:
    for message_id in ids:
        await sim.wait(message_id)


@pytest.mark.parametrize(("behind", "round_trips"), [(True, 1), (False, 2)])
def test_a_queue_goes_out_with_so_many_round_trips_a_message(behind: bool, round_trips: int) -> None:
    server = SmtpServer()

    async def story(sim: LoneEngine) -> None:
        far_domain(sim, server)
        began_at = sim.loop.time()
        ids = send_to(sim, *["dest.example"] * MAIL)
        await all_sent(sim, ids)
        turns = (sim.loop.time() - began_at) / (2 * LATENCY_SECS) / (MAIL / 2)
        assert round_trips <= turns < round_trips + 0.25
        assert states(sim, ids) == {("delivered", 1): MAIL}
        await sim.stop()

    simulate(story, config=one_lane(envelope_behind_dot=behind))
    assert set(taken(server).values()) == {1}
    assert server.ledger.violations == ()
    assert [verbs.count("RSET") for verbs in told(server)] == [int(behind)] * 2


def test_it_is_off_by_default() -> None:
    assert a_config().envelope_behind_dot is False


def test_no_session_carries_more_messages_than_it_may() -> None:
    server = SmtpServer()

    async def story(sim: LoneEngine) -> None:
        far_domain(sim, server)
        await all_sent(sim, send_to(sim, *["dest.example"] * MAIL))
        await sim.stop()

    simulate(story, config=one_lane(max_messages_per_session=7))
    assert {verbs.count("MAIL") for verbs in told(server)} <= set(range(1, 8))
    assert all(verbs[-1] == "QUIT" for verbs in told(server))
    assert len(server.ledger.messages) == MAIL


def test_domains_that_share_their_hosts_share_the_sessions() -> None:
    server = SmtpServer()

    async def story(sim: LoneEngine) -> None:
        for name in domains(5):
            sim.zone.records |= {name: {"MX": [[10, "mx.dest.example"]]}}
        far_domain(sim, server)
        sim.zone.add_address("mx.dest.example", IP)
        ids = send_to(sim, *[*domains(5)] * (MAIL // 5))
        await all_sent(sim, ids)
        assert states(sim, ids) == {("delivered", 1): MAIL}
        await sim.stop()

    simulate(story, config=one_lane())
    assert len(told(server)) == 2
    assert server.ledger.violations == ()


def some(answer: Answer, every: int) -> Any:
    """This answer to every so many-th call, first of all to that number."""
    calls = Counter[str]()

    def answered(_argument: str, _count: int) -> Answer | None:
        calls["all"] += 1
        return answer if calls["all"] % every == 0 else None

    return answered


@pytest.mark.parametrize(
    "hooks",
    [
        {"on_rcpt": some("450 4.2.0 later", 7)},
        {"on_mail": some("451 4.3.0 later", 7)},
        {"on_data": some("451 4.3.0 later", 7)},
        {"on_content": some("451 4.3.0 later", 7)},
        {"on_mail": some("421 4.3.2 enough", 7)},
        {"on_rcpt": some("421 4.3.2 enough", 7)},
        {"on_content": some("421 4.3.2 enough", 7)},
        {"on_mail": some(Action.CLOSE, 7)},
        {"on_rcpt": some(Action.RESET, 7)},  # which takes replies with it
        {"on_data": some(Action.CLOSE, 7)},
        {"on_mail": some(Action.HANG, 50)},
        {"on_mail": [*50 * [None], REFUSED]},
        {"on_rset": REFUSED},
        {"on_rset": Action.CLOSE},
    ],
    ids=" ".join,
)
def test_whatever_a_host_answers_each_message_arrives_and_none_twice_unsaid(hooks: Any) -> None:
    server = SmtpServer(**hooks)
    perhaps = []

    async def story(sim: LoneEngine) -> None:
        far_domain(sim, server)
        ids = send_to(sim, *["dest.example"] * MAIL)
        await all_sent(sim, ids)
        assert states(sim, ids).keys() <= {("delivered", tries) for tries in range(1, 20)}
        perhaps.extend([each for each in ids if is_perhaps_twice(sim, each)])
        await sim.stop()

    simulate(story, config=one_lane(retry=RetryPolicy(tries=20, jitter=0)))
    assert len(taken(server)) == MAIL
    assert len(server.ledger.messages) - MAIL <= len(perhaps)


def test_a_host_that_takes_none_behind_the_dot_gets_none_there() -> None:
    server = SmtpServer(refuses_behind_dot=True)

    async def story(sim: LoneEngine) -> None:
        far_domain(sim, server)
        ids = send_to(sim, *["dest.example"] * MAIL)
        await all_sent(sim, ids)
        assert states(sim, ids) == {("delivered", 1): MAIL}

    simulate(story, config=one_lane())
    assert [verbs.count("RSET") for verbs in told(server)] == [1, 1]


def test_nobody_is_kept_for_a_session_whose_host_takes_its_time() -> None:
    """The 50th content is looked at for ten minutes; who was to follow it begins in the other session."""
    contents = iter(range(1, 1000))
    server = SmtpServer(on_content=lambda *_: Action.HANG if next(contents) == 50 else None)

    async def story(sim: LoneEngine) -> None:
        far_domain(sim, server)
        ids = send_to(sim, *["dest.example"] * MAIL)
        await asyncio.sleep(30)
        assert states(sim, ids) == {("delivered", 1): MAIL - 1, ("queued", 0): 1}
        await all_sent(sim, ids)
        await sim.stop()

    simulate(story, config=one_lane())


@pytest.mark.parametrize("after", [0.33, 0.36, 0.41, 0.45, 0.5, 0.55, 0.61, 0.65, 0.72])
def test_a_pause_gives_back_what_has_not_begun(after: float) -> None:
    server = SmtpServer()

    async def story(sim: LoneEngine) -> None:
        far_domain(sim, server)
        ids = send_to(sim, *["dest.example"] * MAIL)
        await asyncio.sleep(after)
        sim.engine.pause()
        await asyncio.sleep(10)
        before = len(server.ledger.messages)
        assert before < MAIL
        assert states(sim, ids) == {("delivered", 1): before, ("queued", 0): MAIL - before}
        sim.engine.resume()
        await all_sent(sim, ids)
        assert states(sim, ids) == {("delivered", 1): MAIL}

    simulate(story, config=one_lane())
    assert set(taken(server).values()) == {1}


@pytest.mark.parametrize("after", [0.33, 0.36, 0.41, 0.45, 0.5, 0.55, 0.61, 0.65, 0.72])
@pytest.mark.parametrize("how", ["stop", "die"])
def test_a_worker_that_ends_leaves_nothing_half_done(after: float, how: str) -> None:
    server = SmtpServer()

    async def story(sim: LoneEngine) -> None:
        far_domain(sim, server)
        ids = send_to(sim, *["dest.example"] * MAIL)
        await asyncio.sleep(after)
        await getattr(sim, how)()
        uncertain = {each for each in ids if is_perhaps_twice(sim, each)}
        assert len(uncertain) <= (2 if how == "die" else 0)
        sim.resolver = FakeResolver(sim.zone)
        sim.start()
        await all_sent(sim, ids)
        assert all(sim.status(each).succeeded for each in ids)
        assert sum(count - 1 for count in taken(server).values()) <= len(uncertain)
        await sim.stop()

    simulate(story, config=one_lane())
    assert len(taken(server)) == MAIL


def test_a_message_that_is_cancelled_meanwhile_is_not_sent() -> None:
    server = SmtpServer()

    async def story(sim: LoneEngine) -> None:
        far_domain(sim, server)
        ids = send_to(sim, *["dest.example"] * MAIL)
        await asyncio.sleep(0.5)
        for message_id in ids:
            sim.cancel(message_id)
        await all_sent(sim, ids)
        sent = [message_id for message_id in ids if sim.status(message_id).succeeded]
        assert len(sent) == len(server.ledger.messages) < MAIL
        await asyncio.sleep(1)
        await sim.stop()

    simulate(story, config=one_lane())
