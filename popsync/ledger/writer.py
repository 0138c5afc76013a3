"""One thread that writes, with group commit: what has queued up shares one transaction."""

import asyncio
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any, NamedTuple, TypeVar

from popsync.errors import LedgerUnavailable
from popsync.ledger.failures import translated
from popsync.storage import DurableSteps

T = TypeVar("T")
Work = Callable[[sqlite3.Connection], T]


class _Job(NamedTuple):
    """Work to do in a transaction, and who waits for it."""

    work: Work[Any]
    future: "asyncio.Future[Any]"

    def settle(self, result: object, error: BaseException | None = None) -> None:
        """Tell the waiting task, from the writer's thread."""
        with suppress(RuntimeError):  # its event loop is closed: nobody waits any more
            self.future.get_loop().call_soon_threadsafe(self._tell, result, error)

    def _tell(self, result: object, error: BaseException | None) -> None:
        if self.future.done():  # the task was cancelled; the transaction stands all the same
            return
        if error is None:
            self.future.set_result(result)
        else:
            self.future.set_exception(error)


class NoWriter:
    """Stands in the place of a writer where the ledger is only looked at."""

    async def submit(self, work: Work[T]) -> T:
        """Refuse ``work``. Raises LedgerUnavailable."""
        del work
        raise LedgerUnavailable("the ledger was opened to be looked at only")

    def put_off(self, work: Work[object]) -> bool:
        """Take nothing: whoever submits it instead is refused."""
        del work
        return False

    def close(self) -> None:
        """There is nothing to finish."""


class Writer:
    """Runs work in durable transactions, in the order it was submitted.

    Closes ``connection`` in the end; ``reconnect`` gives another should a rollback ever fail.
    ``check``: called before each transaction; what it raises is raised in the place of that.
    ``patience_s``: how long what is put off may wait for a transaction to go with.
    """

    def __init__(
        self,
        path: Path,
        connection: sqlite3.Connection,
        *,
        reconnect: Callable[[], sqlite3.Connection],
        steps: DurableSteps,
        check: Callable[[], None] = lambda: None,
        patience_s: float = 0.0,
    ) -> None:
        self._path = path
        self._connection: sqlite3.Connection | None = connection
        self._reconnect = reconnect
        self._steps = steps
        self._check = check
        self._patience_s = patience_s
        self._queue: SimpleQueue[Sequence[_Job] | None] = SimpleQueue()
        self._put_off: list[_Job] = []
        self._timer: asyncio.TimerHandle | None = None
        self._has_failed = False
        self._closed = False
        self._thread = Thread(target=self._run, name="popsync-ledger", daemon=True)
        self._thread.start()

    async def submit(self, work: Work[T]) -> T:
        """Give the result of ``work`` once its transaction is durable.

        Whatever ``work`` raises undoes its own transaction and no other, and is raised here.
        Raises LedgerUnavailable, LedgerCorrupt.
        """
        if self._closed:
            raise LedgerUnavailable(f"the ledger {self._path} is closed")
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._release(_Job(work, future))
        return await future

    def put_off(self, work: Work[object]) -> bool:
        """Have ``work`` done with the next transaction, in ``patience_s`` at the latest.

        Nobody hears what comes of it, and a crash before that undoes it. False when it has to be
        submitted instead: nothing may be put off, or what was put off before has failed.
        """
        if self._closed or self._has_failed or not self._patience_s:
            self._has_failed = False
            return False
        loop = asyncio.get_running_loop()
        future = loop.create_future()
        future.add_done_callback(self._hear)
        self._put_off.append(_Job(work, future))
        if self._timer is None:
            self._timer = loop.call_later(self._patience_s, self._release)
        return True

    def close(self) -> None:
        """Do all that was submitted or put off, then end the thread. Idempotent; blocks."""
        if not self._closed:
            self._closed = True
            self._queue.put(self._put_off)
            self._queue.put(None)
        self._thread.join()

    def _release(self, *jobs: _Job) -> None:
        """Hand jobs over to the thread, behind those that were put off."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        ready, self._put_off = [*self._put_off, *jobs], []
        if ready and not self._closed:
            self._queue.put(ready)

    def _hear(self, ended: "asyncio.Future[object]") -> None:
        self._has_failed |= ended.exception() is not None

    def _run(self) -> None:
        more = True
        while more:
            group, more = self._next_group()
            self._settle(group)
        self._disconnect()

    def _next_group(self) -> tuple[Sequence[_Job], bool]:
        """Wait for jobs, take along what else is there; False once the last one is taken."""
        group: list[_Job] = []
        jobs = self._queue.get()
        while jobs is not None:
            group += jobs
            try:
                jobs = self._queue.get_nowait()
            except Empty:
                return group, True
        return group, False

    def _settle(self, group: Sequence[_Job]) -> None:
        if not group:
            return
        try:
            results = self._transact(group)
        except Exception as error:  # noqa: BLE001 - it goes to whoever waits
            self._settle_failed(group, error)
        except BaseException as error:  # noqa: BLE001 - the same, and nothing is tried again
            for job in group:
                job.settle(None, error)
        else:
            for job, result in zip(group, results, strict=True):
                job.settle(result)

    def _settle_failed(self, group: Sequence[_Job], error: Exception) -> None:
        """Find the guilty one of several by trying each alone."""
        if len(group) == 1:
            group[0].settle(None, error)
            return
        for job in group:
            self._settle([job])

    def _transact(self, group: Sequence[_Job]) -> list[object]:
        with translated(self._path):
            self._check()
            if self._connection is None:
                self._connection = self._reconnect()
            connection = self._connection
            try:
                connection.execute("BEGIN IMMEDIATE")
                results = [job.work(connection) for job in group]
                self._steps.commit(connection)
            except BaseException:
                self._roll_back(connection)
                raise
            return results

    def _roll_back(self, connection: sqlite3.Connection) -> None:
        """Undo what is open. A failure here must not hide the first one."""
        try:
            if connection.in_transaction:  # SQLite rolls back by itself when the disk is full
                connection.execute("ROLLBACK")
        except sqlite3.Error:
            self._disconnect()

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(sqlite3.Error):
                connection.close()
