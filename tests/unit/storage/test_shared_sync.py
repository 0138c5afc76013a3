"""Syncs of a whole file system, shared by who writes to it."""

import asyncio
import errno
from collections.abc import Iterator
from pathlib import Path
from threading import Event

import pytest

from popsync.storage import DurableSteps, SharedSyncs, Writing
from popsync.storage.shared_sync import LEAST_FILES, PATIENCE_S, REST_S


class Disk(DurableSteps):
    """A file system whose syncs take until ``let_go``, and fail as told."""

    def __init__(self) -> None:
        self.syncs = 0
        self.errors: list[OSError] = []
        self.takes_s = 0.0
        self.now = 0.0
        self.let_go = Event()
        self.let_go.set()
        self._began: asyncio.Event | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    async def wait_for_sync(self) -> None:
        """Wait until a sync is under way."""
        assert self._began is not None
        await self._began.wait()

    def hold(self) -> None:
        """Let the next sync go on for ever."""
        self.let_go.clear()
        self._began = asyncio.Event()
        self._loop = asyncio.get_running_loop()

    def sync_file_system(self, descriptor: int) -> None:
        """Count; wait; fail if told to."""
        del descriptor
        self.syncs += 1
        if self._began is not None and self._loop is not None:
            self._loop.call_soon_threadsafe(self._began.set)
        self.let_go.wait()
        self.now += self.takes_s
        if self.errors:
            raise self.errors.pop(0)


@pytest.fixture
def disk() -> Iterator[Disk]:
    """Give a file system that works."""
    disk = Disk()
    yield disk
    disk.let_go.set()


@pytest.fixture
def syncs(disk: Disk) -> SharedSyncs:
    """Give what its writers share."""
    return SharedSyncs(disk, offers=lambda _: True, clock=lambda: disk.now)


def begin(syncs: SharedSyncs, place: Path, *, files: int = LEAST_FILES) -> Writing:
    """Begin to write so many files."""
    writing = Writing(syncs)
    writing.begin(str(place), files=files)
    return writing


async def test_who_asks_meanwhile_shares_the_next_sync(
    disk: Disk, syncs: SharedSyncs, tmp_path: Path
) -> None:
    """One that has begun may miss what was written since, so three writers cost two syncs."""
    writers = [begin(syncs, tmp_path) for _ in range(3)]
    disk.hold()
    first = asyncio.create_task(writers[0].sync())
    await disk.wait_for_sync()
    others = [asyncio.create_task(writer.sync()) for writer in writers[1:]]
    await asyncio.sleep(0)
    assert not any(task.done() for task in (first, *others))
    disk.let_go.set()
    await asyncio.gather(first, *others)

    assert disk.syncs == 2


async def test_a_failure_counts_for_everybody_who_had_begun(
    disk: Disk, syncs: SharedSyncs, tmp_path: Path
) -> None:
    """The kernel tells it once, and it may be about anybody's file (P2)."""
    asking, silent = begin(syncs, tmp_path), begin(syncs, tmp_path)
    disk.errors.append(OSError(errno.EIO, "Input/output error"))

    for writer in (asking, silent, silent):
        with pytest.raises(OSError, match="Input/output"):
            await writer.sync()


async def test_after_a_failure_each_file_is_synced_by_itself_for_a_while(
    disk: Disk, syncs: SharedSyncs, tmp_path: Path
) -> None:
    """So what is wrong with one file, perhaps nobody's mail, does not stop all."""
    writer = begin(syncs, tmp_path)
    disk.errors.append(OSError(errno.EIO, "Input/output error"))
    with pytest.raises(OSError, match="Input/output"):
        await writer.sync()

    assert not begin(syncs, tmp_path).shares
    disk.now += REST_S
    later = begin(syncs, tmp_path)
    assert later.shares
    await later.sync()


@pytest.mark.parametrize(("takes_s", "shares"), [(PATIENCE_S, True), (PATIENCE_S + 1, False)])
async def test_a_slow_sync_is_not_asked_for_again_for_a_while(
    disk: Disk, syncs: SharedSyncs, tmp_path: Path, takes_s: float, *, shares: bool
) -> None:
    """Somebody else may be writing a great deal."""
    disk.takes_s = takes_s
    await begin(syncs, tmp_path).sync()

    assert begin(syncs, tmp_path).shares is shares


async def test_few_files_are_synced_by_themselves(
    disk: Disk, syncs: SharedSyncs, tmp_path: Path
) -> None:
    """They must not wait for what others have written."""
    writer = begin(syncs, tmp_path, files=LEAST_FILES - 1)
    await writer.sync()

    assert not writer.shares
    assert disk.syncs == 0


async def test_where_the_kernel_does_not_promise_it_nothing_is_shared(
    disk: Disk, tmp_path: Path
) -> None:
    """Asked once for each file system."""
    asked: list[int] = []

    def refuse(descriptor: int) -> bool:
        asked.append(descriptor)
        return False

    syncs = SharedSyncs(disk, offers=refuse)

    assert not begin(syncs, tmp_path).shares
    assert not begin(syncs, tmp_path).shares
    assert len(asked) == 1


def descriptors() -> int:
    """Count this process's descriptors."""
    return len(list(Path("/proc/self/fd").iterdir()))


async def test_nothing_stays_open(disk: Disk, syncs: SharedSyncs, tmp_path: Path) -> None:
    """A file system that nobody writes to can be unmounted; also after an error."""
    before = descriptors()
    with syncs.writing() as writing:
        writing.begin(str(tmp_path), files=LEAST_FILES)
        disk.errors.append(OSError(errno.EIO, "Input/output error"))
        with pytest.raises(OSError, match="Input/output"):
            await writing.sync()
    with pytest.raises(FileNotFoundError), syncs.writing() as writing:
        writing.begin(str(tmp_path / "missing"), files=LEAST_FILES)

    assert descriptors() == before


async def test_a_writer_that_is_cancelled_harms_nobody(
    disk: Disk, syncs: SharedSyncs, tmp_path: Path
) -> None:
    """The sync that it asked for goes on, over a descriptor of its own."""
    leaving, staying = begin(syncs, tmp_path), begin(syncs, tmp_path)
    disk.hold()
    first = asyncio.create_task(leaving.sync())
    await disk.wait_for_sync()
    second = asyncio.create_task(staying.sync())
    await asyncio.sleep(0)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    leaving.end()
    disk.let_go.set()
    await second

    assert disk.syncs == 2


async def test_a_sync_that_nobody_waits_for_any_more_is_not_begun(
    disk: Disk, syncs: SharedSyncs, tmp_path: Path
) -> None:
    """Who asked for it was cancelled while another one was under way."""
    first, second = begin(syncs, tmp_path), begin(syncs, tmp_path)
    disk.hold()
    tasks = [asyncio.create_task(first.sync())]
    await disk.wait_for_sync()
    tasks.append(asyncio.create_task(second.sync()))
    await asyncio.sleep(0)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    first.end()
    second.end()
    disk.let_go.set()
    later = begin(syncs, tmp_path)
    await later.sync()

    assert disk.syncs == 2
