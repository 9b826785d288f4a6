"""Sessions that wait for their next message.

A session is kept while there is likely to be more for its lane: a few seconds. It is given
out again only while it stands, is young, and has not carried too many messages. The oldest
ones make room where further sessions would be more than `Config.max_sessions` in all.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict

from ..config import Config
from ..smtp.session import Session
from .bounds import Bounds, Cap
from .quota_notes import RENEW_SECS


class Pool:
    """The idle sessions of each lane, the latest used first. Used in the worker's loop only."""

    def __init__(self, config: Config) -> None:
        self._idle_secs = config.session_idle_secs
        self._max_age_secs = config.max_session_age_secs
        self._max_messages = config.max_messages_per_session
        self._max_sessions = config.max_sessions
        self._idle: defaultdict[str, dict[Session, float]] = defaultdict(dict)  # and until when
        self._lane_of: dict[Session, str] = {}  # of each idle session, the longest idle first
        self._timer: asyncio.TimerHandle | None = None  # one for all: most sessions are idle for no time
        self._capped: dict[Session, str] = {}  # which limit counts it; the longest idle first
        self._ending: dict[asyncio.Task[None], str | None] = {}

    def take(self, lane: str, bounds: Bounds, ip: str | None = None) -> Session | None:
        """An idle session of the lane that still stands, and has room for another message.

        With this address, or with any.
        """
        idle = self._idle.get(lane, {})
        while session := next((each for each in reversed(idle) if ip in (None, each.hop.ip)), None):
            self._remove(session)
            if self._is_good(session, bounds):
                return session
            self.end(session, bounds.cap)
        return None

    def put(self, lane: str, session: Session, bounds: Bounds) -> None:
        """Keeps the session for the lane's next message, or ends it."""
        if not self._is_good(session, bounds):
            self.end(session, bounds.cap)
            return
        # so long is a place kept that is not in use: quotas.py
        secs = self._idle_secs if bounds.cap is None else min(self._idle_secs, RENEW_SECS)
        loop = asyncio.get_running_loop()
        until = self._idle[lane][session] = loop.time() + secs
        self._lane_of[session] = lane
        if self._timer is None or self._timer.when() > until:
            self._wake_at(until)
        if bounds.cap is not None:
            self._capped[session] = bounds.cap.name

    def takes_more(self, session: Session, bounds: Bounds, after: int = 0) -> bool:
        """It may carry another message after so many."""
        most = min(self._max_messages, bounds.max_messages_per_session or self._max_messages)
        return session.messages + after < most

    def make_room(self, busy: int) -> None:
        """Ends the longest idle ones that are too many beside `busy` sessions in use."""
        while self._lane_of and busy + len(self._lane_of) > self._max_sessions:
            self._retire(next(iter(self._lane_of)))

    async def make_room_in(self, cap: Cap, most: int) -> None:
        """Ends the longest idle ones that are more than `most` of those that this limit counts."""
        counted = [session for session, name in self._capped.items() if name == cap.name]
        for session in counted[: max(len(counted) - most, 0)]:
            self._retire(session)
        ending = [task for task, name in self._ending.items() if name == cap.name]
        if min(len(counted), most) + len(ending) > most:
            await asyncio.wait(ending)  # a host counts a connection until it is closed

    def end(self, session: Session, cap: Cap | None = None) -> None:
        """Ends a session that is not among the idle ones, politely where it stands; `cap` counts it."""
        self._end(session, None if cap is None else cap.name)

    async def close(self) -> None:
        """Ends all of them, politely; a cancelled close aborts them."""
        self._forget_timer()
        for session in list(self._lane_of):
            self._retire(session)
        if self._ending:
            await asyncio.wait(self._ending)

    async def abort(self) -> None:
        """Ends all of them at once."""
        self._forget_timer()
        for session in list(self._lane_of):
            self._remove(session)
            session.abort()
        for task in self._ending:
            task.cancel()
        await asyncio.gather(*self._ending, return_exceptions=True)

    def _end(self, session: Session, cap_name: str | None) -> None:
        if not session.usable:
            session.abort()
            return
        task = asyncio.get_running_loop().create_task(session.quit())
        self._ending[task] = cap_name
        task.add_done_callback(self._ending.pop)

    def _is_good(self, session: Session, bounds: Bounds) -> bool:
        age = asyncio.get_running_loop().time() - session.opened_at
        may_go_on = session.usable and not session.is_used_up
        return may_go_on and self.takes_more(session, bounds) and age < self._max_age_secs

    def _retire(self, session: Session) -> None:
        cap_name = self._capped.get(session)
        self._remove(session)
        self._end(session, cap_name)

    def _forget_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _wake_at(self, when: float) -> None:
        self._forget_timer()
        self._timer = asyncio.get_running_loop().call_at(when, self._retire_due)

    def _retire_due(self) -> None:
        """Ends those that were idle for long enough."""
        now, self._timer = asyncio.get_running_loop().time(), None
        until = {session: self._idle[lane][session] for session, lane in self._lane_of.items()}
        for session in [each for each in until if until[each] <= now]:
            self._retire(session)
        if self._lane_of:
            self._wake_at(min(until[each] for each in self._lane_of))

    def _remove(self, session: Session) -> None:
        self._capped.pop(session, None)
        lane = self._lane_of.pop(session)
        del self._idle[lane][session]
        if not self._idle[lane]:
            del self._idle[lane]
