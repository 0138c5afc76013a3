"""Work that is waited for as long as something moves."""

import asyncio
import threading

import pytest

from popsync.agent.patience import NothingMoves, Patience
from popsync.storage import run_in_thread
from tests.doubles.supervision import settle

LONG_S = 600.0


class Loop:
    """The running loop, with a clock that a test sets forward."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        loop = asyncio.get_running_loop()
        real, self.ahead_s = loop.time, 0.0
        monkeypatch.setattr(loop, "time", lambda: real() + self.ahead_s)

    async def pass_time(self, seconds: float) -> None:
        """Let that much time pass at once."""
        self.ahead_s += seconds
        await settle()


@pytest.fixture
async def loop(monkeypatch: pytest.MonkeyPatch) -> Loop:
    """Give the loop of the test."""
    return Loop(monkeypatch)


async def test_work_that_ends_gives_what_it_gives() -> None:
    """Or raises what it raises."""
    patience = Patience()

    async def fail() -> None:
        raise OSError("full")

    assert await patience.wait_for(asyncio.sleep(0, "done"), LONG_S) == "done"
    with pytest.raises(OSError, match="full"):
        await patience.wait_for(fail(), LONG_S)
    assert not patience.left


async def test_work_is_given_up_when_nothing_moves(loop: Loop) -> None:
    """It is cancelled; whatever moved before begins its time anew."""
    ended: list[str] = []

    async def hang() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("cancelled")

    patience = Patience()
    waiting = asyncio.create_task(patience.wait_for(hang(), LONG_S))
    await settle()
    await loop.pass_time(LONG_S - 1)
    patience.move()
    await loop.pass_time(LONG_S - 1)
    before = waiting.done()
    await loop.pass_time(2)
    with pytest.raises(NothingMoves):
        await waiting

    assert (before, ended, patience.left) == (False, ["cancelled"], False)


async def test_a_thread_that_hangs_is_left_to_itself(loop: Loop) -> None:
    """Whoever waits goes on; when the thread comes back after all, that is told."""
    comes_back, over = threading.Event(), asyncio.Event()

    async def hang() -> None:
        thread = asyncio.ensure_future(run_in_thread(comes_back.wait))
        try:
            await asyncio.shield(thread)
        except asyncio.CancelledError:
            await asyncio.wait([thread])
            raise

    patience = Patience(over.set)
    waiting = asyncio.create_task(patience.wait_for(hang(), LONG_S))
    await settle()
    await loop.pass_time(LONG_S)
    await loop.pass_time(3)
    with pytest.raises(NothingMoves):
        await waiting
    left = patience.left
    comes_back.set()
    await over.wait()

    assert (left, patience.left) == (True, False)


async def test_who_is_cancelled_cancels_the_work(loop: Loop) -> None:
    """And waits for its end no longer than that may take."""
    patience = Patience()
    never = asyncio.get_running_loop().create_future()

    async def hang() -> None:
        while not never.done():
            try:
                await asyncio.shield(never)
            except asyncio.CancelledError:
                continue

    waiting = asyncio.create_task(patience.wait_for(hang(), LONG_S))
    await settle()
    waiting.cancel()
    await settle()
    before = waiting.done()
    await loop.pass_time(3)
    with pytest.raises(asyncio.CancelledError):
        await waiting
    never.set_result(None)
    await settle()

    assert (before, patience.left) == (False, False)
