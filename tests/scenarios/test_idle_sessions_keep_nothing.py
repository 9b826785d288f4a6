"""A session that waits for another message has let go of the last: hundreds of them may wait."""

from __future__ import annotations

import gc

from mailstrom.smtp.transaction import Transaction
from mailstrom.testing.smtp_server import SmtpServer
from tests.builders import a_config, an_email, with_mx
from tests.lone_engine import LoneEngine, simulate


def transactions() -> int:
    """How many of them anybody has still."""
    gc.collect()
    return sum(isinstance(each, Transaction) for each in gc.get_objects())


def test_an_idle_session_keeps_neither_the_content_nor_the_verdicts_of_its_last_message() -> None:
    async def story(sim: LoneEngine) -> None:
        with_mx(sim, SmtpServer())
        before = transactions()
        assert (await sim.deliver(an_email())).succeeded
        assert sim.network.open_transports  # it is idle

        assert transactions() == before

    simulate(story, config=a_config())
