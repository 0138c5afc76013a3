"""One poll per account at a time, when the schedule says so, until somebody asks for the end."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Protocol
from weakref import WeakSet

from popsync.agent.events import AgentEvent, Reloaded, Started, event_after
from popsync.agent.gates import DestinationBack, GateEvent, Gates
from popsync.agent.memory import Memory, StandingMemory
from popsync.agent.overview import AccountOverview, DestinationOverview
from popsync.agent.patrol import patrol
from popsync.agent.polls import Polls, result_of
from popsync.agent.progress import Progress
from popsync.agent.roster import Roster
from popsync.agent.schedule import ClockSchedule, Schedule
from popsync.agent.secret_watch import SecretWatch
from popsync.agent.standing import next_standing
from popsync.agent.watched import Pollster, Watched
from popsync.config.diff import compare_configs
from popsync.config.model import Config
from popsync.errors import DestinationUnavailable, PopsyncError
from popsync.model import AccountId
from popsync.poll.disposition import Disposition, dispose
from popsync.poll.events import PollReport

RETRY_PATIENCE_S = 5.0
"""Whoever asks for a poll waits so long for destinations that took no mail."""

MAX_STUCK_S = 60.0
"""A poll that was cut for being stuck and is still there after this will not end."""

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
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._stop = stop
        self._observe = observe
        self._chance = chance
        self._clock = clock
        self._monotonic = monotonic
        self._progress: dict[AccountId, Progress] = {}
        """Of the polls under way."""
        self._build: Build | None = None
        self._pollsters: WeakSet[Pollster] = WeakSet()
        """Those too that a reload has replaced, while they still poll."""
        self._gates = Gates()
        self._config: Config | None = None
        self._begun = asyncio.Event()
        self._roster = Roster(
            open_schedule(self.poll_due), chance=chance, clock=clock, monotonic=monotonic
        )
        self._secret_watch = SecretWatch(self._roster.lacking_password, self._roster.try_password)
        self._polls = Polls()
        self._lifting: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._beside: list[asyncio.Task[None]] = []
        """What goes on as long as ``run`` does."""
        self._fatal: PopsyncError | None = None
        self._about_to_ask: list[Watched] = []

    async def run(
        self, config: Config, build: Build, memory: StandingMemory, gates: Gates
    ) -> None:
        """Poll until a stop is asked for, then wait for the polls that have something in hand.

        build: gives what polls the accounts of a configuration, this one and later ones.
        gates: what deliveries go through, and tell when a destination takes no mail.
        When cancelled, cuts them as a crash would; nothing is lost (P4). Raises the error that
        made going on impossible, what building the first agent raises, and LedgerError.
        """
        try:
            gates.listen(self._hear)
            pollster = await build(config)
            self._pollsters.add(pollster)
            self._roster.memory = Memory(memory)
            await self._roster.memory.read()
            self._build, self._config, self._gates = build, config, gates
            self._roster.take_all(config, pollster)
            self._begun.set()
            self._observe(Started(len(self._roster)))
            self._lifting = asyncio.create_task(self._roster.lift_suspensions())
            patrolling = patrol(self.cut_stuck, memory.check, self._end_for)
            self._beside = [*map(asyncio.create_task, (patrolling, self._secret_watch.run()))]
            self._secret_watch.look_again()
            await self._stop.wait()
            self._roster.close()
            for pollster in self._pollsters:
                pollster.give_up_openings()
            await self._polls.wait()
        finally:
            self._roster.clear()
            self._polls.cancel()
            for task in (self._lifting, *self._beside):
                task.cancel()
            await self._polls.wait()
            if self._beside:
                await asyncio.wait(self._beside)
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
        self._pollsters.add(pollster)
        changes = compare_configs(self._config, config)
        self._config = config
        accounts = changes.accounts
        self._roster.change(
            config,
            pollster,
            gone=accounts.removed | accounts.changed,
            fresh=accounts.added | accounts.changed,
        )
        self._observe(Reloaded(changes))
        self._lifting.cancel()
        self._lifting = asyncio.create_task(self._roster.lift_suspensions())

    # -- what the operator asks for ----------------------------------------------------------

    def overview(self) -> Sequence[AccountOverview]:
        """Give what each enabled account is about, in the order of the configuration."""
        return self._roster.overview()

    def destinations(self) -> Sequence[DestinationOverview]:
        """Give what each destination is about, in the order of the configuration."""
        return self._gates.overview()

    def is_moving(self) -> bool:
        """Say whether every account that is due is polled, or waits for its place, and gets on."""
        stuck_s = (progress.stuck()[1] for progress in self._progress.values())
        return self._roster.is_in_time() and max(stuck_s, default=0.0) <= MAX_STUCK_S

    def poll_all(self) -> None:
        """Poll every account now, suspended and paused ones too; the schedule stays as it is."""
        for watched in self._roster:
            self._ask(watched)

    async def poll_now(self, names: Sequence[str] = ()) -> Mapping[str, PollReport | None]:
        """Poll accounts now, suspended and paused ones too, and give their reports.

        None in place of a report: the account was removed or the end came before it could begin.
        No names are all accounts. Raises UnknownAccount.
        """
        chosen = self._roster.choose(names)
        # A gate that opens now must not begin polls whose reports nobody would get to see.
        self._about_to_ask += chosen
        try:
            await self._gates.retry(patience_s=RETRY_PATIENCE_S)
        finally:
            for watched in chosen:
                self._about_to_ask.remove(watched)
        polls = {watched.name: self._ask(watched) for watched in chosen}
        if polls:
            await asyncio.wait(polls.values())  # whoever does not wait any more cuts no poll
            await self._roster.memory.catch_up()
        return {name: result_of(poll) for name, poll in polls.items()}

    async def pause(self, names: Sequence[str] = ()) -> None:
        """Poll accounts no more until they are resumed; a poll under way goes on to its end.

        No names are all accounts. It outlives the daemon. Raises UnknownAccount, LedgerError.
        """
        for watched in self._roster.choose(names):
            await self._roster.pause(watched)

    async def resume(self, names: Sequence[str] = ()) -> None:
        """Poll accounts at once and then as scheduled, paused and suspended ones; no others.

        No names are all accounts. Raises UnknownAccount, LedgerError.
        """
        for watched in self._roster.choose(names):
            if self._roster.is_paused(watched) or watched.standing.suspended:
                await self._roster.resume(watched)

    def poll_due(self, name: str) -> None:
        """Begin to poll an account; when it is being polled, do so once more afterwards."""
        watched = self._roster.get(name)
        if watched is not None and not self._stop() and not self._roster.must_wait(watched):
            self._polls.begin(watched.id, partial(self._poll, name, watched.id))

    def _ask(self, watched: Watched) -> "asyncio.Future[PollReport | None]":
        poll = partial(self._poll, watched.name, watched.id, asked=True)
        return self._polls.begin(watched.id, poll, asked=True)

    # -- polls -------------------------------------------------------------------------------

    async def _poll(
        self, name: str, account: AccountId, *, asked: bool = False
    ) -> PollReport | None:
        watched = self._roster.get(name)
        if watched is None or watched.id != account:
            return None

        def begins() -> bool:
            may_begin = self._roster.holds(watched) and not self._stop()
            is_wanted = may_begin and (asked or not self._roster.is_paused(watched))
            watched.polling_since = self._clock() if is_wanted else None
            return is_wanted

        progress = self._progress[account] = Progress(self._monotonic)
        try:
            report = await watched.poll(begins, progress, self._clock)
            watched.polling_since = None
            if report is not None:
                self._learn(watched, report)
                if watched.standing.lacks_password:
                    self._secret_watch.look_again()
                if self._roster.delay_login(watched, report):
                    self._polls.forget(watched.id)
                await self._roster.remember(watched, report)
                if progress.ran_long and report.error is None:
                    self.poll_due(name)  # at once: it goes on where it ended
        finally:
            watched.polling_since = None
            del self._progress[account]
        return report

    def cut_stuck(self) -> None:
        """Cut the polls that get no further; they count as failed, and others go on (P4, P5)."""
        for account, progress in self._progress.items():
            what, stuck_s = progress.stuck()
            if stuck_s and not progress.cut_at:
                progress.cut_at = what
                self._polls.cut(account)

    def _learn(self, watched: Watched, report: PollReport) -> None:
        nobody_takes_it = isinstance(report.error, DestinationUnavailable)
        watched.awaits_destination = nobody_takes_it or bool(report.down)
        if nobody_takes_it:
            return  # its schedule goes on, and it is polled as soon as the gate opens
        before, timetable, now = watched.standing, watched.timetable, self._clock()
        watched.standing, pause_s = next_standing(
            before, report, poll_every_s=timetable.next_in_s(now), chance=self._chance()
        )
        if report.error is not None and dispose(report.error) is Disposition.STOP:
            self._end_for(report.error)
            return  # whoever runs us says it, once for all accounts
        if pause_s is None:
            return
        next_poll_in_s = timetable.not_before_s(pause_s, now)
        event = event_after(report, before, watched.standing, next_poll_in_s=next_poll_in_s)
        if event is not None:
            self._observe(event)
        waits = self._roster.wait(watched, next_poll_in_s)
        if waits and watched.standing.failures:
            self._polls.forget(watched.id)  # what was due meanwhile is not made up for

    def _hear(self, event: GateEvent) -> None:
        self._observe(event)
        if isinstance(event, DestinationBack):
            for watched in self._roster:
                if watched.awaits_destination and watched not in self._about_to_ask:
                    self.poll_due(watched.name)

    def _end_for(self, error: PopsyncError) -> None:
        self._fatal = self._fatal or error
        if not self._stop():
            self._stop.ask()
