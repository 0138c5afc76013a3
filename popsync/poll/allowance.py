"""What all polls together may have in memory."""

import asyncio
from contextlib import suppress

MAX_OCTETS = 36 * 1024 * 1024
MAX_COUNTED_OCTETS = 2 * 1024 * 1024
"""What one message counts for at most: larger ones do not lie in memory."""

SESSION_OCTETS = 160 * 1024
"""What each session that retrieves is reckoned to hold besides: unread octets, half a message."""

PATIENCE_S = 0.25

MAX_AHEAD = 2
"""So many accounts may have in memory what the ledger knows before their servers answer."""


class Allowance:
    """Counts what was retrieved and is not delivered yet, over all accounts.

    An account that finds it used up delivers what it has, which always can be done, and gives the
    others some time for the same before it reads on. So what a slow server makes one of them keep
    slows the others down and does not stop them (P5).
    """

    def __init__(self, max_octets: int = MAX_OCTETS, *, patience_s: float = PATIENCE_S) -> None:
        self._max_octets = max_octets
        self._patience_s = patience_s
        self.ahead = asyncio.Semaphore(MAX_AHEAD)
        self._octets = 0
        self._room = asyncio.Event()
        self._room.set()

    @property
    def is_used_up(self) -> bool:
        """Whether there is more in memory than there should be."""
        return self._octets >= self._max_octets

    def take(self, octets: int) -> None:
        """Count what has come."""
        self._octets += octets
        if self.is_used_up:
            self._room.clear()

    def give_back(self, octets: int) -> None:
        """Count it no more."""
        self._octets -= octets
        if not self.is_used_up:
            self._room.set()

    async def wait_for_room(self) -> None:
        """Return once it is not used up any more, or was for long enough."""
        with suppress(TimeoutError):
            async with asyncio.timeout(self._patience_s):
                await self._room.wait()
