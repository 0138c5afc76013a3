"""Which accounts the daemon watches over, and when each is due."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import partial

from popsync.agent.memory import Memory, mark_login
from popsync.agent.overview import AccountOverview
from popsync.agent.schedule import Schedule
from popsync.agent.standing import SUSPENDED_PROBE_S, Standing
from popsync.agent.timetable import first_in_s, timetable_for
from popsync.agent.watched import Pollster, Watched
from popsync.config.account import AccountConfig
from popsync.config.model import Config
from popsync.config.secrets import find_secret_file
from popsync.errors import PollStuck, UnknownAccount, escape
from popsync.poll.events import PollReport

HANDFUL = 10
"""So many accounts may begin at the same moment; more are spread over their interval."""
SAME_MOMENT_S = 0.05
"""A login that comes no earlier than this is not too early for its server."""
MAX_LATE_S = 60.0
"""An account that is later than this, and not for want of a place, is not going to be polled."""


class Roster:
    """The enabled accounts of the present configuration, in its order."""

    memory: Memory
    """Set before the first account is taken in."""

    def __init__(
        self,
        schedule: Schedule,
        *,
        chance: Callable[[], float],
        clock: Callable[[], float],
        monotonic: Callable[[], float],
    ) -> None:
        self._schedule = schedule
        self._chance = chance
        self._clock = clock
        self._monotonic = monotonic
        self._watched: dict[str, Watched] = {}
        self._closed = False

    def __iter__(self) -> Iterator[Watched]:
        return iter(list(self._watched.values()))

    def __len__(self) -> int:
        return len(self._watched)

    def get(self, name: str) -> Watched | None:
        """Give the account that has the name now."""
        return self._watched.get(name)

    def holds(self, watched: Watched) -> bool:
        """Say whether the account is still there, under the same configuration."""
        return self._watched.get(watched.name) is watched

    def choose(self, names: Sequence[str]) -> list[Watched]:
        """Give the accounts called ``names``, each once; all of them when there are none.

        Raises UnknownAccount.
        """
        strangers = [escape(name) for name in names if name not in self._watched]
        if strangers:
            listed = ", ".join(f'"{name}"' for name in strangers)
            raise UnknownAccount(f"no account {listed} is enabled")
        return [self._watched[name] for name in dict.fromkeys(names or self._watched)]

    def overview(self) -> Sequence[AccountOverview]:
        """Give what each account is about."""
        return [
            watched.overview(self._next_poll_at(name), paused=self.is_paused(watched))
            for name, watched in self._watched.items()
        ]

    def is_in_time(self) -> bool:
        """Say whether no account is due for so long that nobody can have heard of it."""
        waits = (self._schedule.due_in_s(name) for name in self._watched)
        return all(due_in_s is None or due_in_s > -MAX_LATE_S for due_in_s in waits)

    def is_paused(self, watched: Watched) -> bool:
        """Say whether the operator wants the account not to be polled."""
        return watched.id in self.memory.paused

    # -- accounts come and go ----------------------------------------------------------------

    def take_all(self, config: Config, pollster: Pollster) -> None:
        """Begin with all accounts of ``config``, from where they were before a restart."""
        accounts = _enabled(config)
        for watched in self._take(accounts, config, pollster):
            pause_s = watched.recall(self.memory.recall(watched.id), self._clock())
            self.wait(watched, max(pause_s, self._first_in_s(watched, among=len(accounts))))

    def change(
        self, config: Config, pollster: Pollster, *, gone: Collection[str], fresh: Collection[str]
    ) -> None:
        """Go on under ``config``: drop some accounts, take in others, leave the rest alone.

        One that is in both and was suspended is due at once.
        """
        dropped = [self._drop(name) for name in gone]
        suspended = {watched.name for watched in dropped if watched and watched.standing.suspended}
        for watched in self:
            watched.pollster = pollster
        accounts = {name: a for name, a in _enabled(config).items() if name in fresh}
        for watched in self._take(accounts, config, pollster):
            at_once = watched.name in suspended
            first_in_s = 0.0 if at_once else self._first_in_s(watched, among=len(accounts))
            self.wait(watched, first_in_s)
        self._watched = {n: self._watched[n] for n in config.accounts if n in self._watched}

    def close(self) -> None:
        """Have nothing due any more; may be called again."""
        self._closed = True
        self._schedule.close()

    def clear(self) -> None:
        """Watch over nothing any more."""
        self.close()
        self._watched.clear()

    def _take(
        self, accounts: Mapping[str, AccountConfig], config: Config, pollster: Pollster
    ) -> Iterator[Watched]:
        for name, account in accounts.items():
            make_mark = partial(
                mark_login, account, allow_group=config.allow_group, token=self.memory.token
            )
            timetable = timetable_for(account)
            secret_file = find_secret_file(account.password)
            watched = Watched(
                name, account.account_id, timetable, pollster, make_mark, secret_file
            )
            self._watched[name] = watched
            yield watched

    def _first_in_s(self, watched: Watched, *, among: int) -> float:
        share = self._chance() if among > HANDFUL else 0.0
        return first_in_s(watched.timetable, self._clock(), share=share)

    def _drop(self, name: str) -> Watched | None:
        """Have the account due no more; a poll under way goes on to its end."""
        watched = self._watched.pop(name, None)
        if watched is not None:
            self._schedule.remove(name)
        return watched

    # -- when they are due -------------------------------------------------------------------

    def wait(self, watched: Watched, pause_s: float) -> bool:
        """Have an account due after a pause; False if it is paused, or gone, or this is closed."""
        waits = self.holds(watched) and not self.is_paused(watched) and not self._closed
        if waits:
            self._schedule.set(watched.name, timetable=watched.timetable, first_after_s=pause_s)
        return waits

    def delay_login(self, watched: Watched, report: PollReport) -> bool:
        """Have an account due no sooner than its server lets it in again; say if that is later."""
        if report.login_delay_s or report.error is None:
            watched.login_delay_s = report.login_delay_s
        watched.may_log_in_at = self._monotonic() + watched.login_delay_s
        due_in_s = self._schedule.due_in_s(watched.name)
        return due_in_s is not None and self._wait_for_server(watched, due_in_s)

    def must_wait(self, watched: Watched) -> bool:
        """Say whether the server does not let it in yet; it is due again when it does."""
        return self._wait_for_server(watched, SAME_MOMENT_S)

    def _wait_for_server(self, watched: Watched, due_in_s: float) -> bool:
        left_s = watched.may_log_in_at - self._monotonic()
        if left_s <= due_in_s:
            return False
        return self.wait(watched, watched.timetable.not_before_s(left_s, self._clock()))

    async def pause(self, watched: Watched) -> None:
        """Have it due no more until it is resumed. Raises LedgerError."""
        await self.memory.set_paused(watched.id, paused=True)
        self._schedule.remove(watched.name)

    async def resume(self, watched: Watched) -> None:
        """Have it due now. Raises LedgerError."""
        await self.memory.set_paused(watched.id, paused=False)
        self._lift(watched)

    def lacking_password(self) -> Sequence[Watched]:
        """Give the accounts that another password may help."""
        return [watched for watched in self if watched.standing.lacks_password]

    async def try_password(self, watched: Watched) -> None:
        """Have an account due now if its login is not the one that was refused."""
        if not watched.standing.is_locked_out or await watched.has_other_login():
            self._lift(watched)

    async def lift_suspensions(self) -> None:
        """Have those due now whose login is another than the one that was refused."""
        for watched in self:
            if await watched.has_other_login():
                self._lift(watched)

    async def remember(self, watched: Watched, report: PollReport) -> None:
        """Have a restart not forget how an account is doing, nor ``status`` how a poll ended."""
        if isinstance(report.error, PollStuck):
            await self.memory.note_poll(watched.id, report.summary)
        probe_at = self._clock() + SUSPENDED_PROBE_S
        await self.memory.note(watched.id, await watched.to_remember(probe_at))

    def _lift(self, watched: Watched) -> None:
        watched.standing = Standing()
        self.wait(watched, 0.0)

    def _next_poll_at(self, name: str) -> float | None:
        due_in_s = self._schedule.due_in_s(name)
        return None if due_in_s is None else self._clock() + due_in_s


def _enabled(config: Config) -> dict[str, AccountConfig]:
    return {name: account for name, account in config.accounts.items() if account.enabled}
