"""Long work lets others have the event loop."""

import asyncio

from popsync.poll.pauses import ITEMS_A_TURN, with_pauses


async def test_others_have_a_turn_after_each_few_items() -> None:
    """All items come, in order, and a task that is ready need not wait for the last of them."""
    last = 3 * ITEMS_A_TURN
    latest = 0
    seen_by_another: list[int] = []

    async def look() -> None:
        while latest < last:
            seen_by_another.append(latest)
            await asyncio.sleep(0)

    looking = asyncio.create_task(look())
    async for item in with_pauses(range(1, last + 1)):
        assert item == latest + 1
        latest = item
    await looking

    assert seen_by_another == [ITEMS_A_TURN, 2 * ITEMS_A_TURN]
