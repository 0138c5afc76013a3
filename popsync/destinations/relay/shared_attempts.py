"""Opens dialogues with one server such that many accounts do not fail at it one by one."""

import asyncio
from collections.abc import Awaitable, Callable

from popsync.destinations.relay.dialogue import Dialogue
from popsync.errors import PopsyncError


class SharedAttempts:
    """Opens dialogues; while the server is not known to take us, one attempt is made for all.

    So a server that is down is knocked at once, and a login that is refused is tried once, however
    many accounts are waiting to deliver.
    """

    def __init__(self, open_dialogue: Callable[[], Awaitable[Dialogue]]) -> None:
        self._open_dialogue = open_dialogue
        self._works = False
        self._attempt: asyncio.Future[PopsyncError | None] | None = None

    async def heed(self) -> None:
        """Wait for an attempt that is under way, if any, and raise what it raises."""
        if self._attempt is not None and (error := await asyncio.shield(self._attempt)):
            raise error

    async def open(self) -> Dialogue:
        """Give a new dialogue. Raises what opening it raises, whoever made the attempt."""
        while self._attempt is not None:
            await self.heed()
        if self._works:
            return await self._open()
        self._attempt = asyncio.get_running_loop().create_future()
        error: PopsyncError | None = None
        try:
            return await self._open()
        except PopsyncError as caught:
            error = caught
            raise
        finally:
            # If it was cancelled nobody has learned anything, and the next one tries.
            self._attempt.set_result(error)
            self._attempt = None

    async def _open(self) -> Dialogue:
        try:
            dialogue = await self._open_dialogue()
        except PopsyncError:
            self._works = False
            raise
        self._works = True
        return dialogue
