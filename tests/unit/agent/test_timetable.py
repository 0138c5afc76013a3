"""When an account is due, by the clock on the wall and without it."""

from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from popsync.agent.timetable import CronMoments, Interval, timetable_for
from popsync.config.cron import parse_cron
from tests.unit.config.files import load_account

BERLIN = ZoneInfo("Europe/Berlin")
FRIDAY = datetime(2026, 11, 27, 18, 55, 30, tzinfo=BERLIN)


def moments(cron: str, start: datetime, count: int = 3) -> list[str]:
    """Give the moments that follow ``start``."""
    timetable, now, given = CronMoments(parse_cron(cron), BERLIN), start.timestamp(), []
    for _ in range(count):
        now += timetable.next_in_s(now)
        given.append(datetime.fromtimestamp(now, BERLIN).strftime("%a %d %b %H:%M%z"))
    return given


@pytest.mark.parametrize(
    ("late_s", "expected"),
    [
        pytest.param(0.0, 60.0, id="on time"),
        pytest.param(0.4, 59.6, id="a little late, the phase stays"),
        pytest.param(60.0, 60.0, id="a whole interval late"),
        pytest.param(1_000_000_050.0, 30.0, id="after years"),
    ],
)
def test_an_interval_skips_what_was_missed(late_s: float, expected: float) -> None:
    """However late it is, one moment is next, and it is in phase."""
    assert Interval(60.0).next_in_s(0.0, late_s=late_s) == pytest.approx(expected)


def test_an_interval_begins_anew_after_a_pause() -> None:
    """And takes no notice of a clock that was set."""
    assert Interval(60.0).not_before_s(90.0, 0.0) == 90.0
    assert Interval(60.0).left_after_step_s(7.0, 0.0) == 7.0


@pytest.mark.parametrize(
    ("cron", "expected"),
    [
        ("*/5 8-18 * * mon-fri", ["Mon 30 Nov 08:00+0100", "Mon 30 Nov 08:05+0100"]),
        ("30 6 * * 0", ["Sun 29 Nov 06:30+0100", "Sun 06 Dec 06:30+0100"]),
        ("30 6 * * 7", ["Sun 29 Nov 06:30+0100", "Sun 06 Dec 06:30+0100"]),
        ("0 0 * * 1", ["Mon 30 Nov 00:00+0100", "Mon 07 Dec 00:00+0100"]),
        ("56 18 * * *", ["Fri 27 Nov 18:56+0100", "Sat 28 Nov 18:56+0100"]),
        ("0 12 29 feb *", ["Tue 29 Feb 12:00+0100", "Sun 29 Feb 12:00+0100"]),
    ],
)
def test_cron_moments_are_in_local_time(cron: str, expected: list[str]) -> None:
    """Weekdays count as in cron, where both 0 and 7 are Sunday."""
    start = FRIDAY.replace(minute=55) if "*/5" not in cron else FRIDAY
    assert moments(cron, start, count=2) == expected


def test_a_moment_in_an_hour_that_is_skipped_comes_once_and_late() -> None:
    """The clocks go from 2 to 3."""
    spring = datetime(2026, 3, 28, 12, tzinfo=BERLIN)
    assert moments("30 2 * * *", spring, count=2) == [
        "Sun 29 Mar 03:30+0200",
        "Mon 30 Mar 02:30+0200",
    ]


def test_a_moment_in_an_hour_that_comes_twice_comes_twice() -> None:
    """The clocks go from 3 to 2; one poll too many does no harm."""
    autumn = datetime(2026, 10, 24, 12, tzinfo=BERLIN)
    assert moments("30 2 * * *", autumn) == [
        "Sun 25 Oct 02:30+0200",
        "Sun 25 Oct 02:30+0100",
        "Mon 26 Oct 02:30+0100",
    ]


def test_a_pause_ends_with_the_first_moment_after_it() -> None:
    """A moment that ends it to the second is not passed by; a clock that was set changes it."""
    every_ten = CronMoments(parse_cron("*/10 * * * *"), BERLIN)
    now = 1_000_200.0  # twenty past

    assert every_ten.not_before_s(600.0, now) == 600.0
    assert every_ten.not_before_s(601.0, now) == 1200.0
    assert every_ten.left_after_step_s(5000.0, now + 60) == 540.0


def test_a_moment_that_is_noticed_early_is_not_next_once_more() -> None:
    """Timers may be a little early, and would find the same moment ahead."""
    assert CronMoments(parse_cron("* * * * *"), BERLIN).next_in_s(1_000_199.8) == pytest.approx(
        60.2
    )


def test_an_account_has_its_schedule_or_its_interval(tmp_path: Path) -> None:
    """The interval has a default, so it is the schedule that counts when there is one."""
    assert timetable_for(load_account(tmp_path, "")) == Interval(300.0)
    by_cron = timetable_for(load_account(tmp_path, 'schedule = "0 8 * * *"'))
    assert isinstance(by_cron, CronMoments)
