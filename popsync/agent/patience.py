"""Work that is given up when nothing moves any more, whatever it waits for."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

T = TypeVar("T")

FAREWELL_S = 2.0
"""So long work that is cancelled may take to leave things in order."""


class NothingMoves(Exception):
    """The work was given up."""


class Patience:
    """Waits for several pieces of work at one place, as long as something moves there.

    What is given up is cancelled, which is a cut like a crash (P4). Where a thread hangs on a dead
    disk that does not end it; it is left to itself then, and ``left`` until it is over.

    on_over: called when something that was given up is over.
    """

    def __init__(self, on_over: Callable[[], None] = lambda: None) -> None:
        self._clock = asyncio.get_running_loop().time
        self._on_over = on_over
        self._moved_at = 0.0
        self._left: set[asyncio.Future[Any]] = set()

    @property
    def left(self) -> bool:
        """Whether something that was given up is still going on."""
        return bool(self._left)

    def move(self) -> None:
        """Note that something has got done."""
        self._moved_at = self._clock()

    async def wait_for(self, work: Awaitable[T], patience_s: float) -> T:
        """Give what ``work`` gives; give it up when nothing moves for ``patience_s``.

        Raises NothingMoves, and what ``work`` raises. When this is cancelled, so is the work.
        """
        task = asyncio.ensure_future(work)
        task.add_done_callback(self._end)
        began_at = self._clock()
        left_s = patience_s
        try:
            while left_s > 0 and not task.done():
                await _wait(task, left_s)
                left_s = max(began_at, self._moved_at) + patience_s - self._clock()
        finally:
            if not task.done():
                await self._give_up(task)
        if not task.done() or task.cancelled():
            raise NothingMoves
        self.move()
        return task.result()

    async def _give_up(self, task: "asyncio.Future[Any]") -> None:
        self._left.add(task)
        task.cancel()
        await _wait(task, FAREWELL_S)

    def _end(self, task: "asyncio.Future[Any]") -> None:
        if not task.cancelled():
            task.exception()  # seen: perhaps nobody waits for it any more
        if task in self._left:
            self._left.remove(task)
            self._on_over()


async def _wait(task: "asyncio.Future[Any]", timeout_s: float) -> None:
    try:
        async with asyncio.timeout(timeout_s):
            await asyncio.wait([task])
    except TimeoutError:
        return
