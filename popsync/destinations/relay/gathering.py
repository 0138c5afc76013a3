"""Lets the links of one destination wait for each other a moment, so that they share a commit.

Those that one commit has set free come back at nearly the same time, if the server is quick. Who
comes first would have the next commit alone, and the others would have to wait for it.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

IDLE_TURNS = 5
"""So many turns of the event loop without another link, and none is about to come.

Counted and not timed: where the server is slow it takes some microseconds, and no timer."""


class Gathering:
    """How many links are at work, and how many of them wait for the ledger."""

    def __init__(self) -> None:
        self._at_work = 0
        self._waiting = 0
        self._arrived = 0

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """Count one more link for as long."""
        self._at_work += 1
        try:
            yield
        finally:
            self._at_work -= 1

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Count one of them for as long as it waits for the ledger."""
        self._waiting += 1
        self._arrived += 1
        try:
            yield
        finally:
            self._waiting -= 1

    async def gather(self) -> None:
        """Return once all links at work wait, or no other one seems to be about to."""
        idle = 0
        while self._waiting < self._at_work and idle < IDLE_TURNS:
            arrived = self._arrived
            await asyncio.sleep(0)
            idle = idle + 1 if self._arrived == arrived else 0
