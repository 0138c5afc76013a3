"""The accounts that the daemon watches over."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from popsync.agent.overview import AccountOverview, state_of
from popsync.agent.standing import Standing
from popsync.agent.timetable import Timetable
from popsync.errors import UnknownAccount, escape
from popsync.ledger import StoredStanding
from popsync.model import AccountId
from popsync.poll.events import PollReport


class Pollster(Protocol):
    """What polls accounts: an ``Agent``."""

    async def poll(self, name: str, *, wanted: Callable[[], bool]) -> PollReport | None:
        """Poll one account when its turn comes; None when it is not ``wanted`` any more then."""
        ...


class StandingMemory(Protocol):
    """What outlives the daemon: the ledger. Every method raises LedgerError."""

    async def standings(self) -> Mapping[AccountId, StoredStanding]:
        """Give all that was noted."""
        ...

    async def note_standing(self, account: AccountId, standing: str) -> None:
        """Remember how the account is doing."""
        ...

    async def set_paused(self, account: AccountId, *, paused: bool) -> None:
        """Remember whether the operator wants the account to be polled."""
        ...


@dataclass(eq=False, slots=True)
class Watched:
    """One enabled account under one configuration."""

    name: str
    id: AccountId
    timetable: Timetable
    pollster: Pollster
    standing: Standing
    polling_since: float | None = None
    """None also while it waits for its place."""

    def overview(self, next_poll_at: float | None, *, paused: bool) -> AccountOverview:
        """Give what it is about now."""
        polling = self.polling_since is not None
        state = state_of(self.standing, polling=polling, paused=paused)
        return AccountOverview(
            self.name, self.id, state, next_poll_at, self.polling_since, self.standing
        )


def choose(watched: Mapping[str, Watched], names: Sequence[str]) -> list[Watched]:
    """Give the accounts called ``names``, each once; all of them when there are none.

    Raises UnknownAccount.
    """
    strangers = [escape(name) for name in names if name not in watched]
    if strangers:
        listed = ", ".join(f'"{name}"' for name in strangers)
        raise UnknownAccount(f"no account {listed} is enabled")
    return [watched[name] for name in dict.fromkeys(names or watched)]
