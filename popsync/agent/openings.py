"""Sessions that are only being begun, and may be given up at any moment."""

import asyncio
from typing import Any

from popsync.poll.ports import Maildrop, OpenMaildrop


class Openings:
    """Knows which polls wait for a session to begin: nothing is retrieved, nothing in hand."""

    def __init__(self) -> None:
        self._waiting: set[asyncio.Task[Any]] = set()

    async def open_maildrop(self, begin: OpenMaildrop, *, lock_step: bool) -> Maildrop:
        """Begin a session; raises what ``begin`` raises, and CancelledError once given up."""
        task = asyncio.current_task()
        self._waiting |= {task} if task else set()
        try:
            return await begin(lock_step=lock_step)
        finally:
            self._waiting -= {task}

    def give_up(self) -> None:
        """Cancel the tasks that wait."""
        for task in self._waiting:
            task.cancel()
