"""At which moments an account is to be polled: in an interval, or at times of day and week."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from functools import lru_cache
from typing import Protocol

from apscheduler.triggers.cron import CronTrigger
from tzlocal import get_localzone

from popsync.config.account import AccountConfig
from popsync.config.cron import CronTimes

_WEEKDAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_SAME_MOMENT_S = 1.0
"""Cron's moments are a minute apart; one that is closer than this is the one that is now."""


EARLY_SHARE = 0.01
MAX_EARLY_S = 1.0
"""Accounts share their moments: to wake for each of thousands costs as much as their polls."""


class Timetable(Protocol):
    """Says when an account is due. All times are seconds, ``now`` since the epoch."""

    @property
    def early_s(self) -> float:
        """How much before its moment it may be polled, together with another one."""
        ...

    def next_in_s(self, now: float, /, *, late_s: float = 0.0) -> float:
        """Give how long it is from ``now``, so late after a moment, to the moment that follows."""
        ...

    def not_before_s(self, pause_s: float, now: float, /) -> float:
        """Give how long it is to the first moment after a pause."""
        ...

    def left_after_step_s(self, left_s: float, now: float, /) -> float:
        """Give how long there is to wait when so much was left, and the wall clock was set."""
        ...


@dataclass(frozen=True, slots=True)
class Interval:
    """A moment in every so many seconds, whatever the wall clock says."""

    every_s: float

    @property
    def early_s(self) -> float:
        """A small part of the interval."""
        return min(MAX_EARLY_S, EARLY_SHARE * self.every_s)

    def next_in_s(self, _now: float, /, *, late_s: float = 0.0) -> float:
        """Keep the phase; moments that were missed are skipped."""
        return self.every_s - late_s % self.every_s

    def not_before_s(self, pause_s: float, _now: float, /) -> float:
        """Begin anew after the pause."""
        return pause_s

    def left_after_step_s(self, left_s: float, _now: float, /) -> float:
        """Take no notice."""
        return left_s


class CronMoments:
    """The moments of a schedule, by the clocks of ``zone``.

    Moments in an hour that a change of time skips come once in the hour after it; moments in an
    hour that comes twice come twice.
    """

    early_s = 0.0

    def __init__(self, times: CronTimes, zone: tzinfo) -> None:
        self._trigger = CronTrigger(
            minute=_listed(times.minutes),
            hour=_listed(times.hours),
            day=_listed(times.days),
            month=_listed(times.months),
            # Its numbers count from Monday, cron's from Sunday.
            day_of_week=_listed(_WEEKDAYS[number] for number in times.weekdays),
            timezone=zone,
        )

    def next_in_s(self, now: float, /, *, late_s: float = 0.0) -> float:  # noqa: ARG002
        """Give how long it is to the next moment, however late the last one was noticed."""
        return self._from(now, _SAME_MOMENT_S)

    def not_before_s(self, pause_s: float, now: float, /) -> float:
        """Give how long it is to the first moment after a pause."""
        return self._from(now, pause_s)

    def left_after_step_s(self, _left_s: float, now: float, /) -> float:
        """Look at the wall clock again."""
        return self.next_in_s(now)

    def _from(self, now: float, pause_s: float) -> float:
        earliest = datetime.fromtimestamp(now + pause_s, UTC)
        moment: datetime = self._trigger.get_next_fire_time(None, earliest)
        return moment.timestamp() - now


def first_in_s(timetable: Timetable, now: float, *, share: float) -> float:
    """Give how long to wait for the first moment, when it is to be after a share of the time."""
    pause_s = timetable.next_in_s(now) * share if share else 0.0
    return timetable.not_before_s(pause_s, now)


def timetable_for(account: AccountConfig) -> Timetable:
    """Give an account's schedule, or else its interval."""
    if account.schedule is not None:
        return _cron_moments(account.schedule)
    return Interval(float(account.poll_every_s))


@lru_cache(maxsize=128)
def _cron_moments(times: CronTimes) -> CronMoments:
    # Thousands of accounts have few schedules, and each takes 0.3 ms.
    return CronMoments(times, get_localzone())


def _listed(values: Iterable[object]) -> str:
    return ",".join(map(str, values))
