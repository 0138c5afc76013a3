"""What stands around a supervisor: polls that end when a test says so, a schedule that notes."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from popsync.agent.events import AgentEvent
from popsync.agent.gates import Gates
from popsync.agent.progress import Progress
from popsync.agent.supervisor import Supervisor
from popsync.agent.timetable import Timetable
from popsync.config.model import Config
from popsync.errors import PopsyncError
from popsync.ledger import StoredStanding
from popsync.model import AccountId, PollSummary
from popsync.poll.events import PollReport


class NotingSchedule:
    """A schedule on which nothing is ever due by itself."""

    def __init__(self, due: Callable[[str], None]) -> None:
        self.due = due
        self.first_after_s: dict[str, float] = {}
        """Of the last ``set`` of each account that is known."""
        self.sets = 0
        self.closed = False

    def set(self, account: str, *, timetable: Timetable, first_after_s: float) -> None:
        """Note it."""
        self.sets += 1
        self.first_after_s[account] = first_after_s

    def remove(self, account: str) -> None:
        """Forget it."""
        self.first_after_s.pop(account, None)

    def due_in_s(self, account: str) -> float | None:
        """Give what was set last, as if no time had passed."""
        return self.first_after_s.get(account)

    def close(self) -> None:
        """Note it."""
        self.closed = True


class NotedStandings:
    """A memory of accounts that outlives supervisors."""

    token = "ledger"

    def __init__(self) -> None:
        self.noted: dict[AccountId, StoredStanding] = {}
        self.refuses: PopsyncError | None = None
        """What every write raises."""
        self.polls: list[tuple[AccountId, PollSummary]] = []
        self.lost: PopsyncError | None = None
        """What every look at it raises."""
        self.caught_up = 0
        """How often what was put off had to be written."""

    async def catch_up(self) -> None:
        """Remember that it was asked for."""
        self.caught_up += 1
        if self.refuses is not None:
            raise self.refuses

    async def check(self) -> None:
        """Raise what a test wants it to."""
        if self.lost is not None:
            raise self.lost

    async def standings(self) -> Mapping[AccountId, StoredStanding]:
        """Give all that was noted."""
        return dict(self.noted)

    async def note_standing(self, account: AccountId, standing: str) -> None:
        """Note it."""
        self._note(account, self._of(account)._replace(standing=standing))

    async def note_poll(self, account: AccountId, summary: PollSummary) -> None:
        """Note it."""
        self.polls.append((account, summary))

    async def set_paused(self, account: AccountId, *, paused: bool) -> None:
        """Note it."""
        self._note(account, self._of(account)._replace(paused=paused))

    def _of(self, account: AccountId) -> StoredStanding:
        return self.noted.get(account, StoredStanding("", paused=False))

    def _note(self, account: AccountId, standing: StoredStanding) -> None:
        if self.refuses is not None:
            raise self.refuses
        self.noted[account] = standing


class AskedStop:
    """A stop that a test asks for."""

    def __init__(self) -> None:
        self._asked = asyncio.Event()

    def __call__(self) -> bool:
        """Say whether it was asked for."""
        return self._asked.is_set()

    def ask(self) -> None:
        """Ask; never twice."""
        assert not self._asked.is_set()
        self._asked.set()

    async def wait(self) -> None:
        """Return once it was asked for."""
        await self._asked.wait()


@dataclass(eq=False)
class BegunPoll:
    """One poll under way."""

    account: str
    config: Config
    progress: Progress
    _end: "asyncio.Future[PollReport]"
    cut: bool = False

    def end(
        self,
        error: PopsyncError | None = None,
        *,
        now: float = 1000.0,
        down: str = "",
        login_delay_s: int = 0,
    ) -> None:
        """Let it end well, or with ``error``; ``down``: a destination that took no mail."""
        names = frozenset({down} if down else ())
        summary = PollSummary(now, now)
        report = PollReport(self.account, summary, error, down=names, login_delay_s=login_delay_s)
        self._end.set_result(report)

    def blow_up(self, error: Exception) -> None:
        """Let it raise what no poll raises."""
        self._end.set_exception(error)

    async def report(self) -> PollReport:
        """Return at its end."""
        try:
            return await self._end
        except asyncio.CancelledError:
            self.cut = True
            raise


@dataclass(eq=False)
class Crew:
    """The pollster of one configuration; its polls wait for their ``turn``."""

    config: Config
    begun: "asyncio.Queue[BegunPoll]"
    turn: asyncio.Event
    given_up: bool = False

    def give_up_openings(self) -> None:
        """Note it."""
        self.given_up = True

    async def poll(
        self, name: str, *, wanted: Callable[[], bool], progress: Progress
    ) -> PollReport | None:
        """Begin a poll, and give its report when the test has let it end."""
        await self.turn.wait()
        if not wanted():
            return None
        progress.begin()
        end = asyncio.get_running_loop().create_future()
        poll = BegunPoll(name, self.config, progress, end)
        self.begun.put_nowait(poll)
        return await poll.report()


@dataclass(eq=False)
class Watch:
    """A supervisor at work, and all that is around it."""

    begun: "asyncio.Queue[BegunPoll]" = field(default_factory=asyncio.Queue)
    events: "asyncio.Queue[AgentEvent]" = field(default_factory=asyncio.Queue)
    turn: asyncio.Event = field(default_factory=asyncio.Event)
    stop: AskedStop = field(default_factory=AskedStop)
    memory: NotedStandings = field(default_factory=NotedStandings)
    refuses: PopsyncError | None = None
    """What building the next pollster raises."""

    def __post_init__(self) -> None:
        """Begin with nobody waiting."""
        self.turn.set()
        self.schedules: list[NotingSchedule] = []
        self.crews: list[Crew] = []
        self.passed_s = 0.0
        self.gates = Gates()
        self.supervisor = Supervisor(
            stop=self.stop,
            observe=self.events.put_nowait,
            open_schedule=self._open_schedule,
            chance=lambda: 0.5,
            clock=lambda: 1000.0,
            monotonic=lambda: self.passed_s,
        )
        self.running: asyncio.Task[None] | None = None

    @property
    def schedule(self) -> NotingSchedule:
        """The supervisor's only one."""
        (schedule,) = self.schedules
        return schedule

    async def next_event(self) -> AgentEvent:
        """Give the next thing that the supervisor told."""
        return await self.events.get()

    async def next_poll(self, name: str = "") -> BegunPoll:
        """Give the next poll that begins; a ``name`` makes its account due before."""
        if name:
            self.schedule.due(name)
        return await self.begun.get()

    def start(self, config: Config) -> "asyncio.Task[None]":
        """Let the supervisor run over ``config``."""
        return asyncio.create_task(
            self.supervisor.run(config, self.build, self.memory, self.gates)
        )

    async def settle_polls(self) -> None:
        """Return when no poll is under way, and all is remembered of those that were."""
        await self.supervisor._polls.wait()

    async def settle_marks(self) -> None:
        """Return when it is known of each suspended account whether its login is another now."""
        await asyncio.wait([self.supervisor._lifting])

    def _open_schedule(self, due: Callable[[str], None]) -> NotingSchedule:
        self.schedules.append(NotingSchedule(due))
        return self.schedules[-1]

    async def build(self, config: Config) -> Crew:
        """Give the pollster of a configuration."""
        if self.refuses is not None:
            raise self.refuses
        self.crews.append(Crew(config, self.begun, self.turn))
        return self.crews[-1]


@asynccontextmanager
async def watching(config: Config, memory: NotedStandings | None = None) -> AsyncIterator[Watch]:
    """Let a supervisor run over ``config``; on leaving, it is cancelled if it still does."""
    watch = Watch(memory=memory or NotedStandings())
    watch.running = watch.start(config)
    await watch.next_event()
    try:
        yield watch
    finally:
        watch.running.cancel()
        await asyncio.wait([watch.running])


async def settle() -> None:
    """Let every task go as far as it can without anything from outside."""
    for _ in range(20):
        await asyncio.sleep(0)
