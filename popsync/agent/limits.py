"""How many sessions may be open at a time, in all and to one host."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class ConnectionLimits:
    """Hands out places for sessions."""

    def __init__(self, *, connections: int, connections_per_host: int) -> None:
        self._all = asyncio.Semaphore(connections)
        self._by_host: dict[str, asyncio.Semaphore] = defaultdict(
            lambda: asyncio.Semaphore(connections_per_host)
        )

    @asynccontextmanager
    async def place(self, host: str) -> AsyncIterator[None]:
        """Hold a place for a session with ``host``; waits until there is one.

        The host's place is taken first, so that accounts which queue for one slow host do not
        keep the places of all others.
        """
        async with self._by_host[host], self._all:
            yield
