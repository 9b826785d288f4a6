"""Settings that keep mail of a staging system from real people."""

from __future__ import annotations

import asyncio
from datetime import datetime
from pathlib import Path

import pytest

from mailstrom import Cause, Config, ConfigError, Email, Mailstrom, MemoryStorage, MessageError
from mailstrom.abc import Claim
from mailstrom.storage.exclusive import ExclusiveStorage
from mailstrom.testing.smtp_server import SmtpServer
from tests.builders import a_config, an_email, with_mx
from tests.contract.plain_storage import PlainStorage
from tests.lone_engine import LoneEngine, simulate

STAGING = "staging@test.example"
ALL = "a@one.example, b@two.example, c@two.example"


class Counting(ExclusiveStorage):
    """Allows a bounded number of claims that are given back."""

    left = 1000

    def give_back(self, claim: Claim, not_before: datetime | None = None) -> None:
        self.left -= 1
        assert self.left, "claimed and given back again and again"
        super().give_back(claim, not_before)


def header_of(content: bytes) -> bytes:
    return content.partition(b"\r\n\r\n")[0]


# --- redirect_to


def test_everything_goes_to_the_one_address_and_the_status_has_the_true_ones() -> None:
    real, staging = SmtpServer(), SmtpServer()

    async def story(sim: LoneEngine) -> None:
        with_mx(sim, real, domain="one.example")
        with_mx(sim, real, domain="two.example")
        with_mx(sim, staging, domain="test.example")
        status = await sim.deliver(an_email(to=ALL, bcc="d@one.example"))
        assert status.succeeded
        addresses = ["a@one.example", "b@two.example", "c@two.example", "d@one.example"]
        assert [recipient.address for recipient in status] == addresses

    simulate(story, config=a_config(redirect_to=STAGING))

    assert real.ledger.sessions == ()
    assert {message.recipients for message in staging.ledger.messages} == {(STAGING,)}
    assert all(b"d@one.example" not in m.content for m in staging.ledger.messages)


def test_a_refusal_there_is_the_result_of_each_true_recipient() -> None:
    async def story(sim: LoneEngine) -> None:
        with_mx(sim, SmtpServer(on_rcpt="550 5.1.1 no"), domain="test.example")
        status = await sim.deliver(an_email(to=ALL))
        assert [str(r.result.enhanced_code) for r in status] == ["5.1.1"] * 3

    simulate(story, config=a_config(redirect_to=STAGING))


def test_much_mail_to_many_domains_waits_for_its_turn_without_a_storm() -> None:
    """All of it goes through the one lane of the redirect."""
    server = SmtpServer(delays={"content": 1.0})

    async def story(sim: LoneEngine) -> None:
        with_mx(sim, server, domain="test.example")
        ids = [sim.send_email(an_email(to=f"you@d{number}.example")) for number in range(100)]
        for message_id in ids:
            assert (await sim.wait(message_id)).succeeded

    simulate(story, config=a_config(redirect_to=STAGING), storage=Counting(MemoryStorage()))


def test_the_true_recipient_may_need_what_the_message_does_not() -> None:
    """A host without SMTPUTF8 gets nothing with raw UTF-8 in its header."""
    server = SmtpServer(extensions=["PIPELINING", "8BITMIME"])

    async def story(sim: LoneEngine) -> None:
        with_mx(sim, server, domain="test.example")
        await sim.deliver(an_email(bcc="jörg@one.example"))

    simulate(story, config=a_config(redirect_to=STAGING))

    assert all(header_of(message.content).isascii() for message in server.ledger.messages)
    assert server.ledger.violations == ()


def test_redirected_mail_can_be_captured_as_it_would_go_out() -> None:
    with Mailstrom(Config(mode="capture", redirect_to=STAGING)) as m:
        m.start().wait(m.send_email(an_email()), timeout=30)

        assert [email.recipients for email in m.outbox] == [(STAGING,)]


# --- allow_domains


@pytest.mark.parametrize("mode", ["live", "capture"])
def test_other_domains_fail_by_policy_and_nothing_is_connected_to(mode: str) -> None:
    server = SmtpServer()

    async def story(sim: LoneEngine) -> None:
        for domain in ("one.example", "two.example"):
            with_mx(sim, server, domain=domain)
        status = await sim.deliver(an_email(to=ALL))
        results = [(r.result.state, r.result.cause, r.result.tries) for r in status]
        assert results == [("delivered", None, 1)] + [("failed", Cause.POLICY, 0)] * 2
        assert "allow_domains" in str(status["b@two.example"].result)
        assert {m for email in sim.outbox for m in email.recipients} <= {"a@one.example"}

    simulate(story, config=a_config(allow_domains=["one.example"], mode=mode))

    taken = {recipient for message in server.ledger.messages for recipient in message.recipients}
    assert taken <= {"a@one.example"}


@pytest.mark.parametrize(
    ("allowed", "address", "passes"),
    [
        ("ONE.example", "a@one.Example", True),
        ("one.example", "a@sub.one.example", False),
        ("one.example", "a@notone.example", False),
        ("one.example", '"x@one.example"@two.example', False),
        ("bücher.example", "a@xn--bcher-kva.example", True),
        ("xn--bcher-kva.example", "a@bücher.example", True),
        ("[192.0.2.77]", "a@[192.0.2.77]", True),
    ],
)
def test_a_domain_is_compared_as_it_is_routed(allowed: str, address: str, passes: bool) -> None:
    """Threat S6: not as the address reads."""
    with Mailstrom(Config(mode="capture", allow_domains=[allowed])) as m:
        status = m.start().wait(m.send_email(an_email(to=address)), timeout=30)

        assert status.succeeded is passes
        assert len(m.outbox) == passes


