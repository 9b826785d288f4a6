"""Much mail for one host: streams and priorities say whose turn it is, and nobody waits behind all of it."""

from __future__ import annotations

import asyncio
from collections import Counter

from mailstrom import Submission
from mailstrom.abc import Order
from mailstrom.testing.smtp_server import SmtpServer
from tests.builders import a_config, an_email, with_mx
from tests.lone_engine import LoneEngine, simulate

SESSIONS = 20  # to one host at once, each message a second


def slow() -> SmtpServer:
    return SmtpServer(delays={"content": 1.0})


def test_a_sign_up_link_overtakes_a_newsletter_to_ten_thousand_of_the_same_domain() -> None:
    async def story(sim: LoneEngine) -> None:
        with_mx(sim, slow())
        issue = an_email()
        sim.send_emails([Submission(issue, stream="newsletter") for _ in range(10_000)])
        await asyncio.sleep(10)
        begun = sim.loop.time()

        assert (await sim.deliver(an_email(), stream="sign-up")).succeeded

        assert sim.loop.time() - begun < 5
        sim.order(Order.CANCEL, stream="newsletter")

    simulate(story, config=a_config())


def test_mail_of_high_priority_overtakes_mail_of_the_same_stream() -> None:
    async def story(sim: LoneEngine) -> None:
        with_mx(sim, slow())
        sim.send_emails([Submission(an_email()) for _ in range(1000)])
        await asyncio.sleep(10)
        begun = sim.loop.time()

        assert (await sim.deliver(an_email(), priority="high")).succeeded

        assert sim.loop.time() - begun < 5
        sim.order(Order.CANCEL, sender="no-reply@sender.example")

    simulate(story, config=a_config())


def test_mail_of_low_priority_comes_through_while_more_of_high_keeps_coming_than_the_host_can_take() -> None:
    async def story(sim: LoneEngine) -> None:
        with_mx(sim, slow())
        low = sim.send_emails([Submission(an_email(), priority="low") for _ in range(10)])
        for _ in range(30):
            sim.send_emails([Submission(an_email(), priority="high") for _ in range(2 * SESSIONS)])
            await asyncio.sleep(1)

        assert [sim.status(message_id).succeeded for message_id in low] == [True] * len(low)
        assert len(sim.storage.retrieve_all_incomplete()) > 10 * SESSIONS

    simulate(story, config=a_config())


def test_two_senders_share_the_way_to_a_host_though_one_was_first_with_much() -> None:
    async def story(sim: LoneEngine) -> None:
        with_mx(sim, server := slow())
        for name in ("first", "second"):
            email = an_email(from_=f"{name}@sender.example")
            sim.send_emails([Submission(email) for _ in range(600)])
        await asyncio.sleep(20)

        sent = Counter(each.reverse_path for each in server.ledger.messages)

        assert sum(sent.values()) > 10 * SESSIONS
        assert abs(sent["first@sender.example"] - sent["second@sender.example"]) <= 2 * SESSIONS

    simulate(story, config=a_config())
