"""Stories by chance: hosts, mail, and what befalls the worker; and what must hold at the end of each.

All of a story follows from its seed. Days pass in milliseconds, so that a story can go on until
the queue has come to rest.
"""

from __future__ import annotations

import asyncio
import random
from collections import defaultdict
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from mailstrom import Config, EventKind, RetryPolicy, StorageError
from mailstrom.status import Attempt, DeliveryResult, RecipientStatus
from mailstrom.storage.exclusive import ExclusiveStorage
from mailstrom.storage.memory import MemoryStorage
from mailstrom.testing.dns import FakeResolver
from mailstrom.testing.smtp_server import DEFAULT_EXTENSIONS, Action, Answer, ReceivedMessage, SmtpServer
from tests.builders import a_config, an_email, mx
from tests.contract.plain_storage import PlainStorage
from tests.lone_engine import LoneEngine

REST_SECS = 30 * 86_400.0  # by then every queue has come to rest
STAGES = ("greeting", "ehlo", "mail", "rcpt", "data", "content", "rset", "quit")
TROUBLE: tuple[Answer, ...] = (
    "450 4.2.0 not now",
    "550 5.7.1 no",
    "421 4.3.2 closing",
    "452 4.5.3 too many",
    b"\xff\x00 what?\r\n",
    Action.HANG,
    Action.CLOSE,
    Action.RESET,
)


class Watched(ExclusiveStorage):
    """Counts calls; fails while it is told to; lost is what a killed process would have written."""

    def __init__(self, plain: Any) -> None:
        super().__init__(plain, lease_clock=lambda: asyncio.get_running_loop().time())
        self.plain = plain
        self.calls: dict[str, int] = defaultdict(int)
        self.granted = 0
        self.fails = False

    def claim_many(self, *args: Any, **kwargs: Any) -> Any:
        claims = self._counted("claim_many", super().claim_many, args, kwargs)
        self.granted += len(claims)
        return claims

    def next_due(self, *args: Any, **kwargs: Any) -> Any:
        return self._counted("next_due", super().next_due, args, kwargs)

    def settle(self, *args: Any, **kwargs: Any) -> Any:
        return self._counted("settle", super().settle, args, kwargs)

    def renew(self, *args: Any, **kwargs: Any) -> Any:
        return self._counted("renew", super().renew, args, kwargs)

    def give_back(self, *args: Any, **kwargs: Any) -> Any:
        return self._counted("give_back", super().give_back, args, kwargs)

    def mark_dots_sent(self, *args: Any, **kwargs: Any) -> Any:
        return self._counted("mark_dots_sent", super().mark_dots_sent, args, kwargs)

    def _counted(self, name: str, call: Any, args: Any, kwargs: Any) -> Any:
        self.calls[name] += 1
        if self.fails:
            raise StorageError(f"{name} failed")
        return call(*args, **kwargs)


