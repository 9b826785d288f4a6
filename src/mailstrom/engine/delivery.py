"""One try: a claim's recipients taken from host to host until each has an answer.

 1. An idle session of the lane carries the message, if there is one.
 2. Else the hosts are visited in the order of the route, address by address, over an idle session with that
    address where there is one: at most two full sessions in one try.
 3. A recipient that is delivered, or refused by name, is settled at once and goes no further.
    One that is only deferred is taken to the next host.
 4. After the last host, what stands is settled: deferred at one host beats failed at a backup.
 5. A job that is stopped while it awaits the reply to a final dot begins nothing more: who would
    be taken further is given back, as if this try had not been.
 6. So it is where nobody could be reached and the fault is ours (`contacts.py`). Where the lane is down
    and another delivery has asked there, nobody is visited at all (`unvisited.py`).
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from functools import partial

from ..abc import InternalRecipientStatus
from ..config import RelayConfig
from ..route.mx import Route, RouteFailure
from ..schedule.verdict import Fault, FaultKind, Scope, Verdict, combine, judge_fault
from ..smtp.session import DeliveryReport, Hop, OpenFailure, Session, open_session
from ..status import Attempt, Phase, TlsUsed
from .bounds import Bounds
from .contacts import Began, Contact
from .follower import Follower
from .hops import TlsMode, demanded_tls, falls_back_to_clear, hop_to
from .job import Job, Stopped
from .redirect import forward_paths
from .slot import Slot
from .tools import Tools
from .triage import DOT_LOST
from .unvisited import settle_unvisited

SESSIONS_PER_TRY = 2  # Postfix: smtp_mx_session_limit

_log = logging.getLogger("mailstrom")


class SmtpCarrier:
    """Takes claims to their hosts over SMTP. Used in the worker's loop only."""

    def __init__(self, tools: Tools) -> None:
        self._tools = tools

    async def carry(self, job: Job, recipients: Sequence[InternalRecipientStatus]) -> bool:
        """Settles every recipient; False where those that are open are to be given back."""
        tools, slot, now = self._tools, job.slot, self._tools.world.clock.now()
        assert slot is not None
        if (answer := slot.answer) is not None:
            return await settle_unvisited(job, recipients, answer, now)
        began = Began(at=now, monotonic=tools.world.clock.monotonic())
        route_key = tools.redirect.route_key if tools.redirect else job.claim.route_key
        route = await tools.router.route(route_key, min(r.result.tries for r in recipients))
        if isinstance(route, RouteFailure):
            return await _settle_unrouted(job, slot, recipients, route, began, tools)
        if not tools.lanes.move(slot, route.lane, tools.world.clock.monotonic()):
            return False
        if slot.answer is not None:
            return await settle_unvisited(job, recipients, slot.answer, tools.world.clock.now())
        bounds = slot.bounds
        if not await tools.lanes.quotas.admit(slot):
            return False
        contact = Contact(tools.contacts, slot, began)
        return await Delivery(job, recipients, route, tools, contact, bounds).run()

    async def close(self) -> None:
        """Ends the idle sessions and the resolver."""
        await self._tools.pool.close()
        if self._tools.resolver is not None:
            await self._tools.resolver.close()

    async def abort(self) -> None:
        """Ends the idle sessions and the look-ups at once."""
        await self._tools.pool.abort()
        if self._tools.resolver is not None:
            await self._tools.resolver.close()


