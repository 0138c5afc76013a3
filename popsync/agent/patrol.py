"""Looks again and again at what nobody would otherwise notice until it is too late."""

import asyncio
from collections.abc import Awaitable, Callable
from itertools import count

from popsync.agent.allocator import find_trim
from popsync.errors import LedgerError

PATROL_EVERY_S = 5.0
ROUNDS_BETWEEN_TRIMS = 12


async def patrol(
    cut_stuck: Callable[[], None],
    check_ledger: Callable[[], Awaitable[None]],
    end_for: Callable[[LedgerError], None],
    *,
    trim: Callable[[], object] | None = None,
    every_s: float = PATROL_EVERY_S,
) -> None:
    """Walk for ever; ``end_for`` is told once why nothing may be polled any more.

    trim: returns memory that is free; once in a minute.
    """
    trim = trim or find_trim()
    for rounds in count(1):
        cut_stuck()
        try:
            await check_ledger()
        except LedgerError as error:
            end_for(error)
            return
        if rounds % ROUNDS_BETWEEN_TRIMS == 0:
            trim()
        await asyncio.sleep(every_s)
