"""Long work in the event loop, piece by piece, so that what others wait for goes on meanwhile."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from typing import TypeVar

ITEMS_A_TURN = 8
"""Of messages looked at, this is less than half a millisecond."""

T = TypeVar("T")


async def with_pauses(items: Iterable[T]) -> AsyncIterator[T]:
    """Give ``items``; after each few of them everybody else has a turn of the event loop."""
    for number, item in enumerate(items, 1):
        yield item
        if number % ITEMS_A_TURN == 0:
            await asyncio.sleep(0)
