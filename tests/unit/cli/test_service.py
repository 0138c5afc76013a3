"""What the service manager hears of the daemon."""

import asyncio
from collections.abc import Sequence

from popsync.agent.events import Started
from popsync.agent.overview import AccountOverview, AccountState
from popsync.agent.standing import Standing
from popsync.cli.service import Service, describe
from popsync.model import AccountId
from popsync.net.notify import ServiceManager
from tests.doubles.supervision import AskedStop


class NotedManager(ServiceManager):
    """Keeps what it is told."""

    def __init__(self, watchdog_s: float | None = None) -> None:
        super().__init__("/nowhere", watchdog_s)
        self.told: list[str] = []

    def tell(self, *assignments: str) -> None:
        """Keep it."""
        self.told.extend(assignments)


class Supervision:
    """Accounts that do as a test says."""

    def __init__(self, *accounts: AccountOverview, moving: bool = True) -> None:
        self.accounts = accounts
        self.moving = moving
        self.looks = asyncio.Semaphore(0)

    def overview(self) -> Sequence[AccountOverview]:
        """Give them."""
        self.looks.release()
        return self.accounts

    def is_moving(self) -> bool:
        """As the test says."""
        return self.moving

    async def looked(self, times: int) -> None:
        """Return once it was looked at so often, and what followed was told."""
        for _ in range(times):
            await self.looks.acquire()
        await asyncio.sleep(0)


def overview(state: AccountState = AccountState.WAITING, failures: int = 0) -> AccountOverview:
    """Give one account's."""
    standing = Standing(failures=failures)
    return AccountOverview("a", AccountId("a@host"), state, None, None, standing)


def test_status_counts_accounts_by_how_they_are() -> None:
    """One that is polled right now is as it was before."""
    accounts = [
        overview(),
        overview(AccountState.POLLING),
        overview(AccountState.POLLING, failures=1),
        overview(AccountState.BACKING_OFF, failures=2),
        overview(AccountState.SUSPENDED, failures=3),
        overview(AccountState.PAUSED),
    ]

    assert describe(accounts) == "2 accounts ok, 2 failing, 1 suspended, 1 paused"
    assert describe([]) == "0 accounts ok"
    assert describe([], config_refused=True) == "0 accounts ok, edited configuration refused"


def test_ready_once_polls_have_begun_and_after_each_reload() -> None:
    """A reload carries the time that it began at, as Type=notify-reload wants."""
    manager = NotedManager()
    service = Service(manager)
    service(Started(2))
    with service.reloading():
        meanwhile = [line.partition("=")[0] for line in manager.told]

    assert meanwhile == ["READY", "RELOADING", "MONOTONIC_USEC"]
    assert manager.told[-1] == "READY=1"


async def test_watchdog_hears_only_of_work_that_moves() -> None:
    """Twice in its time while polls happen, not at all while they do not."""
    manager, supervision = NotedManager(watchdog_s=0.02), Supervision(overview())
    async with Service(manager).at_work(supervision, AskedStop(), is_config_refused=lambda: False):
        await supervision.looked(3)
        moving = manager.told.count("WATCHDOG=1")
        supervision.moving = False
        await supervision.looked(1)
        manager.told.clear()
        await supervision.looked(3)

    assert moving >= 3
    assert manager.told == []


async def test_status_is_told_when_it_changes() -> None:
    """And only then."""
    manager, supervision = NotedManager(), Supervision(overview())
    async with Service(manager, status_every_s=0.01).at_work(
        supervision, AskedStop(), is_config_refused=lambda: False
    ):
        await supervision.looked(3)
        supervision.accounts = (overview(failures=1),)
        await supervision.looked(3)

    told = [line for line in manager.told if line.startswith("STATUS=")]
    assert told == ["STATUS=1 account ok", "STATUS=0 accounts ok, 1 failing"]


async def test_status_is_told_at_once_after_a_start_and_a_reload() -> None:
    """Not only when the next look is due: before the start there were no accounts."""
    manager, supervision, refused = NotedManager(), Supervision(), False
    service = Service(manager, status_every_s=3600)
    async with service.at_work(supervision, AskedStop(), is_config_refused=lambda: refused):
        await supervision.looked(1)
        supervision.accounts = (overview(),)
        service(Started(1))
        await supervision.looked(1)
        with service.reloading():
            refused = True
        await supervision.looked(1)

    told = [line for line in manager.told if line.startswith("STATUS=")]
    assert told == [
        "STATUS=0 accounts ok",
        "STATUS=1 account ok",
        "STATUS=1 account ok, edited configuration refused",
    ]


async def test_stop_is_told_when_it_is_asked_for() -> None:
    """The polls under way may take a while yet."""
    manager, stop, supervision = NotedManager(), AskedStop(), Supervision()
    async with Service(manager, status_every_s=0.01).at_work(
        supervision, stop, is_config_refused=lambda: False
    ):
        stop.ask()
        await supervision.looked(2)

    assert "STOPPING=1" in manager.told


async def test_without_a_service_manager_nothing_is_done() -> None:
    """As on a terminal."""
    supervision = Supervision(overview())
    service = Service(None)
    service(Started(1))
    with service.reloading():
        async with service.at_work(supervision, AskedStop(), is_config_refused=lambda: False):
            await asyncio.sleep(0)

    assert supervision.looks.locked()
