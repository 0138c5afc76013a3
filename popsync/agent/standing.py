"""How an account is doing, and when it is polled next. Pure.

What a failure means is for ``poll.disposition``; here it gets its pause:

================== ==========================================================================
what happened      when the next poll is
================== ==========================================================================
all went well      as the schedule has it
backs off          after ``poll_every``, doubling with every failure in a row up to an hour
too soon, or locked the same, and never in less than a minute
login refused      the same; suspended after the third one
suspended          once in six hours, until its configuration changes or somebody asks
================== ==========================================================================
"""

from dataclasses import dataclass
from typing import NamedTuple

from popsync.errors import (
    AuthRejected,
    LoginDelayed,
    MaildropLocked,
    PopsyncError,
    SecretUnavailable,
)
from popsync.poll.disposition import Disposition, dispose
from popsync.poll.events import PollReport

MAX_BACK_OFF_S = 3600.0
"""An account that is polled less often than that keeps to its own interval."""
MIN_PAUSE_AFTER_LOCK_S = 60.0
SUSPENDED_PROBE_S = 6 * 3600.0
MAX_REFUSED_LOGINS = 3
"""So many in a row are no accident, and more may have the provider lock the login."""
JITTER = 0.2
"""Share of a grown pause that chance may take off, so that accounts do not come back at once."""


@dataclass(frozen=True, slots=True)
class Standing:
    """What the last polls of an account came to; the default is that of a new one."""

    failures: int = 0
    """In a row."""
    failing_since: float | None = None
    """When the first of them ended, in seconds since the epoch."""
    refused_logins: int = 0
    """Since the last success: nothing else proves that the password is right."""
    suspended: bool = False
    trouble: str = ""
    """Kind and text of the last error; empty when all is well."""

    @property
    def lacks_password(self) -> bool:
        """Whether another password may end the trouble."""
        return self.refused_logins > 0 or self.trouble.startswith(SecretUnavailable.__name__)

    @property
    def is_locked_out(self) -> bool:
        """Whether its login was refused so often that trying it any more does harm."""
        return self.suspended and self.refused_logins >= MAX_REFUSED_LOGINS


class NextStep(NamedTuple):
    """Where a poll leaves its account."""

    standing: Standing
    next_poll_in_s: float | None
    """None leaves it to the schedule."""


def next_standing(
    before: Standing, report: PollReport, *, poll_every_s: float, chance: float
) -> NextStep:
    """Read what follows for an account from how its poll ended.

    chance: from 0 to 1, decides how much of the jitter is used.
    """
    if report.error is None:
        return NextStep(Standing(), poll_every_s if before.failures else None)
    after = _add_failure(before, report.error, report.summary.ended_at)
    if after.suspended:
        return NextStep(after, SUSPENDED_PROBE_S)
    pause_s = _pause_s(after.failures, poll_every_s, chance)
    if isinstance(report.error, MaildropLocked | LoginDelayed):
        pause_s = max(pause_s, MIN_PAUSE_AFTER_LOCK_S)
    return NextStep(after, pause_s)


def _add_failure(before: Standing, error: PopsyncError, now: float) -> Standing:
    refused = before.refused_logins + isinstance(error, AuthRejected)
    return Standing(
        failures=before.failures + 1,
        failing_since=now if before.failing_since is None else before.failing_since,
        refused_logins=refused,
        suspended=_suspends(error, refused),
        trouble=f"{type(error).__name__}: {error}",
    )


def _suspends(error: PopsyncError, refused_logins: int) -> bool:
    if dispose(error) is not Disposition.SUSPEND:
        return False
    return not isinstance(error, AuthRejected) or refused_logins >= MAX_REFUSED_LOGINS


def _pause_s(failures: int, poll_every_s: float, chance: float) -> float:
    """Give the pause after so many failures in a row; never less than the interval."""
    grown_s = min(poll_every_s * 2.0 ** min(failures - 1, 32), MAX_BACK_OFF_S)
    return max(poll_every_s, grown_s * (1 - JITTER * chance))
