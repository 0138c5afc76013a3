"""Group commit: shared transactions, and no shared blame."""

import asyncio
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Event

import pytest

from popsync.errors import LedgerCorrupt, LedgerUnavailable
from popsync.ledger.writer import Writer
from popsync.storage import DurableSteps
from tests.doubles.steps import Death, Died, ScriptedSteps

LONG_S = 3600.0


def connect(path: Path) -> sqlite3.Connection:
    """Open a database of one table."""
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    connection.execute("CREATE TABLE IF NOT EXISTS t (x UNIQUE)")
    return connection


def stored(path: Path) -> list[int]:
    """Give what is durable."""
    connection = sqlite3.connect(path)
    rows = [x for (x,) in connection.execute("SELECT x FROM t ORDER BY x")]
    connection.close()
    return rows


def insert(value: int) -> Callable[[sqlite3.Connection], int]:
    """Insert a value and give it back."""

    def work(connection: sqlite3.Connection) -> int:
        connection.execute("INSERT INTO t VALUES (?)", (value,))
        return value

    return work


class Bench:
    """A writer whose thread can be kept waiting, so that jobs queue up behind."""

    def __init__(self, path: Path, steps: DurableSteps, *, patience_s: float = 0.0) -> None:
        self.path = path / "db"
        self.opened: list[sqlite3.Connection] = [connect(self.path)]
        self.writer = Writer(
            self.path,
            self.opened[0],
            reconnect=self._reconnect,
            steps=steps,
            patience_s=patience_s,
        )

    def _reconnect(self) -> sqlite3.Connection:
        self.opened.append(connect(self.path))
        return self.opened[-1]

    async def queue(self, *works: Callable[[sqlite3.Connection], int]) -> Sequence[object]:
        """Submit all of them while the thread is kept waiting; give results and errors."""
        started, go_on = Event(), Event()

        def wait(_: sqlite3.Connection) -> bool:
            started.set()
            return go_on.wait()

        waiting = asyncio.ensure_future(self.writer.submit(wait))
        await asyncio.to_thread(started.wait)
        jobs = [asyncio.ensure_future(self.writer.submit(work)) for work in works]
        await asyncio.sleep(0)
        go_on.set()
        await waiting
        return await asyncio.gather(*jobs, return_exceptions=True)


@contextmanager
def patient(path: Path, steps: DurableSteps, *, patience_s: float = LONG_S) -> Iterator[Bench]:
    """Give a writer that has time for what may be put off."""
    made = Bench(path, steps, patience_s=patience_s)
    try:
        yield made
    finally:
        made.writer.close()


@pytest.fixture
def steps() -> ScriptedSteps:
    """Count commits."""
    return ScriptedSteps()


@pytest.fixture
def bench(tmp_path: Path, steps: ScriptedSteps) -> Iterator[Bench]:
    """Give a writer to a small database."""
    made = Bench(tmp_path, steps)
    yield made
    made.writer.close()


async def test_what_has_queued_up_shares_one_commit(bench: Bench, steps: ScriptedSteps) -> None:
    """Syncs do not grow one for one with transactions (P8)."""
    results = await bench.queue(*[insert(n) for n in range(1, 51)])

    assert results == list(range(1, 51))
    assert stored(bench.path) == list(range(1, 51))
    assert len(steps.log) == 2


async def test_only_the_guilty_transaction_fails(bench: Bench) -> None:
    """The others of its group are durable all the same (P5)."""

    def fail_halfway(connection: sqlite3.Connection) -> int:
        insert(99)(connection)
        raise KeyError("a bug")

    one, guilty, repeated, two = await bench.queue(insert(1), fail_halfway, insert(1), insert(2))

    assert (one, two) == (1, 2)
    assert isinstance(guilty, KeyError)
    assert isinstance(repeated, LedgerUnavailable)
    assert stored(bench.path) == [1, 2]


async def test_a_cancelled_task_disturbs_nobody(bench: Bench) -> None:
    """Its transaction stands, for it may already be durable."""
    group = asyncio.ensure_future(bench.queue(insert(1), insert(2)))
    cancelled = asyncio.ensure_future(bench.writer.submit(insert(3)))
    await asyncio.sleep(0)
    cancelled.cancel()
    await group
    bench.writer.close()

    assert stored(bench.path) == [1, 2, 3]


async def test_a_full_disk_is_unavailable_and_passes(bench: Bench) -> None:
    """SQLite rolls back by itself then; the next transaction finds all in order."""

    def fill(connection: sqlite3.Connection) -> int:
        connection.executemany(
            "INSERT INTO t VALUES (?)", [("x" * 9000 + str(n),) for n in range(99)]
        )
        return 0

    bench.opened[0].execute("PRAGMA max_page_count = 20")

    with pytest.raises(LedgerUnavailable, match="full"):
        await bench.writer.submit(fill)
    assert await bench.writer.submit(insert(1)) == 1
    assert stored(bench.path) == [1]


