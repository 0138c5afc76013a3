"""Looks again and again at what nobody would otherwise notice until it is too late."""

import asyncio
from collections.abc import Awaitable, Callable

from popsync.errors import LedgerError

PATROL_EVERY_S = 5.0


async def patrol(
    cut_stuck: Callable[[], None],
    check_ledger: Callable[[], Awaitable[None]],
    end_for: Callable[[LedgerError], None],
) -> None:
    """Walk for ever; ``end_for`` is told once why nothing may be polled any more."""
    while True:
        cut_stuck()
        try:
            await check_ledger()
        except LedgerError as error:
            end_for(error)
            return
        await asyncio.sleep(PATROL_EVERY_S)
