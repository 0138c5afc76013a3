"""Syncs of whole file systems, shared by all that write to them at the same time.

Like the ledger's group commit: who asks while a sync is under way shares the next one.
"""

import asyncio
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Lock
from time import monotonic

from popsync.storage.steps import DurableSteps
from popsync.storage.syncfs import keeps_promise
from popsync.storage.threads import run_in_thread

LEAST_FILES = 8
LEAST_OCTETS = 1024 * 1024
"""Less than both is synced file by file: a sync of all also waits for what others have written."""

PATIENCE_S = 10.0
REST_S = 600.0
"""So long every file is synced by itself again, after a sync of all has failed or taken longer."""

_OPEN_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


class SharedSyncs:
    """One ``SharedSync`` for each file system. For one event loop.

    offers: whether a sync of all does what a sync of each would do, on an open directory's file
    system.
    """

    def __init__(
        self,
        steps: DurableSteps,
        *,
        offers: Callable[[int], bool] = keeps_promise,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._steps = steps
        self._offers = offers
        self._clock = clock
        self._by_device: dict[int, SharedSync | None] = {}
        self._lock = Lock()

    @contextmanager
    def writing(self) -> Iterator["Writing"]:
        """Give the writing of one batch; on leaving it is over."""
        writing = Writing(self)
        try:
            yield writing
        finally:
            writing.end()

    def find(self, descriptor: int) -> "SharedSync | None":
        """Give what is shared on the file system of an open directory; None is for none now."""
        device = os.fstat(descriptor).st_dev
        with self._lock:
            if device not in self._by_device:
                offered = self._offers(descriptor)
                self._by_device[device] = SharedSync(self._steps, self._clock) if offered else None
            shared = self._by_device[device]
        return shared if shared is not None and not shared.rests else None


class SharedSync:
    """The syncs of one file system.

    Linux tells an error once to each descriptor that was open when it came about. So the oldest
    one is asked: it was open before any writer's first octet. And a failure counts against
    everybody who had begun to write by then, whoever asked.
    """

    def __init__(self, steps: DurableSteps, clock: Callable[[], float]) -> None:
        self._steps = steps
        self._clock = clock
        self._open: dict[int, None] = {}
        self._running: asyncio.Task[None] | None = None
        self._next: asyncio.Task[None] | None = None
        self._rests_until = 0.0
        self.failures = 0
        self.error: OSError | None = None

    @property
    def rests(self) -> bool:
        """Whether it has failed, or been slow, a short time ago."""
        return self._clock() < self._rests_until

    def enter(self, descriptor: int) -> None:
        """Let a writer in, before its first octet."""
        self._open[descriptor] = None

    def leave(self, descriptor: int) -> None:
        """Let a writer go."""
        del self._open[descriptor]

    async def sync(self) -> None:
        """Make all written so far durable; a failure is in ``failures`` and ``error``.

        A sync that has begun may miss what was written since, so the next one is waited for.
        """
        if self._next is None:
            self._next = asyncio.create_task(self._sync_after(self._running))
        await asyncio.shield(self._next)

    async def _sync_after(self, before: "asyncio.Task[None] | None") -> None:
        if before is not None:
            await asyncio.wait([before])
        self._running, self._next = self._next, None
        if not self._open:  # all who asked were cancelled
            return
        # A copy, for its owner may be cancelled and close it meanwhile.
        descriptor = os.dup(next(iter(self._open)))
        began_at = self._clock()
        try:
            await run_in_thread(self._steps.sync_file_system, descriptor)
        except OSError as error:
            self.failures += 1
            self.error = error
            self._rests_until = self._clock() + REST_S
        finally:
            os.close(descriptor)
        if self._clock() - began_at > PATIENCE_S:
            self._rests_until = self._clock() + REST_S


class Writing:
    """One writer's time from its first octet to the last sync it needs."""

    def __init__(self, syncs: SharedSyncs) -> None:
        self._syncs = syncs
        self._shared: SharedSync | None = None
        self._descriptor = -1
        self._failures = 0

    @property
    def shares(self) -> bool:
        """Whether ``sync`` does all; else the writer syncs every file and directory itself."""
        return self._shared is not None

    def begin(self, directory: str, *, files: int, octets: int = 0) -> None:
        """Begin to write so much. Blocks, in any thread. Raises OSError."""
        if files < LEAST_FILES and octets < LEAST_OCTETS:
            return
        self._descriptor = os.open(directory, _OPEN_DIRECTORY)
        shared = self._syncs.find(self._descriptor)
        if shared is None:
            self.end()
            return
        self._failures = shared.failures
        shared.enter(self._descriptor)
        self._shared = shared

    async def sync(self) -> None:
        """Make durable all that was written, named and moved so far, if that is shared.

        Raises OSError, and goes on doing so: what was refused once is not believed afterwards.
        """
        if self._shared is None:
            return
        await self._shared.sync()
        if self._shared.failures != self._failures and self._shared.error is not None:
            raise self._shared.error

    def end(self) -> None:
        """Let go of the file system. Idempotent, and harmless where nothing began."""
        if self._shared is not None:
            self._shared.leave(self._descriptor)
            self._shared = None
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
