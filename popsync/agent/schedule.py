"""When accounts are due: a clock that says so, and does nothing else.

APScheduler does the waiting, with one job for all accounts: it is armed for the next moment of
any of them, tells who is due by then or almost, and is armed again. Its own intervals, jitter and
shutdown are not used. Moments are reckoned in monotonic time; APScheduler waits by the wall clock,
so when that is set, the job is armed anew, and what goes by the time of day is reckoned anew.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from heapq import heapify, heappop, heappush
from typing import Any, NamedTuple, Protocol

from apscheduler.schedulers.asyncio import AsyncIOScheduler

from popsync.agent.timetable import Timetable

CLOCK_CHECK_S = 30.0
MAX_CLOCK_STEP_S = 5.0
"""A wall clock that moves further than this between two checks was set, or the machine slept."""

_JOB = "accounts"


class Schedule(Protocol):
    """Says when accounts are due; each has one timetable, and a phase that nobody else moves."""

    def set(self, account: str, *, timetable: Timetable, first_after_s: float) -> None:
        """Have the account due after ``first_after_s`` and then as its timetable has it."""
        ...

    def remove(self, account: str) -> None:
        """Have the account due no more; one that is not known is none already."""
        ...

    def due_in_s(self, account: str) -> float | None:
        """Give when the account is due next; less than zero when it should have been already.

        None when it is not known.
        """
        ...

    def close(self) -> None:
        """Have nothing due any more."""
        ...


class _Rhythm(NamedTuple):
    """When one account is due, and what says when it is due after that."""

    timetable: Timetable
    due_at: float
    """In monotonic seconds."""


class ClockSchedule:
    """A ``Schedule`` that calls ``due`` with the account's name, in the running event loop."""

    def __init__(
        self,
        due: Callable[[str], None],
        *,
        wall: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._due = due
        self._wall = wall
        self._monotonic = monotonic
        self._rhythms: dict[str, _Rhythm] = {}
        self._moments: list[tuple[float, str]] = []
        """A heap of when accounts are due; what no rhythm says any more does not count."""
        self._armed_for: float | None = None
        self._offset = wall() - monotonic()
        self._loop = asyncio.get_running_loop()
        self._scheduler = self._start_scheduler()
        self._timer = self._loop.call_later(CLOCK_CHECK_S, self._watch_clock)

    def set(self, account: str, *, timetable: Timetable, first_after_s: float) -> None:
        """Have the account due after ``first_after_s`` and then as its timetable has it."""
        self._follow(account, _Rhythm(timetable, self._monotonic() + first_after_s))
        self._arm()

    def remove(self, account: str) -> None:
        """Have the account due no more."""
        self._rhythms.pop(account, None)
        self._arm()

    def due_in_s(self, account: str) -> float | None:
        """Give when the account is due next; None when it is not known."""
        rhythm = self._rhythms.get(account)
        return None if rhythm is None else rhythm.due_at - self._monotonic()

    def close(self) -> None:
        """Have nothing due any more; may be called again.

        Without a job APScheduler holds no timer and no thread. Its shutdown would cancel a job
        that is just firing, and complain about it.
        """
        self._rhythms.clear()
        self._timer.cancel()
        self._scheduler.remove_all_jobs()

    def check_clock(self) -> None:
        """Reckon and arm anew when the wall clock was set since the last check."""
        offset = self._wall() - self._monotonic()
        if abs(offset - self._offset) > MAX_CLOCK_STEP_S:
            self._offset = offset
            for account, (timetable, due_at) in list(self._rhythms.items()):
                now = self._monotonic()
                left_s = timetable.left_after_step_s(due_at - now, self._wall())
                self._follow(account, _Rhythm(timetable, now + left_s))
            self._armed_for = None
            self._arm()

    def next_moment(self) -> datetime | None:
        """Give when somebody is due next, by the wall clock; None when nobody is."""
        job = self._scheduler.get_job(_JOB)
        return job.next_run_time if job else None

    def _start_scheduler(self) -> Any:
        logging.getLogger("apscheduler").setLevel(logging.WARNING)
        scheduler = AsyncIOScheduler(timezone=UTC)  # the machine's may have hours that come twice
        scheduler.start()
        scheduler.add_job(
            self._fire,
            "interval",
            weeks=52,  # what is armed comes first
            id=_JOB,
            next_run_time=None,
            misfire_grace_time=None,
            coalesce=True,
            max_instances=100,  # one that is just ending must not keep the next from being told
        )
        return scheduler

    def _watch_clock(self) -> None:
        self.check_clock()
        self._timer = self._loop.call_later(CLOCK_CHECK_S, self._watch_clock)

    def _follow(self, account: str, rhythm: _Rhythm) -> None:
        self._rhythms[account] = rhythm
        heappush(self._moments, (rhythm.due_at, account))
        if len(self._moments) > 2 * len(self._rhythms) + 8:
            self._moments = [(r.due_at, name) for name, r in self._rhythms.items()]
            heapify(self._moments)

    def _first(self) -> float | None:
        """Give the next moment of all; None when there is none."""
        while self._moments:
            due_at, account = self._moments[0]
            rhythm = self._rhythms.get(account)
            if rhythm is not None and rhythm.due_at == due_at:
                return due_at
            heappop(self._moments)
        return None

    def _arm(self) -> None:
        """Have APScheduler wait for the next moment, unless it does."""
        first = self._first()
        if first == self._armed_for or self._scheduler.get_job(_JOB) is None:
            return
        self._armed_for = first
        left_s = 0.0 if first is None else max(0.0, first - self._monotonic())
        moment = None if first is None else datetime.now(UTC) + timedelta(seconds=left_s)
        self._scheduler.modify_job(_JOB, next_run_time=moment)

    def _after(self, rhythm: _Rhythm, late_s: float) -> _Rhythm:
        noticed_at = rhythm.due_at + late_s
        next_in_s = rhythm.timetable.next_in_s(self._wall(), late_s=late_s)
        return _Rhythm(rhythm.timetable, noticed_at + next_in_s)

    async def _fire(self) -> None:
        """Tell who is due. A coroutine, because others would get a thread.

        Each in a callback of its own, so that a bug over one costs no other its moment (P5).
        """
        self._armed_for = None
        while (first := self._first()) is not None:
            late_s = self._monotonic() - first
            account = self._moments[0][1]
            rhythm = self._rhythms[account]
            if late_s < -rhythm.timetable.early_s:
                break
            heappop(self._moments)
            self._follow(account, self._after(rhythm, max(0.0, late_s)))
            self._loop.call_soon(self._tell, account)
        self._arm()

    def _tell(self, account: str) -> None:
        if account in self._rhythms:
            self._due(account)
