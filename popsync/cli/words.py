"""Numbers, times and accounts as people say them. Pure."""

from collections.abc import Mapping

from popsync.errors import escape
from popsync.model import AccountId

Names = Mapping[AccountId, str]
"""What the configuration calls accounts."""

_UNITS = ("kB", "MB", "GB", "TB")
_SPANS = ((86_400, "day"), (3600, "hour"), (60, "minute"), (1, "second"))


def count(number: int, noun: str) -> str:
    """Give ``1 message``, ``2 messages``."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def describe_suspension(account: str) -> str:
    """Say that it is not polled, until when, and what to do."""
    return f"suspended until its configuration or password changes, or 'popsync resume {account}'"


def format_octets(octets: int) -> str:
    """Give a size in decimal units, two or three digits of it: ``950 B``, ``1.2 MB``."""
    if octets < 1000:
        return f"{octets} B"
    amount, steps = octets / 1000, 0
    while amount >= 999.5 and steps < len(_UNITS) - 1:
        amount, steps = amount / 1000, steps + 1
    return f"{amount:.{int(amount < 9.95)}f} {_UNITS[steps]}"


def format_span(seconds: float) -> str:
    """Give a length of time in its largest unit: ``5 minutes``."""
    whole = max(0, round(seconds))
    for size, noun in _SPANS:
        if whole >= size:
            return count(whole // size, noun)
    return "0 seconds"


def format_when(moment: float | None, now: float) -> str:
    """Say how long ago, or how far ahead, ``moment`` is; ``never`` for None.

    moment, now: seconds since the epoch.
    """
    if moment is None:
        return "never"
    if abs(moment - now) < 1:
        return "just now"
    return (
        f"{format_span(now - moment)} ago" if moment < now else f"in {format_span(moment - now)}"
    )


def name_account(account: AccountId, names: Names) -> str:
    """Give what the configuration calls an account, or the id of one that it does not have."""
    return names.get(account) or escape(account)