async def test_a_failing_commit_leaves_nothing_behind(tmp_path: Path) -> None:
    """What was not made durable is not there, and is not said to be."""
    failing = Bench(tmp_path, ScriptedSteps(1, error=OSError(5, "Input/output error")))

    with pytest.raises(LedgerUnavailable, match="Input/output error"):
        await failing.writer.submit(insert(1))
    await failing.writer.submit(insert(2))
    failing.writer.close()
    assert stored(failing.path) == [2]


async def test_a_failing_rollback_hides_nothing_and_gets_a_new_connection(bench: Bench) -> None:
    """The first failure is the one that is told."""

    def spoil(connection: sqlite3.Connection) -> int:
        insert(1)(connection)
        connection.set_authorizer(
            lambda action, *_: (
                sqlite3.SQLITE_DENY if action == sqlite3.SQLITE_TRANSACTION else sqlite3.SQLITE_OK
            )
        )
        raise KeyError("the first failure")

    with pytest.raises(KeyError, match="the first failure"):
        await bench.writer.submit(spoil)
    await bench.writer.submit(insert(2))

    assert len(bench.opened) == 2
    assert stored(bench.path) == [2]


async def test_damage_is_told_apart(bench: Bench) -> None:
    """No retry mends it."""

    def find_damage(_: sqlite3.Connection) -> int:
        error = sqlite3.DatabaseError("malformed")
        error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
        raise error

    with pytest.raises(LedgerCorrupt, match="damaged"):
        await bench.writer.submit(find_damage)


async def test_death_in_a_commit_reaches_every_waiting_task(tmp_path: Path) -> None:
    """And nothing of the group is tried again."""
    dying = Bench(tmp_path, ScriptedSteps(2, death=Death.BEFORE))
    results = await dying.queue(insert(1), insert(2))
    dying.writer.close()

    assert [type(result) for result in results] == [Died, Died]
    assert stored(dying.path) == []


async def test_closing_finishes_what_was_submitted(bench: Bench) -> None:
    """Then nothing is taken any more."""
    job = asyncio.ensure_future(bench.writer.submit(insert(1)))
    await asyncio.sleep(0)
    bench.writer.close()
    bench.writer.close()

    assert stored(bench.path) == [1]
    assert await job == 1
    with pytest.raises(LedgerUnavailable, match="closed"):
        await bench.writer.submit(insert(2))


def test_a_closed_event_loop_does_not_end_the_writer(bench: Bench) -> None:
    """Somebody else's loop may still be waiting."""
    gate = Event()

    async def leave() -> None:
        job = asyncio.ensure_future(bench.writer.submit(lambda _: gate.wait()))
        await asyncio.sleep(0)
        job.cancel()

    asyncio.run(leave())
    gate.set()

    assert asyncio.run(bench.writer.submit(insert(1))) == 1


async def test_what_is_put_off_goes_with_the_next_transaction(
    tmp_path: Path, steps: ScriptedSteps
) -> None:
    """Before the work that could not wait, in its commit."""
    with patient(tmp_path, steps) as bench:
        taken = [bench.writer.put_off(insert(value)) for value in (1, 2)]
        before = stored(bench.path)
        await bench.writer.submit(insert(3))

        assert (taken, before, stored(bench.path)) == ([True, True], [], [1, 2, 3])
        assert len(steps.log) == 1


async def test_what_is_put_off_is_done_in_the_end(tmp_path: Path, steps: ScriptedSteps) -> None:
    """Though nothing else was to be written."""
    with patient(tmp_path, steps) as bench:
        bench.writer.put_off(insert(1))
        await asyncio.to_thread(bench.writer.close)

        assert stored(bench.path) == [1]
        assert not bench.writer.put_off(insert(2))


async def test_what_is_put_off_waits_no_longer_than_it_may(
    tmp_path: Path, steps: ScriptedSteps
) -> None:
    """All of that time together is one transaction."""
    done = asyncio.Event()
    loop = asyncio.get_running_loop()

    def tell(_: sqlite3.Connection) -> None:
        loop.call_soon_threadsafe(done.set)

    with patient(tmp_path, steps, patience_s=0.01) as bench:
        bench.writer.put_off(insert(1))
        bench.writer.put_off(insert(2))
        bench.writer.put_off(tell)
        await done.wait()
        await asyncio.to_thread(bench.writer.close)

        assert (stored(bench.path), len(steps.log)) == ([1, 2], 1)


async def test_nothing_is_put_off_after_a_failure_until_somebody_has_heard(
    tmp_path: Path, steps: ScriptedSteps
) -> None:
    """Whoever comes next has to wait for the transaction, and hears what is wrong."""
    with patient(tmp_path, steps) as bench:
        bench.writer.put_off(insert(1))
        bench.writer.put_off(insert(1))
        await bench.writer.submit(insert(2))
        await asyncio.sleep(0)

        assert not bench.writer.put_off(insert(3))
        assert bench.writer.put_off(insert(3))
        assert stored(bench.path) == [1, 2]


async def test_nothing_is_put_off_where_nobody_has_patience(bench: Bench) -> None:
    """As in a command that polls once and ends."""
    assert not bench.writer.put_off(insert(1))
