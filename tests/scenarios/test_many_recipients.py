"""One message to a hundred thousand recipients."""

from __future__ import annotations

import gc
import time
from collections import Counter

from mailstrom import Config, Mailstrom
from mailstrom.testing.smtp_server import SmtpServer
from tests.builders import a_config, an_email, with_mx
from tests.lone_engine import LoneEngine, simulate

CAPTURE = Config(helo_name="sender.example", mode="capture")


def addresses(count: int, domains: int = 1) -> list[str]:
    return [f"user{number}@d{number % domains}.example" for number in range(count)]


def stored_in_secs(count: int) -> float:
    """Of this thread's own work: neither what else the machine does nor what other tests left to collect."""
    gc.collect()
    gc.disable()
    try:
        return _stored_in_secs(count)
    finally:
        gc.enable()


def _stored_in_secs(count: int) -> float:
    with Mailstrom(CAPTURE) as m:
        given = addresses(count, domains=count // 10)
        email = an_email(to="undisclosed-recipients:;")
        began = time.thread_time()
        message_id = m.send_email(email, recipients=given)
        secs = time.thread_time() - began
        assert len(m.query_status(message_id).recipients) == count
        m.cancel(message_id)
        return secs


def test_a_hundred_thousand_are_stored_in_linear_time() -> None:
    """Row 59: one transaction, O(n)."""
    small = min(stored_in_secs(10_000) for _ in range(3))
    large = stored_in_secs(100_000)

    assert large < 25 * small


def test_the_same_address_twice_is_one_recipient_at_any_number() -> None:
    """Row 59: O(n) dedup."""
    with Mailstrom(CAPTURE) as m:
        given = addresses(20_000)
        message_id = m.send_email(an_email(to="undisclosed-recipients:;"), recipients=given + given[::-1])

        status = m.query_status(message_id)
        assert [recipient.address for recipient in status] == given
        m.cancel(message_id)


def test_all_are_delivered_to_while_one_waits() -> None:
    """Row 59: a thousand claims, each settled on its own."""
    with Mailstrom(CAPTURE) as m:
        message_id = m.send_email(an_email(to="undisclosed-recipients:;"), recipients=addresses(30_000, 7))
        status = m.start().wait(message_id, timeout=50)

        assert status.succeeded
        (email,) = m.outbox
        assert len(email.recipients) == 30_000


def test_no_transaction_has_more_than_a_hundred_recipients() -> None:
    """Row 59: RFC 5321 4.5.3.1.8: a server must take a hundred."""
    server = SmtpServer()

    async def story(sim: LoneEngine) -> None:
        with_mx(sim, server, domain="d0.example")
        status = await sim.deliver(an_email(to="undisclosed-recipients:;"), recipients=addresses(1050))
        assert status.succeeded

    simulate(story, config=a_config())

    sizes = Counter(len(message.recipients) for message in server.ledger.messages)
    assert sizes == {100: 10, 50: 1}
    taken = [recipient for message in server.ledger.messages for recipient in message.recipients]
    assert sorted(taken) == sorted(addresses(1050))


def test_one_refused_among_thousands_keeps_nobody_else() -> None:
    """Row 59: per recipient."""
    server = SmtpServer(on_rcpt=lambda address, _: "550 5.1.1 no" if address.startswith("user77@") else None)

    async def story(sim: LoneEngine) -> None:
        with_mx(sim, server, domain="d0.example")
        status = await sim.deliver(an_email(to="undisclosed-recipients:;"), recipients=addresses(1000))
        assert Counter(recipient.result.state for recipient in status) == {"delivered": 999, "failed": 1}
        assert status["user77@d0.example"].result.state == "failed"

    simulate(story, config=a_config())
