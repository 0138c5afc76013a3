"""Opens a ledger: puts lock, file, marker, reader and writer together."""

import asyncio
import time
from contextlib import ExitStack
from pathlib import Path

from popsync.errors import LedgerLocked
from popsync.ledger.failures import refuse_file, translated
from popsync.ledger.ledger import Clock, SqliteLedger
from popsync.ledger.lock import StateLock
from popsync.ledger.marker import mark_directory
from popsync.ledger.opening import (
    LEDGER_NAME,
    LOCK_NAME,
    connect_reader,
    connect_writer,
    prepare_file,
    read_ledger,
)
from popsync.ledger.presence import Presence
from popsync.ledger.reading import LedgerReader
from popsync.ledger.writer import NoWriter, Writer
from popsync.storage import DurableSteps, make_directories


async def look_at_ledger(state_dir: Path, *, clock: Clock = time.time) -> SqliteLedger:
    """Open the ledger, or what passes for an empty one, changing nothing on disk.

    Works beside a popsync that holds the lock; every method that writes raises
    LedgerUnavailable. Raises LedgerCorrupt, LedgerUnavailable.
    """
    return await asyncio.to_thread(_look, state_dir, clock)


def _look(state_dir: Path, clock: Clock) -> SqliteLedger:
    reader = read_ledger(state_dir)
    try:
        return SqliteLedger(reader, NoWriter(), None, token=reader.token(), clock=clock)
    except BaseException:
        reader.close()
        raise


async def open_ledger(
    state_dir: Path,
    *,
    steps: DurableSteps | None = None,
    clock: Clock = time.time,
    beside_daemon: bool = False,
    patience_s: float = 0.0,
) -> SqliteLedger:
    """Open the ledger in ``state_dir``, making both if need be; the caller closes it.

    ``patience_s``: for how long what only a person looks at may wait to be written.
    ``beside_daemon``: when another popsync holds the lock go on without it, for an operator's
    single change; SQLite keeps the two writers apart. Raises LedgerLocked, LedgerCorrupt,
    LedgerUnavailable.
    """
    return await asyncio.to_thread(
        _open,
        state_dir,
        steps or DurableSteps(),
        clock,
        beside_daemon=beside_daemon,
        patience_s=patience_s,
    )


def _open(
    state_dir: Path,
    steps: DurableSteps,
    clock: Clock,
    *,
    beside_daemon: bool,
    patience_s: float,
) -> SqliteLedger:
    path = state_dir / LEDGER_NAME
    with translated(path), ExitStack() as undo:
        refuse_file(state_dir)
        make_directories(state_dir, steps)
        lock = _take_lock(state_dir, beside_daemon=beside_daemon)
        if lock is not None:
            undo.callback(lock.release)
        prepare_file(path, steps)
        first = connect_writer(path)  # fails here rather than at the first delivery
        undo.callback(first.close)
        reader = LedgerReader(path, connect_reader(path))
        undo.callback(reader.close)
        token = reader.token()
        mark_directory(path, token, steps)
        undo.pop_all()
    presence = Presence(path, state_dir / LOCK_NAME, token=token, steps=steps)
    writer = Writer(
        path,
        first,
        reconnect=lambda: connect_writer(path),
        steps=steps,
        check=presence.check,
        patience_s=patience_s,
    )
    return SqliteLedger(reader, writer, lock, token=token, clock=clock, presence=presence)


def _take_lock(state_dir: Path, *, beside_daemon: bool) -> StateLock | None:
    try:
        return StateLock.take(state_dir / LOCK_NAME)
    except LedgerLocked:
        if beside_daemon:
            return None
        raise
