"""Who comes next over a session: its envelope goes out behind the final dot of the message before it.

    waiting for a place ──choose──► set apart ──hand_on──► its try begins, with the session
            ▲                           │
            └────── first again ◄───────┘   where the session ended, or the lane has no place

Nobody is chosen who need not go to a host at all, and the place is that of the delivery before: no lane
has a session more for it. What was begun for somebody who does not follow at once ends with its session.
Where a reply takes long and the lane has a place meanwhile, nobody is kept waiting: it begins there.
"""

from __future__ import annotations

import asyncio

from ..smtp.session import Envelope, Session
from .bounds import Bounds
from .job import Job
from .redirect import forward_paths
from .tools import Tools
from .triage import sort_out

APART_SECS = 5.0  # so long nobody who could begin is kept for a session


class Follower:
    """The one behind one delivery. Used by one task."""

    def __init__(self, tools: Tools, job: Job, lane: str, bounds: Bounds) -> None:
        self._tools = tools
        self._before = job
        self._lane = lane
        self._bounds = bounds
        self._chosen: Job | None = None
        self._timer: asyncio.TimerHandle | None = None

    def choose(self, session: Session) -> Envelope | None:
        """Whoever waits for the lane longest, and whom it names."""
        self.put_back()
        if self._before.stopped or not self._tools.pool.takes_more(session, self._bounds, 1):
            return None
        job = self._tools.lanes.ahead.first(self._lane)
        if job is None or not self._needs_a_host(job):
            return None
        self._tools.lanes.ahead.set_apart(self._lane)
        self._chosen = job
        self._look_later(session)
        named = forward_paths([r.address for r in job.claim.recipients], self._tools.redirect)
        return Envelope(email=job.claim.email, recipients=tuple(named))

    def hand_on(self, session: Session, *, is_last: bool) -> bool:
        """Lets it begin, in the place of the delivery before; False: the session is nobody's.

        `is_last`: that delivery goes to no other host.
        """
        job = self._chosen
        if not self.put_back() or job is None or not is_last or not session.is_begun:
            if session.is_begun:
                session.abort()
            return False
        job.handed = self._lane, session
        self._before.leave_lane_early()
        if job.slot is None:  # the lane has no place any more
            job.drop_handed()
        return True

    def put_back(self) -> bool:
        """It waits again as it did; False: nobody was chosen, or the claim was given back meanwhile."""
        job, self._chosen = self._chosen, None
        if self._timer is not None:
            self._timer.cancel()
        return job is not None and self._tools.lanes.ahead.put_back(self._lane, job)

    def _look_later(self, session: Session) -> None:
        self._timer = asyncio.get_running_loop().call_later(APART_SECS, self._look, session)

    def _look(self, session: Session) -> None:
        """Lets it begin elsewhere in the lane, where there is a place: the host is too slow to follow it."""
        if not self._tools.lanes.has_place(self._lane):
            self._look_later(session)
        elif self.put_back():
            self._tools.known_hosts.habits_of(session.hop.host).takes_behind_dot = False
            self._tools.lanes.wake()

    def _needs_a_host(self, job: Job) -> bool:
        """For all its recipients."""
        tools = self._tools
        found = sort_out(job.claim, tools.policy, tools.config.allow_domains, tools.world.clock.now())
        return not found.settled