class Delivery:
    """The state of one try. Used by one task."""

    def __init__(
        self,
        job: Job,
        recipients: Sequence[InternalRecipientStatus],
        route: Route,
        tools: Tools,
        contact: Contact,
        bounds: Bounds | None,
    ) -> None:
        self._job = job
        self._bounds = bounds or Bounds()
        self._contact = contact
        self._route = route
        self._tools = tools
        self._email = job.claim.email
        self._standing: dict[str, Verdict | None] = {r.address: None for r in recipients}
        self._attempts: dict[str, list[Attempt]] = {r.address: [] for r in recipients}
        self._visited: set[str] = set()  # over an idle session
        self._sessions_left = SESSIONS_PER_TRY
        self._unwelcome = False

    async def run(self) -> bool:
        """Settles every recipient; False where those that are open are to be given back."""
        try:
            await self._use_idle_session()
            await self._visit_hosts()
        except Stopped:
            return False
        if self._is_spared():
            return False
        # who was never named to a relay that refuses us all is given back to the held queue
        await self._settle([a for a, verdict in self._standing.items() if verdict or not self._unwelcome])
        return not self._standing

    def _is_spared(self) -> bool:
        """Nobody was reached, and that is our own fault: this try is none."""
        verdict = next(iter(self._standing.values()), None)
        if verdict is None or self._unwelcome:
            return False
        self._job.goes_last = self._contact.ends(verdict)
        return self._job.goes_last

    async def _visit_hosts(self) -> None:
        for host, ip in self._stops():
            if not self._standing or not self._sessions_left or self._unwelcome:
                break
            named: Sequence[str] = self._forward_paths()
            while named and not self._unwelcome:
                self._job.check_not_stopped()
                named = await self._visit(host, ip, demanded_tls(self._tools.config).mode, named)

    def _stops(self) -> Iterator[tuple[str, str]]:
        for host in self._route.hosts:
            for ip in host.addresses:
                if ip not in self._visited:
                    yield host.name, ip

    async def _use_idle_session(self) -> None:
        while self._standing and (session := self._idle_session()) is not None:
            if await self._converse_again(session, self._forward_paths()) is not None:
                return

    def _idle_session(self) -> Session | None:
        lane = self._route.lane
        return self._job.take_handed(lane) or self._tools.pool.take(lane, self._bounds)

    async def _converse_again(self, session: Session, named: Sequence[str]) -> DeliveryReport | None:
        """Delivers over a session that was idle; None where it was stale."""
        report = await self._converse(session, self._begin(), named)
        if report.stale:
            return None
        self._contact.opened()
        return report

    async def _visit(self, host: str, ip: str, tls: TlsMode, named: Sequence[str]) -> Sequence[str]:
        """Those of the named forward-paths that belong into another session with the same host."""
        while session := self._tools.pool.take(self._route.lane, self._bounds, ip):
            if report := await self._converse_again(session, named):
                return report.left
        began = self._begin()
        hop = hop_to(self._tools.config, host, ip, tls)
        self._job.comes_to(hop)
        opened = await self._open(hop)
        if isinstance(opened, Session):
            self._tools.session_events.opened(opened)
            self._tools.router.note_reachable(ip)
            self._contact.opened()
            if self._has_credentials():
                self._tools.lanes.clear_hold(self._route.lane)
            return (await self._converse(opened, began, named)).left
        if opened.fault is not None and opened.fault.kind is FaultKind.UNREACHABLE:
            self._tools.router.note_unreachable(ip)
        self._contact.failed(host, opened)
        if not self._learn_if_unwelcome([opened.verdict]):
            self._tools.lanes.clear_caution(self._route.lane)
        for address in list(self._standing):
            self._note(address, hop, opened.verdict, opened.tls, began)
        if opened.plain_retry and falls_back_to_clear(self._tools.config):
            return await self._visit(host, ip, "none", named)
        return ()

    async def _open(self, hop: Hop) -> Session | OpenFailure:
        tools, delivery = self._tools, self._tools.config.delivery
        relay = delivery if isinstance(delivery, RelayConfig) else None
        tools.pool.make_room(tools.lanes.busy)
        if (cap := self._bounds.cap) is not None:
            await tools.pool.make_room_in(cap, tools.lanes.quotas.spare(cap))
        return await open_session(
            tools.world.network,
            hop,
            helo_name=tools.helo_name,
            timeouts=tools.config.smtp_timeouts,
            tls_context=tools.tls_context,
            auth=None if relay is None else relay.auth,
            allow_cleartext_auth=relay is not None and relay.allow_cleartext_auth,
            habits=tools.known_hosts.habits_of(hop.host),
            connected=self._contact.connected,
        )

    async def _converse(self, session: Session, began: Began, named: Sequence[str]) -> DeliveryReport:
        """Delivers to the named forward-paths over an open session, and takes in how that went."""
        self._job.comes_to(session.hop, session)
        follower = self._follower()
        taken_in: set[str] = set()

        async def take_in(verdicts: Mapping[str, Verdict]) -> None:
            new = {path: verdict for path, verdict in verdicts.items() if path not in taken_in}
            taken_in.update(new)
            await self._take_in(new, session, began)

        async def between(verdicts: Mapping[str, Verdict]) -> None:
            self._job.dot_answered()
            await take_in({path: verdict for path, verdict in verdicts.items() if verdict.ends_the_pass})
            self._job.check_not_stopped()

        try:
            report = await self._tools.session_events.deliver(
                session,
                self._email,
                named,
                before_dot=self._before_dot,
                between=between,
                read_content=self._job.read_content,
                next_envelope=None if follower is None else partial(follower.choose, session),
            )
        except BaseException:
            if follower is not None:
                follower.put_back()
            session.abort()
            self._cut_off(session, began)
            raise
        self._job.dot_answered()
        if report.left:
            self._tools.pool.end(session, self._bounds.cap)  # one too many beside that which takes them
        elif follower is None or not follower.hand_on(session, is_last=self._is_through(report)):
            self._tools.pool.put(self._route.lane, session, self._bounds)
        if report.stale:
            return report
        if not report.left:
            self._sessions_left -= 1
            self._visited.add(session.hop.ip)
        if not self._learn_if_unwelcome(report.verdicts.values()) and not self._has_credentials():
            self._tools.lanes.clear_hold(self._route.lane)
        await take_in(report.verdicts)
        return report

    async def _take_in(self, verdicts: Mapping[str, Verdict], session: Session, began: Began) -> None:
        for address in list(self._standing):
            verdict = verdicts.get(self._forward_path(address))
            if verdict is not None:
                self._note(address, session.hop, verdict, session.tls, began)
        await self._settle([a for a, verdict in self._standing.items() if verdict and verdict.ends_the_pass])

    def _cut_off(self, session: Session, began: Began) -> None:
        """We end in the middle: what may have been delivered is said so."""
        if session.phase is not Phase.DOT:
            self._job.dot_answered()
            return
        perhaps = replace(
            judge_fault(Fault(kind=FaultKind.SHUTDOWN, phase=Phase.DOT), session.hop.host),
            enhanced_code=DOT_LOST,
            counts_as_try=True,
        )
        known = session.verdicts_so_far  # refused already
        ended = {a: known.get(self._forward_path(a), perhaps) for a in self._job.awaiting_dot}
        for address, verdict in ended.items():
            self._note(address, session.hop, verdict, session.tls, began)
        self._job.cut_off = {a: (verdict, tuple(self._attempts[a])) for a, verdict in ended.items()}

    async def _settle(self, addresses: Sequence[str]) -> None:
        passed = {}
        for address in addresses:
            verdict = self._standing.pop(address) or _no_host(self._route)
            passed[address] = verdict, tuple(self._attempts[address])
        if passed:
            await self._job.settle(passed)

    # --- small decisions

    def _follower(self) -> Follower | None:
        if not self._tools.config.envelope_behind_dot:
            return None
        return Follower(self._tools, self._job, self._route.lane, self._bounds)

    def _is_through(self, report: DeliveryReport) -> bool:
        """It goes to no other host, and takes no second session."""
        is_for_all = len(report.verdicts) == len(self._forward_paths())
        return is_for_all and all(verdict.ends_the_pass for verdict in report.verdicts.values())

    def _forward_path(self, address: str) -> str:
        return address if self._tools.redirect is None else self._tools.redirect.address

    def _forward_paths(self) -> list[str]:
        return forward_paths(self._standing, self._tools.redirect)

    async def _before_dot(self, accepted: tuple[str, ...]) -> bool:
        addresses = [a for a in self._standing if self._forward_path(a) in accepted]
        return await self._job.may_send_dot(addresses)

    def _has_credentials(self) -> bool:
        delivery = self._tools.config.delivery
        return isinstance(delivery, RelayConfig) and delivery.auth is not None

    def _learn_if_unwelcome(self, verdicts: Iterable[Verdict]) -> bool:
        """A relay that refuses our credentials refuses all mail: the lane waits, the queue keeps it."""
        for verdict in verdicts:
            if verdict.phase is Phase.AUTH and verdict.retry_after is not None:
                self._unwelcome = True
                self._hold_lane(verdict.retry_after, verdict.reason)
                return True
        return False

    def _hold_lane(self, wait: timedelta, reason: str | None) -> None:
        lanes, now = self._tools.lanes, self._tools.world.clock.monotonic()
        if not lanes.is_held(self._route.lane, now):
            _log.warning("the queue is held for %s: %s", wait, reason)
        lanes.hold(self._route.lane, now + wait.total_seconds())

    def _begin(self) -> Began:
        clock = self._tools.world.clock
        return Began(at=clock.now(), monotonic=clock.monotonic())

    def _note(self, address: str, hop: Hop, verdict: Verdict, tls: TlsUsed | None, began: Began) -> None:
        duration_secs = self._tools.world.clock.monotonic() - began.monotonic
        self._standing[address] = combine(self._standing[address], verdict)
        self._attempts[address].append(
            Attempt(
                at=began.at,
                duration_secs=duration_secs,
                host=hop.host,
                ip=hop.ip,
                port=hop.port,
                phase=verdict.phase,
                reply=verdict.reply,
                tls=tls,
                state=verdict.state,
                reason=verdict.reason,
                uncertain=verdict.uncertain,
            )
        )


async def _settle_unrouted(
    job: Job,
    slot: Slot,
    recipients: Sequence[InternalRecipientStatus],
    failure: RouteFailure,
    began: Began,
    tools: Tools,
) -> bool:
    """Settles every recipient; False where that is our own fault, and this try is none."""
    route_key = tools.redirect.route_key if tools.redirect else job.claim.route_key
    verdict = Verdict(
        state=failure.state,
        scope=Scope.MESSAGE,
        phase=Phase.DNS,
        reason=f"{failure.reason} ({failure.enhanced_code})",
        enhanced_code=failure.enhanced_code,
        cause=failure.cause,
    )
    if tools.contacts.no_host(slot, verdict, began, is_unanswered=failure.is_unanswered):
        job.goes_last = True
        return False
    attempt = Attempt(
        at=began.at, host=route_key, phase=Phase.DNS, state=verdict.state, reason=verdict.reason
    )
    await job.settle({recipient.address: (verdict, (attempt,)) for recipient in recipients})
    return True


def _no_host(route: Route) -> Verdict:
    raise AssertionError(f"a route without addresses: {route.lane}")
