import asyncio
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from queue import SimpleQueue

import pytest

from popsync.storage import run_in_thread, threads


@pytest.fixture(autouse=True)
def _own_threads(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let no test be given another one's threads, nor one that is still on its way back."""
    monkeypatch.setattr(threads, "_idle", [])
    monkeypatch.setattr(threads, "_busy", set())
    others = set(threading.enumerate())
    yield
    monkeypatch.setattr(threads, "IDLE_S", 0.001)
    for thread in threading.enumerate():
        while thread.name == "popsync-disk" and thread not in others and thread.is_alive():
            with suppress(IndexError):
                threads._idle.pop().put(lambda: None)
            thread.join(0.001)


async def until_idle(number: int = 1) -> None:
    """Return once so many threads wait for work: they say so only after their result is in."""
    while len(threads._idle) < number:  # noqa: ASYNC110 - a list tells nobody
        await asyncio.sleep(0)


async def test_a_thread_that_has_come_back_is_given_the_next_work() -> None:
    """Beginning another one would take longer than most work."""
    first = await run_in_thread(threading.current_thread)
    await until_idle()
    second = await run_in_thread(threading.current_thread)

    assert first is second


async def test_what_hangs_holds_up_nothing_else() -> None:
    """A thread that has not come back is given nothing."""
    release = threading.Event()
    hanging = asyncio.create_task(run_in_thread(release.wait))
    done = await asyncio.gather(*(run_in_thread(int, "7") for _ in range(40)))
    assert done == [7] * 40
    assert not hanging.done()
    release.set()

    assert await hanging


async def test_work_waits_for_one_of_a_few_threads() -> None:
    """More of them would only take the interpreter from one another."""
    release = threading.Event()

    def work() -> threading.Thread:
        release.wait()
        return threading.current_thread()

    working = [asyncio.create_task(run_in_thread(work)) for _ in range(3 * threads.FEW)]
    await asyncio.sleep(0)
    release.set()

    assert len(set(await asyncio.gather(*working))) <= threads.FEW


async def test_work_is_not_kept_waiting_by_threads_that_hang(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It gets another one before long, and what comes afterwards at once (P5)."""
    monkeypatch.setattr(threads, "PATIENCE_S", 0.01)
    release = threading.Event()
    hanging = [asyncio.create_task(run_in_thread(release.wait)) for _ in range(threads.FEW)]
    await asyncio.sleep(0)

    assert await run_in_thread(int, "7") == 7
    monkeypatch.setattr(threads, "PATIENCE_S", 3600.0)
    hanging.append(asyncio.create_task(run_in_thread(release.wait)))
    await asyncio.sleep(0)
    assert await run_in_thread(int, "7") == 7
    release.set()
    await asyncio.gather(*hanging)


async def test_work_waits_as_long_as_a_thread_comes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever waits beside it: here it came back a moment ago, whenever that is looked at."""
    looked_at: list[float] = []
    thrice = asyncio.Event()

    def look() -> float:
        looked_at.append(0.0)
        if len(looked_at) == 3:
            thrice.set()
        return 0.0

    monkeypatch.setattr(threads, "PATIENCE_S", 0.01)
    monkeypatch.setattr(threads, "_came_back_at", deque([0.0], maxlen=1))
    monkeypatch.setattr(threads, "monotonic", look)
    release = threading.Event()
    working = [asyncio.create_task(run_in_thread(release.wait)) for _ in range(threads.FEW)]
    await asyncio.sleep(0)
    late = asyncio.create_task(run_in_thread(threading.current_thread))

    try:
        async with asyncio.timeout(10):
            await thrice.wait()
        at_work = len(threads._busy)
    finally:
        release.set()
        await asyncio.gather(late, *working)

    assert at_work == threads.FEW


async def test_work_that_waits_is_done_though_no_thread_can_be_started(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One that comes back does it, however late."""
    monkeypatch.setattr(threads, "PATIENCE_S", 0.001)
    release = threading.Event()
    refused = asyncio.Event()
    hanging = [asyncio.create_task(run_in_thread(release.wait)) for _ in range(threads.FEW)]
    await asyncio.sleep(0)

    def refuse(_thread: threading.Thread) -> None:
        refused.set()
        raise RuntimeError

    monkeypatch.setattr(threading.Thread, "start", refuse)
    late = asyncio.create_task(run_in_thread(int, "7"))
    await refused.wait()
    assert not late.done()
    release.set()

    assert await late == 7
    await asyncio.gather(*hanging)


async def test_an_error_reaches_who_waits_and_not_the_thread() -> None:
    """It goes on to the next work."""
    failed: list[threading.Thread] = []

    def fail() -> None:
        failed.append(threading.current_thread())
        raise OSError(failed[0].name)

    with pytest.raises(OSError, match="popsync-disk"):
        await run_in_thread(fail)
    await until_idle()

    assert [await run_in_thread(threading.current_thread)] == failed


async def test_a_thread_without_work_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy hour leaves nothing behind."""
    monkeypatch.setattr(threads, "IDLE_S", 0.01)
    thread = await run_in_thread(threading.current_thread)
    await asyncio.to_thread(thread.join, 10)

    assert not thread.is_alive()
    assert threads._idle == []


async def test_work_that_is_handed_over_at_the_last_moment_is_done(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its thread had given up waiting, and finds that it was taken from among the idle ones."""

    class Taken(list[threads._Inbox]):
        def append(self, _inbox: threads._Inbox) -> None:
            """Be quicker than its thread."""

    monkeypatch.setattr(threads, "IDLE_S", 0.0)
    monkeypatch.setattr(threads, "_idle", Taken())
    inbox: SimpleQueue[threads._Work] = SimpleQueue()
    waiting = asyncio.create_task(asyncio.to_thread(threads._next_work, inbox))

    def work() -> None:
        """Do nothing."""

    await asyncio.sleep(0)
    inbox.put(work)

    assert await waiting is work
