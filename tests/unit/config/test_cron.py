"""Schedules as people write them in crontabs."""

from pathlib import Path

import pytest

from popsync.config.cron import parse_cron
from tests.unit.config.files import GMX, INBOX, load, load_account, problems


@pytest.mark.parametrize(
    ("text", "field", "expected"),
    [
        ("*/20 * * * *", "minutes", (0, 20, 40)),
        ("5 * * * *", "minutes", (5,)),
        ("7,3-5,4 * * * *", "minutes", (3, 4, 5, 7)),
        ("10-30/10 * * * *", "minutes", (10, 20, 30)),
        ("0 */9999 * * *", "hours", (0,)),
        ("0 0 31 * *", "days", (31,)),
        ("0 0 * jan,DEC *", "months", (1, 12)),
        ("0 0 * 2-mar *", "months", (2, 3)),
        ("0 0 * * 0,7", "weekdays", (0,)),
        ("0 0 * * fri-sun", "weekdays", (0, 5, 6)),
        ("0 0 * * 5-7", "weekdays", (0, 5, 6)),
        ("0 0 * * sun-tue", "weekdays", (0, 1, 2)),
        ("  0\t0  29 2 * ", "days", (29,)),
    ],
)
def test_a_field_gives_its_values(text: str, field: str, expected: tuple[int, ...]) -> None:
    """In order, each once."""
    assert getattr(parse_cron(text), field) == expected


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('"* * * *"', 'must be five fields, minute, hour, day, month and weekday, such as "*/5'),
        ('"@daily"', "must be five fields"),
        ("5", "must be five fields"),
        ('"60 * * * *"', 'has "60" as minute, which must be from 0 to 59'),
        ('"0 24 * * *"', 'has "24" as hour, which must be from 0 to 23'),
        ('"0 0 0 * *"', 'has "0" as day, which must be from 1 to 31'),
        ('"0 0 * foo *"', 'has "foo" as month, which must be from 1 to 12 or jan to dec'),
        ('"0 0 * * mo"', 'has "mo" as weekday, which must be from 0 to 7 or sun to sat'),
        ('"9-5 * * * *"', 'has "9-5" as minute, a range that runs backwards'),
        ('"*/0 * * * *"', 'has "*/0" as minute, and a step cannot be zero'),
        ('"5/10 * * * *"', 'has "5/10" as minute; write a number, a range'),
        ('"1,,2 * * * *"', 'has "" as minute; write a number, a range'),
        ('"0 ٣ * * *"', 'has "٣" as hour; write a number, a range'),
        (f'"{"9" * 99} * * * *"', f'has "{"9" * 19}…" as minute'),
        ('"0 0 1 * mon"', "restricts both the day of the month and the weekday"),
        ('"0 0 30 2 *"', "is never: no such month has so many days"),
    ],
)
def test_a_schedule_that_cannot_be_is_refused(tmp_path: Path, text: str, says: str) -> None:
    """One line, with its place, that says what to write."""
    (problem,) = problems(tmp_path, INBOX + GMX + f"schedule = {text}\n")

    assert problem.startswith("11:1: account.gmx.schedule: ")
    assert says in problem


@pytest.mark.parametrize(
    ("defaults", "own", "by_schedule"),
    [
        ('schedule = "0 8 * * *"', "", True),
        ('poll_every = "1m"', 'schedule = "0 8 * * *"', True),
        ('schedule = "0 8 * * *"', 'poll_every = "1m"', False),
    ],
)
def test_what_an_account_says_beats_the_defaults(
    tmp_path: Path, defaults: str, own: str, *, by_schedule: bool
) -> None:
    """Whichever of the two it is."""
    account = load_account(tmp_path, own, around=f"[defaults]\n{defaults}\n{INBOX}")

    assert (account.schedule is not None) is by_schedule


def test_a_schedule_and_an_interval_in_one_table_are_refused(tmp_path: Path) -> None:
    """In an account, and once in the defaults, however many accounts inherit them."""
    both = 'poll_every = "1m"\nschedule = "0 8 * * *"\n'
    says = "cannot stand beside poll_every; remove one of them"
    others = GMX.replace("gmx]", "other]").replace("jane@", "joe@")

    assert problems(tmp_path, INBOX + GMX + both) == [f"12:1: account.gmx.schedule: {says}"]
    assert problems(tmp_path, "[defaults]\n" + both + INBOX + GMX + others) == [
        f"3:1: defaults.schedule: {says}"
    ]


def test_an_account_without_a_schedule_has_none(tmp_path: Path) -> None:
    """The interval is the default."""
    account = load(tmp_path, INBOX + GMX).accounts["gmx"]

    assert (account.schedule, account.poll_every_s) == (None, 300)
