"""SIGTERM and SIGINT: the first asks for an orderly stop, the second does not ask."""

import asyncio
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TypeVar

import click

from popsync.cli.ending import LastResort
from popsync.cli.exit_codes import ExitCode
from popsync.cli.last_words import say_why

GRACE_S = 25.0
"""An orderly stop that takes longer is cut short: service managers wait 30 s, then kill."""

SIGNALS = (signal.SIGTERM, signal.SIGINT)

_Result = TypeVar("_Result")


class CutShort(Exception):
    """The work in hand was cancelled; nothing is lost by it (P4)."""

    def __init__(self, *, insisted: signal.Signals | None = None) -> None:
        """``insisted``: the second signal; None when an orderly stop took too long."""
        self.insisted = insisted
        super().__init__("stopped in the middle; nothing is lost")

    @property
    def exit_code(self) -> int:
        """What the process ends with."""
        return 128 + self.insisted if self.insisted else ExitCode.OK


def run_stoppable(work: Callable[["Stopping"], Awaitable[_Result]]) -> _Result:
    """Run ``work`` in an event loop of its own, watching for signals.

    When it is cut short the command says so and ends: with success when it was asked once, else
    as a shell shows the second signal, 128 and its number.
    """
    last_resort = LastResort()

    async def watched() -> _Result:
        code: int = ExitCode.IO
        try:
            async with stopping_on_signals() as stopping:
                result = await work(stopping)
            code = ExitCode.OK
        except CutShort as cut:
            code = cut.exit_code
            raise
        finally:
            last_resort.begin(code)
        return result

    try:
        return asyncio.run(watched())
    except CutShort as cut:
        say_why(str(cut))
        raise click.exceptions.Exit(cut.exit_code) from None
    finally:
        last_resort.forget()


class Stopping:
    """Whether an orderly stop was asked for, and what happens if it takes too long."""

    def __init__(self, *, grace_s: float = GRACE_S) -> None:
        """Watch on behalf of the current task, which is cancelled when patience ends."""
        self._task = asyncio.current_task()
        self._loop = asyncio.get_running_loop()
        self._grace_s = grace_s
        self._asked = asyncio.Event()
        self._patience: asyncio.TimerHandle | None = None
        self.cut_short: CutShort | None = None
        """Set when the stop was not orderly in the end."""

    def __call__(self) -> bool:
        """Say whether to stop after the work in hand."""
        return self._asked.is_set()

    async def wait(self) -> None:
        """Return once a stop is asked for."""
        await self._asked.wait()

    def ask(self, by: signal.Signals = signal.SIGTERM) -> None:
        """Ask for an orderly stop; asked twice, stop at once."""
        if self._asked.is_set():
            self._cut(CutShort(insisted=by))
            return
        self._asked.set()
        self._patience = self._loop.call_later(self._grace_s, self._lose_patience)

    def _lose_patience(self) -> None:
        self._cut(CutShort())

    def _cut(self, cut: CutShort) -> None:
        self.cut_short = self.cut_short or cut
        if self._task is not None:
            self._task.cancel()

    def forget(self) -> None:
        """Wait no longer for the end of the work: it has come."""
        if self._patience is not None:
            self._patience.cancel()


@asynccontextmanager
async def stopping_on_signals(*, grace_s: float = GRACE_S) -> AsyncIterator[Stopping]:
    """Let the first signal ask and the second insist, as long as the block lasts.

    Raises CutShort in the place of the CancelledError that it caused.
    """
    stopping = Stopping(grace_s=grace_s)
    loop = asyncio.get_running_loop()
    for number in SIGNALS:
        loop.add_signal_handler(number, stopping.ask, number)
    try:
        yield stopping
    except asyncio.CancelledError:
        if stopping.cut_short is None:
            raise
        raise stopping.cut_short from None
    finally:
        stopping.forget()
        for number in SIGNALS:
            loop.remove_signal_handler(number)
