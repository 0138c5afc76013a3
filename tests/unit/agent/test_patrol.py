"""What is looked at again and again."""

import asyncio

from popsync.agent.patrol import ROUNDS_BETWEEN_TRIMS, patrol
from popsync.errors import LedgerCorrupt, LedgerError


async def test_memory_is_returned_now_and_then() -> None:
    """Not at each round; and no more once the ledger has gone, which is told once."""
    happened: list[str] = []
    ended_by: list[LedgerError] = []
    lost = LedgerCorrupt("gone")

    async def check() -> None:
        happened.append("look")
        if happened.count("trim") == 2:
            raise lost

    async with asyncio.timeout(10):
        await patrol(
            lambda: None,
            check,
            ended_by.append,
            trim=lambda: happened.append("trim"),
            every_s=0,
        )

    assert happened == [*[*["look"] * ROUNDS_BETWEEN_TRIMS, "trim"] * 2, "look"]
    assert ended_by == [lost]
