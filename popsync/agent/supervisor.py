"""One poll per account at a time, when the schedule says so, until somebody asks for the end."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Protocol

from popsync.agent.events import AgentEvent, Failed, Recovered, Reloaded, Started
from popsync.agent.schedule import ClockSchedule, Schedule
from popsync.agent.standing import Standing, next_standing
from popsync.config.account import AccountConfig
from popsync.config.diff import compare_configs
from popsync.config.model import Config
from popsync.errors import PopsyncError, UnexpectedError, escape
from popsync.model import AccountId, PollSummary
from popsync.poll.disposition import Disposition, dispose
from popsync.poll.events import PollReport

HANDFUL = 10
"""So many accounts may begin at the same moment; more are spread over their interval."""


class Pollster(Protocol):
    """What polls accounts: an ``Agent``."""

    async def poll(self, name: str, *, wanted: Callable[[], bool]) -> PollReport | None:
        """Poll one account when its turn comes; None when it is not ``wanted`` any more then."""
        ...


Build = Callable[[Config], Awaitable[Pollster]]


class Stop(Protocol):
    """The wish to end in order, which anybody may utter."""

    def __call__(self) -> bool:
        """Say whether it was uttered."""
        ...

    def ask(self) -> None:
        """Utter it."""
        ...

    async def wait(self) -> None:
        """Return once it was."""
        ...


@dataclass(eq=False, slots=True)
class _Watched:
    """One enabled account under one configuration."""

    name: str
    id: AccountId
    poll_every_s: float
    pollster: Pollster
    standing: Standing


class Supervisor:
    """Polls the accounts of a configuration that may be replaced meanwhile.

    An account is never polled twice at a time, whatever it is called; a moment that comes while it
    is polled is remembered once. No account's trouble reaches another (P5).
    """

    def __init__(
        self,
        *,
        stop: Stop,
        observe: Callable[[AgentEvent], None],
        open_schedule: Callable[[Callable[[str], None]], Schedule] = ClockSchedule,
        chance: Callable[[], float] = random.random,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._stop = stop
        self._observe = observe
        self._chance = chance
        self._clock = clock
        self._schedule = open_schedule(self.poll_due)
        self._build: Build | None = None
        self._config: Config | None = None
        self._begun = asyncio.Event()
        self._watched: dict[str, _Watched] = {}
        self._polls: dict[AccountId, asyncio.Task[None]] = {}
        self._due_again: dict[AccountId, str] = {}
        self._fatal: PopsyncError | None = None

    async def run(self, config: Config, build: Build) -> None:
        """Poll until a stop is asked for, then wait for the polls under way.

        build: gives what polls the accounts of a configuration, this one and later ones.
        When cancelled, cuts them as a crash would; nothing is lost (P4). Raises the error that
        made going on impossible, and what building the first agent raises.
        """
        try:
            pollster = await build(config)
            self._build, self._config = build, config
            self._begin(_enabled(config), pollster)
            self._begun.set()
            self._observe(Started(len(self._watched)))
            await self._stop.wait()
            self._schedule.close()
            await self._wait_for_polls()
        finally:
            self._schedule.close()
            self._watched.clear()
            for poll in self._polls.values():
                poll.cancel()
            await self._wait_for_polls()
        if self._fatal is not None:
            raise self._fatal

    async def apply(self, config: Config) -> None:
        """Go on under ``config``; accounts that it does not change keep standing and phase.

        A poll under way ends under the configuration that it began with. Waits until ``run`` has
        begun. One call at a time. When it raises, nothing has changed.
        """
        await self._begun.wait()
        if self._build is None or self._config is None or self._stop():
            return
        pollster = await self._build(config)
        changes = compare_configs(self._config, config)
        self._config = config
        gone = [self._drop(n) for n in changes.accounts.removed | changes.accounts.changed]
        for watched in self._watched.values():
            watched.pollster = pollster
        fresh = changes.accounts.added | changes.accounts.changed
        wanted = {name: account for name, account in _enabled(config).items() if name in fresh}
        suspended = {watched.name for watched in gone if watched and watched.standing.suspended}
        self._begin(wanted, pollster, at_once=suspended)
        self._observe(Reloaded(changes))

    def poll_all(self) -> None:
        """Poll every account now, suspended ones too; the schedule stays as it is."""
        for name in self._watched:
            self.poll_due(name)

    def poll_due(self, name: str) -> None:
        """Begin to poll an account; when it is being polled, do so once more afterwards."""
        watched = self._watched.get(name)
        if watched is None or self._stop():
            return
        if watched.id in self._polls:
            self._due_again[watched.id] = name
            return
        poll = asyncio.create_task(self._poll(watched), name=f"poll {name}")
        self._polls[watched.id] = poll
        poll.add_done_callback(lambda _poll: self._end_poll(watched.id))

    # -- accounts come and go ----------------------------------------------------------------

    def _begin(
        self,
        accounts: Mapping[str, AccountConfig],
        pollster: Pollster,
        *,
        at_once: Collection[str] = (),
    ) -> None:
        for name, account in accounts.items():
            every_s = float(account.poll_every_s)
            self._watched[name] = _Watched(name, account.account_id, every_s, pollster, Standing())
            spreads = len(accounts) > HANDFUL and name not in at_once
            first_after_s = every_s * self._chance() if spreads else 0.0
            self._schedule.set(name, every_s=every_s, first_after_s=first_after_s)

    def _drop(self, name: str) -> _Watched | None:
        """Poll the account no more; a poll under way goes on to its end."""
        watched = self._watched.pop(name, None)
        if watched is not None:
            self._schedule.remove(name)
        return watched

    # -- polls -------------------------------------------------------------------------------

    async def _poll(self, watched: _Watched) -> None:
        report = await self._poll_whatever_happens(watched)
        if report is not None:
            self._learn(watched, report)

    def _end_poll(self, account: AccountId) -> None:
        del self._polls[account]
        name = self._due_again.pop(account, None)
        if name is not None:
            self.poll_due(name)

    async def _poll_whatever_happens(self, watched: _Watched) -> PollReport | None:
        try:
            return await watched.pollster.poll(
                watched.name, wanted=lambda: self._is_wanted(watched)
            )
        except Exception as caught:  # noqa: BLE001 - a bug, which costs this account one poll
            now = self._clock()
            error = UnexpectedError(escape(f"{type(caught).__name__}: {caught}"))
            error.__cause__ = caught
            return PollReport(watched.name, PollSummary(now, now, error=str(error)), error)

    def _learn(self, watched: _Watched, report: PollReport) -> None:
        before = watched.standing
        watched.standing, next_poll_in_s = next_standing(
            before, report, poll_every_s=watched.poll_every_s, chance=self._chance()
        )
        if report.error is not None and dispose(report.error) is Disposition.STOP:
            self._end_for(report.error)
        if next_poll_in_s is not None:
            self._tell(before, watched.standing, report, next_poll_in_s)
            self._wait(watched, next_poll_in_s)

    def _tell(
        self, before: Standing, after: Standing, report: PollReport, next_poll_in_s: float
    ) -> None:
        if report.error is not None:
            self._observe(Failed(report, before, after, next_poll_in_s))
        elif before.failing_since is not None:
            lasted_s = report.summary.ended_at - before.failing_since
            self._observe(Recovered(report.account, before.failures, lasted_s))

    def _wait(self, watched: _Watched, pause_s: float) -> None:
        """Poll after the pause; a moment that came while a poll failed is not made up for."""
        if not self._is_wanted(watched):
            return
        if watched.standing.failures:
            self._due_again.pop(watched.id, None)
        self._schedule.set(watched.name, every_s=watched.poll_every_s, first_after_s=pause_s)

    def _is_wanted(self, watched: _Watched) -> bool:
        """Say whether the account is there under the same configuration, and may be polled."""
        return self._watched.get(watched.name) is watched and not self._stop()

    def _end_for(self, error: PopsyncError) -> None:
        self._fatal = self._fatal or error
        if not self._stop():
            self._stop.ask()

    async def _wait_for_polls(self) -> None:
        while self._polls:
            await asyncio.wait(self._polls.values())


def _enabled(config: Config) -> dict[str, AccountConfig]:
    return {name: account for name, account in config.accounts.items() if account.enabled}
