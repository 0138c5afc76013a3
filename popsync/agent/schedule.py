"""When accounts are due: a clock that says so, and does nothing else.

APScheduler does the waiting. Its own intervals, jitter and shutdown are not used: a job is armed
for one moment, tells that an account is due, and is armed again. Moments are reckoned in
monotonic time; APScheduler waits by the wall clock, so when that is set, all jobs are armed anew,
and those that go by the time of day are reckoned anew.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple, Protocol

from apscheduler.schedulers.asyncio import AsyncIOScheduler

from popsync.agent.timetable import Timetable

CLOCK_CHECK_S = 30.0
MAX_CLOCK_STEP_S = 5.0
"""A wall clock that moves further than this between two checks was set, or the machine slept."""
MAX_EARLY_S = 0.5
"""A job that fires earlier than this was hurried by the wall clock, and has to wait."""


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
        self._offset = wall() - monotonic()
        logging.getLogger("apscheduler").setLevel(logging.WARNING)
        self._scheduler: Any = AsyncIOScheduler(
            timezone=UTC,  # the machine's zone may have hours that come twice
            job_defaults={"misfire_grace_time": None, "coalesce": True, "max_instances": 1},
        )
        self._scheduler.start()
        self._loop = asyncio.get_running_loop()
        self._timer = self._loop.call_later(CLOCK_CHECK_S, self._watch_clock)

    def set(self, account: str, *, timetable: Timetable, first_after_s: float) -> None:
        """Have the account due after ``first_after_s`` and then as its timetable has it."""
        self._rhythms[account] = _Rhythm(timetable, self._monotonic() + first_after_s)
        self._arm(account)

    def remove(self, account: str) -> None:
        """Have the account due no more."""
        if self._rhythms.pop(account, None) and self._scheduler.get_job(account):
            self._scheduler.remove_job(account)

    def due_in_s(self, account: str) -> float | None:
        """Give when the account is due next; None when it is not known."""
        rhythm = self._rhythms.get(account)
        return None if rhythm is None else rhythm.due_at - self._monotonic()

    def close(self) -> None:
        """Have nothing due any more; may be called again.

        Without jobs APScheduler holds no timer and no thread. Its shutdown would cancel a job that
        is just firing, and complain about it.
        """
        self._rhythms.clear()
        self._timer.cancel()
        self._scheduler.remove_all_jobs()

    def check_clock(self) -> None:
        """Arm all jobs anew when the wall clock was set since the last check."""
        offset = self._wall() - self._monotonic()
        if abs(offset - self._offset) > MAX_CLOCK_STEP_S:
            self._offset = offset
            for account in list(self._rhythms):
                self._reckon_anew(account)

    def next_moment(self, account: str) -> datetime | None:
        """Give when the account's job is armed for, by the wall clock; None when it is not."""
        job = self._scheduler.get_job(account)
        return job.next_run_time if job else None

    def _watch_clock(self) -> None:
        self.check_clock()
        self._timer = self._loop.call_later(CLOCK_CHECK_S, self._watch_clock)

    def _reckon_anew(self, account: str) -> None:
        timetable, due_at = self._rhythms[account]
        now = self._monotonic()
        left_s = timetable.left_after_step_s(due_at - now, self._wall())
        self._rhythms[account] = _Rhythm(timetable, now + left_s)
        self._arm(account)

    def _arm(self, account: str) -> None:
        left_s = max(0.0, self._rhythms[account].due_at - self._monotonic())
        self._scheduler.add_job(
            self._fire,
            "date",
            run_date=datetime.now(UTC) + timedelta(seconds=left_s),
            args=[account],
            id=account,
            replace_existing=True,
        )

    def _after(self, rhythm: _Rhythm, late_s: float) -> _Rhythm:
        noticed_at = rhythm.due_at + late_s
        next_in_s = rhythm.timetable.next_in_s(self._wall(), late_s=late_s)
        return _Rhythm(rhythm.timetable, noticed_at + next_in_s)

    async def _fire(self, account: str) -> None:
        """Tell that the account is due. A coroutine, because others would get a thread."""
        rhythm = self._rhythms.get(account)
        if rhythm is None:
            return
        late_s = self._monotonic() - rhythm.due_at
        is_due = late_s >= -MAX_EARLY_S
        if is_due:
            self._rhythms[account] = self._after(rhythm, max(0.0, late_s))
        self._arm(account)
        if is_due:
            self._due(account)
