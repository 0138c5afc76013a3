"""Times of day and week as cron writes them: ``*/5 8-18 * * mon-fri``."""

import re
from collections.abc import Iterator
from typing import NamedTuple

_EXAMPLE = '"*/5 8-18 * * mon-fri"'
_ITEM = re.compile(r"(?:\*|(\w+)(?:-(\w+))?)(?:/([0-9]{1,4}))?", re.ASCII)
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_WEEKDAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_LONGEST_MONTHS = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)


class CronTimes(NamedTuple):
    """Each field in ascending order; a moment matches when all of them do."""

    minutes: tuple[int, ...]
    hours: tuple[int, ...]
    days: tuple[int, ...]
    """Of the month."""
    months: tuple[int, ...]
    weekdays: tuple[int, ...]
    """0 is Sunday."""


class _Field(NamedTuple):
    name: str
    low: int
    high: int
    words: tuple[str, ...] = ()
    """Names for the values from ``low`` on."""


_FIELDS = (
    _Field("minute", 0, 59),
    _Field("hour", 0, 23),
    _Field("day", 1, 31),
    _Field("month", 1, 12, _MONTHS),
    _Field("weekday", 0, 7, _WEEKDAYS),
)


def parse_cron(text: object) -> CronTimes:
    """Read five fields: minute, hour, day of the month, month, weekday (0 and 7 are Sunday).

    Raises ValueError with a sentence for the user.
    """
    fields = text.split() if isinstance(text, str) else []
    if len(fields) != len(_FIELDS):
        raise ValueError(
            f"must be five fields, minute, hour, day, month and weekday, such as {_EXAMPLE}"
        )
    values = [_parse_field(field, text) for field, text in zip(_FIELDS, fields, strict=True)]
    minutes, hours, days, months, weekdays = values
    times = CronTimes(minutes, hours, days, months, tuple(sorted({w % 7 for w in weekdays})))
    _check_days(times)
    return times


def _check_days(times: CronTimes) -> None:
    if len(times.days) < 31 and len(times.weekdays) < 7:
        raise ValueError(
            "restricts both the day of the month and the weekday, and programs differ in what "
            'that means; write "*" for one of them'
        )
    if times.days[0] > max(_LONGEST_MONTHS[month - 1] for month in times.months):
        raise ValueError("is never: no such month has so many days")


def _parse_field(field: _Field, text: str) -> tuple[int, ...]:
    return tuple(sorted({value for item in text.split(",") for value in _parse_item(field, item)}))


def _parse_item(field: _Field, item: str) -> Iterator[int]:
    match = _ITEM.fullmatch(item)
    if match is None or (match[3] and match[1] and not match[2]):
        raise ValueError(
            f"has {_quote(item)} as {field.name}; write a number, a range such as "
            f"{field.low}-{field.high}, *, the latter two with a step such as */5, "
            "or several of these with commas"
        )
    low, high = field.low, field.high
    if match[1]:
        low = high = _parse_value(field, match[1])
    if match[2]:
        high = _parse_value(field, match[2])
    if field.words == _WEEKDAYS and match[2] and high == 0:
        high = 7  # a week may end on Sunday
    if high < low:
        raise ValueError(f"has {_quote(item)} as {field.name}, a range that runs backwards")
    step = int(match[3] or 1)
    if step == 0:
        raise ValueError(f"has {_quote(item)} as {field.name}, and a step cannot be zero")
    yield from range(low, high + 1, step)


def _parse_value(field: _Field, text: str) -> int:
    word = text.lower()
    if word in field.words:
        return field.low + field.words.index(word)
    if text.isdigit() and len(text) <= 4 and field.low <= int(text) <= field.high:
        return int(text)
    names = f" or {field.words[0]} to {field.words[-1]}" if field.words else ""
    raise ValueError(
        f"has {_quote(text)} as {field.name}, which must be from {field.low} to "
        f"{field.high}{names}"
    )


def _quote(text: str) -> str:
    shown = text if len(text) <= 20 else text[:19] + "…"
    return f'"{shown}"'
