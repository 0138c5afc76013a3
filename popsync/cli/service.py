"""What the service manager is told of the daemon: ready, reloading, stopping, and how it goes."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Protocol

from popsync.agent.events import AgentEvent, Started
from popsync.agent.overview import AccountOverview, AccountState
from popsync.agent.supervisor import Stop
from popsync.cli.words import count
from popsync.net.notify import ServiceManager
from popsync.poll.events import Event

STATUS_EVERY_S = 10.0


class Supervised(Protocol):
    """What is told of: a ``Supervisor``."""

    def overview(self) -> Sequence[AccountOverview]:
        """Give what each account is about."""
        ...

    def is_moving(self) -> bool:
        """Say whether polls happen when they are due."""
        ...


class Service:
    """Reports to the service manager, if there is one. Also an observer of the supervisor."""

    def __init__(
        self, manager: ServiceManager | None, *, status_every_s: float = STATUS_EVERY_S
    ) -> None:
        self._manager = manager
        watchdog_s = manager.watchdog_s if manager else None
        self._period_s = min(status_every_s, watchdog_s / 2 if watchdog_s else status_every_s)
        self._status = ""
        self._news = asyncio.Event()

    def __call__(self, event: Event | AgentEvent) -> None:
        """Tell that the daemon is ready once its first configuration is in effect."""
        if isinstance(event, Started):
            self._tell("READY=1")
            self._news.set()

    @contextmanager
    def reloading(self) -> Iterator[None]:
        """Tell that the configuration is read again, as long as the block lasts."""
        self._tell("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")
        try:
            yield
        finally:
            self._tell("READY=1")
            self._news.set()

    @asynccontextmanager
    async def at_work(
        self, supervisor: Supervised, stop: Stop, *, is_config_refused: Callable[[], bool]
    ) -> AsyncIterator[None]:
        """Report on ``supervisor``, and on a ``stop`` that is asked for, while the block lasts."""
        if self._manager is None:
            yield
            return
        work = (self._report(supervisor, is_config_refused), self._announce(stop))
        tasks = [asyncio.create_task(part) for part in work]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)

    async def _report(self, supervisor: Supervised, is_config_refused: Callable[[], bool]) -> None:
        """Keep the watchdog quiet while polls happen when they are due, and only then."""
        while True:
            self._news.clear()
            if supervisor.is_moving():
                self._tell("WATCHDOG=1")
            status = describe(supervisor.overview(), config_refused=is_config_refused())
            if status != self._status:
                self._status = status
                self._tell(f"STATUS={status}")
            with suppress(TimeoutError):
                await asyncio.wait_for(self._news.wait(), self._period_s)

    async def _announce(self, stop: Stop) -> None:
        await stop.wait()
        self._tell("STOPPING=1", "STATUS=finishing the messages in hand")

    def _tell(self, *assignments: str) -> None:
        if self._manager is not None:
            self._manager.tell(*assignments)


def describe(accounts: Sequence[AccountOverview], *, config_refused: bool = False) -> str:
    """Say in one line how many accounts there are of each kind, and whether an edit waits."""
    kinds = Counter(_kind(account) for account in accounts)
    others = [
        f"{kinds[kind]} {kind}" for kind in ("failing", "suspended", "paused") if kinds[kind]
    ]
    if config_refused:
        others.append("edited configuration refused")
    return ", ".join([f"{count(kinds['ok'], 'account')} ok", *others])


def _kind(account: AccountOverview) -> str:
    if account.state is AccountState.PAUSED:
        return "paused"
    if account.state is AccountState.SUSPENDED:
        return "suspended"
    return "failing" if account.standing.failures else "ok"
