"""SIGTERM and SIGINT: the first asks for an orderly stop, the second does not ask."""

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

GRACE_S = 25.0
"""An orderly stop that takes longer is cut short: service managers wait 30 s, then kill."""

SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Stopping:
    """Whether an orderly stop was asked for, and what happens if it takes too long."""

    def __init__(self, *, grace_s: float = GRACE_S) -> None:
        """Watch on behalf of the current task, which is cancelled when patience ends."""
        self._task = asyncio.current_task()
        self._loop = asyncio.get_running_loop()
        self._grace_s = grace_s
        self._asked = asyncio.Event()
        self._patience: asyncio.TimerHandle | None = None
        self.cut_short = False
        """The stop was not orderly in the end."""

    def __call__(self) -> bool:
        """Say whether to stop after the work in hand."""
        return self._asked.is_set()

    async def wait(self) -> None:
        """Return once a stop is asked for."""
        await self._asked.wait()

    def ask(self) -> None:
        """Ask for an orderly stop; asked twice, stop at once."""
        if self._asked.is_set():
            self.insist()
            return
        self._asked.set()
        self._patience = self._loop.call_later(self._grace_s, self.insist)

    def insist(self) -> None:
        """Cancel the work in hand. Nothing is lost by it (P4)."""
        self.cut_short = True
        if self._task is not None:
            self._task.cancel()

    def forget(self) -> None:
        """Wait no longer for the end of the work: it has come."""
        if self._patience is not None:
            self._patience.cancel()


@asynccontextmanager
async def stopping_on_signals(*, grace_s: float = GRACE_S) -> AsyncIterator[Stopping]:
    """Let the first signal ask and the second insist, as long as the block lasts."""
    stopping = Stopping(grace_s=grace_s)
    loop = asyncio.get_running_loop()
    for number in SIGNALS:
        loop.add_signal_handler(number, stopping.ask)
    try:
        yield stopping
    finally:
        stopping.forget()
        for number in SIGNALS:
            loop.remove_signal_handler(number)