@dataclass
class Story:
    """One story: its cast, and what was done in it."""

    seed: int
    chance: random.Random
    durable: bool
    config: Config
    servers: list[SmtpServer] = field(default_factory=list)
    contents: dict[str, bytes] = field(default_factory=dict)  # message id -> octets
    asked_at: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))  # RCPT, by address
    connected: asyncio.Event = field(default_factory=asyncio.Event)
    acts: int = 0
    storage: Watched = None  # type: ignore[assignment]
    calls: int = 0  # of storages that are gone

    @classmethod
    def by_chance(cls, seed: int) -> Story:
        """The story of this seed."""
        chance = random.Random(seed)
        retry = RetryPolicy(
            tries=chance.randint(1, 4),
            jitter=chance.choice([0, 0.1]),
            on_uncertain=chance.choice(["retry", "retry", "hold", "fail"]),
            max_age=chance.choice([None, timedelta(hours=1)]),
        )
        config = a_config(
            retry=retry,
            max_sessions=chance.choice([1, 3, 50]),
            max_sessions_per_lane=chance.choice([1, 2, 20]),
            max_messages_per_session=chance.choice([1, 2, 100]),
            session_idle_secs=chance.choice([0.5, 5.0, 60.0]),
        )
        story = cls(seed=seed, chance=chance, durable=chance.random() < 0.5, config=config)
        story.storage = Watched(PlainStorage(durable=True) if story.durable else MemoryStorage())
        return story

    async def __call__(self, sim: LoneEngine) -> None:
        self._set_the_scene(sim)
        sends = asyncio.create_task(self._send_mail(sim))
        await self._trouble_the_worker(sim)
        await sends
        await self._until_at_rest(sim)
        await sim.stop()
        await asyncio.sleep(1)  # the ends of connections are on their way
        Findings(self, sim).check()

    # -- the cast ----------------------------------------------------------------------------

    def _set_the_scene(self, sim: LoneEngine) -> None:
        for number in range(self.chance.randint(1, 4)):
            name, ip = f"mx{number}.hosts.example", f"198.51.100.{number + 1}"
            self.servers.append(self._a_server(name))
            sim.host(name, ip, self.servers[-1])
            sim.network.listen(ip, 25, self.servers[-1], latency_secs=self.chance.choice([0.0, 0.02, 0.02]))
            fate = self.chance.random()
            if fate < 0.1:
                sim.network.black_hole(ip, 25)
            elif fate < 0.2:
                sim.network.refuse(ip, 25)
        for number in range(4):
            sim.zone.records[f"d{number}.example"] = self._records()

    def _a_server(self, name: str) -> SmtpServer:
        chance, troubled = self.chance, self.chance.choice([0.0, 0.0, 0.03, 0.1, 0.4])
        hooks = {f"on_{stage}": lambda *_: self._answer(troubled) for stage in STAGES}

        def on_greeting(*_: object) -> Answer | None:
            self.connected.set()
            return self._answer(troubled)

        def on_rcpt(address: str, _: int) -> Answer | None:
            self.asked_at[address].append(asyncio.get_running_loop().time())
            return self._answer(troubled)

        slow = {stage: chance.choice([0.1, 0.1, 100.0, 700.0]) for stage in STAGES if chance.random() < 0.15}
        return SmtpServer(
            name=name,
            extensions=DEFAULT_EXTENSIONS - chance.choice([set(), {"PIPELINING"}]),
            recipient_limit=chance.choice([None, None, 1, 2]),
            idle_secs=chance.choice([None, 1.0, 30.0]),
            delays=slow,
            **{**hooks, "on_greeting": on_greeting, "on_rcpt": on_rcpt},
        )

    def _answer(self, troubled: float) -> Answer | None:
        return self.chance.choice(TROUBLE) if self.chance.random() < troubled else None

    def _records(self) -> dict[str, object]:
        fate = self.chance.random()
        if fate < 0.1:
            return {"rcode": self.chance.choice(["SERVFAIL", "TIMEOUT", "NXDOMAIN"])}
        names = [f"mx{number}.hosts.example" for number in range(len(self.servers))]
        return mx(*self.chance.sample(names, self.chance.randint(1, min(len(names), 3))))

    # -- what happens ------------------------------------------------------------------------

    async def _send_mail(self, sim: LoneEngine) -> None:
        for number in range(self.chance.randint(1, 12)):
            if self.chance.random() < 0.5:
                await asyncio.sleep(self.chance.choice([0.01, 1.0, 60.0, 400.0]))
            domains = self.chance.choices(range(4), k=2)
            addresses = [f"m{number}r{each}@d{self.chance.choice(domains)}.example" for each in range(4)]
            options = self._options(sim.clock.now())
            message_id = sim.send_email(
                an_email(to=addresses[: self.chance.randint(1, 4)], text="." * self.chance.choice([1, 900])),
                **options,
            )
            self.contents[message_id] = self.storage.plain.retrieve(message_id)[0].content

    def _options(self, now: datetime) -> dict[str, object]:
        options: dict[str, object] = {}
        if self.chance.random() < 0.1:
            options["send_at"] = now + timedelta(seconds=self.chance.randint(1, 900))
        if self.chance.random() < 0.1:
            options["expires_at"] = now + timedelta(seconds=self.chance.randint(1000, 2000))
        return options

    async def _trouble_the_worker(self, sim: LoneEngine) -> None:
        acts = [self._pause, self._restart, self._finish, self._crash, self._cancel]
        if self.durable:
            acts += [self._kill, self._fail_for_a_while]
        for _ in range(self.chance.choice([0, 3, 8, 12])):
            self.acts += 1
            await self._until_something_is_sent()
            await self.chance.choice(acts)(sim)

    async def _until_something_is_sent(self) -> None:
        """Acts that meet an idle worker change little."""
        await self._a_while()
        self.connected.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(1000):
                await self.connected.wait()
        await asyncio.sleep(self.chance.uniform(0.0, 0.4))

    async def _a_while(self) -> None:
        await asyncio.sleep(self.chance.choice([0.0, 0.5, 2.0, 30.0, 301.0, 1000.0]))
        for _ in range(self.chance.randrange(40)):
            await asyncio.sleep(0)

    async def _pause(self, sim: LoneEngine) -> None:
        sim.engine.pause()
        await self._a_while()
        sim.engine.resume()

    async def _restart(self, sim: LoneEngine) -> None:
        await sim.die()
        await self._a_while()
        self._start(sim)

    async def _finish(self, sim: LoneEngine) -> None:
        sim.engine.finish(take_due=self.chance.random() < 0.5)
        await self._a_while()
        sim.engine.abort_before_dot()
        await self._a_while()
        await self._restart(sim)

    async def _crash(self, sim: LoneEngine) -> None:
        task = sim._task
        assert task is not None
        task.cancel()
        await asyncio.wait([task])
        self._start(sim)

    async def _kill(self, sim: LoneEngine) -> None:
        """As with kill -9: of what the worker does from now on nothing is written."""
        self.storage.fails = True
        await sim.die()
        self.calls += sum(self.storage.calls.values())
        granted = self.storage.granted
        self.storage = sim.storage = Watched(self.storage.plain)
        self.storage.granted = granted
        self._start(sim)

    async def _fail_for_a_while(self, sim: LoneEngine) -> None:
        self.storage.fails = True
        await self._a_while()
        self.storage.fails = False

    async def _cancel(self, sim: LoneEngine) -> None:
        if self.contents:
            sim.cancel(self.chance.choice(list(self.contents)))

    def _start(self, sim: LoneEngine) -> None:
        sim.resolver = FakeResolver(sim.zone)
        sim.start()

    async def _until_at_rest(self, sim: LoneEngine) -> None:
        began = sim.loop.time()
        while not sim.storage.is_idle():
            assert sim.loop.time() - began < REST_SECS, "mail is stuck"
            await asyncio.sleep(600)


