"""The clock that says when accounts are due."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import pytest

from popsync.agent.schedule import ClockSchedule
from popsync.agent.timetable import CronMoments, Interval
from popsync.config.cron import parse_cron


class Clocks:
    """Two clocks that go only when told to."""

    def __init__(self) -> None:
        self.wall = 1_000_000.0
        self.monotonic = 500.0

    def go(self, seconds: float, *, wall_moves: float | None = None) -> None:
        """Let time pass; the wall clock can be set meanwhile."""
        self.monotonic += seconds
        self.wall += seconds if wall_moves is None else wall_moves


@contextmanager
def schedule_on(clocks: Clocks, due: Callable[[str], None]) -> Iterator[ClockSchedule]:
    """Give a schedule that reckons by ``clocks``; APScheduler below it goes on by the real one."""
    schedule = ClockSchedule(due, wall=lambda: clocks.wall, monotonic=lambda: clocks.monotonic)
    try:
        yield schedule
    finally:
        schedule.close()


def armed_in_s(schedule: ClockSchedule) -> float:
    """Give how far ahead the moment is that APScheduler waits for, to the second."""
    moment = schedule.next_moment()
    assert moment is not None
    return round((moment - datetime.now(UTC)).total_seconds())


def nobody(account: str) -> None:
    """Fail: nothing is due here."""
    raise AssertionError(account)


async def test_an_account_is_due_and_armed_for_the_next_time() -> None:
    """The first moment can be now; the second is one interval later."""
    due: asyncio.Queue[str] = asyncio.Queue()
    with schedule_on(Clocks(), due.put_nowait) as schedule:
        schedule.set("work", timetable=Interval(300), first_after_s=0)
        schedule.set("home", timetable=Interval(300), first_after_s=200)
        first = await due.get()

        assert (first, due.empty()) == ("work", True)
        assert [schedule.due_in_s(name) for name in ("work", "home")] == [300, 200]
        assert armed_in_s(schedule) == 200


async def test_an_account_stays_armed_when_nobody_can_hear_of_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """An exception in the callback costs one moment, and no other account any."""
    told: asyncio.Queue[str] = asyncio.Queue()

    def due(account: str) -> None:
        told.put_nowait(account)
        raise RuntimeError("deaf")

    with schedule_on(Clocks(), due) as schedule:
        schedule.set("work", timetable=Interval(300), first_after_s=0)
        schedule.set("home", timetable=Interval(400), first_after_s=0)
        heard = {await told.get(), await told.get()}

        assert heard == {"work", "home"}
        assert [schedule.due_in_s(name) for name in ("work", "home")] == [300, 400]
        assert armed_in_s(schedule) == 300
    assert "deaf" in caplog.text


async def test_an_account_that_is_set_anew_begins_anew() -> None:
    """Both interval and phase are those of the last call."""
    with schedule_on(Clocks(), nobody) as schedule:
        schedule.set("work", timetable=Interval(300), first_after_s=200)
        schedule.set("work", timetable=Interval(300), first_after_s=3600)

        assert armed_in_s(schedule) == 3600


async def test_an_account_that_goes_by_the_time_of_day_follows_a_clock_that_was_set() -> None:
    """Its moments are those that the new time has; a minute after one, the next is in four."""
    clocks = Clocks()
    clocks.wall = 1_000_200.0  # a whole number of five minutes
    with schedule_on(clocks, nobody) as schedule:
        times = CronMoments(parse_cron("*/5 * * * *"), UTC)
        schedule.set("work", timetable=times, first_after_s=120)
        clocks.go(10, wall_moves=3660)
        schedule.check_clock()

        assert (schedule.due_in_s("work"), armed_in_s(schedule)) == (240, 240)


@pytest.mark.parametrize("moved", [-3600.0, 3600.0, 6.0])
async def test_a_wall_clock_that_was_set_moves_no_account(moved: float) -> None:
    """Ten seconds before it is due an account is armed for ten seconds, whatever the date is."""
    clocks = Clocks()
    with schedule_on(clocks, nobody) as schedule:
        schedule.set("work", timetable=Interval(60), first_after_s=60)
        clocks.go(50, wall_moves=moved + 50)
        schedule.check_clock()

        assert armed_in_s(schedule) == 10


async def test_a_wall_clock_that_is_a_little_off_is_left_alone() -> None:
    """Clocks are always being corrected; nothing is armed anew for that."""
    clocks = Clocks()
    with schedule_on(clocks, nobody) as schedule:
        schedule.set("work", timetable=Interval(60), first_after_s=60)
        before = schedule.next_moment()
        clocks.go(50, wall_moves=54)
        schedule.check_clock()

        assert schedule.next_moment() == before


async def test_a_wall_clock_that_was_set_counts_once() -> None:
    """The next check finds nothing to do."""
    clocks = Clocks()
    with schedule_on(clocks, nobody) as schedule:
        schedule.set("work", timetable=Interval(60), first_after_s=60)
        clocks.go(1, wall_moves=3600)
        schedule.check_clock()
        before = schedule.next_moment()
        clocks.go(1)
        schedule.check_clock()

        assert schedule.next_moment() == before


async def test_a_job_that_the_wall_clock_hurried_has_to_wait() -> None:
    """After a jump ahead APScheduler fires everything at once, and nobody is told."""
    clocks = Clocks()
    with schedule_on(clocks, nobody) as schedule:
        schedule.set("work", timetable=Interval(60), first_after_s=60)
        clocks.go(20)
        await schedule._fire()

        assert armed_in_s(schedule) == 40


async def test_a_schedule_tells_when_an_account_is_due() -> None:
    """By the clock that nobody sets; less than zero when the moment has passed unheard."""
    clocks = Clocks()
    with schedule_on(clocks, nobody) as schedule:
        schedule.set("work", timetable=Interval(60), first_after_s=60)
        clocks.go(20, wall_moves=3600)
        ahead = schedule.due_in_s("work")
        clocks.go(50)

        assert (ahead, schedule.due_in_s("work")) == (40, -10)
        assert schedule.due_in_s("home") is None


async def test_a_removed_account_is_due_no_more() -> None:
    """Not even when its job was just firing; removing it twice is nothing."""
    with schedule_on(Clocks(), nobody) as schedule:
        schedule.set("work", timetable=Interval(60), first_after_s=60)
        schedule.remove("work")
        schedule.remove("work")
        await schedule._fire()

        assert schedule.next_moment() is None


async def test_a_closed_schedule_is_silent() -> None:
    """Closing it twice is nothing; what is due at that moment is not told."""
    with schedule_on(Clocks(), nobody) as schedule:
        schedule.set("work", timetable=Interval(60), first_after_s=0)
        schedule.close()
        schedule.close()
        await schedule._fire()

        assert schedule.next_moment() is None


async def test_two_thousand_accounts_are_one_job() -> None:
    """However often they are set anew, what is kept does not grow, and the earliest is armed."""
    with schedule_on(Clocks(), nobody) as schedule:
        for turn in range(3):
            for number in range(2000):
                after_s = 100.0 + number + turn
                schedule.set(f"a{number}", timetable=Interval(300), first_after_s=after_s)

        assert len(schedule._moments) <= 2 * 2000 + 8
        assert schedule.due_in_s("a1999") == 2101
        assert armed_in_s(schedule) == 102


async def test_accounts_that_are_due_a_moment_apart_are_due_together() -> None:
    """Within a second, or a hundredth of a shorter interval; their phases stay as they are."""
    due: asyncio.Queue[str] = asyncio.Queue()
    with schedule_on(Clocks(), due.put_nowait) as schedule:
        schedule.set("later", timetable=Interval(300), first_after_s=1.5)
        schedule.set("quick", timetable=Interval(20), first_after_s=0.75)
        schedule.set("work", timetable=Interval(300), first_after_s=0)
        schedule.set("home", timetable=Interval(300), first_after_s=0.5)
        told = [await due.get(), await due.get()]

        assert (told, due.empty()) == (["work", "home"], True)
        assert schedule.due_in_s("home") == 300.5


async def test_an_account_that_goes_by_the_time_of_day_is_never_early() -> None:
    """Nine o'clock is nine o'clock."""
    due: asyncio.Queue[str] = asyncio.Queue()
    with schedule_on(Clocks(), due.put_nowait) as schedule:
        times = CronMoments(parse_cron("*/5 * * * *"), UTC)
        schedule.set("nine", timetable=times, first_after_s=0.01)
        schedule.set("work", timetable=Interval(300), first_after_s=0)
        told = await due.get()

        assert (told, due.empty()) == ("work", True)
        assert schedule.due_in_s("nine") == pytest.approx(0.01)


async def test_a_removed_account_leaves_the_next_one_armed() -> None:
    """The earliest of those that are left is waited for, and nothing when none is left."""
    with schedule_on(Clocks(), nobody) as schedule:
        schedule.set("work", timetable=Interval(60), first_after_s=60)
        schedule.set("home", timetable=Interval(60), first_after_s=90)
        schedule.remove("work")
        left = armed_in_s(schedule)
        schedule.remove("home")

        assert (left, schedule.next_moment()) == (90, None)
