"""One account that the daemon watches over."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from popsync.agent.memory import Remembered
from popsync.agent.overview import AccountOverview, state_of
from popsync.agent.progress import Progress
from popsync.agent.standing import SUSPENDED_PROBE_S, Standing
from popsync.agent.timetable import Timetable
from popsync.errors import (
    PollStuck,
    PopsyncError,
    SecretUnavailable,
    UnexpectedError,
    escape,
)
from popsync.model import AccountId, PollSummary
from popsync.poll.events import PollReport

_STUCK = "the poll waited for {} without end and was cut short; nothing is lost"


class Pollster(Protocol):
    """What polls accounts: an ``Agent``."""

    async def poll(
        self, name: str, *, wanted: Callable[[], bool], progress: Progress
    ) -> PollReport | None:
        """Poll one account when its turn comes; None when it is not ``wanted`` any more then."""
        ...

    def give_up_openings(self) -> None:
        """Cancel the polls whose session has not begun yet; they have nothing in hand."""
        ...


@dataclass(eq=False, slots=True)
class Watched:
    """One enabled account under one configuration."""

    name: str
    id: AccountId
    timetable: Timetable
    pollster: Pollster
    make_mark: Callable[[], Awaitable[str]]
    """Gives the mark of its login. Raises SecretUnavailable."""
    secret_file: Path | None = None
    """Where its password lies; None when that is no file."""
    standing: Standing = field(default_factory=Standing)
    mark: str = ""
    """That of the login that was refused; empty when none was, or nobody can tell."""
    awaits_destination: bool = False
    """A destination took no mail in its last poll, which is no fault of its own."""
    login_delay_s: int = 0
    """What its server wants to pass between two logins."""
    may_log_in_at: float = 0.0
    """When that has passed since the last one, in monotonic seconds."""
    polling_since: float | None = None
    """None also while it waits for its place."""

    async def poll(
        self, begins: Callable[[], bool], progress: Progress, clock: Callable[[], float]
    ) -> PollReport | None:
        """Poll it; a bug costs this account one poll, and so does a poll that got stuck."""
        try:
            return await self.pollster.poll(self.name, wanted=begins, progress=progress)
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if not progress.cut_at or task is None or task.uncancel():
                raise  # it is the daemon that ends
            return self._report_failure(PollStuck(_STUCK.format(progress.cut_at)), clock())
        except Exception as caught:  # noqa: BLE001 - no account's trouble reaches another (P5)
            error = UnexpectedError(escape(f"{type(caught).__name__}: {caught}"))
            error.__cause__ = caught
            return self._report_failure(error, clock())

    def _report_failure(self, error: PopsyncError, now: float) -> PollReport:
        began_at = now if self.polling_since is None else self.polling_since
        return PollReport(self.name, PollSummary(began_at, now, error=str(error)), error)

    def recall(self, remembered: Remembered, now: float) -> float:
        """Go on as if there had been no restart; give how long its login must not be tried yet."""
        self.standing, self.mark = remembered.standing, remembered.login
        if not self.standing.is_locked_out:
            return 0.0
        return min(remembered.probe_at - now, SUSPENDED_PROBE_S)  # clocks are set back, too

    async def to_remember(self, probe_at: float) -> Remembered:
        """Give what a restart must not make it forget."""
        if not self.standing.is_locked_out:
            self.mark = ""
            return Remembered(self.standing)
        if not self.mark:
            self.mark = await self._current_mark()
        return Remembered(self.standing, probe_at, self.mark)

    async def has_other_login(self) -> bool:
        """Say whether the login that was refused is not the one that it has now."""
        return bool(self.mark) and await self._current_mark() not in {"", self.mark}

    async def _current_mark(self) -> str:
        try:
            return await self.make_mark()
        except SecretUnavailable:
            return ""

    def overview(self, next_poll_at: float | None, *, paused: bool) -> AccountOverview:
        """Give what it is about now."""
        polling = self.polling_since is not None
        state = state_of(self.standing, polling=polling, paused=paused)
        return AccountOverview(
            self.name, self.id, state, next_poll_at, self.polling_since, self.standing
        )