def test_it_holds_for_mail_that_was_queued_before_it_was_set() -> None:
    """Enforced at delivery, not when the mail is taken."""
    storage = PlainStorage(durable=True)
    with Mailstrom(Config(mode="capture"), storage) as m:
        message_id = m.send_email(an_email())

    with Mailstrom(Config(mode="capture", allow_domains=["one.example"]), storage) as m:
        status = m.start().wait(message_id, timeout=30)

        assert [r.result.cause for r in status] == [Cause.POLICY]
        assert len(m.outbox) == 0


def test_no_domain_at_all_may_be_allowed() -> None:
    with Mailstrom(Config(mode="capture", allow_domains=[])) as m:
        status = m.start().wait(m.send_email(an_email()), timeout=30)

        assert [r.result.cause for r in status] == [Cause.POLICY]


# --- default_from


def test_an_email_without_from_gets_the_default() -> None:
    with Mailstrom(Config(mode="capture", default_from="Shop <shop@sender.example>")) as m:
        m.start().wait(m.send_email(Email(to="you@dest.example", text="Hi.\n")), timeout=30)

        (email,) = m.outbox
        assert b"From: Shop <shop@sender.example>" in email.content
        assert email.reverse_path == "shop@sender.example"


def test_without_a_default_it_is_refused() -> None:
    with Mailstrom(Config(mode="capture")) as m, pytest.raises(MessageError, match="default_from"):
        m.send_email(Email(to="you@dest.example", text="Hi.\n"))


@pytest.mark.parametrize("setting", ["redirect_to", "default_from"])
@pytest.mark.parametrize(
    "wrong", ["", "nobody", "a@x.example, b@y.example", "a@x.example\r\nBcc: b@y.example"]
)
def test_a_setting_that_is_no_address_is_refused_when_it_is_made(setting: str, wrong: str) -> None:
    with pytest.raises(ConfigError, match=setting):
        Config(**{setting: wrong})


# --- modes


def test_capture_keeps_the_octets_that_would_go_out() -> None:
    with Mailstrom(Config(mode="capture")) as m:
        message_id = m.start().send_email(an_email(to=ALL, bcc="d@one.example"))
        status = m.wait(message_id, timeout=30)

        (email,) = m.outbox
        assert sorted(email.recipients) == sorted(recipient.address for recipient in status)
        assert email.message_id == message_id
        assert b"\n" not in email.content.replace(b"\r\n", b"")
        assert b"d@one.example" not in email.content
        assert {str(recipient.result) for recipient in status} == {"delivered: not sent: mode is 'capture'"}


def test_console_shows_envelope_and_content(capsys: pytest.CaptureFixture[str]) -> None:
    with Mailstrom(Config(mode="console")) as m:
        m.start().wait(m.send_email(an_email(subject="Grüße", text="Schön.\n")), timeout=30)

    shown = capsys.readouterr().out
    assert "MAIL FROM:<no-reply@sender.example>\nRCPT TO:<you@dest.example>\n" in shown
    assert "\r" not in shown


def test_file_writes_each_message_once(tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "mail"
    with Mailstrom(Config(mode="file", mail_dir=str(folder))) as m:
        m.start()
        ids = [m.send_email(an_email(to=ALL)) for _ in range(3)]
        m.drain(timeout=30)

    written = sorted(path.name for path in folder.iterdir())
    assert written == sorted(f"{message_id}.eml" for message_id in ids)
    assert all(b"\r\n\r\n" in path.read_bytes() for path in folder.iterdir())


def test_no_message_id_leads_out_of_the_folder_or_over_another_message(tmp_path: Path) -> None:
    ids = ["a/b@x.example", "a_b@x.example", "/etc/passwd@x.example", "x/~/y@x.example"]
    ids += ["x" * 300 + "@x.example", "x" * 300 + "@y.example"]
    folder = tmp_path / "mail"
    with Mailstrom(Config(mode="file", mail_dir=str(folder))) as m:
        m.start()
        for message_id in ids:
            m.send_email(an_email(message_id=message_id))
        m.drain(timeout=30)

    assert len(list(folder.iterdir())) == len(ids)
    assert [path.name for path in tmp_path.iterdir()] == ["mail"]


def test_a_folder_that_cannot_be_written_loses_nothing(tmp_path: Path) -> None:
    """The mail waits as for a host that is down."""
    blocked = tmp_path / "mail"
    blocked.write_text("a file is in the way")

    async def story(sim: LoneEngine) -> None:
        message_id = sim.send_email(an_email())
        await asyncio.sleep(30)
        assert sim.status(message_id).state == "deferred"
        blocked.unlink()
        assert (await sim.wait(message_id)).succeeded

    simulate(story, config=a_config(mode="file", mail_dir=str(blocked)))


@pytest.mark.parametrize("mode", ["capture", "console", "file"])
def test_no_mode_but_live_asks_the_dns_or_connects(mode: str, tmp_path: Path) -> None:
    async def story(sim: LoneEngine) -> None:
        assert (await sim.deliver(an_email(to=ALL))).succeeded
        assert (sim.zone.queries, sim.network.connects) == ([], [])

    simulate(story, config=a_config(mode=mode, mail_dir=str(tmp_path)))
