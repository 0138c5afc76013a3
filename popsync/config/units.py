"""Durations and sizes as people write them."""

import re

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_LONGEST_S = 3650 * 86_400
_OCTETS = {"B": 1, "KB": 1024, "MB": 1024**2, "GB": 1024**3}
_DURATION = re.compile(r"([0-9]{1,9})([smhd])")
_SIZE = re.compile(r"([0-9]{1,9})([KMG]?B)")


def parse_duration(text: object) -> int:
    """Give the seconds in ``30s``, ``5m``, ``2h`` or ``14d``.

    Raises ValueError with a sentence for the user.
    """
    match = _DURATION.fullmatch(text) if isinstance(text, str) else None
    if match is None:
        raise ValueError(
            'is not a duration; write a number and a unit, such as "30s", "5m", "2h" or "14d"'
        )
    number, unit = match.groups()
    seconds = int(number) * _SECONDS[unit]
    if seconds > _LONGEST_S:
        raise ValueError('is longer than ten years, "3650d"')
    return seconds


def parse_interval(text: object) -> int:
    """Give the seconds of a duration that is not zero. Raises ValueError like parse_duration."""
    seconds = parse_duration(text)
    if seconds == 0:
        raise ValueError("must be longer than zero")
    return seconds


def parse_size(text: object) -> int:
    """Give the octets in ``512KB``, ``50MB`` or ``2GB``; a KB is 1024 octets.

    1024, because that is how mail providers count the limits that a user copies from them, and
    the larger reading never refuses a message that the smaller one would let pass.
    Raises ValueError with a sentence for the user.
    """
    match = _SIZE.fullmatch(text) if isinstance(text, str) else None
    if match is None:
        raise ValueError(
            'is not a size; write a number and a unit, such as "512KB", "50MB" or "2GB"'
        )
    number, unit = match.groups()
    if int(number) == 0:
        raise ValueError("must be more than zero")
    return int(number) * _OCTETS[unit]