class Findings:
    """What the servers, the observers and the statuses say at the end of a story."""

    def __init__(self, story: Story, sim: LoneEngine) -> None:
        self._story = story
        self._sim = sim
        self._copies: dict[str, list[ReceivedMessage]] = defaultdict(list)
        for server in story.servers:
            for message in server.ledger.messages:
                for address in message.recipients:
                    self._copies[address].append(message)

    def check(self) -> None:
        """Fails with the rule that does not hold."""
        self._nobody_is_lost_or_doubled()
        self._the_octets_never_change()
        self._the_events_tell_the_same()
        self._nothing_turns_in_circles()
        violations = [violation for server in self._story.servers for violation in server.ledger.violations]
        assert not violations, violations

    def _recipients(self) -> list[tuple[str, RecipientStatus]]:
        return [(each, recipient) for each in self._story.contents for recipient in self._sim.status(each)]

    def _nobody_is_lost_or_doubled(self) -> None:
        for _, recipient in self._recipients():
            result, copies = recipient.result, self._copies[recipient.address]
            perhaps = sum(attempt.uncertain for attempt in recipient.attempts)
            unrecorded = self._unrecorded(recipient)
            assert result.completed or result.next_attempt_at is None, f"neither ended nor held: {recipient}"
            assert len(copies) <= (result.state == "delivered") + perhaps + unrecorded, f"doubled: {result}"
            if result.state == "delivered":
                assert copies, f"never arrived: {recipient}"
                taken = [attempt for attempt in recipient.attempts if attempt.state == "delivered"]
                assert len(taken) == 1, f"delivered without its attempt: {recipient}"
            if result.state == "failed" and copies:
                assert result.uncertain, f"arrived, and is said to have failed: {recipient}"
            assert result.tries <= (self._story.config.retry.tries or 0)

    def _unrecorded(self, recipient: RecipientStatus) -> int:
        """Attempts that died with a killed process: their mark is all that is left, and it is told."""
        marks = [
            event for event in self._sim.events
            if event.address == recipient.address and event.result is not None
            and event.result.uncertain and "crashed after the final dot" in (event.result.reason or "")
        ]
        return len(marks)

    def _the_octets_never_change(self) -> None:
        for server in self._story.servers:
            for message in server.ledger.messages:
                assert message.content in self._story.contents.values()

    def _the_events_tell_the_same(self) -> None:
        told: dict[str, list[DeliveryResult]] = defaultdict(list)
        attempts: dict[str, list[Attempt]] = defaultdict(list)
        due: dict[str, datetime] = {}
        for event in self._sim.events:
            address = event.address or ""
            if event.attempt is not None:
                assert event.attempt.at >= due.get(address, event.attempt.at), f"too early: {event}"
                attempts[address].append(event.attempt)
            elif event.result is not None and event.kind is not EventKind.DELAYED:
                told[address].append(event.result)
                if event.result.next_attempt_at is not None:
                    due[address] = event.result.next_attempt_at
        for _, recipient in self._recipients():
            results = told[recipient.address]
            assert not any(result.completed for result in results[:-1]), f"changed after its end: {results}"
            if recipient.result.cause != "cancelled" and recipient.result.tries:
                assert results[-1] == recipient.result
            assert tuple(attempts[recipient.address]) == recipient.attempts

    def _nothing_turns_in_circles(self) -> None:
        """The worker looks at its queue when there is a reason to, and not again and again."""
        story, sim = self._story, self._sim
        calls = story.calls + sum(story.storage.calls.values())
        reasons = story.storage.granted + len(story.contents) + story.acts + len(sim.events)
        hours = sim.loop.time() / 3600
        assert calls < 100 + 12 * reasons + 600 * hours, (calls, reasons, hours)


